"""Studies: a real scheduler with two real worker processes, one of them killed; clients killed; cells that fail."""

import csv
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

import gan_course
from gan_course import errors, study
from gan_course.study import StudyError, cells, playing, table

ROOT = Path(gan_course.__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": ""}
SMALL = """
title = "Small"
objectives = ["hinge", "wgan"]
data = ["ring"]
[seeds]
choose = [10, 11]
report = [0, 1]
[settings]
steps = 30
batch_size = 8
width = 4
samples = 100
learning_rate = [1e-3, 1e-2]
[for.wgan]
optimizer = "rmsprop"
clip = 0.1
"""
CELLS = 2 * (2 * 2 + 2)


@pytest.fixture(scope="module")
def cluster():
    """A scheduler with two workers, each a process that a nanny begins again when it ends."""
    import dask
    import distributed
    from distributed.utils import get_mp_context

    # Forks of a process that has imported everything: a worker begins in a moment.
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        modules = ["distributed", "torch._dynamo", "sklearn.datasets", "gan_course.study"]
        get_mp_context().set_forkserver_preload(modules)
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0, silence_logs=50
        ) as found:
            yield found


@pytest.fixture
def address(cluster):
    return cluster.scheduler_address


@pytest.fixture
def asked(tmp_path):
    """A study's file."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture
def quick(tmp_path):
    """The same of a data set whose metrics need nothing that takes long to import."""
    path = tmp_path / "quick.toml"
    path.write_text(SMALL.replace("ring", "digits"), encoding="utf-8")
    return path


def on_workers(address, call, *arguments):
    """Call a function on every worker."""
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        return client.run(call, *arguments)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def key(row):
    return tuple(row[name] for name in table.CELL)


def command(*arguments):
    call = [sys.executable, "-m", "gan_course", "study", *map(str, arguments)]
    return subprocess.Popen(call, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# Workers, clients and cells that are lost


def gated(folder):
    """From now on, this worker waits in cells that report until there is a file `open`, and tells its number."""
    true = cells.training.fit

    def fit(*arguments, **settings):
        while settings["seed"] < 2 and not (folder / "open").exists():
            (folder / str(os.getpid())).touch()
            time.sleep(0.01)
        return true(*arguments, **settings)

    cells.training.fit, cells.training.true_fit = fit, true


def mend():
    cells.training.fit = cells.training.__dict__.get("true_fit", cells.training.fit)


@pytest.fixture
def gate(address, tmp_path):
    """A folder where workers that wait in the middle of a cell tell their numbers."""
    folder = tmp_path / "gate"
    folder.mkdir()
    on_workers(address, gated, folder)
    yield folder
    (folder / "open").touch()
    on_workers(address, mend)


def wait_for(what, process=None):
    limit = time.monotonic() + 300
    while not what():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_killed_worker_takes_no_cell_with_it(quick, address, gate):
    killed, seen = [], []

    def kill():
        wait_for(lambda: list(gate.iterdir()))
        killed.append(int(next(gate.iterdir()).name))
        os.kill(killed[0], signal.SIGKILL)
        (gate / "open").touch()

    thread = threading.Thread(target=kill)
    thread.start()
    outcome = study.run(quick, scheduler=address, seen=lambda cell, row: seen.append(cell))
    thread.join()
    assert killed[0] not in on_workers(address, os.getpid).values()
    assert outcome.finished
    assert outcome.done == CELLS == len(seen) == len(set(seen))
    stored = rows(quick.with_suffix(".csv"))
    assert len({key(row) for row in stored}) == CELLS == len(stored)
    reported = [row for row in stored if row["phase"] == "report"]
    assert [(row["objective"], row["seed"]) for row in reported] == [(o, s) for o in ("hinge", "wgan") for s in "01"]
    assert all(row["code"] == cells.code() and float(row["seconds"]) > 0 and row["torch"] for row in stored)
    again = on_workers(address, cells.play, table.cell_of(table._row(reported[-1]))).values()
    assert {repr(row["frechet"]) for row in again} == {reported[-1]["frechet"]}, "each process has others"


def test_a_killed_client_goes_on_with_what_is_missing(quick, address, gate, tmp_path):
    path, left = tmp_path / "out" / "a.csv", tmp_path / "out" / ".a.csv.x1y2.csv"
    process = command(quick, "--scheduler", address, "--out", path)
    try:
        wait_for(lambda: path.exists() and len(rows(path)) == 8 and list(gate.iterdir()), process)
        assert process.poll() is None, process.communicate()
        with pytest.raises(StudyError, match="another process plays"):
            study.run(quick, out=path, scheduler=address)
    finally:
        process.kill()
        process.wait()
    (gate / "open").touch()
    left.write_text("half-wri")
    before, seen = {key(row): row for row in rows(path)}, []
    outcome = study.run(quick, out=path, scheduler=address, seen=lambda cell, row: seen.append(cell))
    assert outcome.finished
    assert not left.exists()
    assert [cell.phase for cell in seen] == ["report"] * 4
    after = {key(row): row for row in rows(path)}
    assert len(after) == CELLS
    assert {cell: after[cell] for cell in before} == before
    assert study.run(quick, out=path, scheduler="tcp://127.0.0.1:1").finished, "nothing is left: no scheduler needed"
    assert list(path.parent.iterdir()) == [path]


def test_ctrl_c_ends_the_workers_of_this_machine_quietly(quick, tmp_path):
    quick.write_text(quick.read_text().replace("steps = 30", "steps = 1000"))
    process, path = command(quick, "--workers", "1"), tmp_path / "quick.csv"
    try:
        wait_for(lambda: path.exists() and rows(path), process)
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
        for one in [*family, process]:  # as a terminal does
            os.kill(one.pid, signal.SIGINT)
        out, errors = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "stopped" in errors
    assert "Traceback" not in errors + out
    assert 1 <= len(rows(path)) < CELLS
    assert not psutil.wait_procs(family, timeout=30)[1]


def spoil(seed):
    """From now on, this worker fails to play cells of that seed."""
    true = cells.training.fit

    def fit(*arguments, **settings):
        if settings["seed"] == seed:
            raise OSError("the disk\nis full")
        return true(*arguments, **settings)

    cells.training.fit, cells.training.true_fit = fit, true


def test_a_failed_cell_is_recorded_and_played_again_when_asked(quick, address, capsys):
    from gan_course import cli

    on_workers(address, spoil, 1)
    try:
        with pytest.raises(cli.typer.Exit) as ended:
            cli.study(quick, scheduler=address, workers=None, out=None, retry=False, restart=False)
        told = capsys.readouterr()
        assert ended.value.exit_code == 1
        assert "12 of 12 cells, of which 2 failed" in told.out
        assert "OSError: the disk is full" in told.out
        assert "--retry" in told.err
    finally:
        on_workers(address, mend)
    stored = rows(quick.with_suffix(".csv"))
    assert [row["outcome"] for row in stored].count("done") == CELLS - 2
    assert {row["error"] for row in stored if row["seed"] == "1"} == {"OSError: the disk is full"}
    assert study.run(quick, scheduler=address).failed == 2, "failed cells are not played again unasked"
    assert study.run(quick, scheduler=address, retry=True).finished


def test_what_cannot_be_reached_is_an_error(asked, monkeypatch):
    monkeypatch.setattr(playing, "PATIENCE", 0.5)
    with pytest.raises(StudyError, match=r"no scheduler with a worker answers at tcp://127.0.0.1:1 .*dask scheduler"):
        study.run(asked, scheduler="tcp://127.0.0.1:1")
    with pytest.raises(StudyError, match="no scheduler with a worker answers at nowhere"):
        study.run(asked, scheduler="nowhere:x")
    with pytest.raises(StudyError, match="workers=3 was given with a scheduler"):
        study.run(asked, scheduler="tcp://127.0.0.1:1", workers=3)
    with pytest.raises(ValueError, match="workers=0"):
        study.run(asked, workers=0)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(StudyError, match=r"pip install 'gan-course\[study\]'"):
        study.run(asked)


class Future:
    """What a scheduler says of a cell that took its workers with it, or that it knows no more."""

    def __init__(self, status):
        self.status = status

    def exception(self):
        return RuntimeError("died three times")


def test_a_cell_that_takes_workers_with_it_fails_and_a_lost_scheduler_is_an_error():
    row = playing._row(Future("error"))
    assert (row["outcome"], row["error"]) == ("failed", "RuntimeError: died three times")
    assert row["wasserstein"] is None
    with pytest.raises(StudyError, match=r"the scheduler was lost; .* goes on"):
        playing._row(Future("lost"))


# The table and the choice


def played(asked, distances, **others):
    """A table with such distances, by setting and seed, of one objective."""
    one = study.read(asked)
    found = study.Table(one, asked.with_suffix(".csv"))
    for place in one.settings:
        for cell in one.choosing(*place):
            value = distances[cell.settings["learning_rate"], cell.seed]
            done = isinstance(value, float)
            found.rows[cell] = {
                **dict.fromkeys(cells.METRICS),
                **{"outcome": "done" if done else value, "error": "", "wasserstein": value if done else None},
                **{"seconds": 1.0, "device": "CPU", "torch": "2", "code": cells.code(), **others},
            }
    return found


@pytest.mark.parametrize(
    ("distances", "best"),
    [
        ((1.0, 4.0, 2.0, 2.0), 1e-2),  # means, not bests
        ((1.0, 1.0, 2.0, 2.0), 1e-3),
        ((1.0, 1.0, 1.0, 1.0), 1e-3),  # the first of equals
        ((0.1, "diverged", 2.0, 2.0), 1e-2),
        ((0.1, "failed", 2.0, "diverged"), 1e-3),
        (("failed", "failed", "diverged", "diverged"), 1e-2),
        (("failed", "failed", "failed", "failed"), None),
    ],
)
def test_the_setting_with_the_best_mean_is_chosen(asked, distances, best):
    names = [(rate, seed) for rate in (1e-3, 1e-2) for seed in (10, 11)]
    found = played(asked, dict(zip(names, distances, strict=True)))
    setting = found.chosen("wgan", "ring")
    assert best is None if setting is None else json.loads(setting)["learning_rate"] == best
    waiting = found.waiting("wgan", "ring")
    assert [cell.setting for cell in waiting] == ([setting, setting] if setting else [])
    assert [cell.seed for cell in waiting] == ([0, 1] if setting else [])


def test_nothing_is_chosen_before_all_is_played(asked):
    found = played(asked, {(rate, seed): 1.0 for rate in (1e-3, 1e-2) for seed in (10, 11)})
    last = study.read(asked).choosing("wgan", "ring")[-1]
    del found.rows[last]
    assert found.chosen("wgan", "ring") is None
    assert found.waiting("wgan", "ring") == [last]


def test_reports_of_what_is_no_longer_chosen_go(asked):
    found = played(asked, {(1e-3, 10): 3.0, (1e-3, 11): 3.0, (1e-2, 10): "failed", (1e-2, 11): 1.0})
    first = found.waiting("hinge", "ring")
    found.rows |= dict.fromkeys(first, next(iter(found.rows.values())))
    again = next(cell for cell, row in found.rows.items() if row["outcome"] == "failed")
    found.rows[again] = {**found.rows[again], "outcome": "done", "wasserstein": 1.0}
    second = found.waiting("hinge", "ring")
    assert [cell.settings["learning_rate"] for cell in first + second] == [1e-3, 1e-3, 1e-2, 1e-2]
    assert not set(first) & set(found.rows)


def test_a_stored_table_is_what_was_written(asked):
    found = played(asked, {(rate, seed): 0.1 + rate + seed / 3 for rate in (1e-3, 1e-2) for seed in (10, 11)})
    found.write()
    text = found.path.read_text()
    assert table.read(found.path) == found.rows
    again = study.Table(study.read(asked), found.path)
    again.write()
    assert found.path.read_text() == text


def test_a_table_of_the_course_is_a_frame_with_its_settings(asked, monkeypatch):
    found = played(asked, {(1e-3, 10): 0.1, (1e-3, 11): "diverged", (1e-2, 10): 1 / 3, (1e-2, 11): "failed"})
    found.write()
    monkeypatch.setattr(table, "STORED", asked.parent)
    frame = study.stored("small")
    assert [study.cell_of(row) for _, row in frame.iterrows()] == list(found.rows)
    assert list(frame["learning_rate"]) == [1e-3, 1e-3, 1e-2, 1e-2] * 2
    assert list(frame["clip"].dropna()) == [0.1] * 4
    assert list(frame["wasserstein"].dropna()) == [0.1, 1 / 3] * 2
    assert frame["quality"].isna().all()
    assert set(frame["error"]) == {""}
    assert not set(cells.SETTINGS) & set(table.COLUMNS), "two columns of one name"
    with pytest.raises(errors.UnknownName, match=r"unknown stored study 'smal'; .*did you mean small"):
        study.stored("smal")


@pytest.mark.parametrize(
    ("others", "change", "match"),
    [
        ({"code": "0123"}, (), r"made by other code \(0123; this is .*--out.*--restart"),
        ({}, ("1e-2]", "2e-2]"), r"holds 4 of 8 cells that the study does not ask for, such as hinge on ring.*--out"),
        ({}, ("steps = 30", "steps = 40"), "holds 8 of 8 cells"),
    ],
)
def test_what_does_not_belong_together_is_not_mixed(asked, others, change, match):
    names = [(rate, seed) for rate in (1e-3, 1e-2) for seed in (10, 11)]
    found = played(asked, dict.fromkeys(names, 1.0), **others)
    found.write()
    if change:
        asked.write_text(SMALL.replace(*change))
    with pytest.raises(StudyError, match=match):
        study.run(asked)
    assert len(rows(found.path)) == 8
    assert study.Table(study.read(asked), found.path, restart=True).rows == {}


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "\0", ",".join(table.COLUMNS) + "\n" + "x," * 15 + "x\n"])
def test_another_file_in_the_place_of_the_table_is_left_alone(asked, content):
    path = asked.with_suffix(".csv")
    path.write_text(content)
    with pytest.raises(StudyError, match="is no table of a study"):
        study.run(asked)
    assert path.read_text() == content


def test_a_folder_in_the_place_of_the_table(asked, tmp_path):
    with pytest.raises(StudyError, match="is a folder"):
        study.run(asked, out=tmp_path)


def test_a_worker_with_other_code_is_refused():
    with pytest.raises(StudyError, match=r"the worker tcp://a has other code .*install the same version"):
        playing._same_code("tcp://a", "0")


def test_the_code_is_what_decides_about_the_numbers(tmp_path, monkeypatch):
    copy = tmp_path / "gan_course"
    shutil.copytree(ROOT / "gan_course", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(cells.provenance, "PACKAGE", copy)
    monkeypatch.setattr(cells, "__file__", str(copy / "study" / "cells.py"))

    def hashed(*changes):
        for change in changes:
            with (copy / change).open("a") as file:
                file.write("\n# changed")
        return cells.code.__wrapped__()

    before = hashed()
    assert hashed("study/playing.py", "study/table.py", "study/plan.py", "plotting.py", "provenance.py") == before
    for behind in ("study/cells.py", "objectives/hinge.py"):
        assert hashed(behind) != before, behind
        before = hashed()


# What is asked for


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (("title", "titel"), "unknown key 'titel'; choose one of: .*title.*; did you mean title"),
        (('objectives = ["hinge", "wgan"]', ""), "objectives must be given; a study has: title, table, objectives"),
        (('["hinge", "wgan"]', "[]"), r"objectives=\[\] was given; it must be a list of different names.* or \"all\""),
        (('["hinge", "wgan"]', '"every"'), "objectives='every' was given"),
        (('["hinge", "wgan"]', '["hinge", "hinge"]'), "different names"),
        (('["hinge", "wgan"]', '["hinge", "gan"]'), "unknown objective 'gan'; choose one of: .*f-gan/gan"),
        (('["hinge", "wgan"]', '["hinge"]'), r"unknown objective in \[for\] 'wgan'; choose one of: hinge"),
        (('["ring"]', '["rings"]'), "unknown data set 'rings'; .*did you mean ring"),
        (('["ring"]', '"ring"'), "data='ring' was given; it must be a list"),
        (('["ring"]', "[3]"), "unknown data set 3"),
        (("[seeds]", "[seed]"), "unknown key 'seed'; .* did you mean seeds"),
        (("report = [0, 1]", ""), "seeds.report=None was given; it must be a list of different numbers"),
        (("report = [0, 1]", "report = []"), r"seeds.report=\[\] was given"),
        (("report = [0, 1]", "report = [0, 0]"), "different numbers"),
        (("report = [0, 1]", "report = [-1]"), "seeds.report=-1 was given; it must be a whole number of at least 0"),
        (("report = [0, 1]", "report = [0, 10]"), "the seed 10 is in seeds.choose and in seeds.report"),
        (("report = [0, 1]", "reports = [0, 1]"), r"unknown key in \[seeds\] 'reports'; .*did you mean report"),
        (("steps = 30", "step = 30"), "unknown setting 'step'; .*did you mean steps"),
        (("steps = 30", "steps = 0"), "steps=0 was given; it must be a whole number of at least 1"),
        (("steps = 30", "steps = 2.5"), "steps=2.5 was given"),
        (("steps = 30", "steps = true"), "steps=True was given"),
        (("steps = 30", "beta1 = 1"), "beta1=1 was given; it must be in"),
        (("steps = 30", 'decay = "slow"'), "unknown decay 'slow'; choose one of: constant, cosine, linear"),
        (("steps = 30", "clip = 0.1"), r"unknown setting 'clip'"),
        (("[1e-3, 1e-2]", "[]"), r"learning_rate=\[\] was given for hinge; a list holds different values"),
        (("[1e-3, 1e-2]", "[1e-3, 1e-3]"), "a list holds different values"),
        (("[1e-3, 1e-2]", "[1e-3, nan]"), "learning_rate=nan was given; it must be a finite number above 0"),
        (
            ("clip = 0.1", "clap = 0.1"),
            r"objective 'wgan' has no setting clap; it has: .*clip.*; set of every objective",
        ),
        (("clip = 0.1", "clip = -1"), "clip=-1 was given"),
        (("clip = 0.1", "penalties = 3"), "penalties"),
        (("clip = 0.1", "clip = [0.1, 0.2]"), r"settings tried on ring differ \(hinge 2, wgan 4\); .*equal budget"),
        (("[for.wgan]", "[for]\nhinge = 3\n[for.wgan]"), "for.hinge=3 was given; it must be a table"),
        (("[for.wgan]", "[on.digits]"), r"unknown data set in \[on\] 'digits'; choose one of: ring"),
        (("[for.wgan]", "[on.ring]"), r"unknown setting in \[on.ring\] 'clip'"),
        (("wgan", "began"), "objective 'began' has no setting clip; it has: .*diversity.*gain"),
        (('title = "Small"', "title = 3"), "title=3 was given; it must be a text"),
        (('title = "Small"', "title = "), "is no TOML: .*line 2"),
    ],
)
def test_bad_studies(asked, change, match):
    assert change[0] in SMALL
    asked.write_text(SMALL.replace(*change))
    with pytest.raises(StudyError, match=f"(?s)^{asked}.*{match}"):
        study.read(asked)


def test_files_that_are_no_studies(tmp_path):
    with pytest.raises(StudyError, match=r"there is no study .*give the path of a .toml file"):
        study.read(tmp_path / "nothing.toml")
    with pytest.raises(StudyError, match="cannot be read"):
        study.read(tmp_path)


def test_a_value_is_fixed_and_a_list_is_tried(asked):
    asked.write_text(SMALL.replace("[for.wgan]", "[on.ring]\nsteps = 7\n[for.wgan]\nsteps = [8]"))
    one = study.read(asked)
    assert len(one) == CELLS
    settings = {name: [json.loads(s) for s in one.settings[name, "ring"]] for name in ("hinge", "wgan")}
    assert {name: [s["learning_rate"] for s in tried] for name, tried in settings.items()} == {
        "hinge": [1e-3, 1e-2],
        "wgan": [1e-3, 1e-2],
    }
    assert {s["steps"] for s in settings["hinge"]} == {7}
    assert {(s["steps"], s["clip"]) for s in settings["wgan"]} == {(8, 0.1)}
    assert one.table == asked.with_suffix(".csv")


def test_the_example_in_the_book_is_a_study(tmp_path):
    page = (ROOT / "book" / "scaling.md").read_text(encoding="utf-8")
    (tmp_path / "rates.toml").write_text(page.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    one = study.read(tmp_path / "rates.toml")
    assert {len(tried) for tried in one.settings.values()} == {2}
    assert one.table == tmp_path / "rates.csv"


def test_the_study_of_the_course_has_every_contestant_on_five_fresh_seeds():
    one = study.read(ROOT / "benchmarks" / "studies" / "are_gans_equal.toml")
    assert set(one.settings) == set(itertools.product(cells.contestants(), ("ring", "grid", "digits")))
    assert {len(tried) for tried in one.settings.values()} == {4}
    assert [len(seeds) for seeds in one.seeds.values()] == [2, 5]
    assert one.table.resolve() == Path(study.__file__).with_name("are_gans_equal.csv").resolve()


# Cells


@pytest.mark.parametrize("data", ["ring", "digits"])
@pytest.mark.parametrize("objective", cells.contestants())
def test_every_contestant_plays(objective, data):
    settings = {"steps": 4, "batch_size": 4, "width": 4, "samples": 100}
    row = cells.play(cells.Cell(objective, data, cells.in_words(settings), 0, "choose"))
    assert row["outcome"] == "done", row
    assert {name for name in cells.METRICS if name in row} == {
        "ring": {"modes", "quality", "wasserstein"},
        "digits": {"frechet", "precision", "recall", "class_variation"},
    }[data]
    assert row[cells.DATA[data].decides] > 0


def test_divergence_is_a_result():
    settings = {"steps": 60, "batch_size": 4, "width": 4, "samples": 100, "learning_rate": 1e25}
    cell = cells.Cell("least-squares", "ring", cells.in_words(settings), 0, "choose")
    row = cells.attempt(cell)
    assert row["outcome"] == "diverged"
    assert "diverged" in row["error"]
    assert "wasserstein" not in row


def test_steps_are_those_of_both_players(monkeypatch):
    asked = []
    monkeypatch.setattr(cells.training, "fit", lambda game, real, rounds, **_: asked.append((game, rounds)))
    for steps in (1, 5):
        settings = {"steps": 600, "discriminator_steps": steps, "samples": 100}
        cells.play(cells.Cell("wgan-gp", "ring", cells.in_words(settings), 0, "choose"))
    assert [rounds for _, rounds in asked] == [300, 100]
    assert [game.discriminator_steps for game, _ in asked] == [1, 5]


def test_digits_are_shown_to_the_judge_as_it_knows_them():
    from gan_course import data, metrics

    test = data.load("digits", "test")
    right = metrics.lenet()(cells.as_mnist(test.images)).argmax(1) == test.labels
    assert right.float().mean() > 0.9
    assert cells.DATA["digits"].judge(test.images)["frechet"] < 1e-3
    assert cells.DATA["digits"].judge(test.images)["class_variation"] == 0


def test_the_grid_without_one_mode_lies_further_away():
    from gan_course import data

    points = data.toy.grid(2_500, seed=5)
    whole = cells.DATA["grid"].judge(points)
    assert whole["modes"] == 25
    assert whole["quality"] > 0.97
    less = cells.DATA["grid"].judge(points[points[:, 0] > -3])
    assert less["modes"] == 20
    assert less["wasserstein"] > 5 * whole["wasserstein"]

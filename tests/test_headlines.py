"""Headline runs: `gan-course headline` on a small experiment in a folder of its own, and the real ones, shortened."""

import copy
import functools
import importlib.util
import itertools
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import types
import warnings
from pathlib import Path

import archives
import numpy
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

import gan_course
from gan_course import checkpoint, errors, headlines, networks

ROOT = Path(gan_course.__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": ""}
SMALL = '''"""A small pair on the ring, beside another that learns faster."""

import torch

from gan_course import data, games, networks
from gan_course.headlines import Experiment, Play


def gan(rate=1e-3):
    return games.GAN(
        networks.mlp(2, [8], 2), networks.mlp(2, [8]), latent_size=2, optimizer=games.adam(rate),
        rate=games.cosine_decay, average=0.9,
    )


def measure(game):
    samples = game.sample(200)
    return {"mean": samples.mean(), "distance": distance(samples)}


def distance(points):
    return torch.cdist(points, data.toy.ring_centers()).amin(1).mean()


EXPERIMENT = Experiment(
    title="A small ring",
    chapter="02_minimax_gan",
    seeds=[3, 0],
    games={"slow": Play(gan, rounds=6, batch_size=16), "fast": Play(lambda: gan(1e-2), rounds=3, batch_size=8)},
    data=lambda: data.toy.ring(300),
    measure=measure,
    published={"slow: mean": {"value": "0.5", "source": "srivastava2017veegan"}},
    marks=lambda: {"real: distance": distance(data.toy.ring(200))},
)
VARIANTS = {"again": EXPERIMENT}
'''
LABELS = ["slow: ", "fast, 3 rounds: "]
AT_ONCE = 1e-9  # minutes that are spent before the first round is over


def results_of():
    """The module that makes the results page."""
    spec = importlib.util.spec_from_file_location("results", ROOT / "benchmarks" / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course's folder with one experiment, to stand in."""
    return stand_in(tmp_path / "course", monkeypatch, tiny=SMALL)


def stand_in(folder, monkeypatch, **experiments):
    (folder / headlines.EXPERIMENTS).mkdir(parents=True)
    for name, text in experiments.items():
        (folder / headlines.EXPERIMENTS / f"{name}.py").write_text(text)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def call(call):
    """Run `gan-course headline` in this process."""
    return functools.partial(call, "headline")


def start(*arguments, before=""):
    """The command as a process, `before` run in it first."""
    code = f"from gan_course import cli, headlines\n{before}\ncli.main()"
    call = [sys.executable, "-c", code, "headline", *map(str, arguments)]
    return subprocess.Popen(call, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, child):
    for _ in range(600):
        if condition():
            return
        assert child.poll() is None, child.communicate()
        time.sleep(0.1)
    raise AssertionError("nothing happened in a minute")


def stored(name="tiny"):
    return json.loads((headlines.RESULTS / f"{name}.json").read_text())


def without_times(result):
    return {key: value for key, value in result.items() if key != "seconds"}


def weights(folder):
    files = [file for file in sorted(folder.glob("*.safetensors")) if ".previous" not in file.name]
    found = {file.name: load_file(file) for file in files}
    # Without Python's random numbers, from which the type checks of the tests draw.
    return {file: {name: t for name, t in one.items() if "random/python" not in name} for file, one in found.items()}


def same_weights(one, other):
    assert one.keys() == other.keys()
    assert one
    for name, tensors in one.items():
        assert tensors.keys() == other[name].keys()
        assert all(torch.equal(tensor, other[name][key]) for key, tensor in tensors.items()), name


# What a run makes


def test_a_run_plays_every_seed_and_stores_what_the_results_page_reads(course, call):
    outcome = call("tiny", "--device", "cpu")
    assert outcome.returncode == 0, outcome.stderr
    results = results_of()
    result = results.read(headlines.RESULTS / "tiny.json")
    assert (result["seeds"], result["rounds"], result["device"]) == ([3, 0], 6, "CPU, 1 thread")
    assert result["versions"]["gan_course"] == gan_course.__version__
    quantities = [label + quantity for label in LABELS for quantity in ("mean", "distance")]
    assert list(result["measured"]) == [*quantities, "real: distance"]
    for quantity in quantities:
        assert len(set(result["measured"][quantity])) == 2  # the seeds differ
    page = results.table(headlines.RESULTS)
    assert "## A small ring\n" in page
    mark = result["measured"]["real: distance"]
    assert f"| real: distance |  | {mark:.4g} |" in page
    assert outcome.stdout.count("seed ") == 4
    assert f"stored in {headlines.RESULTS}/tiny.json" in outcome.stdout
    folder = headlines.RUNS / "tiny"
    assert len(list(folder.glob("*.safetensors"))) == 4


def test_the_figures_are_those_of_fit_and_measure_alone(course):
    headlines.run("tiny", device="cpu")
    experiment = headlines.find("tiny")
    for place, seed in enumerate(experiment.seeds):
        gan_course.seed_everything(seed)
        game = experiment.games["fast"].game()
        gan_course.fit(game, experiment.data(), rounds=3, batch_size=8, seed=seed, device="cpu")
        torch.manual_seed(seed)
        for quantity, value in experiment.measure(game).items():
            assert stored()["measured"][LABELS[1] + quantity][place] == float(value)


def test_slices_of_a_round_or_two_come_to_the_same_as_one_run(course, call, tmp_path, monkeypatch):
    assert call("tiny", "--device", "cpu").returncode == 0
    whole, trained = without_times(stored()), weights(headlines.RUNS / "tiny")
    stand_in(tmp_path / "other", monkeypatch, tiny=SMALL)
    said = []
    while not (headlines.RESULTS / "tiny.json").exists():
        outcome = call("tiny", "--device", "cpu", "--minutes", AT_ONCE)
        assert outcome.returncode == 0, outcome.stderr
        said.append(outcome.stdout)
        assert len(said) < 100
    assert len(said) > 8
    assert said[0] == (
        "tiny: 0 of 2 seeds done, seed 3, slow after round 1 of 6; go on with: "
        f"gan-course headline tiny --device cpu --minutes {AT_ONCE}\n"
    )
    assert any("1 of 2 seeds done, seed 0" in text for text in said)
    assert without_times(stored()) == whole
    same_weights(weights(headlines.RUNS / "tiny"), trained)


def test_a_slice_that_is_killed_at_any_moment_costs_nothing(course, tmp_path, monkeypatch):
    long = SMALL.replace("rounds=6", "rounds=600").replace("seeds=[3, 0]", "seeds=[3]")
    stand_in(tmp_path / "whole", monkeypatch, tiny=long)
    headlines.run("tiny", device="cpu")
    whole, trained = without_times(stored()), weights(headlines.RUNS / "tiny")
    stand_in(tmp_path / "killed", monkeypatch, tiny=long)
    file = headlines.RUNS / "tiny" / "seed-3-slow.safetensors"
    for pause in (0.0, 0.3):
        before = file.stat().st_mtime_ns if file.exists() else None
        child = start("tiny", "--device", "cpu", before="headlines.SAVE_EVERY = headlines.LOOK_EVERY = 0.05")
        try:
            wait_for(lambda before=before: file.exists() and file.stat().st_mtime_ns != before, child)
            time.sleep(pause)
            assert child.poll() is None
        finally:
            child.kill()
            child.communicate()
    assert not (headlines.RESULTS / "tiny.json").exists()
    began = headlines.checkpoint.load(file, headlines.find("tiny").games["slow"].game()).rounds
    assert 0 < began < 600
    (file.parent / ".seed-3-slow.safetensors.abcd1234.safetensors").write_bytes(b"half a file")
    headlines.run("tiny", device="cpu")
    assert without_times(stored()) == whole
    same_weights(weights(headlines.RUNS / "tiny"), trained)


def test_ctrl_c_saves_and_says_how_to_go_on(course):
    (headlines.EXPERIMENTS / "tiny.py").write_text(SMALL.replace("rounds=6", "rounds=1_000_000"))
    child = start("tiny", "--device", "cpu", "--minutes", "30")
    try:
        while "round/s" not in (line := child.stderr.read(80)):
            assert line, child.communicate()
        child.send_signal(signal.SIGINT)
        out, error = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130, error
    assert "Traceback" not in error
    done = re.search(r"0 of 2 seeds done, seed 3, slow after round ([\d,]+) of 1,000,000; go on with: (.*)\n", out)
    assert done[2] == "gan-course headline tiny --device cpu --minutes 30.0"
    game = headlines.find("tiny").games["slow"].game()
    file = headlines.RUNS / "tiny" / "seed-3-slow.safetensors"
    assert headlines.checkpoint.load(file, game).rounds == int(done[1].replace(",", ""))


def test_a_run_is_saved_every_so_often(course, monkeypatch):
    saved = []
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda *given: saved.append(given[2].rounds) or save(*given))
    headlines.run("tiny", device="cpu", seeds=[0])
    assert saved == [6, 3]  # no half minute passed
    saved.clear()
    monkeypatch.setattr(headlines, "SAVE_EVERY", 0.0)
    headlines.run("tiny", device="cpu", seeds=[0], restart=True)
    assert saved[:2] == [0, 1]
    assert len(saved) > 6


def test_the_clock_is_looked_at_about_once_a_second(course, monkeypatch, tmp_path):
    """However fast the rounds are, a look costs a wait for the device: with 1,000 rounds a second there are few."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watch = headlines._Watch(tmp_path / "a", 10_000_000, math.inf)
    game, history, looks = headlines.find("tiny").games["slow"].game(), gan_course.training.History(), []
    for history.rounds in range(60_000):
        now[0] = history.rounds / 1000
        if history.rounds % watch.every == 0:
            looks.append(now[0])
            watch.saved = now[0]
            watch(game, history)
    assert 60 <= len(looks) < 90
    assert max(later - earlier for earlier, later in itertools.pairwise(looks)) < 2


def test_data_and_measurements_may_depend_on_the_seed(course, call):
    """One source for each seed, made once for all its games."""
    drawn = SMALL.replace("data=lambda: data.toy.ring(300)", "data=draw").replace("def measure(game)", MEASURE)
    (headlines.EXPERIMENTS / "tiny.py").write_text(drawn)
    assert call("tiny", "--device", "cpu").returncode == 0
    assert stored()["measured"]["slow: seed"] == stored()["measured"]["fast, 3 rounds: seed"] == [3, 0]
    assert Path("drawn.txt").read_text() == "3 0 "
    experiment = headlines.find("tiny")
    for place, seed in enumerate(experiment.seeds):
        gan_course.seed_everything(seed)
        game = experiment.games["slow"].game()
        gan_course.fit(game, torch.full((20, 2), float(seed)), rounds=6, batch_size=16, seed=seed, device="cpu")
        torch.manual_seed(seed)
        assert stored()["measured"]["slow: mean"][place] == float(game.sample(200).mean())


MEASURE = """def draw(seed):
    with open("drawn.txt", "a") as file:
        file.write(f"{seed} ")
    return torch.full((20, 2), float(seed))


def measure(game, seed):
    return {**measured(game), "seed": seed}


def measured(game)"""


# Seeds that diverge


def test_a_seed_that_diverges_is_recorded(course, call):
    spoilt = SMALL.replace("lambda: gan(1e-2)", "lambda: gan(1e30 if torch.initial_seed() == 0 else 1e-2)")
    (headlines.EXPERIMENTS / "tiny.py").write_text(spoilt.replace("rounds=3,", "rounds=6,"))
    outcome = call("tiny", "--device", "cpu")
    assert outcome.returncode == 0, outcome.stderr
    assert "seed 0, fast" in outcome.stdout
    assert "training has diverged" in outcome.stdout
    measured = stored()["measured"]
    assert measured["fast: mean"][1] is None
    assert measured["fast: mean"][0] is not None
    assert None not in measured["slow: mean"]
    assert ", diverged |" in results_of().table(headlines.RESULTS)
    assert re.search(r"fast: mean .* -?[\d.]+, diverged: 1 of 2\n", call().stdout)


def test_weights_that_are_spoilt_in_the_last_step_are_no_result(course, call):
    game = """
class Spoilt(games.GAN):
    def turns(self):
        *others, last = super().turns()

        def spoil():
            last.after_step()
            if self.progress > 0.8:
                next(self.generator.parameters()).data.fill_(float("nan"))

        return [*others, replace(last, after_step=spoil)]


def gan("""
    spoilt = SMALL.replace("import torch\n", "from dataclasses import replace\n\nimport torch\n")
    spoilt = spoilt.replace("games.GAN(", "Spoilt(").replace("\ndef gan(", game)
    (headlines.EXPERIMENTS / "tiny.py").write_text(spoilt)
    outcome = call("tiny", "--device", "cpu", "--seeds", 3)
    told = "seed 3, slow, in 0 s: after round 6 the weights generator.layers.0.weight are no longer finite numbers"
    assert told in outcome.stdout
    assert not (headlines.RUNS / "tiny.try" / "seed-3-slow.safetensors").exists()
    assert "diverged: 1 of 1" in outcome.stdout


def test_where_every_seed_diverges_that_is_the_result(course, call):
    (headlines.EXPERIMENTS / "tiny.py").write_text(SMALL.replace("gan(1e-2)", "gan(1e30)"))
    assert call("tiny", "--device", "cpu").returncode == 0
    assert stored()["measured"]["fast, 3 rounds: outcome"] == [None, None]
    assert "| fast, 3 rounds: outcome |  | diverged, diverged |" in results_of().table(headlines.RESULTS)


# What is stored where


def test_a_try_out_stores_nothing_unless_told(course, call):
    options = ["tiny", "--device", "cpu", "--rounds", 3, "--seeds", "7,0"]
    outcome = call(*options)
    assert outcome.returncode == 0, outcome.stderr
    assert "3 rounds; seeds 7, 0" in outcome.stdout
    assert not headlines.RESULTS.exists()
    assert not (headlines.RUNS / "tiny").exists()
    assert call(*options, "--out", "here/result.json").returncode == 0
    result = json.loads(Path("here/result.json").read_text())
    assert (result["seeds"], result["rounds"]) == ([7, 0], 3)
    assert {"slow: mean", "fast: mean"} < set(result["measured"])


def test_more_seeds_of_a_try_out_play_only_those(course, call):
    assert call("tiny", "--device", "cpu", "--rounds", 3, "--seeds", "0").stdout.count("seed 0, slow, in") == 1
    more = call("tiny", "--device", "cpu", "--rounds", 3, "--seeds", "0,1").stdout
    assert more.count(", slow, in") == more.count("seed 1, slow, in") == 1
    assert "seeds 0, 1" in more


def test_a_result_is_replaced_only_when_asked(course, call, monkeypatch):
    headlines.RESULTS.mkdir(parents=True)
    target = headlines.RESULTS / "tiny.json"
    target.write_text("{}")
    outcome = call("tiny", "--device", "cpu")
    assert outcome.returncode == 1
    assert f"{target} holds a result already; --restart measures anew and replaces it, --out FILE" in outcome.stderr
    assert target.read_text() == "{}"
    assert not headlines.RUNS.exists()
    assert call("tiny", "--device", "cpu", "--out", "other.json").returncode == 0
    assert target.read_text() == "{}"
    assert call("tiny", "--device", "cpu", "--minutes", AT_ONCE, "--restart").returncode == 0
    assert target.read_text() == "{}"
    assert call("tiny", "--device", "cpu").returncode == 0  # goes on
    assert without_times(stored()) == without_times(json.loads(Path("other.json").read_text()))


def test_every_device_has_a_result_of_its_own(course, call):
    assert headlines.result_file("tiny", "CPU, 16 threads") == headlines.RESULTS / "tiny.json"
    beside = headlines.result_file("tiny", "NVIDIA H100 80GB HBM3")
    assert beside == headlines.RESULTS / "tiny.nvidia-h100-80gb-hbm3.json"
    call("tiny", "--device", "cpu")
    beside.write_text(json.dumps({**stored(), "device": "NVIDIA H100 80GB HBM3"}))
    page = results_of().table(headlines.RESULTS)
    assert "## A small ring, on CPU, 1 thread\n" in page
    assert "## A small ring, on NVIDIA H100 80GB HBM3\n" in page
    listed = call().stdout
    assert "  CPU, 1 thread; 6 rounds; seeds 3, 0\n" in listed
    assert "  NVIDIA H100 80GB HBM3; 6 rounds; seeds 3, 0\n" in listed


def test_the_list_shows_published_beside_measured(course, call):
    before = call()
    assert before.returncode == 0, before.stderr
    assert before.stdout.startswith("tiny: A small ring\n  not measured yet\n")
    assert re.search(r"slow: mean +0\.5\n", before.stdout)
    assert "tiny-again: A small ring\n" in before.stdout
    call("tiny", "--device", "cpu")
    a, b = stored()["measured"]["slow: mean"]
    line = next(line for line in call().stdout.splitlines() if "slow: mean" in line)
    assert line.split()[2] == "0.5"
    assert line.endswith(f"{(a + b) / 2:.4g} ± {abs(a - b) / math.sqrt(2):.2g}")


# Refusals


def change_file(monkeypatch):
    with (headlines.EXPERIMENTS / "tiny.py").open("a") as file:
        file.write("# another remark\n")


def change_package(monkeypatch):
    monkeypatch.setattr(headlines.provenance, "module_hashes", lambda notebook: {"gan_course.training": "0" * 12})


def change_version(monkeypatch):
    monkeypatch.setattr(gan_course, "__version__", "99.0")


def change_device(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_file, "begun with other code of the experiment or of the package behind it"),
        (change_package, "begun with other code of the experiment or of the package behind it"),
        (change_version, f"begun with gan_course {gan_course.__version__}, not 99.0"),
        (change_device, "begun with device CPU, 1 thread, not CPU, 2 threads"),
    ],
)
def test_slices_are_not_mixed(course, call, monkeypatch, change, said):
    call("tiny", "--device", "cpu", "--minutes", AT_ONCE)
    folder = headlines.RUNS / "tiny"
    (folder / "notes.txt").write_text("mine")
    before = weights(folder)
    change(monkeypatch)
    outcome = call("tiny", "--device", "cpu", "--minutes", AT_ONCE)
    assert outcome.returncode == 1
    assert said in outcome.stderr
    assert "--restart" in outcome.stderr
    same_weights(weights(folder), before)
    outcome = call("tiny", "--device", "cpu", "--minutes", AT_ONCE, "--restart")
    assert "seed 3, slow after round 1 of 6" in outcome.stdout, outcome.stderr
    assert (folder / "notes.txt").read_text() == "mine"


def test_try_outs_of_other_rounds_are_not_mixed(course, call):
    call("tiny", "--device", "cpu", "--rounds", 3)
    outcome = call("tiny", "--device", "cpu", "--rounds", 4)
    assert outcome.returncode == 1
    assert "begun with rounds [3, 3], not [4, 4]" in outcome.stderr


def test_the_code_behind_an_experiment_is_that_of_training_too(course):
    modules = {}
    hashes = headlines.provenance.module_hashes

    def watched(notebook):
        modules.update(hashes(notebook))
        return modules

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(headlines.provenance, "module_hashes", watched)
        headlines._code(headlines.EXPERIMENTS / "tiny.py")
    wanted = (
        "training",
        "headlines",
        "games.gan",
        "networks.mlp",
        "data.toy",
        "objectives.minimax",
    )
    assert {f"gan_course.{name}" for name in wanted} <= set(modules)


def test_processes_at_the_same_time_come_to_the_same_as_one(course, tmp_path, monkeypatch):
    long = SMALL.replace("rounds=6", "rounds=600").replace("rounds=3", "rounds=600")
    stand_in(tmp_path / "one", monkeypatch, tiny=long)
    headlines.run("tiny", device="cpu")
    whole, trained = without_times(stored()), weights(headlines.RUNS / "tiny")
    stand_in(tmp_path / "two", monkeypatch, tiny=long)
    # Each waits for the other before its first round, so that none is done before the other begins.
    meet = """
import pathlib, time
play = headlines._Run.play
def together(self, *arguments):
    (self.folder / f"here-{headlines.math.trunc(time.time_ns())}").touch()
    while len(list(self.folder.glob("here-*"))) < 2:
        time.sleep(0.01)
    return play(self, *arguments)
headlines._Run.play = together
"""
    children = [start("tiny", "--device", "cpu", before=meet) for _ in range(2)]
    try:
        said = [child.communicate(timeout=120) for child in children]
    finally:
        for child in children:
            child.kill()
    assert [child.returncode for child in children] == [0, 0], said
    told = [[line.split(", in ")[0] for line in out.splitlines() if ", in " in line] for out, _ in said]
    assert all(told)  # both have played
    assert sorted([*told[0], *told[1]]) == sorted(
        f"seed {seed}, {game}" for seed in (3, 0) for game in ("slow", "fast")
    )
    assert without_times(stored()) == whole
    same_weights(weights(headlines.RUNS / "tiny"), trained)


def test_what_another_process_plays_is_left_to_it(course, call):
    folder = headlines.RUNS / "tiny"
    headlines.run("tiny", device="cpu", minutes=AT_ONCE)
    half = folder / ".seed-3-slow.safetensors.abcd1234.safetensors"
    half.write_bytes(b"half a file")  # being written by the other
    with FileLock(folder / "seed-3-slow.lock"):
        outcome = call("tiny", "--device", "cpu")
        assert outcome.returncode == 0, outcome.stderr
        assert outcome.stdout.count("seed ") == 3
        assert "seed 3, slow" not in outcome.stdout
        left = "tiny: 1 of 2 seeds done, other processes play what is left"
        assert outcome.stdout.splitlines()[-1] == f"{left}; go on with: gan-course headline tiny --device cpu"
        assert half.exists()
        assert not (headlines.RESULTS / "tiny.json").exists()
    shared = headlines.run("tiny", device="cpu")
    assert shared.finished
    assert not half.exists()
    shared = without_times(stored())
    headlines.run("tiny", device="cpu", restart=True)
    assert without_times(stored()) == shared


def test_beside_one_that_begins_anew_a_stored_result_is_no_obstacle(course, call):
    headlines.run("tiny", device="cpu")
    before = stored()
    headlines.run("tiny", device="cpu", minutes=AT_ONCE, restart=True)
    with FileLock(headlines.RUNS / "tiny" / "seed-3-slow.lock"):
        outcome = call("tiny", "--device", "cpu")
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.count(", in ") == 3
    assert stored() == before


def test_what_another_process_plays_is_not_removed(course, call):
    folder = headlines.RUNS / "tiny"
    headlines.run("tiny", device="cpu", minutes=AT_ONCE)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    with FileLock(folder / "seed-3-slow.lock"):
        outcome = call("tiny", "--device", "cpu", "--restart")
        assert outcome.returncode == 1
        assert (
            f"another process plays tiny in {folder}, and --restart would remove what it has; let it finish, or stop "
            "it, or leave out --restart to play beside it"
        ) in outcome.stderr
        assert {file: file.read_bytes() for file in folder.iterdir()} == before
    headlines.run("tiny", device="cpu", minutes=AT_ONCE, restart=True)


def test_a_damaged_checkpoint_is_named(course, call):
    call("tiny", "--device", "cpu", "--minutes", AT_ONCE)
    file = headlines.RUNS / "tiny" / "seed-3-slow.safetensors"
    file.write_bytes(file.read_bytes()[:500])
    outcome = call("tiny", "--device", "cpu")
    assert outcome.returncode == 1
    assert f"{file} cannot be read" in outcome.stderr
    assert "remove the file to train this seed anew" in outcome.stderr
    file.unlink()
    assert call("tiny", "--device", "cpu").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tinny"], ["unknown headline 'tinny'", "tiny, tiny-again", "did you mean tiny?"]),
        (["tiny-agin"], ["unknown headline 'tiny-agin'", "did you mean tiny-again?"]),
        (["../tiny"], ["unknown headline '../tiny'"]),
        (["tiny", "--device", "abacus"], ["'abacus'", "cpu"]),
        (["tiny", "--minutes", "0"], ["--minutes 0", "positive"]),
        (["tiny", "--minutes", "nan"], ["--minutes nan", "positive"]),
        (["tiny", "--rounds", "0"], ["--rounds 0", "at least 1"]),
        (["tiny", "--seeds", "one"], ["--seeds one", "0,1,2"]),
        (["tiny", "--seeds", "1,1"], ["--seeds 1,1", "different"]),
        (["tiny", "--seeds=-1"], ["--seeds -1", "from 0 to"]),
        (["tiny", "--out", "."], ["--out . is a folder"]),
        (["--minutes", "3"], ["give the name of a headline: tiny, tiny-again"]),
        (["--restart"], ["give the name of a headline"]),
    ],
    ids=lambda value: "-".join(value) if value[0].startswith(("t", ".", "-")) else None,
)
def test_bad_input_is_one_message_and_leaves_nothing(course, call, arguments, said):
    outcome = call(*arguments)
    assert outcome.returncode == 1
    for words in said:
        assert words in outcome.stderr
    assert outcome.stderr.count("gan-course: ") == 1
    assert outcome.stdout == ""
    assert not headlines.RUNS.exists()


def test_outside_the_folder_of_the_course(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    for arguments in ([], ["ring"]):
        outcome = call(*arguments)
        assert outcome.returncode == 1
        assert f"no experiments in {headlines.EXPERIMENTS}/; call it from the course's folder" in outcome.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: "import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
        (lambda text: text.replace("EXPERIMENT", "OTHER"), "has no attribute 'EXPERIMENT'"),
        (lambda text: text.replace("[3, 0]", "[3, 3]"), "seeds=[3, 3] were given; they must differ"),
        (lambda text: text.replace('"fast"', '"Slow"'), "games=['slow', 'Slow'] were given; their letters must differ"),
    ],
)
def test_an_experiment_that_cannot_be_used_is_named(course, call, spoil, said):
    file = headlines.EXPERIMENTS / "tiny.py"
    file.write_text(spoil(SMALL))
    outcome = call("tiny")
    assert outcome.returncode == 1
    assert f"{file} cannot be used" in outcome.stderr
    assert said in outcome.stderr


def test_a_measurement_that_is_no_number_is_an_error(course, call):
    (headlines.EXPERIMENTS / "tiny.py").write_text(SMALL.replace("samples.mean()", "samples.mean() / 0"))
    outcome = call("tiny", "--device", "cpu")
    assert outcome.returncode == 1
    assert "'mean' was measured as" in outcome.stderr
    assert not headlines.RESULTS.exists()


# The experiments there are


@pytest.fixture
def real(tmp_path, monkeypatch):
    """A course's folder with the real experiments."""
    folder = stand_in(tmp_path / "course", monkeypatch)
    shutil.copytree(ROOT / headlines.EXPERIMENTS, headlines.EXPERIMENTS, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder with small archives of both domains."""
    return str(archives.make(tmp_path_factory.mktemp("digits"), ["mnist", "usps"]))


def test_the_real_headlines_are_listed_with_what_was_measured(monkeypatch, call):
    monkeypatch.chdir(ROOT)
    listed = call().stdout
    for name in ("ring: ", "mnist: ", "ring-clump: ", "ring-fourier: "):
        assert f"\n{name}" in f"\n{listed}"
    assert re.search(r"modes found of 8 +1  8 ± 0\n", listed)
    for name in headlines.names():  # a chapter is there at the latest when something is measured for it
        unmeasured = not list(headlines.RESULTS.glob(f"{name}*.json"))
        assert unmeasured or (ROOT / "notebooks" / f"{headlines.find(name).chapter}.ipynb").exists()


@pytest.mark.parametrize(
    "name",
    [
        "ring",
        "ring-clump",
        "ring-fourier",
        "mnist",
        "ali_grid",
        "codes",
        "cogan-narrow",
        "cogan-rotation-narrow",
        "as_vae-narrow",
        "as_vae-narrow-generation",
        "adaptation-narrow",
        "adaptation-back-narrow",
        "wyner",
        "wyner-gaussian",
        "joint",
        "joint-digits",
        "joint-edges",
    ],
)
def test_a_real_headline_in_a_few_rounds(real, digits, name, monkeypatch):
    monkeypatch.setenv("GAN_COURSE_DATA", digits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these archives are not the published ones
        assert headlines.run(name, device="cpu", rounds=3, seeds=[0], out="short.json").finished
    result = results_of().read(Path("short.json"))
    experiment = headlines.find(name)
    assert list(result["published"]) == list(experiment.published)
    kept = ROOT / headlines.RESULTS / f"{name}.json"
    if kept.exists():
        kept = json.loads(kept.read_text())
        # A game that has lost its bound after all its rounds has one after three: its figures are others.
        lost = tuple(key.split(": ")[0] for key in kept["measured"] if key.endswith("without a finite bound"))
        for found in (kept["measured"], result["measured"]):
            for key in [key for key in found if key.split(": ")[0] in lost]:
                del found[key]
        long = experiment.labels()  # where other rounds are played, the figures say so
        short = [re.sub(f"^({'|'.join(map(re.escape, long.values()))})", "", key) for key in kept["measured"]]
        assert [re.sub(f"^({'|'.join(long)}): ", "", key) for key in result["measured"]] == short
        assert kept["seeds"] == list(experiment.seeds)
        assert (kept["experiment"], kept["rounds"]) == (experiment.title, experiment.rounds)
        assert kept["published"] == experiment.published


@pytest.mark.parametrize("change", ["edges", "negatives", "rotation"])
def test_the_coupled_games_and_their_baseline_are_judged_alike(real, change, monkeypatch):
    """Of real pairs in the place of a game's: they agree, and pass all four checks."""
    monkeypatch.setenv("GAN_COURSE_DATA", str(archives.make(real / "data", ["mnist"])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        headlines.find("cogan")
        module = sys.modules["gan_course_headline_cogan"]
        monkeypatch.setattr(module, "PAIRS", 300)
        coupled, baseline = (play.game() for play in module.small("mnist", change).games.values())
        for game in (coupled, baseline):
            assert [tuple(x.shape) for x in module.pairs(game, 3)] == [(3, 1, 28, 28)] * 2
            terms = game.discriminator_loss(tuple(torch.rand(2, 4, 1, 28, 28)))
            assert all(term.isfinite() for term in terms.values())
        x = module.images("mnist", "test").images
        monkeypatch.setattr(module, "pairs", lambda game, n: (x, module.CHANGES[change](x)))
        figures = module.measure(coupled, "mnist", change)
    assert figures[module.AGREEMENT] == 1
    assert figures["checks passed of 4"] == 4
    assert abs(figures["parameters"] / module.measure(baseline, "mnist", change)["parameters"] - 1) < 0.05
    x, labels = baseline.parted((torch.zeros(2, 1, 28, 28), torch.ones(3, 1, 28, 28)))
    assert labels.tolist() == [0, 0, 1, 1, 1]
    assert x.flatten(1).mean(1).tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("length", ["", "-narrow"])
@pytest.mark.parametrize("task", ["negatives", "rotation"])
def test_the_conditional_baseline_has_as_many_parameters_and_layers_of_the_same_kind(task, length, monkeypatch):
    monkeypatch.chdir(ROOT)
    experiment = headlines.find(f"cogan-{task}{length}")
    module = sys.modules["gan_course_headline_cogan"]
    players = [module.game_networks(play.game()) for play in experiment.games.values()]
    ours, theirs = (networks.parameters(one) for one in players)
    assert abs(theirs / ours - 1) < (0.05 if task == "rotation" else 0.01)
    kinds = [{type(part) for part in one[0].modules() if list(part.parameters(recurse=False))} for one in players]
    assert kinds[0] == kinds[1]
    assert (torch.nn.ConvTranspose2d in kinds[1]) == (task != "rotation")
    plays = list(experiment.games.values())
    assert plays[0].rounds == plays[1].rounds
    assert plays[0].batch_size == plays[1].batch_size


@pytest.mark.parametrize("name", ["faces", "faces-128"])
def test_faces_in_a_round(real, name, monkeypatch):
    monkeypatch.setenv("GAN_COURSE_DATA", str(archives.make_faces(real / "data", 64)))
    file = headlines.EXPERIMENTS / "faces.py"
    small = {"BATCH, ROUNDS = 128,": "BATCH, ROUNDS = 4,", "SIDE = 1_000, 2_000,": "SIDE = 8, 2,", "min(4, ": "min(1, "}
    text = file.read_text(encoding="utf-8")
    for long, short in small.items():
        assert text.count(long) == 1
        text = text.replace(long, short)
    file.write_text(text, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # drawn faces, and fewer of them than features
        assert headlines.run(name, device="cpu", rounds=1, out="short.json").finished
    result = results_of().read(Path("short.json"))
    assert result["experiment"] == f"CelebA with and without a smile, {128 if name == 'faces-128' else 64} pixels"
    shares = [values for quantity, values in result["measured"].items() if "taken for" in quantity]
    assert len(shares) == 4  # of either domain, drawn and real
    for quantity in (
        "Fréchet distance, with ",
        "Fréchet distance, without ",
        "mean difference of the images of a pair",
    ):
        ((value,),) = [values for name, values in result["measured"].items() if name.startswith(quantity)]
        assert value > 0


def test_colours_in_a_round(real, monkeypatch):
    """With another network in the place of Inception, whose weights are not at hand."""
    monkeypatch.setenv("GAN_COURSE_DATA", str(archives.make(real / "data", ["cifar10"])))
    file = headlines.EXPERIMENTS / "as_vae_cifar.py"
    text = file.read_text(encoding="utf-8")
    sizes = "CODE, WIDTH, WIDE, DRAWN, ROUNDS = 128, 64, 1_024, 50_000,"
    assert text.count(sizes) == 1
    file.write_text(text.replace(sizes, "CODE, WIDTH, WIDE, DRAWN, ROUNDS = 8, 4, 16, 40,"), encoding="utf-8")

    class Looking(torch.nn.Module):
        def forward(self, x):
            assert x.dtype == torch.uint8
            return x.flatten(1).float(), x.float().mean((2, 3)) / 16

    monkeypatch.setattr(gan_course.metrics, "inception", lambda: gan_course.metrics.Inception(Looking()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these archives are not the published ones
        assert headlines.run("as_vae_cifar", device="cpu", rounds=1, out="short.json").finished
    result = results_of().read(Path("short.json"))
    code = sys.modules["gan_course_headline_as_vae_cifar"]
    assert list(result["published"]) == list(code.EXPERIMENT.published)
    for name in code.GAMES:
        assert (f"{name}: {code.BITS}" in result["measured"]) == (name != "ALI")
        ((score,), (error,)) = (result["measured"][f"{name}: {quantity}"] for quantity in (code.SCORE, code.ERROR))
        assert 1 <= score <= 3
        assert 0 < error < 255


def test_without_the_inception_network_no_round_is_played(real, monkeypatch):
    monkeypatch.setenv("GAN_COURSE_DATA", str(archives.make(real / "data", ["cifar10"])))

    def missing():
        raise errors.DataUnavailable("the weights are not at hand")

    monkeypatch.setattr(gan_course.metrics, "inception", missing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(errors.DataUnavailable, match="not at hand"):
            headlines.run("as_vae_cifar", device="cpu", rounds=1, out="short.json")
    assert not list(Path("runs").rglob("*.safetensors"))


def test_without_the_faces_the_list_stands_and_the_run_says_what_is_missing(real, call, monkeypatch):
    (real / "data").mkdir()
    monkeypatch.setenv("GAN_COURSE_DATA", str(real / "data"))
    assert "\nfaces: CelebA with and without a smile, 64 pixels\n  not measured yet\n" in call().stdout
    outcome = call("faces", "--device", "cpu")
    assert outcome.returncode == 1
    assert "CelebA is not on this machine; it takes the folder img_align_celeba" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_photographs_are_searched_by_sketches(real, monkeypatch):
    """Of features that tell the class: held-out classes are found, and only pairs of the others are trained on."""
    monkeypatch.setenv("GAN_COURSE_DATA", str(real))
    with pytest.raises(
        errors.DataUnavailable, match=r"sketches\.npz is not on this machine; it holds the arrays features"
    ):
        headlines.run("wyner-sketchy", device="cpu", rounds=3, seeds=[0], out="short.json")
    (real / "sketchy").mkdir()
    numbers = numpy.random.default_rng(0)
    for name, each in (("sketches", 6), ("photographs", 9)):
        classes = numpy.repeat(numpy.arange(5), each)
        features = numbers.normal(size=(5 * each, 8)) / 10 + numpy.eye(8)[classes]
        arrays = dict(features=features.astype("float32"), classes=classes, held_out=classes > 2)
        numpy.savez(real / "sketchy" / f"{name}.npz", **arrays)
    assert headlines.run("wyner-sketchy", device="cpu", rounds=3, seeds=[0], out="short.json").finished
    result = results_of().read(Path("short.json"))
    assert [published["value"] for published in result["published"].values()] == ["0.703", "0.629"]
    assert all(0 < value <= 1 for (value,) in result["measured"].values())
    code = sys.modules["gan_course_headline_wyner"]
    x, y = code.sketchy_pairs(0).domains
    assert len(x) == len(y) == 18
    assert torch.equal(x.argmax(1), y.argmax(1))
    assert int(x.argmax(1).max()) == 2


def test_every_seed_of_the_adaptation_draws_its_own_images(real, digits, monkeypatch):
    monkeypatch.setenv("GAN_COURSE_DATA", digits)
    experiment = headlines.find("adaptation-back-narrow")
    code = sys.modules["gan_course_headline_adaptation"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert code.domain("usps", "train")[0].shape[1:] == (1, 28, 28)
        monkeypatch.setattr(code, "DRAWN", {"mnist": 20, "usps": 18})
        draws = {seed: code.draw("usps", seed) for seed in (0, 1)}
        batch = next(experiment.source(0).stream(18, torch.device("cpu"), 5))
    (x, y), other = batch
    assert (x.shape, y.shape, other.shape) == ((18, 1, 28, 28), (18,), (18, 1, 28, 28))
    assert not torch.equal(draws[0][0], draws[1][0])
    images, labels = draws[0]  # a batch of 18 holds all of them, each with its own label
    rows = [int((images == one).flatten(1).all(1).nonzero()[0, 0]) for one in x]
    assert sorted(rows) == list(range(18))
    assert torch.equal(labels[rows], y)
    assert x.max() <= 1
    assert x[:, :, 0].abs().max() == 0  # the border


def test_reversed_gradients_help_the_classes_and_hinder_the_domains(real):
    """At the end of training the layers' gradient of the domains' term is the usual one with its sign changed."""
    headlines.find("adaptation-narrow")
    code = sys.modules["gan_course_headline_adaptation"]
    torch.manual_seed(0)
    game = code.Adversarial(code.NARROW)
    batch = (torch.rand(4, 1, 28, 28), torch.zeros(4, dtype=torch.long)), torch.rand(4, 1, 28, 28)

    def gradients(progress):
        game.progress.fill_(progress)
        loss = game.loss(batch)["domains"]
        first, last = next(game.layers.parameters()), next(game.domains.parameters())
        return torch.autograd.grad(loss, [first, last])

    h = torch.cat([game.layers(batch[0][0]), game.layers(batch[1])])
    told = torch.tensor([1.0] * 4 + [0.0] * 4)
    plain = torch.nn.functional.binary_cross_entropy_with_logits(game.domains(h), told)
    usual = torch.autograd.grad(plain, [next(game.layers.parameters()), next(game.domains.parameters())])
    for progress in (0.0, 0.1, 1.0):
        weight = 2 / (1 + math.exp(-10 * progress)) - 1
        layers, head = gradients(progress)
        assert torch.allclose(layers, -weight * usual[0], atol=1e-6)
        assert torch.allclose(head, usual[1], atol=1e-6)


@pytest.fixture
def adaptation(real, digits, monkeypatch):
    """The module of the adaptation, on small draws of small archives."""
    monkeypatch.setenv("GAN_COURSE_DATA", digits)
    headlines.find("adaptation-trials")
    code = sys.modules["gan_course_headline_adaptation"]
    monkeypatch.setattr(code, "DRAWN", {"mnist": 500, "usps": 400})
    monkeypatch.setattr(code, "BACKWARDS", 60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these archives are not the published ones
        for name in ("mnist", "usps"):
            code.domain(name, "train"), code.domain(name, "test")
    return code


def test_what_is_held_out_is_not_learned_from(adaptation):
    (x, y), (asked, answers) = adaptation.held_out("mnist", 100)
    assert (len(x), len(asked)) == (len(y), len(answers)) == (400, 100)
    assert not (x[:, None] == asked[None, :1]).flatten(2).all(2).any()
    assert torch.equal(torch.cat([x, asked]), adaptation.draw("mnist", 100)[0])
    source = adaptation.VARIANTS["trials"].source(100)
    (seen, _), _ = next(source.stream(400, torch.device("cpu"), 0))
    assert torch.equal(seen.flatten(1).sum(1).sort().values, x.flatten(1).sum(1).sort().values)


def test_reverse_validation_tells_right_answers_from_wrong_ones(adaptation):
    images, labels = adaptation.draw("usps", 100)

    class Answers(torch.nn.Module):
        """Gives the target's labels, or the ones after them, whatever it is asked about the source."""

        device = torch.device("cpu")

        def __init__(self, shift):
            super().__init__()
            self.shift, self.layers = shift, torch.nn.Identity()

        def features(self, x, domain):
            return self.layers(x)

        def predict(self, x, domain):
            right = labels if torch.equal(x, images) else torch.zeros(len(x), dtype=torch.long)
            return (right + self.shift) % 10

    torch.manual_seed(0)
    right, wrong = (adaptation.validate(Answers(shift), "mnist", "usps", 100) for shift in (0, 1))
    assert right["reverse validation"] > 0.6
    assert wrong["reverse validation"] < 0.2
    assert set(right) == {"accuracy on held-out labelled images", "reverse validation", adaptation.TEST}


@pytest.mark.parametrize("coupled", [True, False])
def test_answers_are_given_with_the_moments_of_the_domain(adaptation, coupled):
    game = adaptation.cogan(adaptation.NARROW) if coupled else adaptation.SourceOnly(adaptation.NARROW)
    x, before = adaptation.draw("usps", 100)[0], copy.deepcopy(game.state_dict())
    judges = game.discriminators if coupled else game.layers
    norm = next(part for part in judges.modules() if isinstance(part, torch.nn.BatchNorm2d))
    given = []
    hook = norm.register_forward_hook(lambda module, inputs, output: given.append(inputs[0]))
    with adaptation.at_home(game, x, 1), torch.no_grad():
        torch.testing.assert_close(norm.running_mean, given[0].mean((0, 2, 3)))
        torch.testing.assert_close(norm.running_var, given[0].var((0, 2, 3)))
        answers = game.predict(x, 1)
        game.discriminators.train() if coupled else game.layers.train()
        torch.testing.assert_close(game.classifier(game.features(x, 1)).argmax(1), answers)
    hook.remove()
    after = game.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert norm.momentum == 0.1


def test_the_trials_differ_in_their_settings_alone(real):
    experiment = headlines.find("adaptation-trials")
    assert experiment.seeds == [100]
    assert not set(experiment.seeds) & set(headlines.find("adaptation-narrow").seeds)
    assert {play.rounds for play in experiment.games.values()} == {600}
    found = {}
    for name, play in experiment.games.items():
        game = play.game()
        settings = getattr(game, "settings", None)
        key = (type(game).__name__, getattr(game, "matching", None), getattr(game, "classification", None))
        rate = game.turns()[0].optimizer(list(game.parameters())).defaults["lr"]
        found[name] = (*key, rate, settings and settings.domains)
        assert f"rate {rate:g}" in name or name == "source only"
    assert len(set(found.values())) == len(found) == 13


@pytest.mark.parametrize("way", ["", "-back"])
def test_of_each_game_the_setting_is_played_that_reverse_validation_chose(real, way):
    trials = json.loads((ROOT / headlines.RESULTS / f"adaptation{way}-trials.json").read_text())["measured"]
    judged = {name.partition(": ")[0]: v[0] for name, v in trials.items() if name.endswith(": reverse validation")}
    played = {name: play.game() for name, play in headlines.find(f"adaptation{way}-narrow").games.items()}
    rates = {name: game.turns()[0].optimizer(list(game.parameters())).defaults["lr"] for name, game in played.items()}
    for game, tried in {
        "CoGAN": "CoGAN, rate {:g}, classes × {:g}".format(rates["CoGAN"], played["CoGAN"].classification),
        "CoGAN with matching": "CoGAN with matching × {:g}, rate {:g}".format(
            played["CoGAN with matching"].matching, rates["CoGAN with matching"]
        ),
        "domain-adversarial": "domain-adversarial, rate {:g}, domains × {:g}".format(
            rates["domain-adversarial"], played["domain-adversarial"].settings.domains
        ),
    }.items():
        rivals = {name: value for name, value in judged.items() if re.match(f"{game}(,| ×)", name)}
        assert len(rivals) == 4
        assert max(rivals, key=rivals.get) == tried


def test_coupled_discriminators_begin_alike_and_then_part(adaptation):
    game = adaptation.cogan(adaptation.NARROW)
    first, second = (own.state_dict() for own in game.discriminators.own)
    assert all(torch.equal(first[name], second[name]) for name in first)
    gan_course.fit(game, adaptation.source("mnist", "usps", 100), rounds=2, batch_size=4, device="cpu")
    first, second = (own.state_dict() for own in game.discriminators.own)
    assert not any(torch.equal(first[name], second[name]) for name in first)
    apart = adaptation.cogan(adaptation.replace(adaptation.NARROW, same_start=False)).discriminators.own
    assert not torch.equal(next(apart[0].parameters()), next(apart[1].parameters()))


CAPTIONS = [f"a {colour} {thing} ." for colour in ("red", "green", "blue") for thing in ("cow", "dog", "cat")]


@pytest.fixture
def words(real, monkeypatch):
    """The file of the experiments on words, with few rounds, small sets, and files that are not at hand replaced."""
    monkeypatch.setattr(gan_course.data.text, "captions", lambda split: CAPTIONS * 8)
    monkeypatch.setattr(gan_course.data.text, "oracle_parameters", lambda: None)
    file = headlines.EXPERIMENTS / "sequences.py"
    small = {
        r"SAMPLES, REAL, TEST = [\d_, ]+": "SAMPLES, REAL, TEST = 40, 64, 40",
        r"BATCH = 64": "BATCH = 8",
        r"teaching=[\d_]+, judging=[\d_]+, playing=[\d_]+": "teaching=1, judging=1, playing=1",
        r"judging=10, judge_steps=15 \* 157": "judging=1, judge_steps=2",
        r"judge_steps=50": "judge_steps=2",
        r"WORDS, 60, 100, 100\)": "WORDS, 1, 1, 1)",
        r"\(12_500, 500, 200\)": "(1, 1, 1)",
        r"ROUNDS = \([\d_, ]+\)": "ROUNDS = (1, 1, 1)",
        r"TAUGHT, JUDGED, PLAYED = [\d_, ]+": "TAUGHT, JUDGED, PLAYED = 1, 1, 1",
        r"REAL // 500": "2",
        r"sample\(500\)": "sample(20)",
    }
    text = file.read_text(encoding="utf-8")
    for long, short in small.items():
        text, found = re.subn(long, short, text)
        assert found, long
    file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", ["", "-paper", "-narrow", "-grammar", "-coco", "-coco-narrow", "-answers"])
def test_games_of_words_in_three_rounds(words, name):
    assert headlines.run(f"sequences{name}", device="cpu", seeds=[0], out="short.json").finished
    result = results_of().read(Path("short.json"))
    experiment = headlines.find(f"sequences{name}")
    assert list(result["published"]) == list(experiment.published)
    labels = list(experiment.labels().values())
    assert all(any(quantity.startswith(label) for quantity in result["measured"]) for label in labels)
    code = sys.modules["gan_course_headline_sequences"]
    if name in ("", "-paper", "-narrow"):  # neither number without the other
        for label in labels:
            assert {label + code.NLL_ORACLE, label + code.NLL_TEST} <= set(result["measured"])
        assert sum(quantity.endswith(code.MARGIN) for quantity in result["measured"]) == len(labels) - 1


def test_the_papers_schedule(words):
    """Its judge learns from a pool, of which the game keeps as many as there are real sequences, for three passes."""
    experiment = headlines.find("sequences-paper")
    assert experiment.published == headlines.find("sequences").published
    assert [play.rounds for play in experiment.games.values()] == [1, 3]
    game = experiment.games["SeqGAN"].game().play
    assert (game.negatives.size, game.negatives.passes, game.discriminator_steps) == (64, 3, 2)
    assert (game.decay, game.rollouts, game.keep, game.baseline) == (0.2, 16, 0.8, None)
    written = (ROOT / headlines.EXPERIMENTS / "sequences.py").read_text(encoding="utf-8")
    assert "judge_steps=15 * 157" in written
    assert 157 * 64 >= 10_000 > 156 * 64


def test_every_game_of_words_begins_where_maximum_likelihood_ended(words):
    experiment = headlines.find("sequences-narrow")
    source, laws = experiment.source(0), []
    for play in experiment.games.values():
        gan_course.seed_everything(0)
        game = play.game()
        history = gan_course.fit(game, source, rounds=play.rounds, batch_size=8, seed=0, device="cpu")
        laws.append(getattr(game, "before", game.generator).state_dict())
        if play.rounds > 1:
            terms = history.frame.notna().to_dict("list")
            assert terms["teacher/nll"] == [True, False, False]
            assert terms["generator/policy"] == [False, False, True]
            (judged,) = (terms[name] for name in terms if name.startswith("discriminator/"))
            assert judged == [False, True, True]
            assert not torch.equal(laws[0]["output.weight"], game.generator.output.weight)
    for law in laws[1:]:
        assert all(torch.equal(value, laws[0][name]) for name, value in law.items())


def test_what_a_temperature_gives_is_on_the_frontier(words):
    headlines.find("sequences-narrow")
    code = sys.modules["gan_course_headline_sequences"]
    frontier = [(4.0, 5.0), (2.0, 9.0), (3.0, 6.0)]
    assert [code.margin(point, frontier) for point in frontier] == [0, 0, 0]
    assert code.margin((2.5, 7.0), frontier) == pytest.approx(-0.5)  # below the line from 9 to 6: it has won
    assert code.margin((3.5, 6.0), frontier) == pytest.approx(0.5)
    assert code.margin((5.0, 5.5), frontier) == pytest.approx(0.5)
    game = code.likelihood(code.NARROW.writer)
    figures = code.measure_oracle(game, 500)
    assert figures[code.NLL_TEST] == figures[f"{code.NLL_TEST} at temperature 1"]
    taught = code.seqgan(code.NARROW)
    assert abs(code.measure_oracle(taught, 500)[code.MARGIN]) < 1e-6


def test_right_sums_and_right_replies_are_counted(words, monkeypatch):
    headlines.find("sequences-grammar")
    code = sys.modules["gan_course_headline_sequences"]

    class Says(torch.nn.Module):
        """A generator that says the same thing again and again."""

        vocabulary, length = 8, 12

        def __init__(self, tokens):
            super().__init__()
            self.tokens, self.generator, self.device = tokens, self, torch.device("cpu")

        def sample(self, n, condition=None):
            return self.tokens.repeat(n // len(self.tokens) + 1, 1)[:n]

    likelihood = gan_course.metrics.WordLikelihood(0.0, 0.0, 1)
    monkeypatch.setattr(gan_course.metrics, "word_nll", lambda *_: likelihood)
    lines = code.SUMS.encode(["x + x", "x + x", "x x", "x"], code.WORDS).tokens
    figures = code.measure_sums(Says(lines))
    assert list(figures.values())[:3] == [75, 2, 2.25]
    _, _, asked = code.dialogues(code.TEST, 1)
    right = code.talk().encode([gan_course.data.text._ANSWERS[q][0] for q in asked], code.REPLY).tokens
    found = code.measure_replies(Says(right))
    assert (found["right replies, %"], found["different replies"]) == (100, found["different right replies"])
    found = code.measure_replies(Says(right[:1]))
    assert (found["the commonest reply, %"], found["different replies"]) == (100, 1)
    assert found["right replies, %"] < 50


@pytest.fixture
def joint(real, digits, monkeypatch):
    """The module of the joint laws."""
    monkeypatch.setenv("GAN_COURSE_DATA", digits)
    headlines.find("joint")
    return sys.modules["gan_course_headline_joint"]


@pytest.mark.parametrize("trials", ["PLANE_TRIALS", "IMAGE_TRIALS"])
def test_games_of_joint_laws_and_of_two_steps_are_of_one_size(joint, trials):
    """As many parameters, each with one step in a round, and as many trials."""
    made = {name: make() for name, make in getattr(joint, trials).items()}
    sizes = [joint.parameters(game) for game in made.values()]
    assert max(sizes) < 1.03 * min(sizes)
    for game in made.values():
        moved = [p for turn in game.turns() for p in turn.parameters()]
        assert {turn.steps for turn in game.turns()} == {1}
        assert len({id(p) for p in moved}) == len(moved)
        assert joint.parameters(game) == sum(p.numel() for p in moved)
    assert [sum(trial.startswith(f"{name}, ") for trial in made) for name in joint.NAMES] == [4, 4, 4, 4]


@pytest.mark.parametrize("images", [False, True])
def test_a_game_of_joint_laws_or_of_two_steps_sees_its_part_of_a_batch(joint, images):
    """What is not for it is no number here: every loss of a game that looked there would be none either."""
    x = torch.rand(6, joint.PIXELS if images else 2)
    nothing = torch.full_like(x, math.nan)
    for place, make in enumerate(joint.IMAGES if images else joint.PLANE):
        paired = {"pairs": (x, x), "first": nothing, "second": nothing}
        unpaired = {"pairs": (nothing, nothing), "first": x, "second": x}
        mine, other = (paired, unpaired) if place < 2 else (unpaired, paired)
        for turn in make(1e-3, **({"weight": 1.0} if place == 1 else {"cycle": 1.0} if place == 3 else {})).turns():
            assert sum(turn.loss(mine).values()).isfinite(), turn.player
            # a generator alone against its judge looks at no sample
            assert sum(turn.loss(other).values()).isnan() or turn.player == "GAN generator"


def test_what_is_unpaired_has_no_counterpart(joint):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these archives are not the published ones
        batch = next(joint.image_source("edges").stream(700, torch.device("cpu"), 0))

    def edges(x):
        return joint.domains.edges(joint.pictures(x)).flatten(1)

    assert torch.equal(edges(batch["pairs"][0]), batch["pairs"][1])
    assert torch.cdist(edges(batch["first"]), batch["second"]).min() > 0.1


def test_true_pairs_of_heaps_are_measured_as_such(joint, monkeypatch):
    def partners(x):
        return joint.PARTNERS[torch.cdist(x, joint.CENTERS).argmin(1)] + joint.STD * torch.randn(len(x), 2)

    class Truth:
        translator = types.SimpleNamespace(translate=partners)

        def __init__(self, shift):
            self.shift = shift

        def sample(self, n):
            x, y = joint.heaps(n, 9)
            return x, y.roll(self.shift, 0)

        def turns(self):
            return []

    torch.manual_seed(0)
    right, wrong = (joint.heap_measure(Truth(shift)) for shift in (0, 1))
    inside = 100 * (1 - math.exp(-4.5)) ** 2
    assert right["both within 3σ of a mode, %"] == pytest.approx(inside, abs=0.5)
    for quantity in ("right pairs, %", "pairs on the commonest matching, %"):
        assert right[quantity] == pytest.approx(inside, abs=1)
    assert wrong["right pairs, %"] == pytest.approx(inside / 5, abs=1.5)
    assert wrong["pairs on the commonest matching, %"] < 25
    assert right["variety given the first (1: the data's)"] == pytest.approx(1, abs=0.05)
    with monkeypatch.context() as patch:
        one = joint.CENTERS[:1], joint.PARTNERS[:1]
        patch.setattr(joint, "heaps", lambda n, seed: tuple(center.expand(n, 2) for center in one))
        collapsed = joint.heap_measure(Truth(0))
    assert collapsed["right pairs, %"] == pytest.approx(20)  # one heap counts no more than its share
    assert collapsed["first domain: modes found of 5"] == 1
    marks = joint.marks(joint.heap_model())
    assert right["relevance"] == pytest.approx(marks["true pairs: relevance"], abs=0.02)
    assert wrong["relevance"] == pytest.approx(marks["random pairs: relevance"], abs=0.05)
    assert right["relevance of different rows"] == pytest.approx(wrong["relevance of different rows"], abs=0.01)
    assert right["second domain: modes found of 5"] == right["first domain: modes found of 5"] == 5


def test_mnist_says_how_long_the_vae_was_played(real):
    assert headlines.find("mnist").labels() == {"GAN": "GAN: ", "VAE": "VAE, 1,500 rounds: "}


def test_the_experiment_of_the_readme_runs(tmp_path, monkeypatch):
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    stand_in(tmp_path, monkeypatch, digits=re.search(r"```python\n(.*?)```", text, re.DOTALL)[1])
    outcome = headlines.run("digits", device="cpu", rounds=3, seeds=[0])
    assert "Wasserstein distance, test images" in outcome.text


def test_a_file_may_have_a_hyphen_in_its_name(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, **{"tiny": SMALL, "tiny-er": SMALL.replace("A small ring", "A smaller ring")})
    assert headlines.names() == ["tiny-er", "tiny-er-again", "tiny", "tiny-again"]
    assert headlines.find("tiny-er-again").title == "A smaller ring"
    assert headlines.find("tiny-again").title == "A small ring"


def test_near_names_are_suggested():
    assert str(errors.UnknownName("game", "gam", ["gan", "vae"])).endswith("choose one of: gan, vae; did you mean gan?")
    assert str(errors.UnknownName("game", "xyz", ["gan", "vae"])).endswith("choose one of: gan, vae")

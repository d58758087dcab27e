"""No work is lost: kills, full disks, damaged and malicious files, divergence, interruptions, two writers."""

import json
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import gan_course
from gan_course import checkpoint, fit, games, networks, runs
from gan_course.errors import CheckpointDamaged, CheckpointError, Diverged, DivergenceWarning
from gan_course.runs import RunError

ROOT = Path(gan_course.__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
X = torch.randn(100, 2, generator=torch.Generator().manual_seed(1))
SMALL = ["--data", "ring", "--width", "32", "--device", "cpu", "--checkpoint-every", "10", "--sample-every", "1000"]


def points(seed=0):
    torch.manual_seed(seed)
    return games.GAN(networks.mlp(3, [8], 2), networks.mlp(2, [8]), latent_size=3)


def python(*arguments, **settings):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True, timeout=300, **settings
    )


def content(folder):
    """All that a run has learned: tensors and rounds, but not the seconds it took."""
    file = folder / "checkpoint.safetensors"
    with safe_open(file, framework="pt") as opened:
        header = json.loads(opened.metadata()["gan_course"])
    return load_file(file), header["rounds"], header["columns"], (folder / "history.csv").read_text()


def test_killed_at_fifty_moments_equals_uninterrupted(tmp_path):
    killed, through = tmp_path / "killed", tmp_path / "through"
    outcome = python(ROOT / "tests" / "killed.py", killed, 50, 0)
    assert outcome.returncode == 0, outcome.stderr
    report = json.loads(outcome.stdout)
    assert len(report["beginnings"]) == 50
    assert report["beginnings"] == sorted(report["beginnings"])  # nothing that was kept is lost again
    assert len(set(report["beginnings"])) > 25
    assert report["writing"] > 3  # kills that fell into a write
    outcome = python(ROOT / "tests" / "killed.py", through, 0, 0)
    assert outcome.returncode == 0, outcome.stderr
    (mine, *rest), (whole, *expected) = content(killed), content(through)
    assert rest == expected
    assert mine.keys() == whole.keys()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in mine.items())
    names = {file.name for file in killed.iterdir()}
    assert names == {file.name for file in through.iterdir()} | {"checkpoint.previous.safetensors"}  # nothing left over


def test_a_picture_whose_drawing_was_cut_off_is_drawn_after_all(tmp_path):
    asked = runs.Configuration(
        "gan", data="ring", rounds=8, batch_size=16, width=8, device="cpu", checkpoint_every=2, sample_every=4
    )
    drawn = []

    def cut_off(game, x, path):
        if path.name == "samples-000004.png":
            raise KeyboardInterrupt

    def picture(game, x, path):
        drawn.append(path.name)

    with pytest.raises(KeyboardInterrupt):
        runs.train(*runs.prepare(tmp_path / "a", asked, set(), False, False), cut_off)
    runs.train(*runs.prepare(tmp_path / "a", asked, set(), True, False), picture, resume=True)
    assert drawn == ["samples-000004.png", "samples-000008.png"]


# The disk


def small_disk(folder, megabytes):
    """The words that begin a bash script in which the folder is a disk so small; elsewhere files can be so large."""
    mountable = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", folder], check=False).returncode == 0
    if mountable:
        return ["unshare", "-rm", "bash", "-c"], f"mount -t tmpfs -o size={megabytes}m none {folder};", "size=50m"
    return ["bash", "-c"], f"ulimit -f {megabytes * 500};", None


def test_a_full_disk_keeps_the_last_checkpoint_and_training_goes_on_when_there_is_room(tmp_path):
    folder, out = tmp_path / "disk", tmp_path / "kept"
    folder.mkdir()
    shell, begin, room = small_disk(folder, 1)
    train = f"{sys.executable} -m gan_course train gan --out {folder}/a {' '.join(SMALL)} --width 64"
    fill = f"head -c 500000 /dev/zero > {folder}/other;" if room else ""
    more = f"mount -o remount,{room} {folder};" if room else "ulimit -S -f unlimited;"
    script = (
        f"{begin} {fill} {train} --rounds 100000; echo code $?;"
        f"ls -A {folder}/a; cp {folder}/a/checkpoint.safetensors {out};"
        f"{more} {train} --resume --rounds 60 --checkpoint-every 50; echo code $?"
    )
    outcome = subprocess.run([*shell, script], env=ENVIRONMENT, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert "code 1" in outcome.stdout, outcome
    assert "code 0" in outcome.stdout, outcome
    assert "could not be written" in outcome.stderr
    assert "what was there before is there still" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not [name for name in outcome.stdout.split() if name.startswith(".checkpoint")]  # no half of a file
    history = checkpoint.load(out, runs.build(runs.Configuration("gan", data="ring", width=64), torch.zeros(1, 2)))
    assert history.rounds >= 10


def test_a_folder_that_cannot_be_written_in_is_named(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    shell, _, mountable = small_disk(place, 1)
    if mountable:
        before = f"mount -t tmpfs -o ro none {place}; "
    else:
        shell, before = ["bash", "-c"], ""
        place.chmod(0o555)
    script = f"{before}{sys.executable} -m gan_course train gan --rounds 2 --out {place}/a"
    outcome = subprocess.run([*shell, script], env=ENVIRONMENT, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert outcome.returncode == 1, outcome
    assert f"gan-course: {place}/a cannot be written in" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert list(place.iterdir()) == []


# The file


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "a.safetensors"
    game = points()
    checkpoint.save(path, game, fit(game, X, rounds=3, device="cpu"), {"note": "mine"})
    return path.read_bytes()


def test_every_truncation_and_every_flipped_bit_is_noticed(stored, tmp_path):
    path, game = tmp_path / "a.safetensors", points()
    path.write_bytes(stored)
    assert checkpoint.load(path, game).rounds == 3
    before = {name: tensor.clone() for name, tensor in game.state_dict().items()}
    places = [*range(0, 400), *range(400, len(stored), 97), len(stored) - 1]
    for place in places:
        spoilt = bytearray(stored)
        spoilt[place] ^= 1 << (place % 8)
        path.write_bytes(spoilt)
        with pytest.raises(CheckpointError):
            raise AssertionError((place, checkpoint.load(path, game)))
        path.write_bytes(stored[:place])
        with pytest.raises(CheckpointDamaged):
            checkpoint.load(path, game)
    assert all(torch.equal(tensor, before[name]) for name, tensor in game.state_dict().items())


def test_a_malicious_file_is_not_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'executed'}",)

    path = tmp_path / "a.safetensors"
    for write in (lambda: path.write_bytes(pickle.dumps(Evil())), lambda: torch.save({"game": Evil()}, path)):
        write()
        with pytest.raises(CheckpointDamaged, match="cannot be read as a checkpoint"):
            checkpoint.load(path, points())
        with pytest.raises(CheckpointDamaged):
            checkpoint.configuration(path)
    assert not (tmp_path / "executed").exists()
    pickle.loads(pickle.dumps(Evil()))
    assert (tmp_path / "executed").exists()  # it would have been


def test_the_last_two_are_kept(tmp_path):
    path, rounds = tmp_path / "a.safetensors", []

    def save(game, history):
        checkpoint.save(path, game, history)
        rounds.append(history.rounds)
        kept = [file for file in (path, checkpoint.previous(path)) if file.exists()]
        assert [checkpoint.load(file, points()).rounds for file in kept] == rounds[:-3:-1]

    fit(points(), X, rounds=4, callbacks=[save], device="cpu")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.previous.safetensors", "a.safetensors"]


def test_a_file_system_without_second_names(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", refused)
    test_the_last_two_are_kept(tmp_path)


# Divergence


class Sick(games.GAN):
    def generator_loss(self, real, fake=None):
        terms = super().generator_loss(real, fake)
        return {"adversarial": terms["adversarial"] * (float("inf") if self.progress > 0.45 else 1)}


def sick():
    torch.manual_seed(0)
    return Sick(networks.mlp(3, [8], 2), networks.mlp(2, [8]), latent_size=3)


def test_divergence_stops_before_a_callback_can_store_it(tmp_path):
    path, seen = tmp_path / "a.safetensors", []

    def save(game, history):
        seen.append(history.rounds)
        history.frame  # noqa: B018  reading the numbers does not hide them
        checkpoint.save(path, game, history)

    with pytest.raises(Diverged, match="generator's adversarial became inf in round 6"):
        fit(sick(), X, rounds=10, callbacks=[save], device="cpu")
    assert seen == [0, 1, 2, 3, 4, 5]
    assert checkpoint.load(path, sick()).rounds == 5


def test_divergence_may_be_passed_over(tmp_path):
    game = sick()
    with pytest.warns(DivergenceWarning, match=r"became inf in round 6.*as asked") as caught:
        history = fit(game, X, rounds=10, on_divergence="continue", device="cpu")
    assert len(caught) == 1
    assert history.rounds == 10
    assert history.frame["generator/adversarial"].isna().sum() >= 4 - history.frame.isin([float("inf")]).sum().sum()
    with pytest.raises(Diverged, match=r"weights generator.* are no longer finite"):
        checkpoint.save(tmp_path / "a.safetensors", game, history)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="on_divergence='ignore' was given; it must be 'stop' or 'continue'"):
        fit(game, X, rounds=10, on_divergence="ignore")


# Sources and signals


def test_a_loader_that_raises_is_told_of_and_training_goes_on_from_the_checkpoint(tmp_path):
    class Broken:
        broken = True

        def __iter__(self):
            for i in range(10):
                if self.broken and i == 7:
                    raise OSError("the disk with the pictures was unplugged")
                yield X[10 * i : 10 * i + 10]

    path, source, through, game = tmp_path / "a.safetensors", Broken(), points(), points()

    def save(game, history):
        checkpoint.save(path, game, history)

    with pytest.raises(OSError, match="unplugged") as caught:
        fit(game, source, rounds=8, callbacks=[save], device="cpu")
    assert "in round 4, in the turn of 'generator'" in caught.value.__notes__[0]
    assert all(p.requires_grad for p in game.parameters())
    source.broken = False
    history = checkpoint.load(path, game)
    assert history.rounds == 3
    fit(game, source, rounds=8, history=history, device="cpu")
    fit(through, source, rounds=8, device="cpu")
    assert all(torch.equal(tensor, game.state_dict()[name]) for name, tensor in through.state_dict().items())


def test_an_error_of_the_source_itself_is_told_as_it_is():
    """Before there is a batch, and after one, whose numbers have nothing to do with it."""
    for batches in (0, 1):

        class Broken:
            def __iter__(self, batches=batches):
                yield from [X[:10]] * batches
                raise RuntimeError("the worker with the pictures has died")

        with pytest.raises(RuntimeError, match="worker with the pictures has died") as caught:
            fit(points(), Broken(), rounds=3, device="cpu")
        assert type(caught.value) is RuntimeError
        assert "in round 1" in caught.value.__notes__[0]


def test_the_stop_button_of_a_notebook_returns_what_was_learned(tmp_path):
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=ENVIRONMENT, cwd=str(tmp_path))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        code = (
            "from gan_course import fit, games, networks\n"
            "import torch\n"
            "game = games.GAN(networks.mlp(3, [8], 2), networks.mlp(2, [8]), latent_size=3)\n"
            "begun = lambda game, history: history.rounds or print('begun', flush=True)\n"
            "history = fit(game, torch.randn(100, 2), rounds=10_000_000, callbacks=[begun], device='cpu')\n"
            "print('after', history.rounds, history.interrupted)"
        )
        printed = []

        def hear(message):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])
                if "begun" in message["content"]["text"]:
                    time.sleep(0.5)
                    manager.interrupt_kernel()

        reply = client.execute_interactive(code, timeout=120, output_hook=hear)
        assert reply["content"]["status"] == "ok", reply
        rounds, interrupted = "".join(printed).split("after")[1].split()[:2]
        assert int(rounds) > 0
        assert interrupted == "True"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


# Two writers


def test_two_processes_do_not_write_into_one_folder(tmp_path):
    asked = runs.Configuration("gan", data="ring", rounds=4, batch_size=8, width=8, device="cpu")
    folder, messages = tmp_path / "a", []

    def picture(game, x, path):
        for resume, overwrite in ((True, False), (False, True)):
            outcome = python("-c", _SECOND.format(folder=str(folder), resume=resume, overwrite=overwrite))
            messages.append(outcome.stdout + outcome.stderr)
        path.touch()

    asked = runs.replace(asked, sample_every=1000, checkpoint_every=1)
    history = runs.train(*runs.prepare(folder, asked, set(), False, False), picture)
    assert history.rounds == 4
    assert len(messages) == 4  # at the beginning and at the end
    for message in messages:
        assert f"another process is training in {folder}; wait for it to end, or choose another --out" in message
    assert not (folder / ".lock").exists()
    assert checkpoint.load(folder / "checkpoint.safetensors", runs.build(asked, torch.zeros(1, 2))).rounds == 4


_SECOND = """
from gan_course import runs
asked = runs.Configuration("gan", data="ring", rounds=4, batch_size=8, width=8, device="cpu")
try:
    runs.prepare({folder!r}, asked, set(), {resume}, {overwrite})
except runs.RunError as error:
    print(error)
"""


def test_a_folder_whose_first_process_was_killed_at_once_can_be_used(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / ".lock").touch()
    (folder / ".configuration.json.abcdefgh.json").write_text("{")
    asked = runs.Configuration("gan", data="ring", rounds=2, batch_size=8, width=8, device="cpu")
    with pytest.raises(RunError, match="exists; continue it with --resume, replace it with --overwrite"):
        runs.prepare(folder, asked, set(), False, False)
    runs.train(*runs.prepare(folder, asked, set(), False, True), lambda game, x, path: path.touch())
    assert {file.name for file in folder.iterdir()} == {
        "configuration.json",
        "checkpoint.safetensors",
        "history.csv",
        "samples-000000.png",
        "samples-000002.png",
    }


def test_what_a_killed_write_leaves_is_found_whatever_it_was_writing(tmp_path, monkeypatch):
    path, game = tmp_path / "a.safetensors", points()
    history = fit(game, X, rounds=1, device="cpu")
    checkpoint.save(path, game, history)
    monkeypatch.setattr(os, "unlink", lambda *_: None)  # a process that is killed does not clean up
    for call in ("fsync", "replace"):  # as the new file is written, and as the old one gets its second name
        with monkeypatch.context() as patch:
            patch.setattr(os, call, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                checkpoint.save(path, game, history)
    names = re.compile(r"a(\.previous)?\.safetensors")
    left = {file.name for file in checkpoint.half_written(tmp_path, names)}
    assert ".a.previous.safetensors.new" in left
    assert left == {file.name for file in tmp_path.iterdir()} - {path.name}
    assert len(left) == 3
    assert checkpoint.half_written(tmp_path, re.compile("b")) == []

"""`gan-course train`, `sample`, `evaluate` and `list`: as a process on real digits, and every kind of bad input."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import archives
import pandas
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load, load_file

import gan_course
from gan_course import fit, games, objectives, runs

ROOT = Path(gan_course.__file__).parents[1]
SMALL = ["--width", "8", "--device", "cpu", "--sample-every", "20", "--checkpoint-every", "20"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": ""}


def process(*arguments):
    """Run the command as a user does."""
    call = [sys.executable, "-m", "gan_course", *map(str, arguments)]
    return subprocess.run(call, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)


@pytest.fixture(autouse=True)
def _one_thread():
    """The processes run with one thread; sums may differ in the last bit with another number of them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Forty rounds of a GAN on the digits, made by a process; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "new" / "a"
    outcome = process("train", "gan", "--data", "digits", "--rounds", 40, "--out", folder, *SMALL)
    assert outcome.returncode == 0, outcome.stderr
    return folder, outcome


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the trained run that a test may spoil."""
    return Path(shutil.copytree(trained[0], tmp_path / "run"))


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def rounds_of(folder):
    with safe_open(folder / "checkpoint.safetensors", framework="pt") as file:
        return json.loads(file.metadata()["gan_course"])["rounds"]


def same_run(a, b):
    """Tell whether two runs have the same weights, states, history and last picture, bit for bit."""
    one, other = load_file(a / "checkpoint.safetensors"), load_file(b / "checkpoint.safetensors")
    assert one.keys() == other.keys()
    assert any(name.startswith("game/") for name in one)
    assert any(name.startswith("state/") for name in one)
    different = [name for name in one if not torch.equal(one[name], other[name])]
    # The type checks of the tests draw from Python's random numbers.
    different = [name for name in different if "random/python" not in name]
    assert different == []
    for name in ("history.csv", "samples-000040.png"):
        assert (a / name).read_bytes() == (b / name).read_bytes()


# What a run leaves


def test_train_stores_pictures_history_configuration_and_checkpoint(trained):
    folder, outcome = trained
    pictures = ["samples-000000.png", "samples-000020.png", "samples-000040.png"]
    checkpoints = ["checkpoint.previous.safetensors", "checkpoint.safetensors"]
    assert names(folder) == [*checkpoints, "configuration.json", "history.csv", *pictures]
    history = pandas.read_csv(folder / "history.csv")
    assert list(history["round"]) == list(range(1, 41))
    assert {"discriminator/adversarial", "generator/adversarial"} < set(history)
    assert history.notna().all().all()
    configuration = json.loads((folder / "configuration.json").read_text())
    assert configuration["data"] == "digits"
    assert configuration["rounds"] == 40
    shown = [Image.open(folder / name) for name in pictures]
    assert {image.size for image in shown} == {(8 * 58 + 2, 8 * 58 + 2)}  # 8 × 8 digits of 7 × 8 pixels, with borders
    assert shown[0].tobytes() != shown[2].tobytes()
    assert f"{folder}: 40 rounds in" in outcome.stdout
    assert "40/40" in outcome.stderr  # the progress bar


def test_learning_is_seen_in_the_samples(trained, tmp_path, call):
    """Four hundred rounds bring the samples nearer to the digits than they were: the command trains."""
    call("train", "gan", "--rounds", 400, "--batch-size", 16, "--out", tmp_path / "b", *SMALL)
    _, game, _, x = runs.Run(tmp_path / "b").load()
    mean = x.mean(0)
    fresh = runs.build(runs.Configuration("gan", width=8), x)
    before, after = ((g.sample(200).mean(0) - mean).norm() for g in (fresh, game))
    assert after < 0.6 * before


def test_resumed_run_equals_an_uninterrupted_one(tmp_path, call):
    """With a constant learning rate: where it falls over all the rounds, those of 23 and of 40 rounds differ."""
    one, other = tmp_path / "a", tmp_path / "b"
    game = ["train", "gan", "--objective", "wgan-gp", "--discriminator-steps", 2]
    assert call(*game, "--rounds", 40, "--out", one, *SMALL).returncode == 0
    assert call(*game, "--rounds", 23, "--out", other, *SMALL).returncode == 0
    assert rounds_of(other) == 23
    outcome = call("train", "gan", "--rounds", 40, "--out", other, "--resume")
    assert outcome.returncode == 0, outcome.stderr
    same_run(one, other)


def test_run_killed_after_a_checkpoint_continues_to_the_same_result(trained, tmp_path, call, monkeypatch):
    out = tmp_path / "b"
    save = runs.Run.save

    def killed(self, game, history, asked):
        save(self, game, history, asked)
        raise KeyboardInterrupt

    monkeypatch.setattr(runs.Run, "save", killed)
    outcome = call("train", "gan", "--rounds", 40, "--out", out, *SMALL)
    assert outcome.returncode == 130
    assert f"go on from the last checkpoint with: gan-course train gan --out {out} --resume" in outcome.stderr
    assert rounds_of(out) == 20
    monkeypatch.setattr(runs.Run, "save", save)
    assert call("train", "gan", "--out", out, "--resume").returncode == 0
    same_run(trained[0], out)


def test_keyboard_interrupt_saves_and_says_how_to_go_on(tmp_path, call):
    out = tmp_path / "b"
    arguments = ["train", "gan", "--rounds", "1000000", "--out", str(out), *SMALL]
    child = subprocess.Popen(
        [sys.executable, "-m", "gan_course", *arguments], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 200
    while not (out / "samples-000020.png").exists():
        assert child.poll() is None, child.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert f"go on with: gan-course train gan --out {out} --resume" in said
    assert "Traceback" not in said
    done = rounds_of(out)
    assert done >= 20
    assert len(pandas.read_csv(out / "history.csv")) == done
    assert call("train", "gan", "--out", out, "--resume", "--rounds", done + 2).returncode == 0
    assert rounds_of(out) == done + 2


def test_resume_before_the_first_checkpoint_starts_anew(trained, run, call):
    (run / "checkpoint.safetensors").unlink()
    assert call("train", "gan", "--out", run, "--resume").returncode == 0
    same_run(trained[0], run)


def test_overwrite_removes_the_old_run_and_nothing_else(run, call):
    (run / "notes.txt").write_text("mine")
    assert call("train", "gan", "--rounds", 3, "--out", run, "--overwrite", *SMALL).returncode == 0
    pictures = ["samples-000000.png", "samples-000003.png"]
    assert names(run) == ["checkpoint.safetensors", "configuration.json", "history.csv", "notes.txt", *pictures]
    assert (run / "notes.txt").read_text() == "mine"
    assert rounds_of(run) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["vae", "--data", "digits"],
        ["began", "--data", "digits"],
        ["autoencoder", "--data", "digits"],
        ["gan", "--objective", "wgan-gp", "--discriminator-steps", "2"],
        ["gan", "--objective", "minimax", "--latent-size", "3", "--batch-size", "7", "--seed", "5"],
        ["gan", "--data", "grid"],
        ["gan", "--data", "spiral"],
        ["gan", "--data", "two-moons"],
    ],
    ids=lambda arguments: "-".join(arguments),
)
def test_other_games_objectives_and_data(tmp_path, call, arguments):
    out = tmp_path / "a"
    outcome = call("train", *arguments, "--rounds", 20, "--out", out, *SMALL)  # an average follows slowly
    assert outcome.returncode == 0, outcome.stderr
    assert call("sample", out, "--out", tmp_path / "grid.png").returncode == 0
    picture = Image.open(tmp_path / "grid.png").convert("RGB")
    assert len(picture.getcolors(maxcolors=1 << 24)) > 3  # the border, and samples that differ


def test_seed_decides_the_result(trained, tmp_path, call):
    for seed in (0, 1):
        call("train", "gan", "--rounds", 40, "--seed", seed, "--out", tmp_path / str(seed), *SMALL)
    same_run(trained[0], tmp_path / "0")
    assert (tmp_path / "0/history.csv").read_text() != (tmp_path / "1/history.csv").read_text()


# Samples and judgements


def test_sample(run, tmp_path, call):
    assert call("sample", run).stdout == f"{run}/sample-seed0.png\n"
    first = (run / "sample-seed0.png").read_bytes()
    assert call("sample", run, "--seed", 1).returncode == 0
    assert (run / "sample-seed1.png").read_bytes() != first
    assert call("sample", run, "--number", 64, "--out", tmp_path / "grid.png").returncode == 0
    assert (tmp_path / "grid.png").read_bytes() == first
    for arguments, said in (
        (["--out", tmp_path / "grid.png"], "--overwrite"),
        (["--out", tmp_path / "grid.txt"], ".png"),
        (["--out", tmp_path / "absent/grid.png"], "does not exist"),
        (["--number", 0], "at least 1"),
    ):
        outcome = call("sample", run, *arguments)
        assert outcome.returncode == 1
        assert said in outcome.stderr
    assert call("sample", run, "--out", tmp_path / "grid.png", "--number", 1, "--overwrite").returncode == 0
    assert (tmp_path / "grid.png").read_bytes() != first


def test_evaluate_as_a_process(trained):
    outcome = process("evaluate", trained[0], "--number", 400, "--json")
    assert outcome.returncode == 0, outcome.stderr
    report = json.loads(outcome.stdout)
    assert report["rounds"] == 40
    distance = report["metrics"]["Wasserstein distance (355 samples)"]
    assert distance["samples"] > 1.5 * distance["real"]  # forty rounds make no digits
    assert 0 <= report["metrics"]["share nearer to train than to test"]["samples"] <= 1
    table = process("evaluate", trained[0], "--number", 400).stdout
    assert f"{distance['samples']:.4f}" in table
    assert f"{distance['real']:.4f}" in table


def test_evaluate_on_the_ring_counts_modes(tmp_path, call):
    call("train", "gan", "--data", "ring", "--rounds", 2, "--out", tmp_path / "a", *SMALL)
    report = json.loads(call("evaluate", tmp_path / "a", "--number", 2000, "--json").stdout)["metrics"]
    assert report["modes in all"] == {"samples": 8, "real": 8}
    assert report["modes found"]["real"] == 8
    assert report["modes found"]["samples"] < 8
    assert report["share within 3σ of a mode"]["real"] > 0.97
    assert report["share within 3σ of a mode"]["samples"] < 0.5


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A machine without a network, with an empty cache and the folder `data` for archives."""
    monkeypatch.setenv("GAN_COURSE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()

    def refused(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    return tmp_path / "data"


def test_evaluate_on_mnist(tmp_path, offline, call):
    archives.make(offline, ["mnist"])
    outcome = call("train", "gan", "--data", "mnist", "--rounds", 2, "--out", tmp_path / "a", *SMALL)
    assert outcome.returncode == 0
    assert "gan-course: notice: " in outcome.stderr  # these archives are not the published ones
    report = json.loads(call("evaluate", tmp_path / "a", "--number", 300, "--json").stdout)["metrics"]
    shares = [report[f"share of the digit {digit}"]["samples"] for digit in range(10)]
    assert sum(shares) == pytest.approx(1)
    uniform = report["total variation from uniform classes"]
    assert uniform["samples"] == pytest.approx(sum(abs(share - 0.1) for share in shares) / 2)
    assert uniform["real"] < 0.3
    distance = report["Fréchet distance (LeNet)"]
    assert distance["samples"] > 2 * distance["real"] > 0


def test_list(call):
    printed = call("list").stdout
    for name in ("non-saturating", "wgan-gp", "gan", "began", "vae", "digits", "mnist", "ring", "dcgan"):
        assert f"\n  {name} " in printed


@pytest.mark.parametrize("name", objectives.names())
@pytest.mark.parametrize("data", ["ring", "digits"])
def test_every_objective_has_a_recipe(name, data):
    asked = runs.Configuration("gan", data=data, objective=name, rounds=3, batch_size=8, width=4, device="cpu")
    x = runs.load_data(data)[:100]
    game = runs.build(asked, x)
    history = fit(game, x, rounds=3, batch_size=8, device="cpu")
    assert history.frame.notna().all(axis=None)
    critic = name in ("wgan", "wgan-gp", "dragan")  # whose slope is bounded, and so must be that of each sample's score
    assert any("BatchNorm" in type(part).__name__ for part in game.discriminator.modules()) == (
        data == "digits" and not critic
    )
    assert game.discriminator_steps == (5 if critic else 1)


def test_help_answers_without_torch():
    code = "import sys; sys.argv[1:] = ['--help']\nfrom gan_course.cli import main\n"
    code += "try:\n  main()\nfinally:\n  assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules)"
    outcome = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 0, outcome.stderr
    for command in ("list", "train", "sample", "evaluate", "execute", "stale"):
        assert f"\n  {command} " in outcome.stdout


# Bad input: one message, exit code not 0, nothing left behind


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gan", "--objective", "non-saturated"], ["'non-saturated'", "minimax", "non-saturating", "wgan-gp"]),
        (["cyclegan"], ["unknown game 'cyclegan'", "autoencoder, began, gan, vae"]),
        (["gan", "--data", "imagenet"], ["unknown data set 'imagenet'", "digits", "ring"]),
        (["gan", "--device", "abacus"], ["'abacus'", "cpu"]),
        (["gan", "--device", "cuda:99"], ["'cuda:99' cannot be used here", "cpu"]),
        (["gan", "--rounds", "0"], ["rounds=0", "at least 1"]),
        (["gan", "--rounds", "-5"], ["rounds=-5", "at least 1"]),
        (["gan", "--batch-size", "1"], ["batch_size=1", "at least 2"]),
        (["gan", "--sample-every", "0"], ["sample_every=0", "at least 1"]),
        (["gan", "--checkpoint-every", "0"], ["checkpoint_every=0", "at least 1"]),
        (["gan", "--width", "0"], ["width=0", "at least 1"]),
        (["gan", "--seed", "-1"], ["seed=-1", "at least 0"]),
        (["gan", "--learning-rate", "-0.1"], ["learning_rate=-0.1", "above 0"]),
        (["gan", "--learning-rate", "nan"], ["learning_rate=nan", "above 0"]),
        (["gan", "--learning-rate", "1e30"], ["diverged", "learning rate"]),
        (["vae", "--data", "ring"], ["for images"]),
        (["vae", "--objective", "minimax"], ["no discriminator"]),
        (["began", "--objective", "minimax"], ["its own objective", "leave out --objective"]),
        (["gan", "--resume", "--overwrite"], ["one of them"]),
        (["gan", "--resume"], ["there is no run"]),
        (["gan", "--data", "svhn"], ["svhn", "GAN_COURSE_DATA"]),
    ],
    ids=lambda value: "-".join(value) if value[0] in ("gan", "began", "vae", "cyclegan") else None,
)
@pytest.mark.usefixtures("offline")
def test_bad_input_is_one_message_and_leaves_nothing(tmp_path, call, arguments, said):
    outcome = call("train", *arguments, "--out", tmp_path / "runs" / "a")
    assert outcome.returncode == 1
    message = outcome.stderr[outcome.stderr.index("gan-course: ") :]
    for words in said:
        assert words in message
    assert message.count("gan-course: ") == 1
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""
    assert not (tmp_path / "runs").exists()


def test_bad_input_as_a_process(tmp_path):
    for arguments in (["--learning-rate", "1e30", "--width", "8"], ["--objective", "nonsense"]):
        outcome = process("train", "gan", *arguments, "--out", tmp_path / "runs" / "a")
        assert outcome.returncode == 1
        assert "gan-course: " in outcome.stderr
        assert "Traceback" not in outcome.stderr
        assert not (tmp_path / "runs").exists()


def test_existing_out_is_refused(run, tmp_path, call):
    before = {file.name: file.read_bytes() for file in run.iterdir()}
    outcome = call("train", "gan", "--out", run)
    assert outcome.returncode == 1
    assert "--resume" in outcome.stderr
    assert "--overwrite" in outcome.stderr
    # A new run that cannot start does not cost the old one.
    assert call("train", "gan", "--objective", "nonsense", "--out", run, "--overwrite").returncode == 1
    assert call("train", "gan", "--data", "imagenet", "--out", run, "--overwrite").returncode == 1
    assert {file.name: file.read_bytes() for file in run.iterdir()} == before
    (tmp_path / "file").write_text("mine")
    for option in ([], ["--overwrite"], ["--resume"]):
        assert call("train", "gan", "--out", tmp_path / "file", *option).returncode == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("option", [[], ["--overwrite"], ["--resume"]])
def test_foreign_folder_is_left_alone(tmp_path, call, option):
    for content in ("mine", '{"made_by": "another"}', "[1]", '{"rounds": 3}'):
        folder = tmp_path / str(len(content))
        folder.mkdir()
        (folder / "configuration.json").write_text(content)
        (folder / "history.csv").write_text("mine")
        outcome = call("train", "gan", "--out", folder, *option)
        assert outcome.returncode == 1
        assert ("no run of gan-course" if option else "exists") in outcome.stderr
        assert names(folder) == ["configuration.json", "history.csv"]
        assert (folder / "history.csv").read_text() == "mine"
    for verb in ("sample", "evaluate"):
        outcome = call(verb, folder)
        assert outcome.returncode == 1
        assert "no run of gan-course" in outcome.stderr


def test_resume_keeps_to_how_the_run_was_begun(run, call):
    for arguments, said in (
        (["gan", "--seed", "3", "--rounds", "60"], "seed=0, not 3"),
        (["gan", "--objective", "minimax", "--rounds", "60"], "objective=None, not minimax"),
        (["vae", "--rounds", "60"], "game=gan, not vae"),
        (["gan"], "40 rounds already"),
        (["gan", "--rounds", "40"], "40 rounds already"),
    ):
        outcome = call("train", *arguments, "--out", run, "--resume")
        assert outcome.returncode == 1
        assert said in outcome.stderr
    assert rounds_of(run) == 40


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(run, call):
    file, before = run / "checkpoint.safetensors", run / "checkpoint.previous.safetensors"
    through = file.read_bytes()
    file.write_bytes(through[:1000])
    outcome = call("sample", run)
    assert outcome.returncode == 0
    assert "checkpoint.safetensors cannot be read" in outcome.stderr
    assert "the one before it is used, of round 20" in outcome.stderr
    assert file.stat().st_size == 1000  # looking changes nothing
    kept = before.read_bytes()
    outcome = call("train", "gan", "--out", run, "--resume", "--rounds", 40)
    assert outcome.returncode == 0
    assert load_file(file)["game/generator.start.0.weight"].equal(load(through)["game/generator.start.0.weight"])
    assert before.read_bytes() == kept
    for damaged in (file, before):
        damaged.write_bytes(damaged.read_bytes()[:1000])
    for arguments in (["sample", run], ["evaluate", run], ["train", "gan", "--out", run, "--resume", "--rounds", 50]):
        outcome = call(*arguments)
        assert outcome.returncode == 1
        assert "checkpoint.previous.safetensors cannot be read" in outcome.stderr
        assert outcome.stderr.count("\n") == 1
    assert file.stat().st_size == 1000


def test_truncated_data_file_is_named_and_kept(tmp_path, offline, call):
    archives.make(offline, ["mnist"])
    file = offline / "mnist/MNIST/raw/train-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    outcome = call("train", "gan", "--data", "mnist", "--rounds", 2, "--out", tmp_path / "a", *SMALL)
    assert outcome.returncode == 1
    assert "train-images-idx3-ubyte.gz" in outcome.stderr
    assert file.read_bytes() == whole[:-100]
    assert not (tmp_path / "a").exists()


def test_divergence_keeps_the_last_good_checkpoint(tmp_path, call, monkeypatch):
    loss = games.GAN.generator_loss

    def spoilt(self, real):
        terms = loss(self, real)
        return {name: term * float("nan") for name, term in terms.items()} if self.progress > 0.6 else terms

    monkeypatch.setattr(games.GAN, "generator_loss", spoilt)
    out = tmp_path / "a"
    outcome = call("train", "gan", "--rounds", 40, "--out", out, *SMALL)
    assert outcome.returncode == 1
    assert "diverged" in outcome.stderr
    assert f"{out} holds the run as it was last saved" in outcome.stderr
    assert rounds_of(out) == 20
    assert len(pandas.read_csv(out / "history.csv")) == 20
    assert all(tensor.isfinite().all() for tensor in load_file(out / "checkpoint.safetensors").values())

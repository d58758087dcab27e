"""Runs and the command line, given any settings: accepted, or refused by one message before anything is written."""

import contextlib
import io
import json
import os
import shutil
import string
import sys
import warnings
from dataclasses import fields
from pathlib import Path
from unittest import mock

import pytest
from fuzzing import SETTINGS, answer
from hypothesis import given
from hypothesis import strategies as st

from gan_course import cli, headlines, runs
from gan_course.study import playing

ROOT = Path(cli.__file__).parents[1]
NAMES = tuple(field.name for field in fields(runs.Configuration))
GOOD = {"data": "digits", "objective": "wgan-gp", "rounds": 3, "batch_size": 4, "seed": 1, "latent_size": 2, "width": 4}
GOOD |= {"learning_rate": 0.01, "discriminator_steps": 1, "device": "cpu", "sample_every": 2, "checkpoint_every": 2}
WORDS = ("no discriminator", "for images", "data set", "game", *NAMES)


@given(st.sampled_from([*runs.GAMES, "chess"]), st.dictionaries(st.sampled_from(NAMES[1:]), SETTINGS, max_size=3))
def test_configurations(game, settings):
    found = answer(WORDS, runs.Configuration, game, **settings)
    if found is not None:
        json.dumps({name: int(value) if name == "seed" else str(value) for name, value in vars(found).items()})
        assert found.rounds >= 1
        assert 0 <= found.seed < 2**32


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**40) | st.floats() | st.text(string.printable, max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*NAMES, "x"]), inner, max_size=3),
    max_leaves=8,
)


@given(JSON | st.text(max_size=20), st.booleans())
def test_stored_configurations(tmp_path_factory, content, ours):
    folder = tmp_path_factory.mktemp("run", numbered=True)
    if ours and isinstance(content, dict):
        content = {"made_by": "gan-course 0.1.0", **content}
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "configuration.json").write_text(text, encoding="utf-8")
    found = answer((*WORDS, str(folder)), runs.Run(folder).configuration)
    assert found is None or found.game in runs.GAMES


# The command line

FLAGS = {f"--{name.replace('_', '-')}": value for name, value in GOOD.items()}
TEXT = st.text(string.printable, max_size=8)
NUMBERS = [
    "0",
    "-1",
    "1",
    "2.5",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "1e-400",
    "",
    "4294967296",
    "9" * 30,
    "0x10",
    "1_0",
    "٣",
]
VALUES = st.one_of(
    TEXT, st.sampled_from([*NUMBERS, "gan", "ring", "digits", "cuda:9", "meta", "cpu", "--", "-", "--help"])
)
LONE = ("--resume", "--overwrite", "--sync-batch-norm", "--restart", "--retry")
OPTIONS = st.dictionaries(st.sampled_from([*FLAGS, "--devices", "--nodes", "--unknown", *LONE[:3]]), VALUES, max_size=3)


class Trained(Exception):
    """The command was right: it would begin to train."""


def called(*arguments) -> tuple[int, str, str]:
    """The exit code of the command, and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    patched = mock.patch.object(sys, "argv", ["gan-course", *map(str, arguments)])
    with patched, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        try:
            cli.main()
            code = 0
        except SystemExit as error:
            code = error.code or 0
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module", autouse=True)
def _without_training():
    """Where training would begin, or where more processes would be started, the command was right."""
    with (
        mock.patch.object(runs, "train", side_effect=Trained),
        mock.patch.object(headlines, "_play", side_effect=Trained),
        mock.patch.object(playing, "_client", side_effect=Trained),
        mock.patch("lightning_fabric.Fabric", side_effect=Trained),
    ):
        yield


def told(options) -> list[str]:
    """The words of these options."""
    return [word for name, value in options.items() for word in ([name] if name in LONE else [name, value])]


def refused(arguments, folder: Path, begins: bool = False) -> bool:
    """Whether the command was refused: by a message, without a traceback, with nothing written.

    `begins`: whether a command that is right writes before it trains.
    """
    before, right = sorted(folder.rglob("*")), False
    try:
        code, out, err = called(*arguments)
    except Trained:
        right = True
        return False
    finally:
        assert (right and begins) or sorted(folder.rglob("*")) == before
    assert code in (1, 2) or "--help" in arguments or "Usage" in out, (code, out, err)
    assert out or err
    assert "Traceback" not in err
    return code != 0


@given(
    st.sampled_from(["gan", "began", "vae", "autoencoder"]) | VALUES,
    OPTIONS,
    st.sampled_from(["new", "", "a\nb", "x" * 300]),
)
def test_train(tmp_path_factory, game, options, out):
    folder = tmp_path_factory.getbasetemp()
    if "--width" in options or "--latent-size" in options:
        sizes = [options.get(name, "1") for name in ("--width", "--latent-size")]
        if any(size.strip().isdecimal() and 200 < int(size) < 2**31 for size in sizes):
            return  # right, but larger than a test's memory
    refused(["train", game, "--out", folder / out, *told(options)], folder)


def test_good_options_are_not_refused(tmp_path):
    words = [str(word) for pair in FLAGS.items() for word in pair]
    assert not refused(["train", "gan", "--out", tmp_path / "new", *words], tmp_path)


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if flag != "--device"])
@given(value=TEXT | st.sampled_from(NUMBERS))
def test_one_bad_option_among_good_ones_is_named(tmp_path_factory, flag, value):
    folder = tmp_path_factory.getbasetemp()
    words = [str(word) for pair in {**FLAGS, flag: value}.items() for word in pair]
    sane = value.strip().isdecimal() and int(value) < 2**31 and int(value) > 200
    if sane and flag in ("--width", "--latent-size"):
        return
    try:
        code, out, err = called("train", "gan", "--out", folder / "new", *words)
    except Trained:
        return
    name = flag.removeprefix("--")
    assert code in (1, 2)
    assert any(word in err + out for word in (name, name.replace("-", "_"), "data set")), err


@given(
    st.sampled_from(["sample", "evaluate", "execute", "stale", "list", "nothing"]),
    st.lists(
        st.sampled_from(["--number", "--out", "--seed", "--json", "--overwrite", "--budget", "--timeout"]) | VALUES,
        max_size=4,
    ),
)
def test_other_commands(tmp_path_factory, command, words):
    folder = tmp_path_factory.getbasetemp()
    if command != "list":
        assert refused([command, folder / "missing.ipynb", *words], folder) or "--help" in words


@pytest.mark.parametrize("flag", ["--devices", "--nodes"])
@given(value=TEXT | st.sampled_from([*NUMBERS, "2", "3"]), other=st.sampled_from(["1", "2"]))
def test_numbers_of_processes(tmp_path_factory, flag, value, other):
    """More processes than there are cores, or GPUs, are not started."""
    folder = tmp_path_factory.getbasetemp()
    another = {"--devices": "--nodes", "--nodes": "--devices"}[flag]
    words = ["--data", "ring", "--device", "cpu", flag, value, another, other]
    try:
        code, _, err = called("train", "gan", "--out", folder / "new", *words)
    except Trained:
        number = int(value)
        assert number >= 1
        assert flag == "--nodes" or number <= os.cpu_count()
    else:
        assert code in (1, 2)
        assert flag.removeprefix("--") in err, err


# Headlines

ASKED = st.dictionaries(
    st.sampled_from(["--device", "--minutes", "--rounds", "--seeds", "--out", "--restart", "--unknown"]),
    VALUES | st.sampled_from(["0,1", "0,0", "1,", "-1,2", "4294967295", "0, 1"]),
    max_size=3,
)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course's folder with the experiments in it, and nothing else."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / headlines.EXPERIMENTS, folder / headlines.EXPERIMENTS)
    with contextlib.chdir(folder):
        list(headlines.listing())  # compiles them
        yield folder


@given(st.sampled_from(headlines.names()) | VALUES, ASKED)
def test_headlines(course, name, asked):
    if "\0" not in (out := asked.get("--out", "")) and Path(out).is_absolute():
        return  # no place for a test to write to
    try:
        refused(["headline", name, *told(asked)], course, begins=True)
    finally:
        shutil.rmtree(course / headlines.RUNS, ignore_errors=True)


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--minutes", "nan"), ("--rounds", "0"), ("--seeds", "1,1"), ("--out", "benchmarks")],
)
def test_a_bad_option_of_a_headline_is_named(course, flag, value):
    code, _, err = called("headline", "ring", flag, value)
    assert code == 1
    assert f"{flag} {value}" in err
    assert not (course / headlines.RUNS).exists()


# Studies

STUDY = """title = "t"
objectives = ["hinge", "wgan"]
data = ["ring"]
seeds = { choose = [1], report = [2] }
settings = { steps = 3, learning_rate = [0.1, 0.2] }
for = { wgan = { clip = 0.1 } }
"""
PARTS = st.sampled_from(
    ["title", "hinge", "[1]", "[2]", "3", "0.2", "clip", "0.1", '"ring"', "steps", "{", "=", "wgan"]
)
OTHERS = st.sampled_from(["nan", "-1", "[]", "{}", "1e400", "true", '"x"', "1979-05-27", "[[1]]", '""', "mnist"]) | TEXT


@given(
    PARTS, OTHERS, st.dictionaries(st.sampled_from(["--workers", "--out", "--retry", "--restart"]), VALUES, max_size=2)
)
def test_studies(tmp_path_factory, part, other, asked):
    if "\0" not in (out := asked.get("--out", "")) and Path(out).is_absolute():
        return
    folder = tmp_path_factory.mktemp("study", numbered=True)
    (folder / "a.toml").write_text(STUDY.replace(part, other), encoding="utf-8")
    with contextlib.chdir(folder):
        refused(["study", "a.toml", *told(asked)], folder, begins=True)
    shutil.rmtree(folder)

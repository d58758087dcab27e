"""`budget`, `claim` and `seed_everything`: what chapters call beside the course itself."""

import random

import numpy as np
import pytest
import torch

from gan_course.chapter import ClaimFailed, budget, claim, seed_everything
from gan_course.errors import CourseError


@pytest.fixture
def _full(monkeypatch):
    monkeypatch.delenv("GAN_COURSE_BUDGET", raising=False)


@pytest.mark.usefixtures("_full")
@pytest.mark.parametrize(("gpu", "rounds"), [(False, 300), (True, 4_000)])
def test_budget_goes_by_the_machine(monkeypatch, gpu, rounds):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert budget(cpu=300, gpu=4_000) == rounds


def test_budget_of_a_smoke_run_is_a_handful(monkeypatch):
    monkeypatch.setenv("GAN_COURSE_BUDGET", "smoke")
    assert budget(cpu=300) == 5
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert budget(cpu=3) == 3


@pytest.mark.parametrize("value", ["", "full"])
def test_budget_is_full_unless_told_otherwise(monkeypatch, value):
    monkeypatch.setenv("GAN_COURSE_BUDGET", value)
    assert budget(300, 300) == 300


def test_unknown_budget_mode_is_refused(monkeypatch):
    monkeypatch.setenv("GAN_COURSE_BUDGET", "fast")
    with pytest.raises(ValueError, match=r"'fast'.*full or smoke"):
        budget()


@pytest.mark.parametrize("settings", [{"cpu": 0}, {"gpu": -1}, {"cpu": 2.5}, {"cpu": True}, {"gpu": "many"}])
def test_budget_refuses_what_is_no_number_of_rounds(settings, unchecked):
    with pytest.raises(ValueError, match="at least 1"):
        unchecked(budget)(**settings)


@pytest.mark.parametrize("truth", [True, np.bool_(True), torch.tensor(True), torch.tensor([1.0]) > 0, np.array(True)])
def test_claim_that_holds_is_printed(capsys, truth):
    claim("all 8 modes found", truth, measured=8)
    assert capsys.readouterr().out == "✓ all 8 modes found (measured: 8)\n"


@pytest.mark.usefixtures("_full")
@pytest.mark.parametrize("falsehood", [False, np.bool_(False), torch.tensor(False)])
def test_claim_that_fails_stops_a_full_run(capsys, falsehood):
    with pytest.raises(ClaimFailed, match=r"all 8 modes found \(measured: 7\)") as raised:
        claim("all 8 modes found", falsehood, 7)
    assert isinstance(raised.value, AssertionError)
    assert isinstance(raised.value, CourseError)
    assert capsys.readouterr().out == "✗ all 8 modes found (measured: 7)\n"


def test_claim_that_fails_is_only_printed_in_a_smoke_run(monkeypatch, capsys):
    monkeypatch.setenv("GAN_COURSE_BUDGET", "smoke")
    claim("all 8 modes found", False)
    assert capsys.readouterr().out == "✗ all 8 modes found\n"


@pytest.mark.parametrize("condition", [1, 0.5, "yes", None, torch.tensor([True, False]), torch.tensor(1.0), np.ones(1)])
def test_claim_refuses_what_is_no_truth_value(condition):
    with pytest.raises(TypeError, match="one truth value"):
        claim("compared", condition)


def test_seed_everything_repeats_all_random_numbers():
    def draw():
        return random.random(), np.random.rand(), torch.rand(3).tolist()  # noqa: NPY002

    seed_everything(7)
    first = draw()
    seed_everything(7)
    assert draw() == first
    seed_everything(8)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True, None])
def test_seed_everything_refuses_what_is_no_seed(seed, unchecked):
    with pytest.raises(ValueError, match="integer from 0"):
        unchecked(seed_everything)(seed)

"""The benchmark of sampling compares two ways to do the same."""

import json
import math
from pathlib import Path

import pytest
import torch
from scipy import stats

from benchmarks import sequences
from gan_course.networks import RecurrentGenerator

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_slow_way_keeps_the_beginning_and_follows_the_same_law():
    torch.manual_seed(0)
    generator = RecurrentGenerator(3, 2, 2, 2, std=1.0)
    given = torch.tensor([2, 0])
    drawn = torch.stack([sequences.one_by_one(generator, given, 1) for _ in range(2_000)])
    assert (drawn[:, 0] == 2).all()
    every = torch.tensor([[2, 0], [2, 1], [2, 2]])
    law = generator.log_probabilities(every)[:, 1].exp().detach().double()
    counts = torch.bincount(drawn[:, 1], minlength=3)
    assert stats.chisquare(counts.numpy(), (2_000 * law / law.sum()).numpy()).pvalue > 1e-3


def test_both_ways_are_timed_and_stored(tmp_path, monkeypatch, capsys):
    out, options = tmp_path / "sequences.json", "--vocabulary 3 --batch 2 --length 3 --rollouts 2 --parts 1 --times 2"
    monkeypatch.setattr("sys.argv", ["sequences", *options.split(), "--out", str(out)])
    sequences.main()
    stored = json.loads(out.read_text())
    assert stored == json.loads(capsys.readouterr().out)
    assert stored["settings"]["rollouts"] == 2
    assert stored["device"] == "CPU, 1 thread"
    for name in ("sampling", "rollouts"):
        found = stored[name]
        assert 0 < found["from"] <= found["times faster"] <= found["to"]
        assert found["seconds"] > 0
        assert math.isfinite(found["seconds one by one"])


@pytest.mark.parametrize("options", ["--rollouts 0", "--length 1", "--vocabulary 1", "--times 0"])
def test_options_that_cannot_be_right_are_refused(monkeypatch, capsys, options):
    monkeypatch.setattr("sys.argv", ["sequences", *options.split()])
    with pytest.raises(SystemExit):
        sequences.main()
    assert "was given; it must be a whole number of at least" in capsys.readouterr().err


def test_what_is_told_of_the_stored_measurement_is_what_was_measured():
    stored = json.loads((ROOT / "benchmarks" / "races" / "sequences.json").read_text(encoding="utf-8"))
    readme = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    chapter = (ROOT / "notebooks" / "26_policy_gradient.ipynb").read_text(encoding="utf-8")
    for name in ("sampling", "rollouts"):
        found = stored[name]
        span = "({from:.1f} to {to:.1f})".format(**found)
        times = f"{found['times faster']:.1f}"
        seconds = f"{found['seconds']:.3g} | {found['seconds one by one']:.3g}"
        assert f"| {seconds} | {times} {span} |" in readme
        assert f"{times} times {span}" in chapter
        assert found["times faster"] >= 10

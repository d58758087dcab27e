"""The experiment on estimated divergences: its truths are the closed forms, and the best discriminator reaches them."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from gan_course import headlines


class Line(nn.Module):
    """The best score of KL between N(0, 1) and N(1, 1): one more than the log of the ratio."""

    def forward(self, x):
        return 1 + 0.5 - x[:, 0]


@pytest.fixture
def games(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[1])
    return {name: headlines.find(name).games for name in ("estimation", "estimation-spread")}


TRUTHS = {
    ("estimation", "kl"): 0.5,
    ("estimation", "jeffrey"): 1.0,
    ("estimation", "pearson"): math.e - 1,
    ("estimation", "neyman"): math.e - 1,
    ("estimation", "squared-hellinger"): 2 - 2 * math.exp(-1 / 8),
    ("estimation", "total-variation"): math.erf(0.5 / math.sqrt(2)),
    ("estimation-spread", "kl"): math.log(1.2) + 1.25 / 2.88 - 0.5,
    ("estimation-spread", "reverse-kl"): -math.log(1.2) + 1.69 / 2 - 0.5,
    ("estimation-spread", "pearson"): 1.44 / math.sqrt(1.88) * math.exp(0.25 / 1.88) - 1,
    ("estimation-spread", "neyman"): 1 / (1.2 * math.sqrt(0.56)) * math.exp(0.25 / 0.56) - 1,
}


@pytest.mark.parametrize(("name", "divergence"), TRUTHS)
def test_truths_are_the_closed_forms(games, name, divergence):
    _, truth = games[name][divergence].game().integrals()
    assert truth == pytest.approx(TRUTHS[name, divergence], abs=1e-6)


def test_the_best_discriminator_finds_all_of_it(games):
    game = games["estimation"]["kl"].game()
    game.discriminator = Line()
    assert game.integrals()[0] == pytest.approx(0.5, abs=1e-6)
    torch.manual_seed(0)
    error = math.sqrt((1 + math.e - 1) / 1_000_000)  # of the mean of T under P and of its exponential under Q
    assert game.bound(20) == pytest.approx(0.5, abs=4 * error)

"""The relevance score: its loss, its model on pairs whose answer is known, its marks."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import metrics
from gan_course.metrics.relevance import ranking_loss


def pairs(n=600, seed=0):
    """Points on a circle, and the same turned by a right angle, with a little noise."""
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * math.pi * torch.rand(n, generator=generator)
    x = torch.stack([angle.cos(), angle.sin()], 1)
    return x, torch.stack([-x[:, 1], x[:, 0]], 1) + 0.01 * torch.randn(n, 2, generator=generator)


@pytest.fixture(scope="module")
def model():
    return metrics.relevance_model(*pairs(), negatives=9, gammas=(5.0, 10.0), epochs=6, features=4)


@pytest.mark.parametrize("n", [2, 8])
def test_equal_candidates_are_equally_likely(n):
    """P = 1 / (J + 1), whatever the factor."""
    for gamma in (1.0, 10.0):
        assert_close(ranking_loss(torch.full((n, n), 0.3, dtype=torch.float64), gamma).item(), 2 * math.log(n))


def test_the_loss_by_hand():
    cosines, gamma = torch.rand(4, 4, dtype=torch.float64), 3.0
    e = (gamma * cosines).exp()
    expected = sum(-(e[i, i] / e[i].sum()).log() - (e[i, i] / e[:, i].sum()).log() for i in range(4)) / 4
    assert_close(ranking_loss(cosines, gamma), expected)
    assert ranking_loss(torch.eye(4), 100.0) < 1e-6


def test_cosines_are_of_features(model):
    x, y = pairs(5, 3)
    f, g = model.first(x), model.second(y)
    expected = torch.stack([torch.stack([nn.functional.cosine_similarity(a, b, 0) for b in g]) for a in f])
    assert_close(model(x, y), expected)
    assert_close(model.scores(x, y), expected.diagonal())
    assert model(x, y).abs().max() <= 1 + 1e-6


def test_the_model_knows_what_belongs_together(model):
    """Of ten candidates the right one comes first far more often than in one case of ten."""
    assert model.candidates == 10
    assert model.gamma in model.accuracies
    assert model.accuracies[model.gamma] == max(model.accuracies.values()) > 0.4
    assert model.sizes == (360, 120, 120)
    assert model.true > 0.7
    assert abs(model.random) < 0.3
    assert not any(p.requires_grad for p in model.parameters())


def test_true_pairs_score_as_the_mark_above_and_others_as_the_mark_below(model):
    x, y = pairs(300, 5)
    right = metrics.relevance(x, y, model)
    assert right.score == pytest.approx(model.true, abs=0.05)
    assert right.shuffled == pytest.approx(model.random, abs=0.1)
    assert (right.true, right.random, right.pairs) == (model.true, model.random, 300)
    wrong = metrics.relevance(x, y.roll(1, 0), model)
    assert wrong.score < 0.3 < right.score
    opposite = metrics.relevance(x, -y, model)
    assert opposite.score < wrong.score


def test_shuffled_pairs_are_all_pairs_of_different_rows(model):
    x, y = pairs(7, 8)
    cosines = model(x, y).double()
    found = metrics.relevance(x, y, model)
    off = (cosines.sum() - cosines.trace()) / 42
    assert found.shuffled == pytest.approx(off.item(), abs=1e-6)
    assert found.score == pytest.approx(cosines.trace().item() / 7, abs=1e-6)
    assert found.error == pytest.approx(cosines.diagonal().std().item() / 7**0.5, abs=1e-6)


def test_a_seed_says_all_and_the_random_state_stays():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one, two, three = (
        metrics.relevance_model(*pairs(60), negatives=3, gammas=[5.0], epochs=1, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(before, torch.get_rng_state())
    assert (one.true, one.random) == (two.true, two.random) != (three.true, three.random)


def test_images_and_vectors():
    x, y = torch.rand(30, 1, 8, 8), torch.rand(30, 3)
    model = metrics.relevance_model(x, y, negatives=2, gammas=[5.0], epochs=1)
    assert model(x[:4], y[:5]).shape == (4, 5)


X, Y = pairs(30)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(first=X[:20]), "first has 20 samples and second 30"),
        (dict(first=X[:, 0]), r"first has shape \(30,\)"),
        (dict(negatives=6), r"negatives=6 was given, and the 30 pairs are divided into \[18, 6, 6\]"),
        (dict(gammas=[]), r"gammas=\(\) was given"),
        (dict(gammas=[-1.0]), "gammas=-1.0 was given"),
        (dict(shares=[0.5, 0.2, 0.2]), "sum 1"),
        (dict(shares=[0.5, 0.5]), "there must be three"),
        (dict(epochs=0), "epochs=0 was given"),
        (dict(features=0), "features=0 was given"),
    ],
)
def test_what_cannot_be_learned(settings, message):
    good = dict(first=X, second=Y, negatives=2, gammas=[5.0], epochs=1)
    with pytest.raises(ValueError, match=message):
        metrics.relevance_model(**{**good, **settings})


def test_what_cannot_be_judged(model):
    with pytest.raises(ValueError, match="first has 30 samples and second 29"):
        metrics.relevance(X, Y[:29], model)
    with pytest.raises(ValueError, match=r"the model cannot read first of shape \(30, 3\)"):
        metrics.relevance(torch.rand(30, 3), Y, model)

"""Least squares and hinge, against what is known of them."""

import math

import pytest
import torch
from torch.testing import assert_close

from gan_course.objectives.hinge import Hinge
from gan_course.objectives.least_squares import LeastSquares

TIMES = torch.tensor([24, 18, 12, 6]), torch.tensor([6, 12, 18, 24])  # of each symbol, in sixtieths
P, Q = (times.double() / 60 for times in TIMES)


def spread(scores):
    """The scores of the symbols, each as often as the two laws have it."""
    return [scores.repeat_interleave(times) for times in TIMES]


def best_by_descent(objective, start):
    """The scores that minimise the discriminator's loss, and the loss."""
    scores = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([scores], max_iter=300, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = objective.discriminator_loss(*spread(scores))
        value.backward()
        return value

    optimizer.step(loss)
    return scores.detach(), loss().detach()


# Least squares


@pytest.mark.parametrize("codes", [(-1, 1, 0), (0, 1, 1), (-2, 0.5, 0.25)])
def test_the_best_scores_of_least_squares(codes):
    a, b, c = codes
    scores, _ = best_by_descent(LeastSquares(a=a, b=b, c=c), torch.zeros(4, dtype=torch.float64))
    assert_close(scores, (b * P + a * Q) / (P + Q), atol=1e-7, rtol=1e-7)


def test_the_generators_least_squares_are_a_chi_square_for_some_codes():
    """With b - c = 1 and b - a = 2; the codes (0, 1, 1) give another number."""
    chi = ((P - Q) ** 2 / (P + Q)).sum()

    def twice(a, b, c):
        best = (b * P + a * Q) / (P + Q)
        objective = LeastSquares(a=a, b=b, c=c)
        return 2 * sum(objective.generator_loss(scores) for scores in spread(best))

    assert_close(twice(-1, 1, 0), chi)
    assert_close(twice(0, 2, 1), chi)
    assert not torch.isclose(twice(0, 1, 1), chi)


def test_least_squares_of_equal_laws():
    half = torch.full((6,), 0.5)
    objective = LeastSquares()
    assert objective.discriminator_loss(half, half).item() == pytest.approx(0.25)
    assert objective.generator_loss(half).item() == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (dict(a=1, b=0), "must lie above a"),
        (dict(a=0, b=1, c=0), "must lie above a"),
        (dict(c=math.nan), "c=nan was given"),
        (dict(b=True), "b=True was given"),
    ],
)
def test_codes_that_cannot_be_are_refused(codes, words):
    with pytest.raises(ValueError, match=words):
        LeastSquares(**codes)


# Hinge


def test_the_best_hinge_loss_is_two_minus_twice_the_total_variation():
    objective = Hinge()
    best = (P - Q).sign()
    total_variation = (P - Q).abs().sum() / 2
    loss = objective.discriminator_loss(*spread(best))
    assert_close(loss, 2 - 2 * total_variation)
    for _ in range(200):
        other = objective.discriminator_loss(*spread(3 * torch.randn(4, dtype=torch.float64)))
        assert other >= loss - 1e-12
    zero = torch.zeros(5)
    assert objective.discriminator_loss(zero, zero).item() == 2


def test_the_hinge_generator_has_no_margin():
    """A hinge on the generator's side, a usual slip, would leave good fakes without a slope."""
    scores = torch.tensor([-5.0, 0.0, 5.0], requires_grad=True)
    (slope,) = torch.autograd.grad(Hinge().generator_loss(scores), scores)
    assert_close(slope, torch.full((3,), -1 / 3))

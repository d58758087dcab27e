"""Losses of players who make both sides of a comparison."""

import math

import pytest
import torch
from torch.testing import assert_close

from gan_course import objectives
from gan_course.objectives.matching import (
    absolute_error,
    cosine_error,
    cross_entropy_error,
    exchanged,
    squared_error,
)

REAL, FAKE = torch.randn(2, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
EVERY = [
    *objectives.names(),
    objectives.get("least-squares", a=-1.0, b=1.0, c=0.0),
    objectives.get("f-gan/kl", generator="bound"),
    objectives.get("relativistic", average=True),
]


def made(objective):
    return objectives.get(objective) if isinstance(objective, str) else objective


@pytest.mark.parametrize("name", ["minimax", "wgan", "wgan-gp", *(n for n in objectives.names() if "f-gan" in n)])
def test_a_zero_sum_game_stays_one(name):
    objective = objectives.get(name, **({"generator": "bound"} if "f-gan" in name else {}))
    assert_close(exchanged(objective, REAL, FAKE), -objective.discriminator_loss(REAL, FAKE))


@pytest.mark.parametrize("objective", ["non-saturating", "dragan", "least-squares", "relativistic", EVERY[-1]], ids=str)
def test_others_are_the_discriminator_with_labels_flipped(objective):
    objective = made(objective)
    assert_close(exchanged(objective, REAL, FAKE), objective.discriminator_loss(FAKE, REAL))


@pytest.mark.parametrize("name", ["hinge", "ebgan", "loss-sensitive"])
def test_linear_ones_are_a_difference_of_means(name):
    assert_close(exchanged(objectives.get(name), REAL, FAKE), REAL.mean() - FAKE.mean())


def test_the_codes_of_least_squares_are_mirrored_in_their_middle():
    """Codes -1 and 1, the generator pulls to 0: so does the encoder. With the default it pulls to the code of fakes."""
    pearson = objectives.get("least-squares", a=-1.0, b=1.0, c=0.0)
    assert_close(exchanged(pearson, REAL, FAKE), (REAL.square().mean() + FAKE.square().mean()) / 2)
    plain = objectives.get("least-squares", a=2.0, b=6.0, c=5.0)
    assert_close(exchanged(plain, REAL, FAKE), ((REAL - 3).square().mean() + (FAKE - 5).square().mean()) / 2)


@pytest.mark.parametrize("objective", EVERY, ids=str)
def test_the_encoder_wants_low_scores_and_the_generator_high_ones(objective):
    real, fake = (x.sigmoid().requires_grad_(True) for x in (REAL, FAKE))  # between the codes of least squares
    slopes = torch.autograd.grad(exchanged(made(objective), real, fake), (real, fake))
    if getattr(objective, "c", None) == 0.0:  # Pearson's: both are pulled to the middle
        assert_close(slopes, (real.detach() / 7, fake.detach() / 7))
        return
    assert (slopes[0] >= 0).all()
    assert (slopes[1] <= 0).all()
    assert slopes[0].sum() > 0
    assert slopes[1].sum() < 0


def test_at_equal_scores_the_flipped_loss_is_log_four():
    zeros = torch.zeros(5)
    assert exchanged(objectives.get("non-saturating"), zeros, zeros).item() == pytest.approx(math.log(4))
    assert exchanged(objectives.get("minimax"), zeros, zeros).item() == pytest.approx(-math.log(4))


def test_errors_are_summed_over_a_samples_coordinates():
    x, y = torch.tensor([[[1.0, 2.0], [0.0, -1.0]]]), torch.tensor([[[0.0, 4.0], [0.0, 2.0]]])
    assert absolute_error(x, y).tolist() == [6.0]
    assert squared_error(x, y).tolist() == [14.0]
    # the negative logarithms of their densities, but for constants
    x, y = torch.randn(2, 9, 3)
    laplace, normal = torch.distributions.Laplace(y, 1.0), torch.distributions.Normal(y, math.sqrt(0.5))
    assert_close(absolute_error(x, y), -laplace.log_prob(x).sum(1) - 3 * math.log(2))
    assert_close(squared_error(x, y), -normal.log_prob(x).sum(1) - 1.5 * math.log(math.pi))


def test_the_cross_entropy_of_pixels():
    x, y = torch.tensor([[[1.0, 0.0], [0.5, 1.0]]]), torch.tensor([[[0.25, 0.5], [0.5, 1.0]]])
    assert_close(cross_entropy_error(x, y), torch.tensor([math.log(4) + 2 * math.log(2)]))
    # the negative logarithm of a probability where x is 0 or 1
    bits, means = torch.bernoulli(torch.full((5, 2, 3), 0.5)), torch.rand(5, 2, 3)
    law = torch.distributions.Bernoulli(means)
    assert_close(cross_entropy_error(bits, means), -law.log_prob(bits).flatten(1).sum(1))
    # elsewhere least at y = x, where the entropy is left: its slope vanishes there
    x = torch.tensor([[0.3, 0.9]], dtype=torch.float64)
    y = x.clone().requires_grad_()
    left = cross_entropy_error(x, y)
    assert_close(left.detach(), torch.distributions.Bernoulli(x).entropy().sum(1))
    assert_close(torch.autograd.grad(left.sum(), y)[0], torch.zeros(1, 2).double(), atol=1e-9, rtol=0)
    # slope (y - x) / (y (1 - y)), and finite where a logarithm is not
    y = torch.tensor([[0.5, 0.5]], dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(cross_entropy_error(x, y).sum(), y)[0]
    assert_close(slope, torch.tensor([[0.8, -1.6]], dtype=torch.float64))
    sure = torch.tensor([[1.0, 0.0]], requires_grad=True)
    wrong = cross_entropy_error(torch.tensor([[0.0, 1.0]]), sure)
    assert_close(wrong.detach(), torch.tensor([-2 * math.log(torch.finfo(torch.float32).tiny)]))
    assert torch.autograd.grad(wrong.sum(), sure)[0].isfinite().all()
    assert cross_entropy_error(sure, sure).item() == 0


def test_the_cosine_of_directions():
    x = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]], [[1.0, 1.0]], [[3.0, 4.0]], [[1.0, 2.0]]])
    y = torch.tensor([[[5.0, 0.0]], [[0.0, 2.0]], [[2.0, 0.0]], [[-3.0, -4.0]], [[0.0, 0.0]]])
    assert_close(cosine_error(x, y), torch.tensor([0.0, 1.0, 1 - math.sqrt(0.5), 2.0, 1.0]))
    x, y = torch.randn(2, 9, 3, 2)
    assert_close(cosine_error(3 * x, 0.2 * y), cosine_error(x, y))  # of no length
    units = [v / v.flatten(1).norm(dim=1)[:, None, None] for v in (x, y)]
    assert_close(cosine_error(*units), squared_error(*units) / 2)

"""Losses of players who make both sides of a comparison."""

import math

import pytest
import torch
from torch.testing import assert_close

from gan_course import objectives
from gan_course.objectives.matching import absolute_error, exchanged, squared_error

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

"""The formulas of VAE-GAN: against hand-written ones, and at the best discriminator of finite laws."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal
from torch.testing import assert_close

from gan_course import objectives
from gan_course.objectives.similarity import decoder_loss, discriminator_loss, feature_error


@pytest.mark.parametrize("std", [1.0, 0.3])
def test_feature_error_is_a_gaussian_log_density_but_for_its_constant(std):
    a, b = torch.randn(2, 5, 3, 2, dtype=torch.float64)
    exact = -Independent(Normal(b, std), 2).log_prob(a) - 3 * math.log(2 * math.pi * std**2)
    assert_close(feature_error(a, b, std), exact)
    if std == 1:
        assert_close(feature_error(a, b), exact)


def test_losses_by_hand():
    real, drawn, reconstructed = (torch.randn(n, dtype=torch.float64) for n in (4, 5, 6))
    D = torch.sigmoid
    by_hand = -D(real).log().mean() - (1 - D(drawn)).log().mean() - (1 - D(reconstructed)).log().mean()
    assert_close(discriminator_loss(real, drawn, reconstructed), by_hand)
    assert_close(decoder_loss(drawn, reconstructed), -D(drawn).log().mean() - D(reconstructed).log().mean())
    printed = (1 - D(drawn)).log().mean() + (1 - D(reconstructed)).log().mean()
    assert_close(decoder_loss(drawn, reconstructed, saturating=True), printed)


def test_without_reconstructions_it_is_the_usual_game():
    real, drawn = torch.randn(2, 7)
    usual = objectives.get("non-saturating")
    assert_close(discriminator_loss(real, drawn), usual.discriminator_loss(real, drawn))
    assert_close(decoder_loss(drawn), usual.generator_loss(drawn))
    assert_close(decoder_loss(drawn, saturating=True), objectives.get("minimax").generator_loss(drawn))


def expected_loss(d, p, q, r):
    """The discriminator's loss where the laws are finite: each point counts as often as its probability says."""
    sp = torch.nn.functional.softplus
    return (p * sp(-d) + q * sp(d) + r * sp(d)).sum()


@pytest.mark.parametrize("seed", range(3))
def test_best_discriminator_and_its_loss(seed):
    generator = torch.Generator().manual_seed(seed)
    p, q, r = torch.rand(3, 6, generator=generator, dtype=torch.float64)
    p, q, r = p / p.sum(), q / q.sum(), r / r.sum()
    best = (p / (q + r)).log()  # D = p / (p + q + r)
    d = best.clone().requires_grad_()
    loss = expected_loss(d, p, q, r)
    assert torch.autograd.grad(loss, d)[0].abs().max() < 1e-12
    for _ in range(20):
        assert expected_loss(best + 0.3 * torch.randn(6, generator=generator).double(), p, q, r) > loss
    m = (q + r) / 2
    average = (p + 2 * m) / 3
    divergences = (p * (p / average).log()).sum() + 2 * (m * (m / average).log()).sum()
    assert_close(loss.detach(), math.log(27 / 4) - divergences)  # at most log 27/4, where p = (q + r) / 2


def test_only_the_mean_of_draws_and_reconstructions_must_be_right():
    p = torch.tensor([0.5, 0.5], dtype=torch.float64)
    q, r = torch.tensor([0.9, 0.1], dtype=torch.float64), torch.tensor([0.1, 0.9], dtype=torch.float64)
    assert_close(expected_loss((p / (q + r)).log(), p, q, r).item(), math.log(27 / 4))

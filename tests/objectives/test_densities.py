"""Log densities against torch.distributions, and the importance-weighted bound."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal
from torch.testing import assert_close

from gan_course.objectives.densities import (
    discretised_logistic_log_probability,
    gaussian_log_density,
    importance_bound,
    standard_log_density,
)
from gan_course.objectives.likelihood import gaussian_kl


def test_diagonal_gaussian():
    z, mean, log_variance = torch.randn(3, 5, 2, 4, dtype=torch.float64)
    law = Independent(Normal(mean, (0.5 * log_variance).exp()), 2)
    assert_close(gaussian_log_density(z, mean, log_variance), law.log_prob(z))
    assert_close(standard_log_density(z), Independent(Normal(torch.zeros_like(z), 1.0), 2).log_prob(z))


def test_expected_difference_of_log_densities_is_the_divergence():
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.3, -0.8]])
    z = mean + (0.5 * log_variance).exp() * torch.randn(200_000, 2, generator=generator)
    law = (mean.expand_as(z), log_variance.expand_as(z))
    found = (gaussian_log_density(z, *law) - standard_log_density(z)).mean()
    assert_close(found, gaussian_kl(mean, log_variance)[0], atol=0.01, rtol=0)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize(("mean", "scale"), [(0.5, 0.1), (0.0, 1e-3), (-3.0, 0.5), (1.2, 5.0), (0.31, 1e-7)])
def test_all_grey_levels_together_have_probability_one(levels, mean, scale):
    x = torch.linspace(0, 1, levels, dtype=torch.float64)[:, None]
    log_scale = torch.tensor([math.log(scale)], dtype=torch.float64)
    log_p = discretised_logistic_log_probability(torch.full_like(x, mean), log_scale, x, levels)
    assert log_p.isfinite().all()
    assert_close(log_p.exp().sum().item(), 1.0)


def test_a_bin_has_the_mass_of_its_interval():
    x, s = torch.tensor([[0.0], [7 / 16], [1.0]], dtype=torch.float64), 0.2
    mean = torch.full_like(x, 0.4)
    log_p = discretised_logistic_log_probability(mean, torch.tensor([math.log(s)]).double(), x, 17)
    cdf = lambda v: 1 / (1 + math.exp(-(v - 0.4) / s))  # noqa: E731
    masses = [cdf(1 / 32), cdf(7 / 16 + 1 / 32) - cdf(7 / 16 - 1 / 32), 1 - cdf(1 - 1 / 32)]
    assert_close(log_p, torch.tensor(masses).double().log())


def test_a_bin_far_from_the_mean_keeps_its_slope():
    mean = torch.tensor([[0.0]], requires_grad=True)
    x = torch.tensor([[200 / 255]])
    log_p = discretised_logistic_log_probability(mean, torch.tensor([math.log(1e-3)]), x)
    assert_close(log_p.item(), -(200 / 255 - 1 / 510) / 1e-3 + math.log1p(-math.exp(-1 / 0.255)), rtol=1e-5, atol=0)
    log_p.sum().backward()
    assert mean.grad.item() == pytest.approx(1000.0, rel=1e-5)  # the difference of two sigmoids is 0 there


def test_importance_bound():
    log_weights = torch.tensor([[0.0, 700.0], [math.log(3), 700.0]])
    assert_close(importance_bound(log_weights), torch.tensor([math.log(2), 700.0]))
    assert_close(importance_bound(log_weights[:1]), log_weights[0])


def test_importance_bound_never_falls_on_average_with_more_samples():
    log_weights = torch.randn(64, 20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    bounds = [importance_bound(log_weights[:k]).mean().item() for k in (1, 4, 16, 64)]
    assert bounds == sorted(bounds)
    assert bounds[-1] < 0.5  # the log of the mean of exp(N(0, 1))
    assert bounds[-1] == pytest.approx(0.5, abs=0.02)

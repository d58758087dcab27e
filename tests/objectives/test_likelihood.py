"""Likelihood terms against torch.distributions."""

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from torch.testing import assert_close

from gan_course.objectives.likelihood import bernoulli_nll, gaussian_kl, gaussian_nll


def test_bernoulli():
    logits, x = torch.randn(5, 1, 3, 3, dtype=torch.float64), torch.randint(2, (5, 1, 3, 3)).double()
    assert_close(bernoulli_nll(logits, x), -Independent(Bernoulli(logits=logits), 3).log_prob(x))
    assert bernoulli_nll(torch.tensor([[-1e4, 1e4]]), torch.tensor([[0.0, 1.0]])).item() == 0


@pytest.mark.parametrize("std", [0.1, 1.0, 3.0])
def test_gaussian(std):
    mean, x = torch.randn(2, 5, 4, dtype=torch.float64)
    assert_close(gaussian_nll(mean, x, std), -Independent(Normal(mean, std), 1).log_prob(x))


def test_kl():
    mean, log_variance = torch.randn(2, 7, 3, dtype=torch.float64)
    law = Normal(mean, (0.5 * log_variance).exp())
    assert_close(gaussian_kl(mean, log_variance), kl_divergence(law, Normal(0.0, 1.0)).sum(1))
    assert gaussian_kl(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0


def test_bad_std():
    with pytest.raises(ValueError, match=r"std=.* was given; it must be a finite number above 0"):
        gaussian_nll(torch.zeros(1, 2), torch.zeros(1, 2), 0.0)

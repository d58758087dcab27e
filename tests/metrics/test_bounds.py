"""Bounds on the likelihood, in a linear-Gaussian model whose likelihood is known, bits per dimension, and errors."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal
from torch.testing import assert_close

from gan_course import metrics

W, S = torch.tensor([[1.5], [0.5]], dtype=torch.float64), 0.5
MARGINAL = MultivariateNormal(torch.zeros(2, dtype=torch.float64), W @ W.T + S**2 * torch.eye(2, dtype=torch.float64))
PRECISION = float(1 + W.square().sum() / S**2)
X = MARGINAL.mean + torch.randn(2000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ (
    torch.linalg.cholesky(MARGINAL.covariance_matrix).T
)


def log_weights(wider=1.0, shift=0.0):
    """Of x = Wz + N(0, s²) with codes from the true posterior, or from one that is wider and off."""

    def draw(x):
        q = Normal(x @ W[:, 0] / S**2 / PRECISION + shift, math.sqrt(wider / PRECISION))
        z = q.sample()
        log_joint = Normal(z[:, None] * W[:, 0], S).log_prob(x).sum(1) + Normal(0.0, 1.0).log_prob(z)
        return log_joint - q.log_prob(z)

    return draw


def test_the_bound_is_tight_at_the_true_posterior():
    exact = MARGINAL.log_prob(X)
    for k in (1, 7):
        found = metrics.likelihood_bound(log_weights(), X, k)
        assert found.mean == pytest.approx(exact.mean().item(), abs=1e-9)
        assert found.standard_error == pytest.approx(exact.std().item() / math.sqrt(2000), rel=1e-9)
        assert (found.importance_samples, found.negative) == (k, -found.mean)


def test_one_draw_is_below_by_the_divergence_and_more_draws_approach_from_below():
    exact = MARGINAL.log_prob(X).mean().item()
    divergence = 0.5 * (4.0 - 1 - math.log(4.0))
    bounds = {k: metrics.likelihood_bound(log_weights(4.0), X, k).mean for k in (1, 2, 8, 64, 512)}
    assert bounds[1] == pytest.approx(exact - divergence, abs=0.06)
    assert list(bounds.values()) == sorted(bounds.values())
    assert bounds[64] < exact
    assert bounds[512] == pytest.approx(exact, abs=0.005)


def test_batches_change_the_draws_and_not_the_answer():
    all_at_once = metrics.likelihood_bound(log_weights(2.0), X, 100, batch_size=2000)
    in_batches = metrics.likelihood_bound(log_weights(2.0), X, 100, batch_size=77)
    assert in_batches.mean == pytest.approx(all_at_once.mean, abs=0.01)


def test_it_draws_by_its_seed_and_leaves_the_worlds_randomness_alone():
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    one, same, other = (metrics.likelihood_bound(log_weights(2.0), X, 1, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.randn(3), expected)
    assert one == same
    assert one != other


def test_it_reads_as_a_sentence():
    found = metrics.LikelihoodBound(-82.512, 0.241, 1)
    assert str(found) == "-82.51 ± 0.24 nats per sample (one draw of the code)"
    assert str(metrics.LikelihoodBound(-80.0, 0.2, 5000)).endswith("(5,000 draws of the code)")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(importance_samples=0), "importance_samples=0 was given; it must be a whole number of at least 1"),
        (dict(importance_samples=-5), "importance_samples=-5 was given"),
        (dict(batch_size=0), "batch_size=0 was given"),
        (dict(seed=-1), "seed=-1 was given"),
        (dict(data=X[:1]), "data holds 1 sample; allowed: at least 2"),
        (dict(data=X * math.nan), "data holds 4000 values that are NaN"),
        (dict(log_weights=lambda x: x), r"log_weights returned torch.float64 of shape \(500, 2\) for 500 samples"),
        (dict(log_weights=lambda x: 0.0), "log_weights returned float for 500 samples"),
        (dict(log_weights=lambda x: x[:, 0] / 0), "log_weights returned 500 values that are NaN or infinite, of 500"),
    ],
)
def test_bad_bounds(settings, message):
    with pytest.raises(ValueError, match=message):
        metrics.likelihood_bound(**{"log_weights": log_weights(), "data": X, **settings})


def test_bits_of_a_uniform_law_of_bytes():
    d = 12
    assert metrics.bits_per_dimension(-d * math.log(256), d) == pytest.approx(8.0)
    assert metrics.bits_per_dimension(0.0, d, levels=256) == pytest.approx(8.0)  # density 1 on the unit cube
    assert metrics.bits_per_dimension(d * math.log(2), d, 2) == pytest.approx(0.0)  # density 2 on a half


def test_noise_keeps_levels_apart_and_fills_their_cells():
    x = torch.arange(256.0).repeat(400, 1) / 255
    noisy = metrics.dequantised(x)
    assert noisy.dtype == torch.float32
    assert torch.equal((noisy * 256).floor(), x * 255)
    assert ((noisy >= 0) & (noisy < 1)).all()
    place = noisy * 256 - (noisy * 256).floor()
    assert_close(place.mean().item(), 0.5, atol=0.01, rtol=0)
    assert_close(place.var().item(), 1 / 12, atol=0.002, rtol=0)
    assert torch.equal(noisy, metrics.dequantised(x))
    assert not torch.equal(noisy, metrics.dequantised(x, seed=1))
    assert (metrics.dequantised(torch.ones(100_000, 1)) < 1).all()


def test_the_bound_by_noise_lies_below_the_discrete_likelihood():
    levels = torch.tensor([0.0, 1.0]).repeat(5000)[:, None]
    density = lambda x: torch.where(x < 0.3, 2.0, 0.4 / 0.7)  # noqa: E731  # of [0, 0.5): 0.6 + 0.2 · 4/7
    mass = [0.6 + 0.2 * 0.4 / 0.7, 0.5 * 0.4 / 0.7]
    exact = sum(math.log(p) for p in mass) / 2
    noisy = density(metrics.dequantised(levels, levels=2)).log().mean().item() - math.log(2)
    assert noisy < exact - 0.05


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.bits_per_dimension(-80.0, 0), "dimensions=0 was given"),
        (lambda: metrics.bits_per_dimension(math.nan, 784), "nats=nan was given; it must be a finite number"),
        (lambda: metrics.bits_per_dimension(-80.0, 784, 1), "levels=1 was given"),
        (
            lambda: metrics.dequantised(torch.full((2, 2), 0.5)),
            "images holds values between grey levels",
        ),
        (lambda: metrics.dequantised(torch.full((2, 2), 2.0)), "images has values from 2 to 2"),
        (lambda: metrics.dequantised(torch.zeros(2, 2), levels=1), "levels=1 was given"),
        (lambda: metrics.rmse(torch.zeros(2, 2), torch.full((2, 2), math.inf)), "reconstruction holds 4 values"),
    ],
)
def test_bad_bits_noise_and_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_rmse():
    x = torch.randn(50, 3, 4, 4)
    assert metrics.rmse(x, x) == 0
    assert metrics.rmse(x, x + 0.25) == pytest.approx(0.25, rel=1e-5)
    assert metrics.rmse(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])) == pytest.approx(math.sqrt(12.5))
    large = torch.full((2, 2), 1e200, dtype=torch.float64)
    assert metrics.rmse(torch.zeros_like(large), large) == pytest.approx(1e200)

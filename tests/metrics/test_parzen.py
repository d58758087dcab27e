import math
import sys

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.neighbors import KernelDensity

from gan_course.metrics import parzen, parzen_density


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("d", "width"), [(1, 0.3), (3, 2.0), (784, 0.1)])
def test_around_one_sample_it_is_one_gaussian(d, width):
    sample, x = normal(1, d), normal(5, d, seed=1)
    expected = stats.norm.logpdf(x.numpy(), sample.numpy(), width).sum(1)  # the sum over d, not the mean
    np.testing.assert_allclose(parzen_density(sample, x, width), expected, rtol=1e-10)


@pytest.mark.parametrize(("n", "d", "width"), [(300, 2, 0.1), (300, 64, 0.3), (200, 784, 0.3)])
def test_it_is_scikit_learns_density_with_one_leaf(n, d, width):
    """With more leaves than one scikit-learn's own answer is wrong in 64 and 784 dimensions."""
    generator = torch.Generator().manual_seed(0)
    s, x = (torch.rand(m, d, generator=generator, dtype=torch.float64) for m in (n, 50))
    theirs = KernelDensity(bandwidth=width, leaf_size=n).fit(s.numpy()).score_samples(x.numpy())
    np.testing.assert_allclose(parzen_density(s, x, width), theirs, rtol=1e-9)


def test_images_count_all_their_pixels():
    s, x = normal(20, 1, 4, 4), normal(9, 1, 4, 4, seed=1)
    torch.testing.assert_close(parzen_density(s, x, 0.5), parzen_density(s.flatten(1), x.flatten(1), 0.5))


def test_blocks_change_nothing(monkeypatch):
    s, x = normal(30, 3), normal(40, 3, seed=1)
    whole = parzen_density(s, x, 0.5)
    monkeypatch.setattr(sys.modules["gan_course.metrics.parzen"], "_MEMORY", 100)
    torch.testing.assert_close(parzen_density(s, x, 0.5), whole)


def test_enough_samples_give_the_density_they_come_from():
    s, test, validation = normal(20_000, 1), normal(2_000, 1, seed=1), normal(2_000, 1, seed=2)
    found = parzen(s, test, validation, bandwidths=[0.01, 0.03, 0.1, 0.3, 1.0])
    exact = float(torch.distributions.Normal(0, 1).log_prob(test).mean())
    assert found.mean == pytest.approx(exact, abs=0.01)
    assert found.standard_error == pytest.approx(0.5**0.5 / 2_000**0.5, rel=0.1)  # Var(x²/2) = ½


def test_ninety_nine_percent_of_noise_cost_log_100():
    """q' = q/100 + noise far away: every log density falls by log 100, whatever the dimension."""
    good = normal(50, 10)
    mixed = torch.cat([good, 1e3 + normal(99 * 50, 10, seed=2)])
    test = normal(40, 10, seed=1)
    torch.testing.assert_close(parzen_density(mixed, test, 0.5), parzen_density(good, test, 0.5) - math.log(100))


def test_the_bandwidth_is_the_best_of_the_validation_set_and_not_of_the_test_set():
    s, test, validation = normal(200, 2), 3 * normal(300, 2, seed=1), normal(300, 2, seed=2)
    grid = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    found = parzen(s, test, validation, bandwidths=grid)
    means = {width: float(parzen_density(s, validation, width).mean()) for width in grid}
    assert found.bandwidth == max(means, key=means.get) == 0.4
    assert dict(found.validation) == pytest.approx(means)
    densities = parzen_density(s, test, 0.4)
    assert found.mean == pytest.approx(float(densities.mean()))
    assert found.standard_error == pytest.approx(float(densities.std()) / 300**0.5)
    on_test = max(grid, key=lambda width: float(parzen_density(s, test, width).mean()))
    assert on_test != found.bandwidth
    assert str(found).endswith("nats per sample (bandwidth 0.4)")


def test_the_end_of_the_grid_is_warned_of():
    s, test, validation = normal(100, 2), normal(50, 2, seed=1), normal(50, 2, seed=2)
    with pytest.warns(UserWarning, match=r"the best of 2 bandwidths is the largest, 0.02; a better one may lie beyond"):
        parzen(s, test, validation, bandwidths=[0.01, 0.02])
    with pytest.warns(UserWarning, match="is the smallest, 5; "):
        parzen(s, test, validation, bandwidths=[5, 9])


def test_validation_must_not_be_the_test_set():
    s, test = normal(100, 2), normal(50, 2, seed=1)
    with pytest.raises(ValueError, match="validation holds nothing but points of test"):
        parzen(s, test, test.flip(0))
    with pytest.warns(UserWarning, match="validation shares 5 of its 45 points with test"):
        parzen(s, test, torch.cat([test[:5], normal(40, 2, seed=3)]))


S = torch.zeros(4, 2)
V = torch.ones(4, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(0, 2), S, V), "samples is empty"),
        ((S, S[:1], V), "test holds 1 sample; allowed: at least 2"),
        ((S, S, torch.zeros(4, 3)), r"samples has points of \(2,\) coordinates and validation of \(3,\)"),
        ((S, S, V / 0), "validation holds 8 values that are NaN"),
        ((S[:, 0], S[:, 0], V[:, 0]), r"samples has shape \(4,\)"),
        ((S, S, V, []), r"bandwidths=\[\] was given"),
        ((S, S, V, 0.3), "bandwidths=0.3 was given; allowed: a list"),
        ((S, S, V, [0.1, 0.0]), "bandwidths=0.0 was given; it must be"),
    ],
)
def test_bad_input(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        unchecked(parzen)(*arguments)


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan"), 1e-200])
def test_bad_bandwidths(width):
    with pytest.raises(ValueError, match=r"^bandwidth="):
        parzen_density(S, V, width)

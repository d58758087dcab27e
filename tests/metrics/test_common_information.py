"""Mutual and common information: published values, bounds, and minima found by search over tables and linear models."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from gan_course import metrics

LOG2 = math.log(2)


def entropy(t):
    return 0.0 if t in (0, 1) else -t * math.log(t) - (1 - t) * math.log(1 - t)


def pair(p):
    """The doubly symmetric binary source."""
    return torch.tensor([[1 - p, p], [p, 1 - p]], dtype=torch.float64) / 2


# Mutual information


def test_mutual_information_of_tables():
    assert metrics.mutual_information(torch.full((3, 4), 1 / 12)) == pytest.approx(0, abs=1e-7)
    assert metrics.mutual_information(torch.eye(5) / 5) == pytest.approx(math.log(5))
    for p in (0.0, 0.1, 0.3, 0.5):
        assert metrics.mutual_information(pair(p)) == pytest.approx(LOG2 - entropy(p), abs=1e-12)


def test_mutual_information_is_the_divergence_from_independence():
    table = torch.rand(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    table /= table.sum()
    product = table.sum(1)[:, None] * table.sum(0)
    assert metrics.mutual_information(table) == pytest.approx(float((table * (table / product).log()).sum()), rel=1e-12)
    assert metrics.mutual_information(table) == pytest.approx(metrics.mutual_information(table.T), rel=1e-12)


def test_mutual_information_of_normal_numbers():
    for rho in (-0.8, 0.0, 0.3, 0.999):
        sigma = torch.tensor([[4.0, 2 * rho], [2 * rho, 1.0]], dtype=torch.float64)
        assert metrics.gaussian_mutual_information(sigma, 1) == pytest.approx(-0.5 * math.log(1 - rho**2), abs=1e-12)


def test_mutual_information_of_normal_vectors_by_the_chain_rule():
    """I(X, Y; Z) = I(X; Z) + I(Y; Z | X), the second by the conditional covariance."""
    root = torch.randn(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sigma = root @ root.T
    first = metrics.gaussian_mutual_information(sigma[[0, 2, 3]][:, [0, 2, 3]], 1)
    rest = sigma[1:, 1:] - sigma[1:, :1] @ sigma[:1, 1:] / sigma[0, 0]
    assert metrics.gaussian_mutual_information(sigma, 2) == pytest.approx(
        first + metrics.gaussian_mutual_information(rest, 1), rel=1e-9
    )


def test_a_normal_pair_on_a_fine_grid_is_the_table_that_it_should_be():
    grid = torch.linspace(-5, 5, 201, dtype=torch.float64)
    x, y = grid[:, None], grid[None]
    density = (-(x**2 - 2 * 0.6 * x * y + y**2) / (2 * (1 - 0.6**2))).exp()
    found = metrics.mutual_information(density / density.sum())
    assert found == pytest.approx(metrics.gaussian_mutual_information(torch.tensor([[1, 0.6], [0.6, 1]]), 1), abs=1e-4)


# Common information: values and bounds


def test_published_values():
    """Bits for the binary pair, nats for the normal one."""
    assert metrics.binary_common_information(0.1) / LOG2 == pytest.approx(0.8728, abs=5e-5)
    assert metrics.mutual_information(pair(0.1)) / LOG2 == pytest.approx(0.5310, abs=5e-5)
    assert metrics.gaussian_common_information(0.8) == pytest.approx(math.log(3), rel=1e-12)
    assert metrics.gaussian_common_information(-0.8) == metrics.gaussian_common_information(0.8)


def test_it_lies_between_the_mutual_information_and_the_entropy():
    for p in np.linspace(0.01, 0.49, 25):
        assert metrics.mutual_information(pair(p)) < metrics.binary_common_information(p) < LOG2
    for rho in np.linspace(0.02, 0.98, 25):
        sigma = torch.tensor([[1, rho], [rho, 1]], dtype=torch.float64)
        assert metrics.gaussian_mutual_information(sigma, 1) < metrics.gaussian_common_information(rho)


def test_the_ends():
    assert metrics.binary_common_information(0.5) == pytest.approx(0, abs=1e-12)  # independent
    assert metrics.binary_common_information(0) == LOG2  # one and the same bit
    assert metrics.gaussian_common_information(0) == 0
    assert metrics.binary_common_information(1e-12) == pytest.approx(LOG2, abs=1e-10)


def test_wyners_construction_reaches_it():
    """The best Z of both cases, put into the mutual information."""
    for p in (0.05, 0.1, 0.3):
        a = (1 - math.sqrt(1 - 2 * p)) / 2
        channel = torch.tensor([[1 - a, a], [a, 1 - a]], dtype=torch.float64)
        table = torch.einsum("zx,zy->xyz", channel, channel) / 2
        assert torch.allclose(table.sum(2), pair(p), atol=1e-12)
        assert metrics.mutual_information(table.flatten(0, 1)) == pytest.approx(metrics.binary_common_information(p))
    for rho in (0.2, 0.8):
        a = math.sqrt(rho)
        sigma = torch.tensor([[1, rho, a], [rho, 1, a], [a, a, 1]], dtype=torch.float64)
        assert metrics.gaussian_mutual_information(sigma, 2) == pytest.approx(metrics.gaussian_common_information(rho))


# Common information: searched for


def searched(objective, equal, starts, bounds):
    """The values of all feasible ends of a search under constraints, from each of the starts."""
    found = []
    for start in starts:
        end = minimize(
            objective,
            start,
            method="SLSQP",
            bounds=bounds,
            constraints={"type": "eq", "fun": equal},
            options={"maxiter": 300, "ftol": 1e-12},
        )
        if np.abs(equal(end.x)).max() < 1e-7:
            found.append(objective(end.x))
    return np.array(found)


@pytest.mark.parametrize("states", [2, 3])
@pytest.mark.parametrize("p", [0.1, 0.3])
def test_no_table_of_a_third_variable_knows_less(p, states):
    """Over p(z), p(x|z), p(y|z) with the pair's law: the least that is found is the closed form, for 2 states and 3."""
    target = pair(p).numpy()

    def table(w):
        z, x, y = w[:states], w[states : 2 * states], w[2 * states :]
        return np.einsum("z,xz,yz->xyz", z, np.stack([1 - x, x]), np.stack([1 - y, y]))

    def information(w):
        full = np.maximum(table(w), 1e-300)
        xy, z = full.sum(2, keepdims=True), full.sum((0, 1), keepdims=True)
        return float((full * np.log(full / (xy * z))).sum())

    def gap(w):
        return np.append((table(w).sum(2) - target).flatten()[:3], w[:states].sum() - 1)

    generator = np.random.default_rng(0)
    found = searched(information, gap, generator.uniform(0.05, 0.95, (12, 3 * states)), [(1e-9, 1 - 1e-9)] * 3 * states)
    assert len(found) >= 6
    assert found.min() == pytest.approx(metrics.binary_common_information(p), abs=2e-5)


def linear(w, d):
    """The covariance of (x, y, z) with x = a·z + s u, y = b·z + t v, z of d coordinates."""
    a, b, s, t = w[:d], w[d : 2 * d], w[-2], w[-1]
    maps = torch.cat([torch.stack([a, b]), torch.eye(d, dtype=w.dtype)])
    own = torch.cat([s[None] ** 2, t[None] ** 2, w.new_zeros(d)])
    return maps @ maps.T + own.diag()


def known(sigma):
    """I(X, Y; Z) as a tensor, with its slope."""
    return 0.5 * (torch.logdet(sigma[:2, :2]) + torch.logdet(sigma[2:, 2:]) - torch.logdet(sigma))


RHO = 0.8
DATA = torch.tensor([[1, RHO], [RHO, 1]], dtype=torch.float64)


@pytest.mark.parametrize("d", [1, 2])
def test_no_linear_model_of_the_normal_pair_knows_less(d):
    """One direction has to stand still for d = 1: there all models of the pair are a curve. For 2 they are many."""

    def value(w):
        return float(known(linear(torch.tensor(w), d)))

    def gap(w):
        sigma = linear(torch.tensor(w), d)
        return (sigma[:2, :2] - DATA)[[0, 0, 1], [0, 1, 1]].numpy()

    starts = np.random.default_rng(1).uniform(0.2, 0.95, (8, 2 * d + 2))
    found = searched(value, gap, starts, [(-1, 1)] * 2 * d + [(0.01, 1)] * 2)
    assert len(found) >= 4
    assert found.min() == pytest.approx(metrics.gaussian_common_information(RHO), abs=1e-5)


def symmetric_kl(a, b):
    """Of two centred normal laws, from their covariances."""
    return 0.5 * (torch.trace(torch.linalg.solve(a, b)) + torch.trace(torch.linalg.solve(b, a))) - len(a)


def trained(weight, d, seed):
    """Divergence from the pair and I(X, Y; Z) of the linear model that minimises divergence + weight · information."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.rand(2 * d + 2, generator=generator, dtype=torch.float64).mul(0.6).add(0.2).requires_grad_(True)
    search = torch.optim.LBFGS(
        [w], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-15, line_search_fn="strong_wolfe"
    )

    def loss():
        search.zero_grad()
        sigma = linear(w, d)
        value = symmetric_kl(DATA, sigma[:2, :2]) + weight * known(sigma)
        value.backward()
        return value

    search.step(loss)
    sigma = linear(w.detach(), d)
    return float(symmetric_kl(DATA, sigma[:2, :2])), metrics.gaussian_mutual_information(sigma, 2)


@pytest.mark.parametrize("d", [1, 2])
def test_the_regularised_model_comes_from_below_as_its_weight_vanishes(d):
    """I(X, Y; Z) falls as the weight grows, below C too, since matching then gives way."""
    best = metrics.gaussian_common_information(RHO)
    found = [trained(weight, d, seed=0) for weight in (0.003, 0.01, 0.03, 0.1, 0.3)]
    gaps, informations = zip(*found, strict=True)
    assert list(gaps) == sorted(gaps)
    assert list(informations) == sorted(informations, reverse=True)
    assert max(informations) < best
    assert informations[0] == pytest.approx(best, rel=0.01)
    assert informations[-1] < 0.95 * best


def test_without_the_regulariser_the_model_stays_above():
    """Every exact model of the pair knows at least C; where it ends is the start's affair."""
    best = metrics.gaussian_common_information(RHO)
    found = [trained(0.0, 2, seed) for seed in range(8)]
    assert max(gap for gap, _ in found) < 1e-8
    informations = [information for _, information in found]
    assert min(informations) >= best - 1e-3
    assert max(informations) > 1.05 * best


# Bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.mutual_information(torch.ones(2, 2)), "table has smallest entry 1 and sum 4; .*Divide counts"),
        (lambda: metrics.mutual_information(torch.tensor([[1.5, -0.5]])), "smallest entry -0.5"),
        (lambda: metrics.gaussian_mutual_information(torch.eye(1), 1), r"covariance has shape \(1, 1\)"),
        (lambda: metrics.gaussian_mutual_information(torch.eye(3), 3), "first=3 was given; .* at most 2"),
        (lambda: metrics.gaussian_mutual_information(torch.ones(2, 2), 1), "smallest eigenvalue .* add noise"),
        (lambda: metrics.gaussian_mutual_information(-torch.eye(2), 1), "covariance has a variance of -1"),
        (lambda: metrics.gaussian_mutual_information(torch.tensor([[1, 0.5], [0, 1]]), 1), "not symmetric"),
        (lambda: metrics.gaussian_common_information(1), "correlation=1 was given; it must be a number above -1"),
        (lambda: metrics.gaussian_common_information(math.nan), "correlation=nan was given"),
        (lambda: metrics.binary_common_information(0.6), "crossover=0.6 was given; .* at most 0.5"),
        (lambda: metrics.binary_common_information(-0.1), "crossover=-0.1 was given"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

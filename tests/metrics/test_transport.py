import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from gan_course.metrics import transport_plan, wasserstein


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def programme(x, y, order):
    """The transport problem as a linear programme, solved by SciPy."""
    n, m = len(x), len(y)
    cost = np.linalg.norm(x.numpy()[:, None] - y.numpy()[None], axis=-1) ** order
    rows, columns = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    marginals = np.concatenate([np.full(n, 1 / n), np.full(m, 1 / m)])
    solved = linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=marginals, method="highs")
    assert solved.status == 0
    return solved.fun ** (1 / order)


@pytest.mark.parametrize("order", [1, 2, 3.5])
@pytest.mark.parametrize("column", [False, True])
def test_on_the_line_it_is_the_sorted_formula(order, column):
    x, y = normal(200), 2 * normal(200, seed=1) + 0.3
    expected = float((x.sort().values - y.sort().values).abs().pow(order).mean() ** (1 / order))
    if column:
        x, y = x[:, None], y[:, None]
    assert wasserstein(x, y, order) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_numbers_of_unequal_count(order):
    # Each of 2 numbers stands for 3 of 6.
    x, y = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0, 4.0])
    expected = ((0 + 0 + 0.5**order + 0 + 0 + 3**order) / 6) ** (1 / order)
    assert wasserstein(x, y, order) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("order", [1, 1.5, 2])
@pytest.mark.parametrize(("n", "m"), [(9, 9), (7, 12)])
def test_in_the_plane_it_is_the_linear_programme(order, n, m):
    x, y = normal(n, 2), normal(m, 2, seed=1) + 0.5
    assert wasserstein(x, y, order) == pytest.approx(programme(x, y, order), rel=1e-9)


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_translation_costs_its_length(order, d):
    x, shift = normal(100, d), normal(d, seed=2)
    assert wasserstein(x, x + shift, order) == pytest.approx(float(shift.norm()), rel=1e-9)


def test_two_point_masses():
    assert wasserstein(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])) == pytest.approx(5.0)


@pytest.mark.parametrize("d", [1, 3])
def test_equal_sets_in_any_order_are_at_distance_zero(d):
    x = normal(50, d)
    assert wasserstein(x, x.flip(0)) == pytest.approx(0, abs=1e-12)


def test_it_is_symmetric_scales_and_grows_with_the_order():
    x, y = normal(60, 2), normal(80, 2, seed=1) * 2
    first = wasserstein(x, y)
    assert wasserstein(y, x) == pytest.approx(first)
    assert wasserstein(3 * x, 3 * y) == pytest.approx(3 * first)
    assert first < wasserstein(x, y, 2) < wasserstein(x, y, 4)


def test_gaussians_on_the_line_approach_the_closed_form():
    # W_2² = (m1 - m2)² + (s1 - s2)²
    x, y = normal(100_000), 2 + 3 * normal(100_000, seed=1)
    assert wasserstein(x, y, 2) ** 2 == pytest.approx(4 + 4, rel=0.02)
    x, y = normal(100_000), normal(100_000, seed=1) - 2
    assert wasserstein(x, y) == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(4, 2), torch.zeros(4, 3)), r"x has points of \(2,\) coordinates and y of \(3,\)"),
        ((torch.zeros(4), torch.zeros(4, 3)), r"x has points of \(1,\) coordinates and y of \(3,\)"),
        ((torch.zeros(2, 1, 28, 28), torch.zeros(2, 1, 28, 28)), r"x has shape \(2, 1, 28, 28\).*flatten\(1\)"),
        ((torch.zeros(4, 2), torch.zeros(0, 2)), "y is empty"),
        ((torch.zeros(4, 2), torch.full((1, 2), float("inf"))), "y holds 2 values that are NaN or infinite"),
        ((torch.zeros(4), torch.zeros(4), 0.5), "order=0.5; allowed: from 1 to 16"),
        ((torch.zeros(4), torch.zeros(4), float("inf")), "order=inf was given; it must be .* at most 16"),
        ((torch.zeros(4), torch.zeros(4), float("nan")), "order=nan was given; it must be"),
        ((torch.zeros(4), torch.zeros(4), "two"), "order='two' was given; it must be"),
    ],
)
def test_bad_input(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        unchecked(wasserstein)(*arguments)


# Histograms


def shares(n, seed, empty=()):
    p = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    p[list(empty)] = 0
    return p / p.sum()


def highs(p, q, costs):
    """The least cost, by SciPy."""
    n, m = costs.shape
    rows, columns = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    solved = linprog(costs.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([p, q]), method="highs")
    assert solved.status == 0
    return solved.fun


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e12])
@pytest.mark.parametrize(("empty_p", "empty_q"), [((), ()), ((0, 3), (1, 5))])
def test_the_best_plan_and_its_proof(empty_p, empty_q, scale):
    p, q = shares(5, 0, empty_p), shares(7, 1, empty_q)
    costs = normal(5, 7, seed=2)
    found = transport_plan(p, q, scale * costs)
    assert (found.plan >= 0).all()
    torch.testing.assert_close(found.plan.sum(1), p)
    torch.testing.assert_close(found.plan.sum(0), q)
    assert found.cost / scale == pytest.approx(highs(p, q, costs.numpy()), rel=1e-9)
    slack = costs - (found.source[:, None] + found.target) / scale
    assert slack.min() > -1e-12  # feasible at every pair, of empty places too
    assert slack[found.plan > 0].abs().max() < 1e-12  # complementary slackness
    assert float(p @ found.source + q @ found.target) / scale == pytest.approx(found.cost / scale, rel=1e-9)


def test_on_the_line_the_cost_is_the_area_between_the_distribution_functions():
    p, q, x = shares(30, 0), shares(30, 1), torch.arange(30, dtype=torch.float64) / 4
    found = transport_plan(p, q, (x[:, None] - x).abs())
    assert found.cost == pytest.approx(float((p - q).cumsum(0).abs().sum() / 4), rel=1e-12)
    torch.testing.assert_close(found.source, -found.target)  # one function for both: the critic
    assert found.source.diff().abs().max() <= 0.25 + 1e-12


def test_samples_are_histograms_with_equal_shares():
    x, y = normal(8, 2), normal(6, 2, seed=1)
    found = transport_plan(torch.full((8,), 1 / 8), torch.full((6,), 1 / 6), torch.cdist(x, y))
    assert found.cost == pytest.approx(wasserstein(x, y), rel=1e-6)  # the shares are in single precision


HALVES, SQUARE = torch.tensor([0.5, 0.5]), torch.ones(2, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2 * HALVES, HALVES, SQUARE), "p has smallest entry 1 and sum 2.*Divide counts"),
        ((HALVES, torch.tensor([1.5, -0.5]), SQUARE), "q has smallest entry -0.5"),
        ((HALVES, HALVES, torch.ones(2, 3)), r"costs has shape \(2, 3\), p has 2 places and q has 2; .*shape \(2, 2\)"),
        ((HALVES, HALVES, SQUARE / 0), "costs holds 4 values that are NaN or infinite"),
        ((HALVES, HALVES, SQUARE.long()), "costs has dtype torch.int64"),
        ((HALVES, HALVES, 1e200 * SQUARE.double()), "costs has values as large as 1e.200"),
        ((SQUARE, HALVES, SQUARE), r"p has shape \(2, 2\)"),
    ],
)
def test_bad_histograms(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        unchecked(transport_plan)(*arguments)

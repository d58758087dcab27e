import warnings

import numpy as np
import pytest
import scipy.linalg
import torch

from gan_course.metrics import frechet, frechet_distance, frechet_gaussians, wasserstein


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def covariance(d, seed, rank=None):
    root = normal(d, rank or d, seed=seed)
    return root @ root.T


def test_on_the_line_it_is_the_closed_form():
    m1, s1, m2, s2 = 0.5, 1.5, -1.0, 0.25
    one = torch.ones(1, 1, dtype=torch.float64)
    measured = frechet_gaussians(m1 * one[0], s1**2 * one, m2 * one[0], s2**2 * one)
    assert measured == pytest.approx((m1 - m2) ** 2 + (s1 - s2) ** 2, rel=1e-12)


@pytest.mark.parametrize("d", [2, 5, 30])
def test_it_is_the_formula_with_scipys_root(d):
    mean_a, mean_b, a, b = normal(d, seed=1), normal(d, seed=2), covariance(d, 3), covariance(d, 4)
    root = scipy.linalg.sqrtm((a @ b).numpy())
    expected = float((mean_a - mean_b).square().sum() + a.trace() + b.trace() - 2 * np.trace(root).real)
    assert frechet_gaussians(mean_a, a, mean_b, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_gaussians(mean_b, b, mean_a, a) == pytest.approx(expected, rel=1e-9)


def test_commuting_covariances():
    basis = torch.linalg.qr(normal(6, 6)).Q
    p, q = normal(6, seed=1).abs(), normal(6, seed=2).abs()
    zero = torch.zeros(6, dtype=torch.float64)
    measured = frechet_gaussians(zero, basis @ p.diag() @ basis.T, zero, basis @ q.diag() @ basis.T)
    assert measured == pytest.approx(float((p.sqrt() - q.sqrt()).square().sum()), rel=1e-9)  # ‖Σ_a^½ - Σ_b^½‖_F²


@pytest.mark.parametrize("rank", [1, 3, 10])
def test_singular_covariances(rank):
    mean, a = normal(10, seed=1), covariance(10, 2, rank)
    size = float(a.trace())
    assert frechet_gaussians(mean, a, mean, a) == pytest.approx(0, abs=1e-7 * size)
    assert frechet_gaussians(mean, a, mean, 4 * a) == pytest.approx(size, rel=1e-6)  # (2 - 1)² tr Σ
    assert frechet_gaussians(mean, a, mean, 0 * a) == pytest.approx(size, rel=1e-9)  # a point mass


def test_between_gaussians_it_is_the_squared_wasserstein_distance():
    x = normal(1500, 2)
    y = normal(1500, 2, seed=1) @ torch.tensor([[2.0, 0.5], [0.0, 0.5]], dtype=torch.float64) + 3
    assert wasserstein(x, y, 2) ** 2 == pytest.approx(frechet_distance(x, y), rel=0.02)


def test_equal_features_are_at_distance_zero():
    x = normal(500, 20) * torch.logspace(-3, 3, 20, dtype=torch.float64)
    total = float(x.var(0).sum())
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9 * total)
    assert frechet_distance(x, x.flip(0)) == pytest.approx(0, abs=1e-9 * total)
    assert frechet_distance(x, x) >= 0


def test_a_shift_costs_its_square():
    x, shift = normal(300, 8) @ normal(8, 8, seed=3), normal(8, seed=1)
    assert frechet_distance(x, x + shift) == pytest.approx(float(shift.square().sum()), rel=1e-8)


@pytest.mark.parametrize("c", [0.0, 0.5, 3.0])
def test_a_scale_costs_what_the_formula_says(c):
    x = normal(300, 8) @ normal(8, 8, seed=3) + normal(8, seed=1)
    size = x.mean(0).square().sum() + torch.cov(x.T).trace()
    assert frechet_distance(x, c * x) == pytest.approx((c - 1) ** 2 * float(size), rel=1e-9)


def test_a_rotation_of_both_changes_nothing():
    turn = torch.linalg.qr(normal(8, 8, seed=5)).Q
    x, y = normal(300, 8), normal(200, 8, seed=1) * 2 + 1
    assert frechet_distance(x @ turn, y @ turn) == pytest.approx(frechet_distance(x, y), rel=1e-9)


@pytest.mark.parametrize(("n", "expected"), [(64, 13.2), (256, 6.2), (1024, 4.6), (8192, 4.07)])
def test_the_estimate_is_biased_upwards(n, expected):
    """32 dimensions, true distance 4: the numbers that the docstring quotes."""
    measured = []
    for seed in range(4):
        x, y = normal(n, 32, seed=seed), normal(n, 32, seed=1000 + seed)
        y[:, 0] += 2
        measured.append(frechet_distance(x, y))
    assert sum(measured) / 4 == pytest.approx(expected, rel=0.06)


def test_features_in_single_precision():
    x, y = normal(400, 10), normal(400, 10, seed=1) + 0.5
    assert frechet_distance(x.float(), y.float()) == pytest.approx(frechet_distance(x, y), rel=1e-5)


@pytest.mark.parametrize(("n", "warned"), [(5, True), (8, True), (9, False)])
def test_a_warning_where_the_covariance_must_be_singular(n, warned, unchecked, monkeypatch):
    for name in ("between_sets", "enough"):  # no frames between it and its caller
        monkeypatch.setattr(frechet, name, unchecked(getattr(frechet, name)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        unchecked(frechet_distance)(normal(100, 8), normal(n, 8, seed=1))
    assert [f"features_b holds {n} samples of 8 features" in str(w.message) for w in caught] == [True] * warned
    if warned:
        assert caught[0].filename == __file__


EYE, ZERO = torch.eye(2), torch.zeros(2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (ZERO, torch.tensor([[1.0, 0.5], [0.4, 1.0]]), ZERO, EYE),
            "covariance_a differs from its transpose by up to 0.1",
        ),
        ((ZERO, EYE, ZERO, torch.diag(torch.tensor([1.0, -0.5]))), "covariance_b has the eigenvalue -0.5; allowed"),
        ((ZERO, torch.zeros(2, 3), ZERO, EYE), r"covariance_a has shape \(2, 3\); allowed"),
        ((ZERO, EYE, ZERO, torch.eye(3)), r"shapes \(2,\), \(2, 2\), \(2,\), \(3, 3\).*with the same d"),
        ((torch.zeros(3), EYE, ZERO, EYE), r"shapes \(3,\), \(2, 2\)"),
        ((ZERO, EYE * float("nan"), ZERO, EYE), "covariance_a holds 4 values that are NaN"),
    ],
)
def test_bad_gaussians(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        unchecked(frechet_gaussians)(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (torch.zeros(5, 2), torch.zeros(5, 3)),
            r"features_a has points of \(2,\) coordinates and features_b of \(3,\)",
        ),
        ((torch.zeros(1, 2), torch.zeros(5, 2)), "features_a holds 1 sample; allowed: at least 2"),
        ((torch.zeros(5, 2), torch.zeros(0, 2)), "features_b is empty"),
        ((torch.zeros(5, 2), torch.zeros(5, 2) / 0), "features_b holds 10 values that are NaN"),
        ((torch.zeros(5, 1, 28, 28), torch.zeros(5, 1, 28, 28)), r"features_a has shape \(5, 1, 28, 28\)"),
    ],
)
def test_bad_features(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        unchecked(frechet_distance)(*arguments)

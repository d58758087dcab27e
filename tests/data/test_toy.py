"""Toy distributions: their statistics against closed forms, their seeds, their checks.

Tolerances are five standard errors of the statistic: an honest sampler exceeds one in 1.7 million times.
"""

import inspect
import math

import numpy as np
import pytest
import torch

from gan_course.data import toy

N = 40_000
SAMPLERS = [toy.ring, toy.grid, toy.spiral, toy.two_moons, toy.mixture, toy.point_masses]
NOISY = [toy.ring, toy.grid, toy.spiral, toy.two_moons]


def unchecked(function):
    """The function as users have it: the tests run with shapes and types checked, which would be faster to complain."""
    return inspect.unwrap(function)


def within(share: float, expected: float, n: int) -> bool:
    """Is a share of `n` independent draws within five standard errors of what is expected?"""
    return abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / n)


def assert_ring(centers: torch.Tensor, modes: int, radius: float) -> None:
    """Distinct, on the circle, evenly spread: each neighbour at distance 2 r sin(π / K)."""
    assert centers.shape == (modes, 2)
    torch.testing.assert_close(centers.norm(dim=1), torch.full((modes,), radius))
    distances = torch.cdist(centers, centers) + torch.eye(modes) * 1e9
    nearest = torch.full((modes,), 2 * radius * math.sin(math.pi / modes))
    torch.testing.assert_close(distances.min(dim=1).values, nearest, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("modes", [2, 3, 8, 25])
@pytest.mark.parametrize("radius", [0.5, 2.0])
def test_ring_centers_are_evenly_spread(modes, radius):
    assert_ring(toy.ring_centers(modes, radius), modes, radius)


def test_ring_whose_end_point_repeats_is_found_out():
    """A widely copied bug: angles from 0 to 2π inclusive give seven modes, one of them with double weight."""

    def wrong_centers(modes, radius):
        angles = torch.linspace(0, 2 * math.pi, modes)
        return radius * torch.stack([angles.cos(), angles.sin()], dim=1)

    assert_ring(toy.ring_centers(8, 2.0), 8, 2.0)
    with pytest.raises(AssertionError):
        assert_ring(wrong_centers(8, 2.0), 8, 2.0)
    assert len({tuple((c * 1e3).round().int().tolist()) for c in wrong_centers(8, 2.0)}) == 7


def assert_modes(points: torch.Tensor, centers: torch.Tensor, std: float) -> None:
    """Equal shares, and in each mode a round Gaussian: 1 − exp(−t² / 2) of it lies within t standard deviations."""
    distances, nearest = torch.cdist(points, centers).min(dim=1)
    n, modes = len(points), len(centers)
    for count in nearest.bincount(minlength=modes).tolist():
        assert within(count / n, 1 / modes, n)
    for t in (0.5, 1.0, 2.0, 3.0):
        share = (distances < t * std).float().mean().item()
        assert within(share, 1 - math.exp(-(t**2) / 2), n)
    residual = points - centers[nearest]
    assert residual.mean(dim=0).abs().max() < 5 * std / math.sqrt(n)
    covariance = residual.T.cov()
    torch.testing.assert_close(covariance, std**2 * torch.eye(2), rtol=0, atol=5 * std**2 * math.sqrt(2 / n))


def test_ring_is_eight_gaussians_of_equal_weight():
    points = toy.ring(N)
    assert_modes(points, toy.ring_centers(), 0.05)
    radius = toy.ring_centers().norm(dim=1)
    torch.testing.assert_close(radius, torch.full((8,), 2.0))
    share = (torch.cdist(points, toy.ring_centers()).min(dim=1).values < 3 * 0.05).float().mean().item()
    assert within(share, 0.98889, N)  # the share that perfect samples have under the 3σ rule


def test_ring_obeys_its_arguments():
    assert_modes(toy.ring(N, modes=5, radius=3.0, std=0.2, seed=1), toy.ring_centers(5, 3.0), 0.2)


def test_unequal_shares_are_found_out():
    """The ring with the repeated end point again, this time by its samples: what `assert_modes` is for."""
    angles = torch.linspace(0, 2 * math.pi, 8)
    wrong = 2.0 * torch.stack([angles.cos(), angles.sin()], dim=1)
    generator = torch.Generator().manual_seed(0)
    points = wrong[torch.randint(8, (N,), generator=generator)] + 0.05 * torch.randn(N, 2, generator=generator)
    with pytest.raises(AssertionError):
        assert_modes(points, wrong[:7], 0.05)


def test_grid_is_25_gaussians_of_equal_weight():
    centers = toy.grid_centers()
    expected = {(float(x), float(y)) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert {tuple(center) for center in centers.tolist()} == expected
    assert_modes(toy.grid(N), centers, 0.05)


def test_grid_obeys_its_arguments():
    centers = toy.grid_centers(side=2, spacing=3.0)
    assert {tuple(center) for center in centers.tolist()} == {(-1.5, -1.5), (-1.5, 1.5), (1.5, -1.5), (1.5, 1.5)}
    assert_modes(toy.grid(N, side=2, spacing=3.0, std=0.1), centers, 0.1)
    assert toy.grid_centers(side=1).tolist() == [[0.0, 0.0]]


def test_spiral_without_noise_lies_on_its_curve():
    points = toy.spiral(N, turns=1.5, radius=3.0, std=0.0).double()
    r = points.norm(dim=1)
    angle = 2 * math.pi * 1.5 * r / 3.0
    expected = torch.stack([r * angle.cos(), r * angle.sin()], dim=1)
    torch.testing.assert_close(points, expected, atol=2e-5, rtol=0)
    for edge in (0.5, 1.0, 2.0, 2.5):  # P(r < edge) = (edge / radius)²
        assert within((r < edge).double().mean().item(), (edge / 3.0) ** 2, N)


def test_spiral_has_its_second_moment():
    squares = toy.spiral(N, radius=2.0, std=0.3).square().sum(dim=1)
    assert abs(squares.mean() - (2.0**2 / 2 + 2 * 0.3**2)) < 5 * squares.std() / math.sqrt(N)


def test_two_moons_without_noise_lie_on_two_half_circles():
    points = toy.two_moons(N, std=0.0)
    upper = ((points - torch.tensor([0.0, 0.0])).norm(dim=1) - 1).abs() < 1e-5
    lower = ((points - torch.tensor([1.0, 0.5])).norm(dim=1) - 1).abs() < 1e-5
    upper &= points[:, 1] >= -1e-6
    lower &= points[:, 1] <= 0.5 + 1e-6
    assert (upper | lower).all()
    assert within(upper.float().mean().item(), 0.5, N)
    # Angles are uniform: a quarter of the upper moon lies right of cos(π/4).
    assert within((points[upper][:, 0] > math.cos(math.pi / 4)).float().mean().item(), 0.25, int(upper.sum()))
    # Scikit-learn's moons, without noise, have our points within the distance of their neighbours.
    from sklearn.datasets import make_moons

    theirs = torch.as_tensor(make_moons(4000, noise=None)[0], dtype=torch.float32)
    assert torch.cdist(points[:2000], theirs).min(dim=1).values.max() < 2 * math.pi / 2000


def test_two_moons_have_their_mean_and_noise():
    points = toy.two_moons(N, std=0.1)
    error = points.std(dim=0) / math.sqrt(N)
    assert ((points.mean(dim=0) - torch.tensor([0.5, 0.25])).abs() < 5 * error).all()
    residual = points - toy.two_moons(N, std=0.0)  # the same seed: the same places without the noise
    assert abs(residual.std() - 0.1) < 5 * 0.1 / math.sqrt(4 * N)


def test_mixture_has_its_moments_and_its_distribution():
    means, stds, weights = [-2.0, 0.5, 3.0], [0.3, 1.0, 0.1], [0.2, 0.5, 0.3]
    points = toy.mixture(N, means=means, stds=stds, weights=weights)
    assert points.shape == (N, 1)
    m, s, w = map(np.array, (means, stds, weights))
    mean = (w * m).sum()
    variance = (w * (s**2 + m**2)).sum() - mean**2
    assert abs(points.mean() - mean) < 5 * math.sqrt(variance / N)
    fourth = ((points - mean) ** 4).mean().item()
    assert abs(points.var() - variance) < 5 * math.sqrt((fourth - variance**2) / N)
    for edge in (-2.3, -2.0, 0.0, 1.0, 2.9, 3.05):
        below = sum(
            wk * 0.5 * (1 + math.erf((edge - mk) / sk / math.sqrt(2))) for mk, sk, wk in zip(m, s, w, strict=True)
        )
        assert within((points < edge).float().mean().item(), below, N)


def test_mixture_by_default_has_equal_weights():
    points = toy.mixture(N)
    assert within((points > 0).float().mean().item(), 0.5, N)
    assert abs(points.abs().mean() - 1) < 5 * 0.25 / math.sqrt(N)


@pytest.mark.parametrize("points", [(-1.0, 1.0, 5.0), [[0.0, 0.0], [1.0, 2.0], [3.0, -1.0]]])
def test_point_masses_have_their_weights_and_no_other_points(points):
    weights = [0.5, 0.4, 0.1]
    drawn = toy.point_masses(N, points=points, weights=weights)
    places = torch.tensor(points).reshape(3, -1)
    assert drawn.shape == (N, places.shape[1])
    hits = (drawn[:, None] == places).all(dim=2)
    assert (hits.sum(dim=1) == 1).all()
    for share, weight in zip(hits.float().mean(dim=0).tolist(), weights, strict=True):
        assert within(share, weight, N)


def test_one_point_mass_is_a_constant():
    assert (toy.point_masses(100, points=[0.7]) == torch.tensor(0.7)).all()
    assert toy.point_masses(1000, points=[1.0, 2.0], weights=[0.0, 1.0]).unique().tolist() == [2.0]  # a weight of zero


# --- What all have in common ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_are_seeded_float32_and_leave_the_random_state_alone(sampler):
    before = torch.get_rng_state()
    first, same, other = sampler(500), sampler(500, seed=0), sampler(500, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1234)
    assert torch.equal(sampler(500), first)  # nor does it depend on it
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert first.dtype == torch.float32
    assert first.ndim == 2
    assert len(first) == 500
    assert len(sampler()) == 10_000
    assert len(sampler(1)) == 1
    assert len(unchecked(sampler)(np.int64(7), seed=np.int64(3))) == 7


def test_consecutive_samples_are_independent():
    points = toy.ring(N)
    nearest = torch.cdist(points, toy.ring_centers()).argmin(dim=1)
    assert within((nearest[1:] == nearest[:-1]).float().mean().item(), 1 / 8, N - 1)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("n", [0, -1, 2.5, 10.0, "10", None, True])
def test_number_of_points_is_checked(sampler, n):
    with pytest.raises(ValueError, match=r"n=.* was given; it must be a whole number of at least 1") as caught:
        unchecked(sampler)(n)
    assert repr(n) in str(caught.value)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("seed", [-1, 0.5, "0", None])
def test_seed_is_checked(sampler, seed):
    with pytest.raises(ValueError, match=r"seed=.* was given; it must be a whole number of at least 0"):
        unchecked(sampler)(10, seed=seed)


@pytest.mark.parametrize("sampler", NOISY)
@pytest.mark.parametrize("std", [-0.1, float("nan"), float("inf"), "wide", None])
def test_standard_deviation_is_checked(sampler, std):
    with pytest.raises(ValueError, match=r"std=.* was given; it must be a finite number of at least 0"):
        unchecked(sampler)(10, std=std)


@pytest.mark.parametrize(
    ("sampler", "settings", "message"),
    [
        (toy.ring, {"modes": 0}, "modes=0 was given; it must be a whole number of at least 1"),
        (toy.ring, {"radius": 0.0}, "radius=.* was given; it must be a finite number above 0"),
        (toy.ring, {"radius": float("nan")}, "radius=.* was given; it must be a finite number above 0"),
        (toy.grid, {"side": 0}, "side=.* was given; it must be a whole number of at least 1"),
        (toy.grid, {"spacing": -1.0}, "spacing=.* was given; it must be a finite number above 0"),
        (toy.spiral, {"turns": 0}, "turns=.* was given; it must be a finite number above 0"),
        (toy.spiral, {"radius": -2.0}, "radius=.* was given; it must be a finite number above 0"),
        (toy.mixture, {"means": [0.0], "stds": [1.0, 2.0]}, "one length, not 1 and 2"),
        (toy.mixture, {"means": [], "stds": []}, "at least one finite number"),
        (toy.mixture, {"means": 1.0, "stds": 1.0}, "means must be a list"),
        (
            toy.mixture,
            {"means": [0.0, float("nan")], "stds": [1.0, 1.0]},
            "means must be a list of at least one finite",
        ),
        (toy.mixture, {"means": [0.0, 1.0], "stds": [1.0, -1.0]}, "stds must not be negative"),
        (toy.mixture, {"means": "ab", "stds": [1.0, 1.0]}, "means must be numbers"),
        (toy.mixture, {"weights": [1.0]}, "weights must be 2 numbers"),
        (toy.mixture, {"weights": [0.7, 0.7]}, "sum to 1"),
        (toy.mixture, {"weights": [1.5, -0.5]}, "must not be negative"),
        (toy.point_masses, {"points": []}, "at least one finite number"),
        (toy.point_masses, {"points": [[0.0, 1.0], [0.0]]}, "points must be numbers"),
        (toy.point_masses, {"points": [[[0.0]]]}, "vectors of one length"),
        (toy.point_masses, {"points": [1.0, 2.0], "weights": [0.5, 0.4]}, "sum to 1"),
        (toy.point_masses, {"points": [1.0, 2.0], "weights": [0.2, 0.3, 0.5]}, "weights must be 2 numbers"),
    ],
)
def test_settings_are_checked(sampler, settings, message):
    with pytest.raises(ValueError, match=message):
        unchecked(sampler)(10, **settings)


@pytest.mark.parametrize(
    ("centers", "settings", "message"),
    [
        (toy.ring_centers, {"modes": 2.0}, "modes=2.0 was given; it must be a whole number of at least 1"),
        (toy.ring_centers, {"modes": -3}, "modes=-3 was given; it must be a whole number of at least 1"),
        (toy.ring_centers, {"radius": None}, "radius=None was given; it must be a finite number above 0"),
        (toy.grid_centers, {"side": "5"}, "side='5' was given; it must be a whole number of at least 1"),
        (toy.grid_centers, {"spacing": 0}, "spacing=0 was given; it must be a finite number above 0"),
    ],
)
def test_settings_of_centers_are_checked(centers, settings, message):
    with pytest.raises(ValueError, match=message):
        unchecked(centers)(**settings)

import dataclasses
import math

import pytest
import torch

from gan_course.metrics import ModeCoverage, mode_coverage

RADIUS, STD, N = 2.0, 0.05, 10_000
ANGLES = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
RING = RADIUS * torch.stack([ANGLES.cos(), ANGLES.sin()], 1)


def exact(centers, n=N, std=STD, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(centers), (n,), generator=generator)
    return centers[rows] + std * torch.randn(n, centers.shape[1], generator=generator, dtype=torch.float64)


def test_exact_data_have_all_modes_and_the_quality_of_the_formula():
    found = mode_coverage(exact(RING), RING, STD)
    expected = 1 - math.exp(-4.5)
    assert (found.modes, found.total) == (8, 8)
    assert abs(found.quality - expected) < 4 * math.sqrt(expected * (1 - expected) / N)
    assert sum(found.counts) == round(found.quality * N)


def test_single_precision_and_another_device_type_change_nothing():
    x = exact(RING)
    assert mode_coverage(x.float(), RING.float(), STD).modes == mode_coverage(x, RING, STD).modes == 8


def test_grid_of_25():
    side = torch.arange(-2.0, 3.0, dtype=torch.float64) * 2
    grid = torch.cartesian_prod(side, side)
    found = mode_coverage(exact(grid), grid, STD)
    assert (found.modes, found.total) == (25, 25)
    assert mode_coverage(exact(grid[:13]), grid, STD).modes == 13


@pytest.mark.parametrize("shape", ["vector", "column"])
def test_on_the_line(shape):
    centers = torch.tensor([-4.0, 0.0, 1.0, 4.0], dtype=torch.float64)[:, None]
    x = exact(centers, std=0.1)
    if shape == "vector":
        x, centers = x[:, 0], centers[:, 0]
    found = mode_coverage(x, centers, 0.1)
    assert found.modes == 4
    assert abs(found.quality - math.erf(3 / math.sqrt(2))) < 0.003


def test_seven_modes_are_seven():
    found = mode_coverage(exact(RING[:7]), RING, STD)
    assert found.modes == 7
    assert found.counts[7] == 0


@pytest.mark.parametrize("noise", [0.0, 0.02, STD])
@pytest.mark.parametrize("seed", range(5))
def test_a_circle_without_modes_is_rejected(noise, seed):
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * math.pi * torch.rand(N, generator=generator, dtype=torch.float64)
    radius = RADIUS + noise * torch.randn(N, generator=generator, dtype=torch.float64)
    circle = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    found = mode_coverage(circle, RING, STD)
    assert found.modes == 0
    if noise == 0:
        arcs = 8 * 4 * math.asin(3 * STD / (2 * RADIUS)) / (2 * math.pi)  # 19.1 %: chords of length 3σ to either side
        assert abs(found.quality - arcs) < 4 * math.sqrt(arcs * (1 - arcs) / N)
    assert found.quality < 0.22
    # The laxer rule, by which any sample near a centre counts, is fooled by it: this is why there is a share.
    assert mode_coverage(circle, RING, STD, share=8 / N).modes == 8


def test_uniform_noise_is_rejected():
    noise = torch.rand(N, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 6 - 3
    found = mode_coverage(noise, RING, STD)
    assert found.modes == 0
    assert found.quality == pytest.approx(8 * math.pi * 0.15**2 / 36, abs=0.006)


@pytest.mark.parametrize("spread", [0.0, STD])
def test_a_collapsed_sampler_has_one_mode_however_good(spread):
    found = mode_coverage(exact(RING[:1], std=spread), RING, STD)
    assert found.modes == 1
    assert found.quality > 0.98
    assert found.counts[1:] == (0,) * 7


def test_samples_between_the_modes_have_none():
    found = mode_coverage(torch.zeros(100, 2), RING, STD)
    assert found == ModeCoverage(0, 8, 0.0, (0,) * 8)


def test_the_share_is_of_all_samples_and_its_limit_counts():
    # 160 samples, fair share 20: a quarter of it is 5. One mode has 5, another 4, the rest lies far away.
    x = torch.full((160, 2), 50.0, dtype=torch.float64)
    x[:5], x[5:9] = RING[0], RING[1]
    found = mode_coverage(x, RING, STD)
    assert found == ModeCoverage(1, 8, 9 / 160, (5, 4, 0, 0, 0, 0, 0, 0))
    assert mode_coverage(x, RING, STD, share=0.2).modes == 2


def test_the_radius_is_three_standard_deviations():
    x = torch.tensor([[2.999, 0.0], [3.001, 0.0]], dtype=torch.float64)
    assert mode_coverage(x, torch.zeros(1, 2), 1.0).counts == (1,)


def test_a_sample_counts_once_where_modes_overlap():
    centers = torch.tensor([0.0, 1.0])
    assert mode_coverage(torch.tensor([0.4, 0.6, 0.7]), centers, std=1.0).counts == (1, 2)


def test_far_from_the_origin_no_digits_are_lost():
    far = torch.tensor([1e6, -1e6], dtype=torch.float64)
    assert mode_coverage(exact(RING) + far, RING + far, STD).quality == mode_coverage(exact(RING), RING, STD).quality


def test_the_result_is_frozen_and_says_what_it_found():
    found = ModeCoverage(7, 8, 0.9, (1,) * 8)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.modes = 8
    assert str(found) == "7 of 8 modes, 90.0 % of the samples within 3σ of one"


X = torch.zeros(4, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.empty(0, 2), RING, STD), r"samples is empty \(shape \(0, 2\)\).*Draw at least one"),
        (
            (torch.full((4, 2), float("nan")), RING, STD),
            "samples holds 8 values that are NaN or infinite, of 8.*diverged",
        ),
        ((torch.zeros(4, 3), RING, STD), r"samples has points of \(3,\) coordinates and centers of \(2,\)"),
        ((torch.zeros(4, 1, 2), RING, STD), r"samples has shape \(4, 1, 2\); allowed: .* \(n, d\)"),
        ((torch.zeros(4, 2, dtype=torch.int64), RING, STD), r"samples has dtype torch.int64.*\.float\(\)"),
        (([[0.0, 0.0]], RING, STD), "samples is a list.*torch.as_tensor"),
        ((X, torch.zeros(2, 2), STD), "two of the 2 centers are equal"),
        ((X, RING, 0.0), "std=0.0 was given; it must be a finite number above 0"),
        ((X, RING, float("nan")), "std=nan was given"),
        ((X, RING, STD, 0.0), "share=0.0 was given; it must be a finite number above 0"),
        ((X, RING, STD, 1.5), "share=1.5 was given; it must be .* above 0 and at most 1"),
    ],
)
def test_bad_input(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        unchecked(mode_coverage)(*arguments)

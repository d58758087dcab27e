import sys

import numpy as np
import pytest
import torch

from gan_course.metrics import prd, prd_curve, precision_recall, total_variation


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def shares(k, seed):
    p = torch.rand(k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return p / p.sum()


def by_definition(real, fake, k):
    def share(x, members):
        between = (members[:, None] - members[None]).norm(dim=-1)
        radii = between.sort(1).values[:, k]
        return float(((x[:, None] - members[None]).norm(dim=-1) <= radii).any(1).double().mean())

    return share(fake, real), share(real, fake)


@pytest.mark.parametrize(("d", "k"), [(1, 1), (2, 3), (30, 5)])
def test_it_is_the_definition(d, k):
    real, fake = normal(120, d), 0.5 * normal(90, d, seed=1) + 0.5
    found = precision_recall(real, fake, k)
    assert (found.precision, found.recall) == by_definition(real, fake, k)


def test_a_small_case_by_hand():
    real = torch.tensor([[0.0], [1.0], [3.0], [10.0]])  # radii for k = 1: 1, 1, 2, 7
    fake = torch.tensor([[-1.0], [-1.1], [5.0], [17.5]])  # radii: 0.1, 0.1, 6, 12.5
    found = precision_recall(real, fake, k=1)
    assert found.precision == 2 / 4  # -1 on the edge of the ball around 0, and 5 in two balls
    assert found.recall == 4 / 4  # all in the ball around 5
    assert str(found) == "precision 0.500, recall 1.000"


def test_extreme_cases():
    x = normal(200, 5)
    assert vars(precision_recall(x, x)) == dict(precision=1, recall=1)
    assert vars(precision_recall(x, x + 100)) == dict(precision=0, recall=0)
    copies = precision_recall(x, x[:1].expand(50, 5))  # one good picture
    assert copies.precision == 1
    assert copies.recall == 1 / 200


def test_missing_classes_lower_recall_and_noise_lowers_precision():
    centres = 20 * normal(4, 6, seed=9)
    real = (centres[:, None] + normal(4, 100, 6)).flatten(0, 1)
    other = (centres[:, None] + normal(4, 100, 6, seed=1)).flatten(0, 1)
    dropped = precision_recall(real, other[:200])
    assert dropped.precision > 0.85
    assert dropped.recall == pytest.approx(precision_recall(real, other).recall / 2, abs=0.05)
    noisy = precision_recall(real, torch.cat([other[::2], 60 * normal(200, 6, seed=2)]))
    assert noisy.precision < 0.6
    assert noisy.recall > 0.6


def test_one_outlier_makes_precision_cheap():
    """The weakness that the documentation names."""
    real, fake = normal(300, 2), 20 + normal(300, 2, seed=1)
    assert precision_recall(real, fake).precision == 0
    outlier = torch.cat([real, torch.tensor([[60.0, 60.0]], dtype=torch.float64)])
    assert precision_recall(outlier, fake).precision > 0.9


def test_blocks_and_a_far_origin_change_nothing(monkeypatch):
    real, fake = normal(50, 3), normal(40, 3, seed=1)
    whole = precision_recall(real, fake)
    assert precision_recall(real + 1e6, fake + 1e6) == whole
    monkeypatch.setattr(sys.modules["gan_course.metrics.precision_recall"], "_MEMORY", 100)
    assert precision_recall(real, fake) == whole


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("angles", [3, 101, 1001])
def test_in_the_middle_of_the_curve_both_are_one_minus_total_variation(seed, angles):
    p, q = shares(12, seed), shares(12, 100 + seed)
    curve = prd_curve(p, q, angles)
    assert float(curve.precision[angles // 2]) == pytest.approx(1 - total_variation(p, q), rel=1e-12)
    assert float(curve.recall[angles // 2]) == pytest.approx(1 - total_variation(p, q), rel=1e-12)


def test_the_curve_is_the_definition_and_mirrors_when_the_sides_change():
    p, q = shares(6, 0), shares(6, 1)
    curve = prd_curve(p, q, 7)
    theta = np.linspace(1e-10, np.pi / 2 - 1e-10, 7)
    for slope, alpha, beta in zip(np.tan(theta), curve.precision, curve.recall, strict=True):
        assert float(alpha) == pytest.approx(float(torch.minimum(slope * p, q).sum()), abs=1e-9)
        assert float(beta) == pytest.approx(float(torch.minimum(slope * p, q).sum()) / slope, abs=1e-6)
    mirrored = prd_curve(q, p, 7)
    torch.testing.assert_close(curve.precision, mirrored.recall.flip(0))
    assert curve.f_8 == pytest.approx(mirrored.f_1_8)


def test_equal_disjoint_and_half_covered_histograms():
    half, other = torch.tensor([0.5, 0.5, 0, 0]), torch.tensor([0, 0, 0.5, 0.5])
    same = prd_curve(half, half)
    assert (same.f_8, same.f_1_8) == pytest.approx((1, 1))
    nothing = prd_curve(half, other)
    assert (nothing.f_8, nothing.f_1_8) == (0, 0)
    four = torch.full((4,), 0.25)
    dropped = prd_curve(four, half)  # all samples good, half of the modes missing
    assert float(dropped.precision.max()) == pytest.approx(1)
    assert float(dropped.recall.max()) == pytest.approx(0.5)
    assert dropped.f_1_8 > 0.98
    assert dropped.f_8 == pytest.approx(65 * 1 * 0.5 / (64 * 1 + 0.5), rel=1e-2)
    invented = prd_curve(half, four)
    assert invented.f_8 > 0.98 > 0.52 > invented.f_1_8


def test_f_is_the_weighted_harmonic_mean():
    curve = prd_curve(shares(5, 0), shares(5, 1))
    alpha, beta = curve.precision.numpy(), curve.recall.numpy()
    assert curve.f(1) == pytest.approx((2 * alpha * beta / (alpha + beta)).max())
    assert curve.f(2) == pytest.approx((5 * alpha * beta / (4 * alpha + beta)).max())


def test_clusters_of_samples_are_the_histograms():
    """Four clusters far apart, which k-means finds: the shares in them are known."""
    centres = torch.tensor([[0.0, 0], [100, 0], [0, 100], [100, 100]], dtype=torch.float64)
    real = centres[torch.arange(400) % 4] + normal(400, 2)
    fake = centres[torch.arange(400) % 2] + normal(400, 2, seed=1)
    found = prd(real, fake, clusters=4, runs=12)
    exact = prd_curve(torch.full((4,), 0.25), torch.tensor([0.5, 0.5, 0, 0]))
    assert found.f_1_8 == pytest.approx(exact.f_1_8, abs=0.02)
    assert found.f_8 == pytest.approx(exact.f_8, abs=0.1)
    assert str(found).startswith("F_8 0.")


def test_new_draws_of_one_law_are_near_the_corner():
    found = prd(normal(1000, 4), normal(1000, 4, seed=1), runs=3)
    assert min(found.f_8, found.f_1_8) > 0.95
    again = prd(normal(1000, 4), normal(1000, 4, seed=1), runs=3)
    assert torch.equal(found.precision, again.precision)


X = torch.rand(6, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda u: u(precision_recall)(X, X[:3]), "fake holds 3 samples; allowed: at least 4, for k=3 neighbours"),
        (lambda u: u(precision_recall)(X[:0], X), "real is empty"),
        (lambda u: u(precision_recall)(X, X[:, :1]), r"real has points of \(2,\) coordinates and fake of \(1,\)"),
        (lambda u: u(precision_recall)(X[:, 0], X[:, 0]), r"real has shape \(6,\)"),
        (lambda u: u(precision_recall)(X, X, 0), "k=0 was given"),
        (lambda u: u(prd)(X, X[:5]), "real holds 6 samples and fake 5; allowed: as many of both.*first 5"),
        (lambda u: u(prd)(X, X, clusters=13), "clusters=13 was given for 6 samples in each set"),
        (lambda u: u(prd)(X, X, clusters=0), "clusters=0 was given"),
        (lambda u: u(prd)(X, X, clusters=2, runs=0), "runs=0 was given"),
        (lambda u: u(prd)(X / 0, X), "real holds"),
        (lambda u: u(prd_curve)(torch.ones(2), torch.ones(2) / 2), "reference has smallest entry 1 and sum 2"),
        (lambda u: u(prd_curve)(torch.ones(1), torch.ones(2) / 2), "reference has 1 classes and evaluated has 2"),
        (lambda u: u(prd_curve)(torch.ones(1), torch.ones(1), 2), "angles=2 was given"),
        (lambda u: u(prd_curve)(torch.ones(1), torch.ones(1)).f(0), "beta=0 was given"),
    ],
)
def test_bad_input(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call(unchecked)

"""Each row of the table of f-divergences: its conjugate, its bound, its values, and the game that it makes."""

import math

import pytest
import torch
from scipy import optimize, special
from separating import numbers
from torch.testing import assert_close

from gan_course import objectives
from gan_course.objectives import fgan

ROWS = [fgan.divergence(name) for name in fgan.names() if name not in ("alpha", "weighted-jensen-shannon")]
ROWS += [fgan.divergence("weighted-jensen-shannon", weight=weight) for weight in (0.1, 0.5, 0.8)]
ROWS += [fgan.divergence("alpha", alpha=alpha) for alpha in (-3, -1, -0.5, 0.1, 0.5, 0.9, 1.1, 2, 3)]
SLOPED = [row for row in ROWS if row.name != "total-variation"]


def identify(row):
    return f"{row.name} {getattr(row, 'alpha', getattr(row, 'weight', ''))}".strip()


every = pytest.mark.parametrize("row", ROWS, ids=identify)
sloped = pytest.mark.parametrize("row", SLOPED, ids=identify)


def laws(seed=0, n=6):
    generator = torch.Generator().manual_seed(seed)
    p, q = torch.rand(2, n, generator=generator, dtype=torch.float64).add(0.05)
    return p / p.sum(), q / q.sum()


def inside(row):
    """Arguments of the conjugate, on both sides of 0 and close to the top."""
    t = torch.linspace(-6, 6, 25, dtype=torch.float64)
    if math.isfinite(row.top):
        t = row.top - torch.logspace(-2, 1, 25, dtype=torch.float64)
    return t


def supremum(function, low, high):
    """Of a concave function of log u: the best of a grid, then of its surroundings."""
    grid = torch.linspace(low, high, 2001, dtype=torch.float64)
    values = function(grid)
    best = int(values.argmax())
    around = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, 2000)])
    loss = lambda x: -float(function(numbers(x)))  # noqa: E731
    found = optimize.minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-11})
    return max(-found.fun, float(values[0]))


# The conjugate


@every
def test_the_conjugate_is_the_supremum(row):
    for t in inside(row)[::3]:

        def value(x, t=t):
            u = x.exp()
            return u * t - row.f(u)

        assert_close(float(row.conjugate(t)), supremum(value, -40, 80), atol=1e-6, rtol=1e-6)


@every
def test_the_biconjugate_is_f_again(row):
    u = numbers(0.05, 0.3, 1.0, 2.0, 7.0)
    t = row.optimal(u)
    assert_close(u * t - row.conjugate(t), row.f(u))
    for other in inside(row):
        assert (u * other - row.conjugate(other) <= row.f(u) + 1e-9).all()


@every
def test_the_conjugate_outside_its_domain_is_refused(row):
    if math.isinf(row.top):
        assert row.conjugate(numbers(50.0)).isfinite().all()
        return
    with pytest.raises(ValueError, match=rf"{row.name} is finite for t [<≤] .*t={row.top + 1:.6g} was given"):
        row.conjugate(numbers(row.top - 1, row.top + 1))
    if row.closed:
        assert row.conjugate(numbers(row.top)).isfinite().all()


def test_the_conjugates_clamp_where_the_supremum_is_at_zero():
    for row, t in ((fgan.divergence("pearson"), -2), (fgan.divergence("alpha", alpha=3), -0.5)):
        assert_close(row.conjugate(numbers(t, t - 1, t - 100)), numbers(*[-row.at_zero] * 3))
    assert_close(fgan.divergence("total-variation").conjugate(numbers(-0.5, -3)), numbers(-0.5, -0.5))


# Slopes


@sloped
def test_the_best_t_is_the_slope_of_f_and_the_ratio_is_the_slope_of_the_conjugate(row):
    u = torch.logspace(-2, 2, 30, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(row.f(u).sum(), u)
    assert_close(slope, row.optimal(u))
    t = row.optimal(u).detach().requires_grad_()
    (ratio,) = torch.autograd.grad(row.conjugate(t).sum(), t)
    assert_close(ratio, u.detach())


@every
def test_threshold_and_limits(row):
    one = numbers(1.0)
    assert_close(row.optimal(one), numbers(row.threshold))
    assert_close(row.f(one), numbers(-2 * math.log(2) if row.name == "gan" else 0.0))
    tiny, huge = numbers(1e-300), numbers(1e100)
    if math.isfinite(row.at_zero):
        assert_close(row.f(tiny), numbers(row.at_zero), atol=1e-6, rtol=1e-6)
    else:
        assert row.f(tiny) > 500
    if math.isfinite(row.at_infinity):
        assert_close(
            row.f(huge) / huge, numbers(row.at_infinity), atol=1e-1 if row.name == "alpha" else 1e-5, rtol=1e-5
        )
    else:
        assert row.f(huge) / huge > 20


@every
def test_gradients_of_both_orders(row):
    v = torch.linspace(-2, 3, 7, dtype=torch.float64).add(0.01).requires_grad_()
    for formula in (row.composed, row.activation):
        assert torch.autograd.gradcheck(formula, v)
        assert torch.autograd.gradgradcheck(formula, v)


# The activation


@every
def test_the_activation_rises_and_stays_inside(row):
    v = torch.linspace(-15, 15, 301, dtype=torch.float64)
    t = row.activation(v)
    assert (t.diff() > 0).all()
    assert (t <= row.top).all()


@every
def test_the_composition_is_what_it_says(row):
    v = torch.linspace(-12, 12, 97, dtype=torch.float64)
    assert_close(row.composed(v), row.conjugate(row.activation(v)), atol=1e-6, rtol=1e-6)


@every
def test_scores_of_fifty_are_safe_in_single_precision(row):
    v = torch.linspace(-50, 50, 101, requires_grad=True)
    exact = v.detach().double().requires_grad_()
    for formula in (row.composed, row.activation):
        value, truth = formula(v), formula(exact)
        assert value.isfinite().all()
        assert_close(value.double(), truth, atol=1e-5, rtol=1e-4)
        slopes = torch.autograd.grad(value.sum(), v)[0], torch.autograd.grad(truth.sum(), exact)[0]
        assert slopes[0].isfinite().all()
        assert_close(slopes[0].double(), slopes[1], atol=1e-5, rtol=1e-4)


def test_in_two_steps_the_same_scores_would_overflow():
    """Why the composition is written out: a negative test, with each conjugate as the slides print it."""
    v = torch.linspace(30, 50, 21)
    printed = {
        "squared-hellinger": lambda t: t / (1 - t),
        "jensen-shannon": lambda t: -(2 - t.exp()).log(),
        "gan": lambda t: -(1 - t.exp()).log(),
    }
    for name, conjugate in printed.items():
        row = fgan.divergence(name)
        assert conjugate(row.activation(v)).isinf().any()
        assert row.composed(v).isfinite().all()


def test_lamberts_w_against_scipy():
    row, t = fgan.divergence("jeffrey"), torch.linspace(-600, 30, 400, dtype=torch.float64)
    w = torch.from_numpy(special.lambertw(torch.exp(1 - t).numpy()).real)
    assert_close(row.conjugate(t), w + 1 / w + t - 2, rtol=1e-9, atol=1e-9)
    assert row.conjugate(numbers(-1e6)).isfinite().all()  # where e^(1-t) is none


# The divergence


def integral(row, p, q):
    """What each row is named after, written as its own sum."""

    def kl(a, b):
        return (a * (a / b).log()).sum()

    m = (p + q) / 2
    alpha, pi = getattr(row, "alpha", None), getattr(row, "weight", None)
    js = kl(p, m) / 2 + kl(q, m) / 2
    return {
        "total-variation": lambda: (p - q).abs().sum() / 2,
        "kl": lambda: kl(p, q),
        "reverse-kl": lambda: kl(q, p),
        "pearson": lambda: ((p - q) ** 2 / q).sum(),
        "neyman": lambda: ((p - q) ** 2 / p).sum(),
        "squared-hellinger": lambda: ((p.sqrt() - q.sqrt()) ** 2).sum(),
        "jeffrey": lambda: kl(p, q) + kl(q, p),
        "jensen-shannon": lambda: 2 * js,
        "weighted-jensen-shannon": lambda: pi * kl(p, pi * p + (1 - pi) * q) + (1 - pi) * kl(q, pi * p + (1 - pi) * q),
        "gan": lambda: 2 * js - math.log(4),
        "alpha": lambda: ((p**alpha * q ** (1 - alpha)).sum() - 1) / (alpha * (alpha - 1)),
    }[row.name]()


@every
@pytest.mark.parametrize("seed", range(3))
def test_exact_values_and_the_tight_bound(row, seed):
    p, q = laws(seed)
    exact = row.between(p, q)
    assert_close(exact, integral(row, p, q))
    t = row.optimal(p / q)
    assert_close((p * t).sum() - (q * row.conjugate(t)).sum(), exact)
    for shift in (-0.2, 0.2):
        other = (t + shift).clamp(max=min(row.top - 1e-3, 1e9))
        assert (p * other).sum() - (q * row.conjugate(other)).sum() < exact + 1e-12
    assert_close(row.between(p, p), numbers(-math.log(4) if row.name == "gan" else 0.0)[0], atol=1e-12, rtol=0)


def test_the_slides_slips_are_slips():
    """Pearson's and Neyman's integrals change places; the row Jensen–Shannon is twice the divergence; f(1) of GAN."""
    p, q = laws(3)
    pearson, neyman = (fgan.divergence(name).between(p, q) for name in ("pearson", "neyman"))
    assert not math.isclose(pearson, neyman, rel_tol=1e-2)
    assert not torch.isclose(pearson, ((q - p) ** 2 / p).sum())  # as the slide has it
    assert not torch.isclose(neyman, ((p - q) ** 2 / q).sum())
    half = fgan.divergence("weighted-jensen-shannon", weight=0.5).between(p, q)
    assert_close(fgan.divergence("jensen-shannon").between(p, q), 2 * half)
    assert fgan.divergence("gan").between(p, p) < -1


@every
def test_only_some_are_symmetric(row):
    p, q = laws(4)
    symmetric = row.name in ("total-variation", "squared-hellinger", "jeffrey", "jensen-shannon", "gan")
    symmetric |= getattr(row, "alpha", None) == 0.5 or getattr(row, "weight", None) == 0.5
    assert torch.isclose(row.between(p, q), row.between(q, p)).item() == symmetric


@every
def test_symbols_that_one_law_lacks(row):
    p, q = numbers(0.5, 0.5, 0.0, 0.0), numbers(0.0, 0.5, 0.5, 0.0)
    assert_close(row.between(p, q), 0.5 * (numbers(row.at_zero + row.at_infinity) + row.f(numbers(1.0)))[0])


def test_many_laws_at_once_and_bad_ones():
    row, (p, q) = fgan.divergence("kl"), laws()
    assert_close(row.between(torch.stack([p, q]), torch.stack([q, q])), torch.stack([row.between(p, q), p.sum() * 0]))
    for bad, words in (((p, q[:3]), "one shape"), ((2 * p, q), "p is no law"), ((p, q - 0.5), "q is no law")):
        with pytest.raises(ValueError, match=words):
            row.between(*bad)


def test_the_alpha_divergence_runs_through_the_others():
    p, q = laws(5)

    def alpha(value):
        return fgan.divergence("alpha", alpha=value).between(p, q)

    def other(name):
        return fgan.divergence(name).between(p, q)

    assert_close(alpha(-1), other("neyman") / 2)
    assert_close(alpha(0.5), 2 * other("squared-hellinger"))
    assert_close(alpha(2), other("pearson") / 2)
    assert_close(alpha(1e-6), other("reverse-kl"), rtol=1e-4, atol=0)
    assert_close(alpha(1 - 1e-6), other("kl"), rtol=1e-4, atol=0)


def gaussians(m1, s1, m2, s2, n=200_001):
    x = torch.linspace(-20, 20, n, dtype=torch.float64)
    p, q = (torch.exp(-(((x - m) / s) ** 2) / 2) for m, s in ((m1, s1), (m2, s2)))
    return p / p.sum(), q / q.sum()


@pytest.mark.parametrize("case", [(0.0, 1.0, 1.0, 1.0), (0.0, 1.0, 0.5, 1.2), (1.0, 0.8, -0.5, 1.0)])
def test_gaussians_have_closed_forms(case):
    m1, s1, m2, s2 = case
    p, q = gaussians(*case)
    gap, v = (m1 - m2) ** 2, 2 * s2**2 - s1**2

    def kl(m1, s1, m2, s2):
        return math.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5

    affinity = math.sqrt(2 * s1 * s2 / (s1**2 + s2**2)) * math.exp(-gap / (4 * (s1**2 + s2**2)))
    expected = {
        "kl": kl(m1, s1, m2, s2),
        "reverse-kl": kl(m2, s2, m1, s1),
        "jeffrey": kl(m1, s1, m2, s2) + kl(m2, s2, m1, s1),
        "pearson": s2**2 / (s1 * math.sqrt(v)) * math.exp(gap / v) - 1,
        "squared-hellinger": 2 - 2 * affinity,
    }
    if s1 == s2:
        expected["total-variation"] = 2 * special.ndtr(abs(m1 - m2) / (2 * s1)) - 1
    for name, value in expected.items():
        assert fgan.divergence(name).between(p, q).item() == pytest.approx(value, abs=1e-6), name


# The game


def preimage(row, t):
    """The score that the activation turns into t, by bisection."""
    low, high = torch.full_like(t, -60.0), torch.full_like(t, 60.0)
    for _ in range(200):
        middle = (low + high) / 2
        above = row.activation(middle) > t
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return (low + high) / 2


@sloped
def test_at_the_best_scores_the_loss_is_minus_the_divergence(row):
    """Expectations on a table: every symbol as often as its law has it, in sixtieths."""
    times_p, times_q = torch.tensor([24, 18, 12, 6]), torch.tensor([6, 12, 18, 24])
    p, q = times_p.double() / 60, times_q.double() / 60
    best = preimage(row, row.optimal(p / q)).requires_grad_()
    game = fgan.FGAN(row)
    loss = game.discriminator_loss(best.repeat_interleave(times_p), best.repeat_interleave(times_q))
    assert_close(-loss, row.between(p, q))
    (slope,) = torch.autograd.grad(loss, best)
    assert_close(slope, torch.zeros_like(slope), atol=1e-8, rtol=0)


def test_the_row_gan_is_the_minimax_game():
    real, fake = torch.randn(2, 40, dtype=torch.float64)
    minimax, saving = objectives.get("minimax"), objectives.get("non-saturating")
    practical, bound = objectives.get("f-gan/gan"), objectives.get("f-gan/gan", generator="bound")
    assert_close(practical.discriminator_loss(real, fake), minimax.discriminator_loss(real, fake))
    assert_close(bound.generator_loss(fake), minimax.generator_loss(fake))
    assert_close(practical.generator_loss(fake), saving.generator_loss(fake))


@every
def test_both_generators_wish_for_higher_scores(row):
    fake = torch.linspace(-2, 2, 9, dtype=torch.float64).requires_grad_()
    for generator in ("practical", "bound"):
        (slope,) = torch.autograd.grad(fgan.FGAN(row, generator).generator_loss(fake), fake)
        assert (slope <= 0).all()
        assert (slope < 0).any()


def test_settings_by_name():
    assert objectives.get("f-gan/alpha", alpha=3, generator="bound").divergence.alpha == 3
    assert objectives.get("f-gan/weighted-jensen-shannon", weight=0.25).divergence.weight == 0.25
    for call, words in (
        (lambda: objectives.get("f-gan/kl", weight=0.5), r"no setting weight; it has: \['generator', 'penalties'\]"),
        (lambda: objectives.get("f-gan/kl", generator="best"), "'practical' or 'bound'"),
        (lambda: fgan.divergence("kl", weight=0.5), "'kl' has no setting weight; it has none"),
        (lambda: fgan.divergence("alpha", weight=0.5), "'alpha' has no setting weight; it has: alpha"),
        (lambda: fgan.divergence("alpha", alpha=1), "neither 0 nor 1"),
        (lambda: fgan.divergence("weighted-jensen-shannon", weight=1.0), "between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(KeyError, match="pearson"):
        fgan.divergence("pearsen")

"""Density ratios: variational losses are smallest at the true ratio, plug-in losses are the divergences there."""

import math

import pytest
import torch
from torch.testing import assert_close

from gan_course import objectives
from gan_course.objectives import density_ratio as ratio

# Two laws on six symbols whose chances are hundredths, so that a hundred samples have them exactly.
P = torch.tensor([40, 25, 15, 10, 8, 2], dtype=torch.float64) / 100
Q = torch.tensor([5, 10, 20, 30, 25, 10], dtype=torch.float64) / 100
AT_P, AT_Q = (torch.arange(6).repeat_interleave((100 * law).round().long()) for law in (P, Q))
TRUE = (P / Q).log()

VARIATIONAL = {"kl": ratio.kl_loss, "reverse-kl": ratio.reverse_kl_loss, "pearson": ratio.pearson_loss}
PLUG_IN = {
    "kl": lambda p, q: ratio.kl(p),
    "reverse-kl": lambda p, q: ratio.reverse_kl(q),
    "jeffrey": ratio.symmetric_kl,
    "pearson": lambda p, q: ratio.pearson(q),
}
LOSSES = [*VARIATIONAL.values(), ratio.logistic_loss]


def exact(name):
    return objectives.fgan.divergence(name).between(P, Q)


@pytest.mark.parametrize("name", VARIATIONAL)
def test_the_minimum_is_minus_the_divergence(name):
    assert_close(VARIATIONAL[name](TRUE[AT_P], TRUE[AT_Q]), -exact(name))


def test_the_minimum_of_the_logistic_loss():
    middle = (P + Q) / 2
    js = 0.5 * (P * (P / middle).log()).sum() + 0.5 * (Q * (Q / middle).log()).sum()
    assert_close(ratio.logistic_loss(TRUE[AT_P], TRUE[AT_Q]), math.log(4) - 2 * js)
    assert_close(ratio.jensen_shannon(TRUE[AT_P], TRUE[AT_Q]), js)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_true_ratio_is_the_only_minimum(loss):
    f = TRUE.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(loss(f[AT_P], f[AT_Q]), f)
    assert_close(slope, torch.zeros(6, dtype=torch.float64))
    best = loss(TRUE[AT_P], TRUE[AT_Q])
    for seed in range(20):
        other = TRUE + torch.randn(6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        assert loss(other[AT_P], other[AT_Q]) > best + 1e-3


@pytest.mark.parametrize("loss", LOSSES)
def test_descent_finds_the_true_ratio(loss):
    f = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([f], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss(f[AT_P], f[AT_Q])
        value.backward()
        return value

    optimizer.step(closure)
    assert_close(f.detach(), TRUE, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", VARIATIONAL)
def test_each_is_the_bound_of_its_divergence_at_any_ratio(name):
    divergence = objectives.fgan.divergence(name)
    f = torch.randn(6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    t = divergence.optimal(f.exp())
    assert_close(VARIATIONAL[name](f[AT_P], f[AT_Q]), -(P * t).sum() + (Q * divergence.conjugate(t)).sum())


@pytest.mark.parametrize("name", PLUG_IN)
def test_plugged_in_the_true_ratio_gives_the_divergence(name):
    assert_close(PLUG_IN[name](TRUE[AT_P], TRUE[AT_Q]), exact(name))


def test_plugged_in_a_wrong_ratio_gives_what_is_no_bound():
    """A constant moves the one-sided estimates up as well as down, and the symmetric one not at all."""
    for c in (-1.0, 1.0):
        f = TRUE + c
        assert_close(ratio.kl(f[AT_P]), exact("kl") + c)
        assert_close(ratio.reverse_kl(f[AT_Q]), exact("reverse-kl") - c)
        assert_close(ratio.symmetric_kl(f[AT_P], f[AT_Q]), exact("jeffrey"))
        assert ratio.kl_loss(f[AT_P], f[AT_Q]) > -exact("kl")  # the variational loss stays on its side


@pytest.mark.parametrize("mean", [0.3, 1.0, 1.5])
def test_two_normal_laws(mean):
    """N(μ, 1) and N(0, 1): f* = μx - μ²/2, each KL divergence is μ²/2, and Pearson's is exp(μ²) - 1."""
    at = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000
    q = torch.distributions.Normal(0.0, 1.0).icdf(at)
    f_p, f_q = (mean * x - mean**2 / 2 for x in (q + mean, q))
    assert_close(ratio.kl(f_p).item(), mean**2 / 2, atol=1e-4, rtol=0)
    assert_close(ratio.reverse_kl(f_q).item(), mean**2 / 2, atol=1e-4, rtol=0)
    assert_close(ratio.symmetric_kl(f_p, f_q).item(), mean**2, atol=1e-4, rtol=0)
    assert_close(ratio.pearson(f_q).item(), math.exp(mean**2) - 1, atol=0, rtol=0.03)
    assert_close(ratio.kl_loss(f_p, f_q).item(), -(mean**2) / 2, atol=1e-3, rtol=0)
    assert_close(ratio.reverse_kl_loss(f_p, f_q).item(), -(mean**2) / 2, atol=1e-3, rtol=0)


def test_the_slope_that_a_generator_descends_is_that_of_the_divergence():
    """With p = N(m, 1) and the ratio at the present m standing still, d/dm of E_p f is that of m²/2: the ratio's own
    dependence on m averages to zero."""
    at = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    noise = torch.distributions.Normal(0.0, 1.0).icdf(at)
    m = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    still = m.detach()
    (slope,) = torch.autograd.grad(ratio.kl(still * (noise + m) - still**2 / 2), m)
    assert_close(slope, still)


def test_the_logistic_loss_is_the_discriminators():
    scores = torch.randn(2, 9, dtype=torch.float64)
    assert_close(ratio.logistic_loss(*scores), objectives.get("minimax").discriminator_loss(*scores))
    assert_close(ratio.jensen_shannon(*scores), math.log(2) - ratio.logistic_loss(*scores) / 2)
    assert ratio.logistic_loss(torch.tensor([1e4]), torch.tensor([-1e4])).item() == 0  # no log of zero


TWO = [*LOSSES, ratio.symmetric_kl, ratio.jensen_shannon]
ONE = [ratio.kl, ratio.reverse_kl, ratio.pearson]
BAD = [torch.zeros(2, 1), torch.zeros(()), torch.zeros(0), torch.zeros(3, dtype=torch.int64), [0.0], None]


@pytest.mark.parametrize("formula", TWO + ONE, ids=lambda formula: formula.__name__)
@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_log_ratio_is_refused(formula, bad):
    good, message = torch.zeros(3), r"must be a tensor of floating-point numbers of shape \(n,\)"
    with pytest.raises(ValueError, match=message):
        formula(bad)
    if formula in TWO:
        with pytest.raises(ValueError, match=f"at_q {message}"):
            formula(good, bad)
        with pytest.raises(ValueError, match=f"at_p {message}"):
            formula(at_p=bad, at_q=good)
        formula(good, torch.zeros(5))  # as many of one as of the other are not needed

r"""What two things have in common: mutual information, and Wyner's common information where it is known in closed form.

Wyner's common information (wyner1975common) is the least that a third variable can know of a pair if, given it, nothing
is left in common:

$$C(X; Y) = \min_{X - Z - Y} I(X, Y; Z).$$

It is never below $I(X; Y)$, and equal to it only where the pair falls apart into a common part and independent rests.
For discrete variables it is at most the smaller of the two entropies. All numbers are in nats; divided by $\log 2$ they
are in bits.
"""

import math
from numbers import Real

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import number, whole
from gan_course.metrics._checks import finite

SINGULAR = 1e-12  # of a correlation matrix: what double precision cannot tell from an eigenvalue of 0


def mutual_information(table: Float[Tensor, "k l"]) -> float:
    r"""The mutual information of two discrete variables, from the table of their joint probabilities, in nats.

    $$I(A; B) = \sum_{a, b} p(a, b)\log\frac{p(a, b)}{p(a)\,p(b)} \ge 0.$$

    For $I(X, Y; Z)$ of a table $p(x, y, z)$ let the first two be one variable: `mutual_information(p.flatten(0, 1))`.

    Args:
        table: $p(a, b)$, not negative, with sum 1.

    Raises:
        ValueError: for another shape, negative entries, and a sum other than 1.

    Source: wyner1975common.
    """
    allowed = "a table (k, l) of joint probabilities, not negative, with sum 1"
    p = finite("table", table, allowed).cpu().double()
    if p.dim() != 2:
        raise ValueError(f"table has shape {tuple(p.shape)}; allowed: {allowed}. Flatten what is one variable.")
    if float(p.min()) < 0 or abs(float(p.sum()) - 1) > 1e-5:
        raise ValueError(
            f"table has smallest entry {float(p.min()):.4g} and sum {float(p.sum()):.6g}; allowed: {allowed}. "
            "Divide counts by their sum."
        )
    p = p / p.sum()
    entropies = [-torch.xlogy(law, law).sum() for law in (p.sum(1), p.sum(0), p)]
    return max(0.0, float(entropies[0] + entropies[1] - entropies[2]))


def gaussian_mutual_information(covariance: Float[Tensor, "d d"], first: int) -> float:
    r"""The mutual information of two parts of a normal vector, in nats.

    $$I(A; B) = \tfrac12\log\frac{\det\Sigma_{AA}\,\det\Sigma_{BB}}{\det\Sigma}.$$

    Of a pair with correlation $\rho$ it is $-\tfrac12\log(1-\rho^2)$. For a linear model $x = az + bu$, $y = cz + dv$
    with independent standard normal $z, u, v$, the covariance of $(x, y, z)$ and `first=2` give $I(X, Y; Z)$.

    Args:
        covariance: $\Sigma$, of all coordinates.
        first: how many of them are $A$; the others are $B$.

    Raises:
        ValueError: for a matrix that is not square, symmetric and positive definite (of a singular one the information
            is infinite), and a `first` that leaves one of the parts empty.

    Source: cover2006elements.
    """
    allowed = "a symmetric positive definite matrix (d, d), d at least 2"
    sigma = finite("covariance", covariance, allowed).cpu().double()
    if sigma.dim() != 2 or sigma.shape[0] != sigma.shape[1] or len(sigma) < 2:
        raise ValueError(f"covariance has shape {tuple(sigma.shape)}; allowed: {allowed}.")
    first = whole("first", first, most=len(sigma) - 1)
    if float(sigma.diagonal().min()) <= 0:
        raise ValueError(f"covariance has a variance of {float(sigma.diagonal().min()):.4g}; allowed: {allowed}.")
    scale = sigma.diagonal().sqrt()
    correlation = sigma / scale[:, None] / scale  # the information does not change with the unit
    if not bool((correlation.abs() <= 1 + 1e-6).all()):
        raise ValueError(f"covariance has entries larger than the variances beside them allow; allowed: {allowed}.")
    if float((correlation - correlation.T).abs().max()) > 1e-5:
        raise ValueError(f"covariance is not symmetric; allowed: {allowed}. Take (S + S.T) / 2 of an estimate S.")
    correlation = (correlation + correlation.T) / 2
    smallest = float(torch.linalg.eigvalsh(correlation).min())
    if smallest < SINGULAR:
        raise ValueError(
            f"covariance has correlations whose smallest eigenvalue is {smallest:.2g}; allowed: {allowed}. Where one "
            "part fixes a direction of the other, their information is infinite: leave that direction out, or add noise"
        )
    both = (correlation, correlation[:first, :first], correlation[first:, first:])
    whole_law, one, other = (float(torch.logdet(part)) for part in both)
    return max(0.0, (one + other - whole_law) / 2)


def gaussian_common_information(correlation: float | int) -> float:
    r"""Wyner's common information of two normal numbers with correlation $\rho$, in nats.

    $$C = \tfrac12\log\frac{1 + |\rho|}{1 - |\rho|} \;\ge\; I(X; Y) = -\tfrac12\log(1 - \rho^2).$$

    It is reached by $x = \sqrt\rho\,z + \sqrt{1-\rho}\,u$, $y = \sqrt\rho\,z + \sqrt{1-\rho}\,v$ with independent
    standard normal $z, u, v$ (for $\rho<0$ with one sign turned). For $\rho = 0.8$ it is $\log 3 = 1.099$, and
    $I = 0.511$. For normal vectors it is the sum over the canonical correlations.

    Args:
        correlation: $\rho$, above -1 and below 1; at the ends $C$ is infinite.

    Raises:
        ValueError: for any other value.

    Source: xu2016lossy.
    """
    real = isinstance(correlation, Real) and not isinstance(correlation, bool)
    if not real or not -1 < correlation < 1:
        raise ValueError(
            f"correlation={correlation!r} was given; it must be a number above -1 and below 1 (at the ends the common "
            "information is infinite)"
        )
    return math.atanh(abs(float(correlation)))


def binary_common_information(crossover: float | int) -> float:
    r"""Wyner's common information of two fair bits that differ with probability $p$, in nats.

    The doubly symmetric binary source: both bits are the same fair coin, each seen through a channel that turns it
    round with probability $a$, where $2a(1-a) = p$. With $h(t) = -t\log t - (1-t)\log(1-t)$,

    $$C = \log 2 + h(p) - 2h(a),\qquad a = \tfrac12\big(1 - \sqrt{1-2p}\big),$$

    which is at least $I(X; Y) = \log 2 - h(p)$ and at most $\log 2$. For $p = 0.1$ it is 0.605 nats, or 0.873 bits.

    Args:
        crossover: $p$, from 0 to ½; above it, turn one bit round.

    Raises:
        ValueError: for any other value.

    Source: wyner1975common.
    """
    p = number("crossover", crossover, most=0.5)
    a = p / (1 + math.sqrt(1 - 2 * p))  # as above, without the difference of almost equal numbers
    return min(math.log(2), max(0.0, math.log(2) + _entropy(p) - 2 * _entropy(a)))


def _entropy(t: float) -> float:
    """h(t) of a bit, in nats."""
    return 0.0 if t == 0 else -t * math.log(t) - (1 - t) * math.log1p(-t)

r"""f-divergences and the game that each of them makes (Nowozin et al., 2016).

$$D_f(p\,\|\,q) = \int q\, f\!\left(\frac pq\right), \qquad
  f^*(t) = \sup_{u\ge 0}\,(ut - f(u)), \qquad
  D_f(p\,\|\,q) \ge \mathbb E_p\, T - \mathbb E_q\, f^*(T),$$

with equality at $T^* = f'(p/q)$. A discriminator's raw score $v$ becomes $T = g_f(v)$, where the activation $g_f$ is
increasing and keeps $T$ where $f^*$ is finite. `divergence(name)` gives all of it for one $f$; `FGAN` is the game.
"""

import abc
import inspect
import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from gan_course.checks import instance, number
from gan_course.errors import UnknownName
from gan_course.objectives.base import Objective

LOG2 = math.log(2)


class Divergence(abc.ABC):
    r"""One row of the table: a convex $f$ on $u \ge 0$ and what belongs to it.

    Attributes:
        name: of the row.
        top: the supremum of the $t$ for which $f^*(t)$ is finite.
        closed: whether $f^*$ is finite at `top` itself.
        threshold: $f'(1)$: samples with $T(x)$ above it are taken for real.
        at_zero: $f(0)$, the share of the divergence where $p = 0$, as a multiple of $q$; the infimum of $f^*$ is its
            negative.
        at_infinity: $\lim f(u)/u$, the share where $q = 0$, as a multiple of $p$.
    """

    name: str
    top: float = math.inf
    closed: bool = False
    threshold: float = 0.0
    at_zero: float
    at_infinity: float

    @abc.abstractmethod
    def f(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The generator of the divergence, for ratios $u > 0$."""

    @abc.abstractmethod
    def optimal(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$T^* = f'(u)$ at the ratio $u = p/q > 0$."""

    def conjugate(self, t: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f^*(t)$, the supremum over $u \ge 0$.

        Raises:
            ValueError: if some $t$ lies where $f^*$ is infinite; the message says where it is finite.
        """
        outside = t > self.top if self.closed else t >= self.top
        if outside.any():
            sign = "≤" if self.closed else "<"
            raise ValueError(
                f"the conjugate of {self.name} is finite for t {sign} {self.top:.6g} only, and t={t[outside][0]:.6g} "
                "was given; the activation keeps scores inside: conjugate(activation(v)), or composed(v)"
            )
        return self._conjugate(t)

    @abc.abstractmethod
    def _conjugate(self, t: Tensor) -> Tensor:
        """The same where it is finite."""

    @abc.abstractmethod
    def activation(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$g_f(v)$: increasing, from all numbers to where $f^*$ is finite."""

    @abc.abstractmethod
    def composed(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f^*(g_f(v))$ in one formula, right in single precision where two steps would overflow ($|v|\le 50$)."""

    def between(self, p: Float[Tensor, "*laws"], q: Float[Tensor, "*others"]) -> Float[Tensor, "*batch"]:
        r"""$D_f(p\,\|\,q) = \sum q f(p/q)$ of two laws on finitely many symbols, which lie on the last axis.

        Symbols with $q = 0$ add $p\lim f(u)/u$, those with $p = 0$ add $q f(0)$: either may be infinite.

        Raises:
            ValueError: if the shapes differ, or a row is no law: numbers of at least 0 whose sum is 1.
        """
        if p.ndim == 0 or q.shape != p.shape:
            raise ValueError(f"p and q must have one shape (..., n), not {tuple(p.shape)} and {tuple(q.shape)}")
        for name, law in (("p", p), ("q", q)):
            total = law.sum(-1)
            if not ((law >= 0).all() and torch.allclose(total, torch.ones_like(total), atol=1e-4)):
                raise ValueError(f"{name} is no law: each row must hold numbers of at least 0 with the sum 1")
        both = (p > 0) & (q > 0)
        inside = torch.where(both, q, 1) * self.f(torch.where(both, p, 1) / torch.where(both, q, 1))
        alone = torch.where(p > 0, p * self.at_infinity, torch.where(q > 0, q * self.at_zero, 0))
        return torch.where(both, inside, alone).sum(-1)

    def __repr__(self) -> str:
        return f"<divergence {self.name}>"


class TotalVariation(Divergence):
    r"""$D_f = \tfrac12\int|p - q|$, the total variation.

    $f^*(t) = \max(t, -\tfrac12)$: above $\tfrac12$ it is infinite, and without that bound the game would be that of a
    Wasserstein critic without a bound on its slope.
    """

    name = "total-variation"
    top, closed, at_zero, at_infinity = 0.5, True, 0.5, 0.5

    def f(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f(u) = \tfrac12|u - 1|$."""
        return (u - 1).abs() / 2

    def optimal(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$T^* = \tfrac12\,\mathrm{sign}(u - 1)$."""
        return (u - 1).sign() / 2

    def _conjugate(self, t: Tensor) -> Tensor:
        return t.clamp(min=-0.5)

    def activation(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$g_f(v) = \tfrac12\tanh v$."""
        return v.tanh() / 2

    def composed(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f^*(g_f(v)) = \tfrac12\tanh v$."""
        return v.tanh() / 2


class KullbackLeibler(Divergence):
    r"""$D_f = \int p\log\frac pq$."""

    name = "kl"
    threshold, at_zero, at_infinity = 1.0, 0.0, math.inf

    def f(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f(u) = u\log u$."""
        return torch.xlogy(u, u)

    def optimal(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$T^* = 1 + \log u$."""
        return 1 + u.log()

    def _conjugate(self, t: Tensor) -> Tensor:
        return (t - 1).exp()

    def activation(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$g_f(v) = v$."""
        return v

    def composed(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f^*(g_f(v)) = e^{v-1}$."""
        return (v - 1).exp()


class ReverseKullbackLeibler(Divergence):
    r"""$D_f = \int q\log\frac qp$."""

    name = "reverse-kl"
    top, threshold, at_zero, at_infinity = 0.0, -1.0, math.inf, 0.0

    def f(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f(u) = -\log u$."""
        return -u.log()

    def optimal(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$T^* = -1/u$."""
        return -1 / u

    def _conjugate(self, t: Tensor) -> Tensor:
        return -1 - (-t).log()

    def activation(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$g_f(v) = -e^{-v}$; $-e^{v}$, seen in some tables, falls, and would turn real and fake round."""
        return -(-v).exp()

    def composed(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f^*(g_f(v)) = v - 1$."""
        return v - 1


class Pearson(Divergence):
    r"""Pearson's $\chi^2$, $D_f = \int\frac{(p-q)^2}{q}$. (The slides print Neyman's integral beside this $f$.)

    $f^*(t) = \tfrac14t^2 + t$ for $t\ge -2$. Below, the supremum over $u\ge 0$ lies at $u = 0$ and is $-f(0) = -1$: the
    parabola would rise again there, and reward scores for being very low.
    """

    name = "pearson"
    at_zero, at_infinity = 1.0, math.inf

    def f(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f(u) = (u - 1)^2$."""
        return (u - 1).square()

    def optimal(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$T^* = 2(u - 1)$."""
        return 2 * (u - 1)

    def _conjugate(self, t: Tensor) -> Tensor:
        return (t / 2 + 1).clamp(min=0).square() - 1

    def activation(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$g_f(v) = v$."""
        return v

    def composed(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f^*(g_f(v)) = \max(\tfrac v2 + 1, 0)^2 - 1$."""
        return self._conjugate(v)


class Neyman(Divergence):
    r"""Neyman's $\chi^2$, $D_f = \int\frac{(p-q)^2}{p}$. (The slides print Pearson's integral beside this $f$.)"""

    name = "neyman"
    top, closed, at_zero, at_infinity = 1.0, True, math.inf, 1.0

    def f(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f(u) = \frac{(1-u)^2}{u}$."""
        return (1 - u).square() / u

    def optimal(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$T^* = 1 - u^{-2}$."""
        return 1 - u**-2

    def _conjugate(self, t: Tensor) -> Tensor:
        return 2 - 2 * (1 - t).sqrt()

    def activation(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$g_f(v) = 1 - e^{-v}$."""
        return -torch.expm1(-v)

    def composed(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f^*(g_f(v)) = 2 - 2e^{-v/2}$."""
        return -2 * torch.expm1(-v / 2)


class SquaredHellinger(Divergence):
    r"""$D_f = \int(\sqrt p - \sqrt q)^2$."""

    name = "squared-hellinger"
    top, at_zero, at_infinity = 1.0, 1.0, 1.0

    def f(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f(u) = (\sqrt u - 1)^2$."""
        return (u.sqrt() - 1).square()

    def optimal(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$T^* = 1 - u^{-1/2}$."""
        return 1 - u.rsqrt()

    def _conjugate(self, t: Tensor) -> Tensor:
        return t / (1 - t)

    def activation(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$g_f(v) = 1 - e^{-v}$."""
        return -torch.expm1(-v)

    def composed(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f^*(g_f(v)) = e^v - 1$."""
        return torch.expm1(v)


class Jeffrey(Divergence):
    r"""$D_f = \int(p - q)\log\frac pq$, the sum of both Kullback–Leibler divergences.

    $f^*(t) = w + \frac1w + t - 2 = \frac1w - \log w - 1$ with Lambert's $w = W_0(e^{1-t})$, which solves
    $w + \log w = 1 - t$; its slope is $1/w$. The equation is solved for $\log w$: $e^{1-t}$ itself would overflow.
    """

    name = "jeffrey"
    at_zero, at_infinity = math.inf, math.inf

    def f(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f(u) = (u - 1)\log u$."""
        return (u - 1) * u.log()

    def optimal(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$T^* = 1 + \log u - \frac1u$."""
        return 1 + u.log() - 1 / u

    def _conjugate(self, t: Tensor) -> Tensor:
        log_w = _LogLambert.apply(1 - t)
        return (-log_w).exp() - log_w - 1

    def activation(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$g_f(v) = v$."""
        return v

    def composed(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f^*(g_f(v)) = f^*(v)$."""
        return self._conjugate(v)


class _LogLambert(torch.autograd.Function):
    r"""$x = \log W_0(e^s)$, the root of $e^x + x = s$, by Newton's method; its slope is $1/(1 + e^x)$."""

    @staticmethod
    def forward(context, s: Tensor) -> Tensor:
        x = torch.where(s > 1, s.clamp(min=1).log(), s - s.clamp(max=1).exp().log1p())
        for _ in range(8):
            x = x - (x.exp() + x - s) / (x.exp() + 1)
        context.save_for_backward(s)
        return x

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        (s,) = context.saved_tensors
        return gradient * torch.sigmoid(-_LogLambert.apply(s))


class JensenShannon(Divergence):
    r"""$D_f = 2\,\mathrm{JS}(p, q)$: this tabulated $f$ gives twice the Jensen–Shannon divergence."""

    name = "jensen-shannon"
    top, at_zero, at_infinity = LOG2, LOG2, LOG2

    def f(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f(u) = u\log u - (u+1)\log\frac{1+u}2$."""
        return torch.xlogy(u, u) - (u + 1) * ((1 + u) / 2).log()

    def optimal(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$T^* = \log\frac{2u}{1+u}$."""
        return (2 * u / (1 + u)).log()

    def _conjugate(self, t: Tensor) -> Tensor:
        return -(2 - t.exp()).log()

    def activation(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$g_f(v) = \log 2 - \mathrm{sp}(-v)$."""
        return LOG2 - softplus(-v)

    def composed(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f^*(g_f(v)) = \mathrm{sp}(v) - \log 2$."""
        return softplus(v) - LOG2


class WeightedJensenShannon(Divergence):
    r"""$D_f = \pi\,\mathrm{KL}(p\,\|\,m) + (1-\pi)\,\mathrm{KL}(q\,\|\,m)$ with $m = \pi p + (1-\pi)q$.

    At $\pi = \tfrac12$ this is the Jensen–Shannon divergence itself, half of the row `jensen-shannon`.
    """

    name = "weighted-jensen-shannon"

    def __init__(self, weight: float = 0.5):
        r"""`weight`: $\pi$, between 0 and 1."""
        if not 0 < (pi := number("weight", weight, positive=True, most=1)) < 1:
            raise ValueError(f"weight={weight!r} was given; it must lie between 0 and 1")
        self.weight = pi
        self.top = self.at_infinity = -pi * math.log(pi)
        self.at_zero = -(1 - pi) * math.log1p(-pi)

    def f(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f(u) = \pi u\log u - (1-\pi+\pi u)\log(1-\pi+\pi u)$."""
        pi = self.weight
        return pi * torch.xlogy(u, u) - (1 - pi + pi * u) * (1 - pi + pi * u).log()

    def optimal(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$T^* = \pi\log\frac u{1-\pi+\pi u}$."""
        pi = self.weight
        return pi * (u / (1 - pi + pi * u)).log()

    def _conjugate(self, t: Tensor) -> Tensor:
        pi = self.weight
        return (1 - pi) * ((1 - pi) / (1 - pi * (t / pi).exp())).log()

    def activation(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$g_f(v) = -\pi\log\pi - \mathrm{sp}(-v)$."""
        return self.top - softplus(-v)

    def composed(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f^*(g_f(v)) = (1-\pi)\big(\log(1-\pi) - \log(1 - e^{-\mathrm{sp}(-v)/\pi})\big)$."""
        pi = self.weight
        return (1 - pi) * (math.log1p(-pi) - (-torch.expm1(-softplus(-v) / pi)).log())


class GAN(Divergence):
    r"""$D_f = 2\,\mathrm{JS}(p, q) - \log 4$: here $f(1) = -\log 4$, not 0, and so the smallest value is $-\log 4$.

    $T = \log D$ and $-f^*(T) = \log(1 - D)$ with $D = \sigma(v)$: the game of Goodfellow et al. (2014), exactly.
    """

    name = "gan"
    top, threshold, at_zero, at_infinity = 0.0, -LOG2, 0.0, 0.0

    def f(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f(u) = u\log u - (u+1)\log(u+1)$."""
        return torch.xlogy(u, u) - (u + 1) * torch.log1p(u)

    def optimal(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$T^* = \log\frac u{1+u}$."""
        return (u / (1 + u)).log()

    def _conjugate(self, t: Tensor) -> Tensor:
        return -(-torch.expm1(t)).log()

    def activation(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$g_f(v) = -\mathrm{sp}(-v)$."""
        return -softplus(-v)

    def composed(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f^*(g_f(v)) = \mathrm{sp}(v)$."""
        return softplus(v)


class Alpha(Divergence):
    r"""The α-divergence, $D_f = \frac1{\alpha(\alpha-1)}\big(\int p^\alpha q^{1-\alpha} - 1\big)$ for $\alpha\ne0,1$.

    It runs through the other rows: half of Neyman's $\chi^2$ at −1, reverse KL as α → 0, twice the squared Hellinger
    distance at ½, KL as α → 1, half of Pearson's $\chi^2$ at 2. For $\alpha > 1$ the supremum in $f^*$ lies at $u = 0$
    where $t$ is below $\frac1{1-\alpha}$, and $f^*$ is $-f(0) = -\frac1\alpha$ there, as Pearson's.
    """

    name = "alpha"

    def __init__(self, alpha: float = 0.5):
        r"""`alpha`: $\alpha$, from −100 to 100, neither 0 nor 1."""
        instance("alpha", alpha, (int, float), "a number")
        if isinstance(alpha, bool) or not -100 <= alpha <= 100 or alpha in (0, 1):
            raise ValueError(f"alpha={alpha!r} was given; it must be a number from -100 to 100, neither 0 nor 1")
        self.alpha = float(alpha)
        self.top = 1 / (1 - alpha) if alpha < 1 else math.inf
        self.closed = alpha < 0
        self.at_zero = 1 / alpha if alpha > 0 else math.inf
        self.at_infinity = 1 / (1 - alpha) if alpha < 1 else math.inf

    def f(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f(u) = \frac{u^\alpha - 1 - \alpha(u - 1)}{\alpha(\alpha-1)}$."""
        alpha = self.alpha
        return (u**alpha - 1 - alpha * (u - 1)) / (alpha * (alpha - 1))

    def optimal(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$T^* = \frac{u^{\alpha-1} - 1}{\alpha - 1}$."""
        return (u ** (self.alpha - 1) - 1) / (self.alpha - 1)

    def _conjugate(self, t: Tensor) -> Tensor:
        alpha = self.alpha
        inside = (1 + (alpha - 1) * t).clamp(min=0)
        return (inside ** (alpha / (alpha - 1)) - 1) / alpha

    def activation(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$g_f(v) = v$ for $\alpha > 1$, else $\frac{1 - e^{-sv}}{1-\alpha}$ with $s = \min(1, 1-\alpha)$.

        The paper's $\frac1{1-\alpha} - \mathrm{sp}(-v)$ has the same range, but its $f^*$ overflows as α comes near 1.
        """
        if self.alpha > 1:
            return v
        return -torch.expm1(-min(1, 1 - self.alpha) * v) / (1 - self.alpha)

    def composed(self, v: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r"""$f^*(g_f(v)) = f^*(v)$ for $\alpha > 1$, else $\frac1\alpha(e^{rv} - 1)$, $r = s\frac\alpha{1-\alpha}$."""
        alpha = self.alpha
        if alpha > 1:
            return self._conjugate(v)
        return torch.expm1(min(1, 1 - alpha) * alpha / (1 - alpha) * v) / alpha


_DIVERGENCES: dict[str, Callable[..., Divergence]] = {
    row.name: row
    for row in (
        *(TotalVariation, KullbackLeibler, ReverseKullbackLeibler, Pearson, Neyman, SquaredHellinger, Jeffrey),
        *(JensenShannon, WeightedJensenShannon, GAN, Alpha),
    )
}


def divergence(name: str, **settings) -> Divergence:
    r"""The divergence of that name; `weight` is $\pi$ of `weighted-jensen-shannon`, `alpha` that of `alpha`.

    Raises:
        KeyError: if none has that name (the message lists those that exist).
        ValueError: for a setting that it does not have, or a value that cannot be.
    """
    if not isinstance(name, str) or name not in _DIVERGENCES:
        raise UnknownName("divergence", name, _DIVERGENCES)
    allowed = _settings(name)
    if unknown := set(settings) - set(allowed):
        has = f"it has: {', '.join(allowed)}" if allowed else "it has none"
        raise ValueError(f"divergence {name!r} has no setting {', '.join(sorted(unknown))}; {has}")
    return _DIVERGENCES[name](**settings)


def _settings(name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(_DIVERGENCES[name]).parameters)


def names() -> list[str]:
    """The names that `divergence` knows."""
    return sorted(_DIVERGENCES)


class FGAN(Objective):
    r"""The game of an f-divergence (nowozin2016fgan), with $T = g_f(v)$ for scores $v$.

    $$\min_G\max_v F = \mathbb E_p\, g_f(v) - \mathbb E_q\, f^*(g_f(v)).$$

    At the best $v$ the discriminator's loss is $-D_f(p\,\|\,q)$; at any other, $F$ is a lower bound.
    """

    source = "nowozin2016fgan"

    def __init__(self, divergence: Divergence, generator: str = "practical", penalties: Sequence = ()):
        """A game of that divergence.

        Args:
            divergence: such as `objectives.fgan.divergence("kl")`.
            generator: `"practical"`, the paper's heuristic, or `"bound"`, the value function as it is.
            penalties: as in `Objective`.
        """
        super().__init__(penalties)
        instance("divergence", divergence, Divergence, "a Divergence, such as objectives.fgan.divergence('kl')")
        if not isinstance(generator, str) or generator not in ("practical", "bound"):
            raise ValueError(f"generator={generator!r} was given; it must be 'practical' or 'bound'")
        self.divergence, self.generator = divergence, generator
        self.name = f"f-gan/{divergence.name}"

    @classmethod
    def maker(cls, name: str) -> Callable[..., "FGAN"]:
        """What makes the game of the divergence of that name, with the settings of both."""

        def make(generator: str = "practical", penalties: Sequence = (), **settings) -> FGAN:
            return cls(divergence(name, **settings), generator, penalties)

        own = list(inspect.signature(make).parameters.values())[:-1]
        make.__signature__ = inspect.Signature([*own, *_settings(name).values()])
        return make

    def discriminator_loss(
        self, real_scores: Float[Tensor, "*n"], fake_scores: Float[Tensor, "*m"]
    ) -> Float[Tensor, ""]:
        r"""$\mathcal L_D = \mathbb E_q\, f^*(g_f(v)) - \mathbb E_p\, g_f(v) = -F$."""
        return self.divergence.composed(fake_scores).mean() - self.divergence.activation(real_scores).mean()

    def generator_loss(self, fake_scores: Float[Tensor, "*m"], real_scores: Tensor | None = None) -> Float[Tensor, ""]:
        r"""$\mathcal L_G = -\mathbb E_q\, g_f(v)$, the practical one, or $-\mathbb E_q\, f^*(g_f(v))$, the bound."""
        if self.generator == "practical":
            return -self.divergence.activation(fake_scores).mean()
        return -self.divergence.composed(fake_scores).mean()

r"""Losses of players who make both sides of a comparison, and errors of what goes there and back.

Where a discriminator compares $q(x, z) = q(x)\,q(z\mid x)$ with $p(x, z) = p(z)\,p(x\mid z)$, the first made by an
encoder ("real") and the second by a generator ("fake"), there is nothing given to imitate: both want to be taken for
each other (donahue2017bigan, dumoulin2017ali).
"""

import functools

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from gan_course.objectives.base import Objective
from gan_course.objectives.fgan import FGAN
from gan_course.objectives.least_squares import LeastSquares
from gan_course.objectives.relativistic import Relativistic


@functools.singledispatch
def exchanged(
    objective: Objective, real_scores: Float[Tensor, "*n"], fake_scores: Float[Tensor, "*m"]
) -> Float[Tensor, ""]:
    r"""The loss of those who make real *and* fake, of any objective: $\mathcal L_G(\tilde d) + \mathcal L_G(-d)$.

    The generator wants high scores of its fakes. To the encoder the sides are exchanged: it wants low scores, which are
    high ones of the mirrored discriminator $-d$. For the non-saturating game that is

    $$\mathbb E_p[-\log D] + \mathbb E_q[-\log(1 - D)],$$

    the discriminator's own loss with both labels flipped (dumoulin2017ali, section 2.2). For the minimax and the
    Wasserstein game it is $-\mathcal L_D$: a zero-sum game stays one. Scores are mirrored as the objective asks:

    * least squares: at the middle of its two codes, $\tfrac12\mathbb E_q(a + b - d - c)^2$;
    * f-divergences have no mirror; the encoder gets its own part of the value function, $\mathbb E_q\,g_f(v)$;
    * relativistic losses hold both sides' scores already, and count once.
    """
    return objective.generator_loss(fake_scores, real_scores) + objective.generator_loss(-real_scores, -fake_scores)


@exchanged.register(LeastSquares)
def _(objective: LeastSquares, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    mirrored = objective.a + objective.b - real_scores
    return objective.generator_loss(fake_scores) + objective.generator_loss(mirrored)


@exchanged.register(FGAN)
def _(objective: FGAN, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    return objective.generator_loss(fake_scores) + objective.divergence.activation(real_scores).mean()


@exchanged.register(Relativistic)
def _(objective: Relativistic, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    return objective.generator_loss(fake_scores, real_scores)


def absolute_error(x: Float[Tensor, "n *sample"], y: Float[Tensor, "n *sample"]) -> Float[Tensor, " n"]:
    r"""$\|x - y\|_1$ of each pair: but for a constant, $-\log$ of Laplace's density around $y$ with scale 1."""
    return (x - y).abs().flatten(1).sum(1)


def squared_error(x: Float[Tensor, "n *sample"], y: Float[Tensor, "n *sample"]) -> Float[Tensor, " n"]:
    r"""$\|x - y\|_2^2$ of each pair: but for a constant, $-\log$ of a normal density with variance $\tfrac12$."""
    return (x - y).square().flatten(1).sum(1)


def cross_entropy_error(x: Float[Tensor, "n *sample"], y: Float[Tensor, "n *sample"]) -> Float[Tensor, " n"]:
    r"""$-\sum_i x_i\log y_i + (1 - x_i)\log(1 - y_i)$ of each pair, for `x` and for the means `y` in [0, 1].

    It is $-\log$ of the probability of pixels 0 or 1; at a grey $x$ it is least at $y = x$, where the entropy of $x$ is
    left and not 0. It is not symmetric. A logarithm of 0 counts as that of the smallest normal number.
    """
    tiny = torch.finfo(y.dtype).tiny
    logs = x * y.clamp_min(tiny).log() + (1 - x) * (1 - y).clamp_min(tiny).log()
    return -logs.flatten(1).sum(1)


def cosine_error(x: Float[Tensor, "n *sample"], y: Float[Tensor, "n *sample"]) -> Float[Tensor, " n"]:
    r"""$1 - \frac{x^\top y}{\|x\|\,\|y\|}$ of each pair, in [0, 2]: of the direction alone, whatever the length.

    Where one of them is 0 there is no direction, and the error is 1. For unit vectors it is half of `squared_error`.
    """
    return 1 - cosine_similarity(x.flatten(1), y.flatten(1), dim=1)

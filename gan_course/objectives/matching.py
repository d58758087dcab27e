r"""Losses of players who make both sides of a comparison, and errors of what goes there and back.

Where a discriminator compares $q(x, z) = q(x)\,q(z\mid x)$ with $p(x, z) = p(z)\,p(x\mid z)$, the first made by an
encoder ("real") and the second by a generator ("fake"), there is nothing given to imitate: both want to be taken for
each other (donahue2017bigan, dumoulin2017ali).
"""

import functools

from jaxtyping import Float
from torch import Tensor

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

"""The Wasserstein game: a critic whose scores differ by at most the distance of the samples."""

from jaxtyping import Float
from torch import Tensor

from gan_course.objectives.base import Objective
from gan_course.objectives.penalties import GradientPenalty


class Wasserstein(Objective):
    r"""Kantorovich and Rubinstein's dual of the earth mover's distance.

    $$W_1(p, q) = \max_{\|d\|_L\le 1} \mathbb E_p d - \mathbb E_q d.$$

    The formulas alone do not bound the slope of $d$: a penalty or weight clipping must.
    """

    name = "wasserstein"
    source = "arjovsky2017wasserstein"

    def discriminator_loss(
        self, real_scores: Float[Tensor, "*n"], fake_scores: Float[Tensor, "*m"]
    ) -> Float[Tensor, ""]:
        r"""$\mathcal L_D = \mathbb E_q d - \mathbb E_p d$."""
        return fake_scores.mean() - real_scores.mean()

    def generator_loss(self, fake_scores: Float[Tensor, "*m"], real_scores: Tensor | None = None) -> Float[Tensor, ""]:
        r"""$\mathcal L_G = -\mathbb E_q d$. No logarithm: $d$ is no probability."""
        return -fake_scores.mean()


class WassersteinGradientPenalty(Wasserstein):
    r"""WGAN-GP: the Wasserstein game with $\lambda\,\mathbb E(\|\nabla d\|_2 - 1)^2$ between real and fake samples."""

    name = "wgan-gp"
    source = "gulrajani2017improved"

    def __init__(self, weight: float = 10.0):
        r"""`weight`: $\lambda$ of the gradient penalty."""
        super().__init__([GradientPenalty(weight)])

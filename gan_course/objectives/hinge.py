"""The hinge game (Lim and Ye, 2017; Miyato et al., 2018)."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu

from gan_course.objectives.base import Objective


class Hinge(Objective):
    r"""Scores are pushed beyond a margin of 1 on their side, and no further.

    $$\min_d \mathbb E_p\max(0, 1-d) + \mathbb E_q\max(0, 1+d), \qquad \min_G -\mathbb E_q d.$$

    At the optimum $d^* = \mathrm{sign}(p-q)$ the discriminator's loss is $2 - 2\,\mathrm{TV}(p, q)$.
    """

    name = "hinge"
    source = "miyato2018spectral"

    def discriminator_loss(
        self, real_scores: Float[Tensor, "*n"], fake_scores: Float[Tensor, "*m"]
    ) -> Float[Tensor, ""]:
        r"""$\mathcal L_D = \mathbb E_p\max(0, 1-d) + \mathbb E_q\max(0, 1+d)$."""
        return relu(1 - real_scores).mean() + relu(1 + fake_scores).mean()

    def generator_loss(self, fake_scores: Float[Tensor, "*m"], real_scores: Tensor | None = None) -> Float[Tensor, ""]:
        r"""$\mathcal L_G = -\mathbb E_q d$: no hinge here, a fake's slope never vanishes."""
        return -fake_scores.mean()

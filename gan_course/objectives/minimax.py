"""The game of Goodfellow et al. (2014), with both generator's losses."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from gan_course.objectives.base import Objective
from gan_course.objectives.penalties import DraganPenalty


class Minimax(Objective):
    r"""The two-player game as its value function states it.

    $$\min_G \max_D V(G, D) = \mathbb E_{x\sim p}\log D(x) + \mathbb E_{z}\log(1 - D(G(z))), \qquad D = \sigma(d).$$

    In scores, with softplus $\mathrm{sp}(a) = \log(1 + e^a)$: $-\log D = \mathrm{sp}(-d)$ and
    $-\log(1-D) = \mathrm{sp}(d)$.
    At the optimum $d^* = \log p - \log q$ the discriminator's loss is $\log 4 - 2\,\mathrm{JS}(p, q)$.
    """

    name = "minimax"
    source = "goodfellow2014generative"

    def discriminator_loss(
        self, real_scores: Float[Tensor, "*n"], fake_scores: Float[Tensor, "*m"]
    ) -> Float[Tensor, ""]:
        r"""$\mathcal L_D = \mathbb E_p\,\mathrm{sp}(-d) + \mathbb E_q\,\mathrm{sp}(d) = -V$."""
        return softplus(-real_scores).mean() + softplus(fake_scores).mean()

    def generator_loss(self, fake_scores: Float[Tensor, "*m"], real_scores: Tensor | None = None) -> Float[Tensor, ""]:
        r"""$\mathcal L_G = \mathbb E_q\log(1 - D) = -\mathbb E_q\,\mathrm{sp}(d)$, with slope $-\sigma(d)$.

        The slope vanishes where $D(G(z))\approx 0$: it saturates against a discriminator that wins.
        """
        return -softplus(fake_scores).mean()


class NonSaturating(Minimax):
    r"""The same discriminator, with the generator's loss that keeps its slope when the discriminator wins."""

    name = "non-saturating"

    def generator_loss(self, fake_scores: Float[Tensor, "*m"], real_scores: Tensor | None = None) -> Float[Tensor, ""]:
        r"""$\mathcal L_G = -\mathbb E_q\log D = \mathbb E_q\,\mathrm{sp}(-d)$, with slope $-(1-\sigma(d))$."""
        return softplus(-fake_scores).mean()


class Dragan(NonSaturating):
    r"""DRAGAN (kodali2017convergence): the non-saturating game with a penalty on slopes around real samples."""

    name = "dragan"
    source = "kodali2017convergence"

    def __init__(self, weight: float = 10.0, penalties: Sequence = ()):
        r"""`weight`: $\lambda$ of `DraganPenalty`; `penalties`: further ones."""
        super().__init__(penalties, DraganPenalty(weight))

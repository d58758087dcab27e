"""The Wasserstein game: a critic whose scores differ by at most the distance of the samples."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm

from gan_course.checks import number
from gan_course.objectives.base import Objective
from gan_course.objectives.penalties import GradientPenalty


def spectrally_normalised(module: nn.Module) -> bool:
    """Whether torch divides this module's weight by its largest singular value."""
    ways = [way for found in getattr(module, "parametrizations", {}).values() for way in found]
    return any(isinstance(way, (_SpectralNorm, SpectralNorm)) for way in [*ways, *module._forward_pre_hooks.values()])


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

    def __init__(self, weight: float = 10.0, one_sided: bool = False, penalties: Sequence = ()):
        r"""`weight`, `one_sided`: of the `GradientPenalty`; `penalties`: further ones."""
        super().__init__(penalties, GradientPenalty(weight, one_sided))


class WassersteinClipping(Wasserstein):
    r"""WGAN as first published: after each step of the critic its weights are clipped to $[-c, c]$.

    Weights so bounded bound the slope, but by a number $K$ that nobody knows, and the loss estimates $K\,W_1$ at best.
    Every parameter is clipped, also those of batch normalisation.
    """

    name = "wgan"

    def __init__(self, clip: float = 0.01, penalties: Sequence = ()):
        """`clip`: $c$, above 0."""
        super().__init__(penalties)
        self.clip = number("clip", clip, positive=True)

    def check(self, discriminator: nn.Module) -> None:
        """Refuse spectral normalisation: it divides the clipped weights by their norm, and undoes the clipping."""
        normalised = [name or "itself" for name, part in discriminator.named_modules() if spectrally_normalised(part)]
        if normalised:
            raise ValueError(
                "weights cannot be clipped and spectrally normalised: what is clipped is divided by its norm again, so "
                f"that c has no effect on the slope. Of the discriminator, {', '.join(normalised)} is normalised: take "
                "a discriminator without, or objectives.wasserstein.Wasserstein(), which does not clip"
            )
        super().check(discriminator)

    def constrain(self, discriminator: nn.Module) -> None:
        r"""$w \leftarrow \min(\max(w, -c), c)$."""
        with torch.no_grad():
            for weight in discriminator.parameters():
                weight.clamp_(-self.clip, self.clip)

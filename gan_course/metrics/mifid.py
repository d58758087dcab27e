r"""MiFID: a Fréchet distance that is divided by how near the samples come to the training set."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import number
from gan_course.metrics.features import Network, look
from gan_course.metrics.frechet_inception import frechet_of

EPSILON = 1e-15  # under the fraction, as in the competition
_BLOCK = 1000


@dataclass(frozen=True)
class MiFID:
    """What `mifid` found."""

    fid: float
    """Fréchet distance of the images to the training set."""
    distance: float
    """Mean over the images of the smallest cosine distance to a training image."""
    threshold: float
    """Distances from here on are not punished."""

    @property
    def value(self) -> float:
        """The memorisation-informed distance: `fid` as it is, or divided by `distance` where that is small."""
        return self.fid / ((self.distance if self.distance < self.threshold else 1.0) + EPSILON)

    def __str__(self) -> str:
        return f"MiFID {self.value:.4g} = FID {self.fid:.4g}, cosine distance {self.distance:.4g} to the training set"


def mifid(
    images: Float[Tensor, "n c h w"],
    train: Float[Tensor, "m c h w"],
    network: Network = None,
    threshold: float = 0.1,
) -> MiFID:
    r"""Memorisation-informed Fréchet inception distance of images to the training set.

    $$\mathrm{MiFID} = \frac{\mathrm{FID}}{m},\qquad
      m = \begin{cases}\delta & \delta < \varepsilon\\ 1 & \text{else}\end{cases},\qquad
      \delta = \frac1n\sum_i \min_j\Big(1 - \frac{|\phi(x_i)\cdot\phi(t_j)|}{\|\phi(x_i)\|\,\|\phi(t_j)\|}\Big)$$

    with ε = `threshold`. For **each generated image** the nearest training image: a training image that no sample is
    near to does not count. (torchmetrics 1.x takes the other direction, the nearest sample of each real image; with
    `real` and fake exchanged it gives this value.) What ε means depends on the network: 0.1 was chosen for Inception;
    measure δ for held-out data, and set ε below it, or honest samples are punished too. Samples whose FID is 0 have
    MiFID 0 even if they are copies: the factor only multiplies.

    Images without any active feature count as distance 1. `network` as in `image_features`.

    Raises `ValueError` for images outside [0, 1], NaN, fewer than two images, and `threshold` outside (0, 1].
    Source: bai2021training.
    """
    number("threshold", threshold, positive=True, most=1)
    x, t = look("images", images, network, "features"), look("train", train, network, "features")
    distance = frechet_of("images", x, "train", t, stacklevel=4)
    x, t = (torch.nn.functional.normalize(features.double(), dim=1) for features in (x, t.to(x.device)))
    nearest = torch.cat([(block @ t.T).abs().amax(1) for block in x.split(_BLOCK)])
    return MiFID(distance, float((1 - nearest).clamp(min=0).mean()), float(threshold))

r"""The Fréchet inception distance, through torchmetrics, in the features of any network."""

from jaxtyping import Float
from torch import Tensor, nn

from gan_course.metrics._checks import same_dimension
from gan_course.metrics.features import Network, look
from gan_course.metrics.frechet import enough


class Given(nn.Module):
    """The feature network of torchmetrics where the features have been computed already."""

    def __init__(self, features: int):
        super().__init__()
        self.num_features = features

    def forward(self, features: Tensor) -> Tensor:
        """The features, as they are."""
        return features


def fid(images_a: Float[Tensor, "n c h w"], images_b: Float[Tensor, "m c h w"], network: Network = None) -> float:
    r"""Fréchet inception distance of two sets of images, in the features $\phi$ of a network:

    $$\mathrm{FID} = \|\mu_a - \mu_b\|^2 + \operatorname{tr}\big(\Sigma_a + \Sigma_b - 2(\Sigma_a\Sigma_b)^{1/2}\big),
      \qquad \mu, \Sigma: \text{mean and covariance (divided by } n - 1) \text{ of } \phi(x)$$

    `network` as in `image_features`: with `inception()` it is the published quantity, with None, for digits, that of
    the LeNet, on a scale of its own (the same as `frechet_digits`). It is 0 for equal sets and sees two moments only.
    The estimate is biased **upwards**, by a term that shrinks with the number of images: compare only distances
    taken with the same number on both sides. Fewer images than features are warned of.

    Raises `ValueError` for images outside [0, 1], NaN, fewer than two images. Source: heusel2017ttur,
    detlefsen2022torchmetrics.
    """
    a, b = look("images_a", images_a, network, "features"), look("images_b", images_b, network, "features")
    return frechet_of("images_a", a, "images_b", b, stacklevel=4)


def frechet_of(name_a: str, a: Tensor, name_b: str, b: Tensor, stacklevel: int) -> float:
    """torchmetrics' Fréchet distance of two sets of features."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    same_dimension(name_a, a, name_b, b)
    for name, x in ((name_a, a), (name_b, b)):
        enough(name, x, stacklevel)
    a, b = a.double().cpu(), b.double().cpu()
    centre = a.mean(0)  # the distance is the same, and second moments about it keep their digits
    metric = FrechetInceptionDistance(Given(a.shape[1]))
    metric.update(a - centre, real=True)
    metric.update(b - centre, real=False)
    return max(0.0, float(metric.compute()))

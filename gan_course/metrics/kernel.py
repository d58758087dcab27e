r"""The kernel inception distance: maximum mean discrepancy with a cubic kernel, through torchmetrics."""

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import whole
from gan_course.metrics._checks import at_least, points, same_dimension
from gan_course.metrics.features import Network, look
from gan_course.metrics.frechet_inception import Given

LARGEST = 1e30  # of features: cubes of their products, summed, are numbers


@dataclass(frozen=True)
class KernelDistance:
    """What `kid` found."""

    mean: float
    """Mean over the subsets; an estimate without bias, so that it may be a little below 0."""
    std: float
    """Standard deviation over the subsets, which are drawn anew each time and overlap."""
    subset_size: int
    """Samples of each side in each subset."""

    def __str__(self) -> str:
        return f"{self.mean:.5g} ± {self.std:.2g} over subsets of {self.subset_size}"


def kernel_distance(
    features_a: Float[Tensor, "n d"],
    features_b: Float[Tensor, "m d"],
    subsets: int = 100,
    subset_size: int | None = None,
    seed: int = 0,
) -> KernelDistance:
    r"""Squared maximum mean discrepancy of two sets of features, with the cubic kernel, without bias:

    $$k(x, y) = \Big(\frac{x\cdot y}{d} + 1\Big)^3, \qquad
      \mathrm{MMD}^2 = \frac{\sum_{i\ne j} k(x_i, x_j) + \sum_{i\ne j} k(y_i, y_j)}{m(m-1)}
      - \frac{2}{m^2}\sum_{ij} k(x_i, y_j)$$

    the mean over `subsets` random subsets of $m$ = `subset_size` samples of each side (None: 1,000, or all that both
    sides have). Its expectation does not depend on the number of samples, unlike `frechet_distance`'s; it can be
    negative. It compares moments up to the third.

    Raises `ValueError` for fewer than two samples, different numbers of features, NaN, a subset larger than a set.
    Source: binkowski2018demystifying, gretton2012kernel, detlefsen2022torchmetrics.
    """
    a, b = points("features_a", features_a), points("features_b", features_b)
    return between_sets("features_a", a, "features_b", b, subsets, subset_size, seed)


def kid(
    images_a: Float[Tensor, "n c h w"],
    images_b: Float[Tensor, "m c h w"],
    network: Network = None,
    subsets: int = 100,
    subset_size: int | None = None,
    seed: int = 0,
) -> KernelDistance:
    """Kernel inception distance of two sets of images: `kernel_distance` in a network's features.

    `network` as in `image_features`. Raises `ValueError` for images outside [0, 1], NaN, fewer than two images, a
    subset larger than a set. Source: binkowski2018demystifying.
    """
    a, b = look("images_a", images_a, network, "features"), look("images_b", images_b, network, "features")
    return between_sets("images_a", a, "images_b", b, subsets, subset_size, seed)


def between_sets(name_a: str, a: Tensor, name_b: str, b: Tensor, subsets, subset_size, seed) -> KernelDistance:
    """`kernel_distance`, its messages with the names that the caller knows."""
    same_dimension(name_a, a, name_b, b)
    for name, x in ((name_a, a), (name_b, b)):
        at_least(name, x, 2, "for the kernel's mean over different samples")
        largest = float(x.abs().max())
        if largest > LARGEST:
            raise ValueError(
                f"{name} has values as large as {largest:.3g}; allowed: up to {LARGEST:g}, beyond which the kernel "
                "cannot be computed. Change the unit."
            )
    whole("subsets", subsets, most=100_000)
    whole("seed", seed, least=0, most=2**63 - 1)
    most = min(len(a), len(b))
    size = min(1000, most) if subset_size is None else whole("subset_size", subset_size, least=2)
    if size > most:
        raise ValueError(
            f"subset_size={size} was given for {len(a)} samples in {name_a} and {len(b)} in {name_b}; allowed: up to "
            f"{most}. Draw more samples or take smaller subsets."
        )
    from torchmetrics.image.kid import KernelInceptionDistance

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # that it keeps the features: they are here anyway
        metric = KernelInceptionDistance(Given(a.shape[1]), subsets=int(subsets), subset_size=int(size))
        metric.update(a.double().cpu(), real=True)
        metric.update(b.double().cpu(), real=False)
        torch.manual_seed(seed)
        mean, std = metric.compute()
    return KernelDistance(float(mean), float(std), int(size))

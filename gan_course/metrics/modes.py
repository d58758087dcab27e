r"""Modes found and samples of quality, for laws whose modes are known."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import number
from gan_course.metrics._checks import points, same_dimension

RADIUS = 3.0  # in standard deviations of a mode


@dataclass(frozen=True)
class ModeCoverage:
    """What `mode_coverage` found."""

    modes: int
    """Modes found."""
    total: int
    """Modes there are."""
    quality: float
    """Share of all samples within three standard deviations of a mode, from 0 to 1."""
    counts: tuple[int, ...]
    """Samples within three standard deviations of each mode, in the order of the centres."""

    def __str__(self) -> str:
        return f"{self.modes} of {self.total} modes, {100 * self.quality:.1f} % of the samples within 3σ of one"


def mode_coverage(
    samples: Float[Tensor, "n d"] | Float[Tensor, " n"],
    centers: Float[Tensor, "k d"] | Float[Tensor, " k"],
    std: float | int,
    share: float | int = 0.25,
) -> ModeCoverage:
    r"""Count the modes that samples reach, by the rule of three standard deviations.

    A sample is good when it lies within $3\sigma$ of the nearest centre $c_k$; with $n$ samples and $K$ modes, mode
    $k$ is found when at least a `share` $\rho$ of its fair share $n/K$ of **all** samples is good and nearest to it:

    $$n_k = \#\{i : \|x_i - c_k\| \le 3\sigma,\ k = \arg\min_j \|x_i - c_j\|\}, \qquad
      \text{modes} = \#\{k : n_k \ge \rho\, n / K\}, \qquad \text{quality} = \tfrac1n \textstyle\sum_k n_k$$

    For exact data of a mixture of round Gaussians quality is $1 - e^{-9/2} = 98.9\,\%$ in the plane and
    $\operatorname{erf}(3/\sqrt2) = 99.7\,\%$ on the line. Distances are Euclidean. The share is what keeps stray
    samples from counting: with the rule that one sample is enough, a circle drawn through all the modes finds them
    all. A draw of fewer than about 100 samples per mode leaves `modes` to chance.

    `samples` and `centers` have shapes (n, d) and (K, d), or (n,) and (K,) on the line; `std` is in their unit.

    Raises `ValueError` for other shapes, empty sets, NaN, equal centres, `std` that is not positive, and `share`
    outside (0, 1]. Source: srivastava2017veegan for the radius; the share is this course's.
    """
    x, c = points("samples", samples), points("centers", centers)
    same_dimension("samples", x, "centers", c)
    number("std", std, positive=True)
    number("share", share, positive=True, most=1)
    if len(torch.unique(c, dim=0)) < len(c):
        raise ValueError(f"two of the {len(c)} centers are equal; allowed: distinct centres. List each mode once.")
    # The differences themselves, not cdist's expansion of the square, which loses digits far from the origin.
    distances = torch.cdist(x, c, compute_mode="donot_use_mm_for_euclid_dist")
    distance, nearest = distances.min(dim=1)
    good = distance <= RADIUS * std
    counts = torch.bincount(nearest[good], minlength=len(c))
    found = int((counts >= share * len(x) / len(c)).sum())
    return ModeCoverage(found, len(c), int(good.sum()) / len(x), tuple(counts.tolist()))

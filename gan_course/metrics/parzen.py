r"""Log likelihood by Parzen windows: a Gaussian around each sample."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import number
from gan_course.metrics._checks import at_least, bounded, same_dimension
from gan_course.metrics._rows import rows

BANDWIDTHS = tuple(10 ** (-1 + i / 9) for i in range(10))  # ten from 0.1 to 1, equally spaced in their logarithm
ROOT = math.sqrt(2 * math.pi)
_MEMORY = 2**22  # numbers in one block of squared distances: 32 MiB


@dataclass(frozen=True)
class ParzenLikelihood:
    """What `parzen` found."""

    mean: float
    """Mean log density of the test set, in nats per sample (the sum over the dimensions)."""
    standard_error: float
    """Of that mean, from the spread over the test set."""
    bandwidth: float
    """The bandwidth that was chosen, with the largest mean on the validation set."""
    validation: tuple[tuple[float, float], ...]
    """Each bandwidth tried with its mean on the validation set."""

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.standard_error:.2f} nats per sample (bandwidth {self.bandwidth:.3g})"


def parzen_density(
    samples: Float[Tensor, "n *shape"], x: Float[Tensor, "m *shape"], bandwidth: float | int
) -> Float[Tensor, " m"]:
    r"""Log density at `x` of the Parzen windows around samples: one Gaussian each, all of one width $\sigma$,

    $$\log\hat q(x) = \log\frac1n\sum_{i=1}^n \mathcal N(x;\, s_i, \sigma^2 I)
      = \operatorname{logsumexp}_i\Big(-\frac{\|x - s_i\|^2}{2\sigma^2}\Big) - \log n
      - \frac d2\log(2\pi\sigma^2)$$

    in nats, summed over the $d$ coordinates (not their mean), in float64 on the CPU.

    Squared distances are scikit-learn's. Its `KernelDensity` computes the same with one leaf; with the default
    leaves its bounds cancel in many dimensions, and the result is off by hundreds of nats for 784 pixels.

    Raises `ValueError` for shapes that do not fit together, empty sets, NaN, a bandwidth that is not positive.
    Source: parzen1962estimation, goodfellow2014generative.
    """
    s, x = _rows("samples", samples), _rows("x", x)
    same_dimension("samples", s, "x", x)
    return _log_densities(s, x, [_bandwidth("bandwidth", bandwidth)])[0]


def parzen(
    samples: Float[Tensor, "n *shape"],
    test: Float[Tensor, "m *shape"],
    validation: Float[Tensor, "l *shape"],
    bandwidths: Sequence[float] = BANDWIDTHS,
) -> ParzenLikelihood:
    r"""Mean log density of test data under the Parzen windows around samples, see `parzen_density`.

    The bandwidth is the one of `bandwidths` with the largest mean on the **validation** set, which must not share
    points with the test set: chosen on the test set, it flatters. A best bandwidth at the end of the grid is warned
    of, because a better one may lie outside.

    It is the likelihood of a model that nobody drew from, the samples blurred by $\sigma$; in many dimensions it
    ranks models by other things than their quality, as the chapter on evaluation shows.

    Raises `ValueError` for shapes that do not fit together, empty sets, NaN, one test point, and where validation and
    test are the same. Source: goodfellow2014generative for the protocol, theis2016note for its failures.
    """
    s, x, v = _rows("samples", samples), _rows("test", test), _rows("validation", validation)
    same_dimension("samples", s, "test", x)
    same_dimension("samples", s, "validation", v)
    at_least("test", x, 2, "for a standard error")
    _disjoint(v, x)
    grid = _grid(bandwidths)
    means = _log_densities(s, v, grid).mean(1)
    best = int(means.argmax())
    if len(grid) > 1 and best in (0, len(grid) - 1):
        warnings.warn(
            f"the best of {len(grid)} bandwidths is the {'largest' if best else 'smallest'}, {grid[best]:.4g}; a "
            "better one may lie beyond. Give bandwidths that go further.",
            stacklevel=2,
        )
    densities = _log_densities(s, x, [grid[best]])[0]
    scale = float(densities.abs().max()) or 1.0  # squares of densities far out overflow
    error = scale * float((densities / scale).std()) / math.sqrt(len(densities))
    tried = tuple(zip(grid, means.tolist(), strict=True))
    return ParzenLikelihood(float(densities.mean()), error, grid[best], tried)


def _rows(name: str, x: object) -> Tensor:
    return bounded(name, rows(name, x).cpu(), torch.float64)


def _bandwidth(name: str, value: object) -> float:
    width = number(name, value, positive=True)
    if width < 1e-30:
        raise ValueError(f"{name}={value!r} was given; allowed: from 1e-30 to 1e+30, in the unit of the samples.")
    return width


def _grid(bandwidths: object) -> list[float]:
    try:
        grid = sorted({_bandwidth("bandwidths", width) for width in bandwidths})
    except TypeError:
        grid = []
    if not grid:
        raise ValueError(
            f"bandwidths={bandwidths!r} was given; allowed: a list of positive numbers, such as [0.1, 0.2, 0.5]"
        )
    return grid


def _disjoint(validation: Tensor, test: Tensor) -> None:
    """Refuse a validation set that is the test set, warn of one that shares points with it."""
    known = {row.numpy().tobytes() for row in test}
    shared = sum(row.numpy().tobytes() in known for row in validation)
    if shared == len(validation):
        raise ValueError(
            f"validation holds nothing but points of test (all {shared}); allowed: other data. A bandwidth that is "
            "chosen on the test set flatters: split the data first."
        )
    if shared:
        warnings.warn(
            f"validation shares {shared} of its {len(validation)} points with test: the bandwidth is chosen on data "
            "that it is judged by.",
            stacklevel=3,
        )


def _log_densities(samples: Tensor, x: Tensor, bandwidths: list[float]) -> Float[Tensor, "b m"]:
    """The log densities at `x` for each bandwidth; the distances are computed once."""
    from sklearn.metrics.pairwise import euclidean_distances

    s, x = samples.flatten(1), x.flatten(1)
    centre = s.mean(0)  # squares about it keep their digits
    s, x, d = (s - centre).numpy(), x - centre, s.shape[1]
    found = []
    for block in x.split(max(1, _MEMORY // len(s))):
        squares = torch.from_numpy(euclidean_distances(block.numpy(), s, squared=True))
        of_block = [
            (squares / (-2 * width) / width).logsumexp(1) - math.log(len(s)) - d * math.log(width * ROOT)
            for width in bandwidths
        ]
        found.append(torch.stack(of_block))
    return torch.cat(found, dim=1)

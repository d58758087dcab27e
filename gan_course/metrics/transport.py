r"""Exact Wasserstein distance of two sets of samples."""

import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.metrics._checks import points, same_dimension


def wasserstein(
    x: Float[Tensor, "n d"] | Float[Tensor, " n"],
    y: Float[Tensor, "m d"] | Float[Tensor, " m"],
    order: float | int = 1,
) -> float:
    r"""Wasserstein distance of order $p$ between two empirical distributions, solved exactly:

    $$W_p = \Big(\min_{\pi \ge 0} \sum_{ij} \pi_{ij}\, \|x_i - y_j\|^p\Big)^{1/p}
      \quad\text{with}\quad \sum_j \pi_{ij} = \tfrac1n,\ \sum_i \pi_{ij} = \tfrac1m$$

    In the unit of the coordinates, whatever the order. Points on the line are sorted,
    $W_p^p = \int_0^1 |F_x^{-1}(u) - F_y^{-1}(u)|^p\,du$; in more dimensions POT's network simplex solves the linear
    programme, in memory n × m and a time that grows a little faster. A thousand points on each side are a good size.

    The distance of *samples* is not that of the laws they come from: two draws of the same law lie apart, by about
    $n^{-1/d}$ in $d > 2$ dimensions. Put the distance of two real draws of equal size beside every number.

    Raises `ValueError` for shapes that do not fit together, empty sets, NaN, and `order` below 1 or infinite.
    Source: flamary2021pot.
    """
    a, b = points("x", x), points("y", y)
    same_dimension("x", a, "y", b)
    if isinstance(order, bool) or not isinstance(order, int | float) or not 1 <= order < float("inf"):
        raise ValueError(f"order={order!r}; allowed: a finite number, at least 1 (1 and 2 are usual).")
    import ot

    if a.shape[1] == 1:
        cost = float(ot.wasserstein_1d(a[:, 0].numpy(), b[:, 0].numpy(), p=order))
    else:
        # The differences themselves: the expansion of the square would put equal points 1e-8 apart.
        lengths = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the log says it too, and below it is an error
            cost, log = ot.emd2([], [], lengths**order, numItermax=10_000_000, log=True)
        if log["warning"] is not None:
            raise RuntimeError(f"the linear programme of {len(a)} × {len(b)} points was not solved: {log['warning']}")
    return max(0.0, float(cost)) ** (1 / order)

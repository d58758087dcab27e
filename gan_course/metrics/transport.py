r"""Exact Wasserstein distance of two sets of samples."""

import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import number
from gan_course.metrics._checks import points, same_dimension

MOST = 16  # of orders: beyond, powers of short lengths are no numbers any more


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

    Raises `ValueError` for shapes that do not fit together, empty sets, NaN, and `order` outside 1 to 16.
    Source: flamary2021pot.
    """
    a, b = points("x", x), points("y", y)
    same_dimension("x", a, "y", b)
    if number("order", order, most=MOST) < 1:
        raise ValueError(f"order={order!r}; allowed: from 1 to {MOST} (1 and 2 are usual).")
    if a.shape[1] == 1:
        import ot

        unit = float((a.max() - b.min()).abs().maximum((b.max() - a.min()).abs())) or 1.0
        cost = ot.wasserstein_1d(a[:, 0].numpy() / unit, b[:, 0].numpy() / unit, p=order)
        return unit * max(0.0, float(cost)) ** (1 / order)
    # The differences themselves: the expansion of the square would put equal points 1e-8 apart.
    return _transported(torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").numpy(), order)


def _transported(lengths, order: float) -> float:
    """The distance, from all pairs' lengths.

    The solver's tolerance is absolute, so costs must be near 1. Lengths are cut at a bound that no pair of the best
    plan exceeds, which is their unit too: at first the longest; then, as every pair that a plan uses carries a mass of
    at least 1/nm, what a plan costs says how long the pairs of a better one can be.
    """
    import ot

    pairs, unit = lengths.size, float(lengths.max())
    while unit:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the log says it too, and below it is an error
            costs = (lengths / unit).clip(max=1) ** order
            cost, log = ot.emd2([], [], costs, numItermax=10_000_000, log=True)
        if log["warning"] is not None:
            n, m = lengths.shape
            raise RuntimeError(f"the linear programme of {n} × {m} points was not solved: {log['warning']}")
        distance = unit * max(0.0, float(cost)) ** (1 / order)
        bound = distance * pairs ** (1 / order)
        if bound > unit / 2:
            return distance
        unit = bound
    return 0.0

r"""Exact optimal transport: the distance of two sets of samples, and the plan between two histograms."""

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import number
from gan_course.metrics._checks import bounded, finite, histogram, points, same_dimension

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


@dataclass(frozen=True)
class TransportPlan:
    r"""The best way to move one histogram onto another, and the prices that prove it.

    Attributes:
        plan: `(n, m)`, $\gamma_{ij}\ge0$, the mass that goes from place $i$ to place $j$.
        cost: $\sum_{ij}\gamma_{ij} c_{ij}$, the least there is.
        source, target: `(n,)` and `(m,)`, Kantorovich's potentials: $f_i + g_j \le c_{ij}$ everywhere, with equality
            where $\gamma_{ij} > 0$, so that $\sum_i p_i f_i + \sum_j q_j g_j$ is the cost too.
    """

    plan: Float[Tensor, "n m"]
    cost: float
    source: Float[Tensor, " n"]
    target: Float[Tensor, " m"]


def transport_plan(p: Float[Tensor, " n"], q: Float[Tensor, " m"], costs: Float[Tensor, "n m"]) -> TransportPlan:
    r"""Optimal transport between two histograms, solved exactly:

    $$\min_{\gamma\ge0} \sum_{ij} \gamma_{ij}\, c_{ij}
      \quad\text{with}\quad \sum_j \gamma_{ij} = p_i,\ \sum_i \gamma_{ij} = q_j.$$

    With lengths $c_{ij} = \|x_i - y_j\|$ the cost is the earth mover's distance $W_1$. All results are in float64. Of
    several best plans, and of several best potentials, one is returned; POT's network simplex solves the programme.

    Raises `ValueError` for what is no histogram, for costs that are not finite, or not one for each pair of places.
    Source: flamary2021pot, villani2009optimal.
    """
    import ot

    p, q = histogram("p", p), histogram("q", q)
    costs = bounded("costs", finite("costs", costs, "a floating-point tensor of shape (n, m)").cpu(), torch.float64)
    if costs.shape != (len(p), len(q)):
        raise ValueError(
            f"costs has shape {tuple(costs.shape)}, p has {len(p)} places and q has {len(q)}; allowed: one cost for "
            f"each pair, shape ({len(p)}, {len(q)}), such as torch.cdist(x, y)."
        )
    rows, columns = p.nonzero()[:, 0], q.nonzero()[:, 0]  # an empty place neither gives nor takes
    used = costs[rows][:, columns]
    unit = float(used.abs().max()) or 1.0  # the solver's tolerance is absolute
    shares = [(part / part.sum()).numpy() for part in (p[rows], q[columns])]
    moved, log = ot.emd(*shares, (used / unit).numpy(), numItermax=10_000_000, log=True)
    if log["warning"] is not None:
        raise RuntimeError(
            f"the linear programme of {len(rows)} × {len(columns)} places was not solved: {log['warning']}"
        )
    plan = torch.zeros_like(costs)
    plan[rows[:, None], columns] = torch.as_tensor(moved)
    # Raised as far as the inequalities allow: feasible everywhere, at empty places too, and no worse.
    target = (costs[rows] - unit * torch.as_tensor(log["u"])[:, None]).min(0).values
    source = (costs - target).min(1).values
    return TransportPlan(plan, float((plan * costs).sum()), source, target)

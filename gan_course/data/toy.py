"""Toy distributions of the plane and the line whose densities are known: independent draws, always of one seed.

Each function draws `n` points from its distribution, float32, of shape (n, d), with a random generator of its own: the
same seed gives the same points, and PyTorch's global random state is left alone.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import LARGEST, number, whole


def ring(
    n: int = 10_000, *, modes: int = 8, radius: float = 2.0, std: float = 0.05, seed: int = 0
) -> Float[Tensor, "n 2"]:
    r"""Draw from equally weighted Gaussians on a circle, the test of mode collapse.

    $$p(x) = \frac1K \sum_{k=0}^{K-1} \mathcal N(x;\, c_k, \sigma^2 I)$$

    with the centres $c_k$ of `ring_centers`; $K$ is `modes`, $\sigma$ is `std`. Source: `metz2017unrolled`.
    """
    return _around(ring_centers(modes, radius), n, std, seed)


def ring_centers(modes: int = 8, radius: float = 2.0) -> Float[Tensor, "modes 2"]:
    r"""Return $c_k = r\,(\cos\frac{2\pi k}{K}, \sin\frac{2\pi k}{K})$ for $k = 0, \dots, K-1$; $r$ is `radius`."""
    modes = whole("modes", modes)
    radius = number("radius", radius, positive=True)
    angles = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes  # 2π itself would be mode 0 once more
    return (radius * torch.stack([angles.cos(), angles.sin()], dim=1)).float()


def grid(
    n: int = 10_000, *, side: int = 5, spacing: float = 2.0, std: float = 0.05, seed: int = 0
) -> Float[Tensor, "n 2"]:
    r"""Draw from equally weighted Gaussians $\mathcal N(c_k, \sigma^2 I)$ on a square grid (`grid_centers`).

    Source: `srivastava2017veegan`.
    """
    return _around(grid_centers(side, spacing), n, std, seed)


def grid_centers(side: int = 5, spacing: float = 2.0) -> Float[Tensor, "nodes 2"]:
    """Return the `side` × `side` nodes of a square grid around the origin, neighbours `spacing` apart."""
    side = whole("side", side)
    spacing = number("spacing", spacing, positive=True)
    ticks = spacing * (torch.arange(side, dtype=torch.float32) - (side - 1) / 2)
    return torch.cartesian_prod(ticks, ticks).reshape(-1, 2)


def spiral(
    n: int = 10_000, *, turns: float = 2.0, radius: float = 2.0, std: float = 0.05, seed: int = 0
) -> Float[Tensor, "n 2"]:
    r"""Draw from an Archimedean spiral: one connected curve that no straight line unrolls.

    $$x = r\sqrt u\,(\cos 2\pi\tau\sqrt u,\ \sin 2\pi\tau\sqrt u) + \sigma\varepsilon,
      \qquad u \sim \mathcal U(0, 1),\ \varepsilon \sim \mathcal N(0, I)$$

    with $r$ the `radius`, $\tau$ the `turns` and $\sigma$ the `std`. The root spreads the points about evenly along the
    curve, and $E\|x\|^2 = r^2/2 + 2\sigma^2$.
    """
    generator = _generator(n, std, seed)
    turns, radius = number("turns", turns, positive=True), number("radius", radius, positive=True)
    share = torch.rand(n, 1, generator=generator).sqrt()
    angle = 2 * math.pi * turns * share
    curve = radius * share * torch.cat([angle.cos(), angle.sin()], dim=1)
    return curve + float(std) * torch.randn(n, 2, generator=generator)


def two_moons(n: int = 10_000, *, std: float = 0.05, seed: int = 0) -> Float[Tensor, "n 2"]:
    r"""Draw from two half circles that reach into each other, each with half the weight.

    $$x = (\cos t, \sin t) + \sigma\varepsilon
      \quad\text{or}\quad x = (1 - \cos t, \tfrac12 - \sin t) + \sigma\varepsilon,
      \qquad t \sim \mathcal U(0, \pi),\ \varepsilon \sim \mathcal N(0, I)$$

    The mean is $(\tfrac12, \tfrac14)$. The half circles are those of scikit-learn's `make_moons`.
    """
    generator = _generator(n, std, seed)
    t = math.pi * torch.rand(n, 1, generator=generator)
    upper = torch.cat([t.cos(), t.sin()], dim=1)
    lower = torch.cat([1 - t.cos(), 0.5 - t.sin()], dim=1)
    moons = torch.where(torch.rand(n, 1, generator=generator) < 0.5, upper, lower)
    return moons + float(std) * torch.randn(n, 2, generator=generator)


def mixture(
    n: int = 10_000,
    *,
    means: Sequence[float] = (-1.0, 1.0),
    stds: Sequence[float] = (0.25, 0.25),
    weights: Sequence[float] | None = None,
    seed: int = 0,
) -> Float[Tensor, "n 1"]:
    r"""Draw from a mixture of Gaussians on the line.

    $$p(x) = \sum_k w_k\, \mathcal N(x;\, \mu_k, \sigma_k^2)$$

    `weights` $w_k$ sum to 1 and are all equal by default. Mean $\bar\mu = \sum_k w_k\mu_k$, variance
    $\sum_k w_k(\sigma_k^2 + \mu_k^2) - \bar\mu^2$.
    """
    generator = _generator(n, 0.0, seed)
    means, stds = _vector("means", means), _vector("stds", stds)
    if means.shape != stds.shape or means.ndim != 1:
        raise ValueError(f"means and stds must be two lists of one length, not {len(means)} and {len(stds)} entries")
    if (stds < 0).any():
        raise ValueError(f"stds must not be negative, not {stds.tolist()}")
    component = _choose(weights, len(means), n, generator)
    noise = torch.randn(n, generator=generator)
    return (means[component] + stds[component] * noise)[:, None]


def point_masses(
    n: int = 10_000,
    *,
    points: Sequence[float] | Sequence[Sequence[float]] = (-1.0, 1.0),
    weights: Sequence[float] | None = None,
    seed: int = 0,
) -> Float[Tensor, "n d"]:
    r"""Draw from a discrete distribution $p = \sum_k w_k\, \delta_{x_k}$.

    `points` are numbers (then d = 1) or vectors of one length d; `weights` $w_k$ sum to 1 and are all equal by default.
    """
    generator = _generator(n, 0.0, seed)
    points = _vector("points", points)
    if points.ndim > 2:
        raise ValueError(f"points must be numbers or vectors of one length, not of shape {tuple(points.shape)}")
    return points.reshape(len(points), -1)[_choose(weights, len(points), n, generator)]


# --- Checks and draws ----------------------------------------------------------------------------------------------


def _around(centers: Tensor, n, std, seed) -> Tensor:
    generator = _generator(n, std, seed)
    return centers[_choose(None, len(centers), n, generator)] + float(std) * torch.randn(n, 2, generator=generator)


def _choose(weights, count: int, n, generator: torch.Generator) -> Tensor:
    """Draw `n` of `count` indices, with replacement."""
    if weights is None:
        return torch.randint(count, (n,), generator=generator)
    w = _vector("weights", weights).double()
    if w.shape != (count,):
        raise ValueError(f"weights must be {count} numbers, one for each component, not of shape {tuple(w.shape)}")
    if (w < 0).any() or abs(w.sum().item() - 1) > 1e-6:
        raise ValueError(f"weights must not be negative and must sum to 1, not {list(weights)}")
    return torch.multinomial(w, n, replacement=True, generator=generator)


def _generator(n, std, seed) -> torch.Generator:
    whole("n", n)
    number("std", std)
    return torch.Generator().manual_seed(whole("seed", seed, least=0, most=2**63 - 1))


def _vector(name: str, values) -> Tensor:
    try:
        vector = torch.as_tensor(values, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{name} must be numbers, not {values!r} ({error})") from error
    if vector.ndim == 0 or vector.numel() == 0 or not (vector.abs() <= LARGEST).all():
        raise ValueError(f"{name} must be a list of at least one finite number, at most {LARGEST:g}, not {values!r}")
    return vector

"""Checks of what users hand to a metric: each message says what was given, what is allowed and what to do."""

import torch
from torch import Tensor


def finite(name: str, x: object, allowed: str) -> Tensor:
    """`x` detached, if it is a tensor of finite floating-point numbers, not empty; `allowed` says what is expected."""
    if not isinstance(x, Tensor):
        raise ValueError(f"{name} is a {type(x).__name__}; allowed: {allowed}. Convert it with torch.as_tensor.")
    if not x.is_floating_point():
        raise ValueError(f"{name} has dtype {x.dtype}; allowed: {allowed}. Convert it with .float() or .double().")
    if x.numel() == 0:
        raise ValueError(f"{name} is empty (shape {tuple(x.shape)}); allowed: {allowed}. Draw at least one sample.")
    x = x.detach()
    if not bool(torch.isfinite(x).all()):
        bad = int((~torch.isfinite(x)).sum())
        raise ValueError(
            f"{name} holds {bad} values that are NaN or infinite, of {x.numel()}; allowed: finite numbers only. "
            "Look for the step at which the sampler diverged rather than dropping these values."
        )
    return x


def points(name: str, x: object) -> Tensor:
    """`x` as points (n, d) in float64 on the CPU; a vector (n,) is n points on the line."""
    allowed = "a floating-point tensor of shape (n, d), or (n,) for numbers on a line"
    x = finite(name, x, allowed)
    if x.dim() not in (1, 2):
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}; allowed: {allowed}. Of images, .flatten(1) gives the pixels."
        )
    x = x.cpu().double()
    return x[:, None] if x.dim() == 1 else x


def same_dimension(name_x: str, x: Tensor, name_y: str, y: Tensor) -> None:
    """Refuse two sets of points that do not live in the same space."""
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"{name_x} has points of {tuple(x.shape[1:])} coordinates and {name_y} of {tuple(y.shape[1:])}; "
            "allowed: the same for both. Compare sets from the same space."
        )


def whole(name: str, k: object, least: int, most: int | None = None, why: str = "") -> int:
    """`k` if it is a whole number from `least` to `most`."""
    if isinstance(k, bool) or not isinstance(k, int) or k < least or (most is not None and k > most):
        top = "" if most is None else f" and at most {most}"
        raise ValueError(f"{name}={k!r}; allowed: a whole number, at least {least}{top}{why}.")
    return k

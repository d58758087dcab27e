"""Checks of what users hand to a metric: each message says what was given, what is allowed and what to do."""

import torch
from torch import Tensor

LARGEST = {torch.float32: 1e15, torch.float64: 1e100}  # sums of squares of so large numbers are numbers in that type


def finite(name: str, x: object, allowed: str) -> Tensor:
    """`x` detached, at least in single precision, if it holds finite floating-point numbers and is not empty.

    `allowed` says what is expected.
    """
    if not isinstance(x, Tensor):
        raise ValueError(f"{name} is a {type(x).__name__}; allowed: {allowed}. Convert it with torch.as_tensor.")
    if not x.is_floating_point():
        raise ValueError(f"{name} has dtype {x.dtype}; allowed: {allowed}. Convert it with .float() or .double().")
    if x.numel() == 0:
        raise ValueError(f"{name} is empty (shape {tuple(x.shape)}); allowed: {allowed}. Draw at least one sample.")
    x = x.detach().to(precision(x))
    if not bool(torch.isfinite(x).all()):
        bad = int((~torch.isfinite(x)).sum())
        raise ValueError(
            f"{name} holds {bad} values that are NaN or infinite, of {x.numel()}; allowed: finite numbers only. "
            "Look for the step at which the sampler diverged rather than dropping these values."
        )
    return x


def precision(x: Tensor) -> torch.dtype:
    """The type in which distances of points like `x` are computed: its own, but not less than single precision."""
    return torch.promote_types(x.dtype, torch.float32)


def bounded(name: str, x: Tensor, dtype: torch.dtype) -> Tensor:
    """`x` in another type, if its numbers are not so large that their squares overflow there."""
    largest = float(x.abs().max())
    if largest > LARGEST[dtype]:
        raise ValueError(
            f"{name} has values as large as {largest:.3g}; allowed: up to {LARGEST[dtype]:g}, beyond which distances "
            "cannot be computed. Change the unit."
        )
    return x.to(dtype)


def points(name: str, x: object) -> Tensor:
    """`x` as points (n, d) in float64 on the CPU; a vector (n,) is n points on the line."""
    allowed = "a floating-point tensor of shape (n, d), or (n,) for numbers on a line"
    x = finite(name, x, allowed)
    if x.dim() not in (1, 2):
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}; allowed: {allowed}. Of images, .flatten(1) gives the pixels."
        )
    x = bounded(name, x.cpu(), torch.float64)
    return x[:, None] if x.dim() == 1 else x


def same_dimension(name_x: str, x: Tensor, name_y: str, y: Tensor) -> None:
    """Refuse two sets of points that do not live in the same space."""
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"{name_x} has points of {tuple(x.shape[1:])} coordinates and {name_y} of {tuple(y.shape[1:])}; "
            "allowed: the same for both. Compare sets from the same space."
        )


def unit_range(name: str, images: Tensor, allowed: str) -> None:
    """Refuse images with values outside [0, 1]."""
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise ValueError(
            f"{name} has values from {low:.4g} to {high:.4g}; allowed: {allowed}. "
            "Map [-1, 1] to it with (images + 1) / 2, bytes with images / 255; clamp what is meant to be cut off."
        )


def at_least(name: str, x: Tensor, least: int, why: str) -> None:
    """Refuse a set of too few samples."""
    if len(x) < least:
        given = "1 sample" if len(x) == 1 else f"{len(x)} samples"
        raise ValueError(f"{name} holds {given}; allowed: at least {least}, {why}. Draw more samples.")


def histogram(name: str, p: object) -> Tensor:
    """`p` as shares (k,) in float64 on the CPU, if it is a histogram."""
    allowed = "a vector (k,) of shares, not negative, with sum 1"
    p = finite(name, p, allowed).cpu().double()
    if p.dim() != 1:
        raise ValueError(f"{name} has shape {tuple(p.shape)}; allowed: {allowed}.")
    if float(p.min()) < 0 or abs(float(p.sum()) - 1) > 1e-5:
        raise ValueError(
            f"{name} has smallest entry {float(p.min()):.4g} and sum {float(p.sum()):.6g}; allowed: {allowed}. "
            "Divide counts by their sum."
        )
    return p

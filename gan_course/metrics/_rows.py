"""The checks of sets of rows, be they points, images, features or codes, and of their classes."""

import torch
from torch import Tensor

from gan_course.metrics._checks import finite


def rows(name: str, x: object) -> Tensor:
    """`x` detached, at least in single precision, if it is of shape (n, ...) and holds finite numbers."""
    allowed = "a floating-point tensor of shape (n, ...) whose rows are points, images or features"
    x = finite(name, x, allowed)
    if x.dim() < 2:
        raise ValueError(f"{name} has shape {tuple(x.shape)}; allowed: {allowed}. Numbers on a line are x[:, None].")
    return x


def code_rows(name: str, codes: object) -> Tensor:
    """`codes` as `rows` gives them, if each is a vector."""
    x = rows(name, codes)
    if x.dim() != 2:
        raise ValueError(f"{name} has shape {tuple(x.shape)}; allowed: codes (n, d). Flatten them with .flatten(1).")
    return x


def labels(name: str, given: object, of: str, codes: Tensor) -> Tensor:
    """Labels on the CPU, if they are one whole number for each code."""
    if not isinstance(given, Tensor) or given.dtype != torch.int64 or tuple(given.shape) != (len(codes),):
        what = f"{given.dtype} of shape {tuple(given.shape)}" if isinstance(given, Tensor) else type(given).__name__
        raise ValueError(
            f"{name} is {what}; allowed: a tensor of int64 of shape ({len(codes)},), a class for each row of {of}. "
            "Convert it with torch.as_tensor(labels).long()."
        )
    return given.cpu()

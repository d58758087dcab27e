"""The check of sets whose rows may be of any shape: points, images or features."""

from torch import Tensor

from gan_course.metrics._checks import finite


def rows(name: str, x: object) -> Tensor:
    """`x` detached, at least in single precision, if it is of shape (n, ...) and holds finite numbers."""
    allowed = "a floating-point tensor of shape (n, ...) whose rows are points, images or features"
    x = finite(name, x, allowed)
    if x.dim() < 2:
        raise ValueError(f"{name} has shape {tuple(x.shape)}; allowed: {allowed}. Numbers on a line are x[:, None].")
    return x

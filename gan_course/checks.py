"""Checks of what users hand over: each message says what was given and what is allowed."""

import contextlib
import operator
from collections.abc import Iterable, Iterator
from numbers import Real

from torch import Tensor

LARGEST = 1e30
"""No setting needs a larger number, and in single precision little is left above it."""


def whole(name: str, value: object, least: int = 1, most: int = 2**31 - 1) -> int:
    """`value` as an int, if it is a whole number from `least` to `most`; NumPy's and torch's are, True is not."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not least <= number <= most:
        top = f" and at most {most}" if number is not None and number > most else ""
        raise ValueError(f"{name}={value!r} was given; it must be a whole number of at least {least}{top}")
    return number


def number(name: str, value: object, positive: bool = False, most: float = LARGEST) -> float:
    """`value` as a float, if it is a number from 0 to `most`; not 0 itself where it must be `positive`."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not real or value > most or not (value > 0 if positive else value >= 0):  # NaN is neither
        top = f" and at most {most:g}" if real and value > most else ""
        least = "above" if positive else "of at least"
        raise ValueError(f"{name}={value!r} was given; it must be a finite number {least} 0{top}")
    return float(value)


def one_of(name: str, value: object, allowed: Iterable[str], more: str = "") -> str:
    """`value`, if it is one of the words allowed; `more`: what else is allowed, for the message."""
    allowed = list(allowed)
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name}={value!r} was given; choose one of {', '.join(allowed)}{more}")
    return value


def samples(**batches: object) -> None:
    """Refuse what is no batch: a tensor whose rows are samples, at least one."""
    for name, x in batches.items():
        if not isinstance(x, Tensor) or x.ndim == 0 or len(x) == 0:
            given = f"one of shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise ValueError(f"{name} must be a tensor of shape (n, ...) with n samples, at least one, not {given}")


def instance(name: str, value: object, kind: type | tuple[type, ...], allowed: str) -> None:
    """Refuse what is not of a kind; `allowed`: that kind in words."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {allowed}, not a {type(value).__name__}")


@contextlib.contextmanager
def explained(cannot: str, advice: str = "") -> Iterator[None]:
    """Inside, what fails becomes a ValueError: what somebody `cannot` do, the error's first line, and advice."""
    try:
        yield
    except Exception as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"{cannot}: {why}{advice}") from error

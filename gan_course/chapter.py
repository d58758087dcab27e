"""What a chapter needs beside the course itself: how long to train, how to state a claim, how to start from a seed."""

import os
import random
from numbers import Integral

import numpy as np

from gan_course.errors import CourseError

BUDGET_VARIABLE = "GAN_COURSE_BUDGET"
SMOKE_ROUNDS = 5


class ClaimFailed(CourseError, AssertionError):
    """A chapter says something about quality that its full run did not show."""


def budget_mode() -> str:
    """Return `"full"` or `"smoke"`, as the environment variable `GAN_COURSE_BUDGET` says (unset or empty: full).

    Raises ValueError for any other value.
    """
    mode = os.environ.get(BUDGET_VARIABLE) or "full"
    if mode not in ("full", "smoke"):
        raise ValueError(f"{BUDGET_VARIABLE}={mode!r} is not a budget; set it to full or smoke, or leave it unset")
    return mode


def budget(cpu: int = 3_000, gpu: int = 30_000) -> int:
    """Return the number of rounds for the machine in hand: `gpu` where CUDA is available, else `cpu`.

    With `GAN_COURSE_BUDGET=smoke` it is a handful (at most 5), so that the same notebook runs as a test in seconds.
    Nothing else in a chapter may depend on the mode. Raises ValueError for numbers that are not positive integers.
    """
    for name, rounds in (("cpu", cpu), ("gpu", gpu)):
        if isinstance(rounds, bool) or not isinstance(rounds, Integral) or rounds < 1:
            raise ValueError(f"budget({name}={rounds!r}): a number of rounds is an integer of at least 1")
    smoke = budget_mode() == "smoke"

    import torch

    rounds = int(gpu if torch.cuda.is_available() else cpu)
    return min(rounds, SMOKE_ROUNDS) if smoke else rounds


def claim(text: str, condition: object, measured: object = None) -> None:
    """Print what is claimed, whether it held and, if given, what was `measured`.

    `condition`: a truth value: a bool, NumPy's bool, or a tensor with a single truth value. A full run stops here with
    ClaimFailed (an AssertionError) when it is false; a smoke run, too short to show anything, only prints. Raises
    TypeError for a condition that is no truth value, such as a number whose comparison was forgotten.
    """
    held = _truth(condition)
    statement = text if measured is None else f"{text} (measured: {measured})"
    print("✓" if held else "✗", statement)
    if not held and budget_mode() == "full":
        raise ClaimFailed(f"this run does not show what the chapter claims: {statement}")


def _truth(condition) -> bool:
    """Return the condition as a bool, or refuse it."""
    dtype = str(getattr(condition, "dtype", ""))  # of NumPy: "bool"; of a tensor: "torch.bool"
    if isinstance(condition, bool) or (dtype.endswith("bool") and np.prod(condition.shape) == 1):
        return bool(condition)
    shape = f" of shape {tuple(condition.shape)}" if hasattr(condition, "shape") else ""
    raise TypeError(
        f"claim() needs one truth value, not {type(condition).__name__}{shape}; "
        "compare what was measured (modes == 8), and reduce several values with .all()"
    )


def seed_everything(seed: int = 0) -> None:
    """Seed Python's, NumPy's global and torch's random numbers, the latter on every device.

    Call it before networks are built: `fit(seed=...)` governs batches and noise, but weights are drawn earlier.
    `seed`: an integer from 0 to 2³² − 1 (NumPy takes no other). Raises ValueError otherwise.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed!r}: a seed is an integer from 0 to {2**32 - 1}")
    seed = int(seed)

    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  the global generator is what libraries such as SciPy draw from by default
    torch.manual_seed(seed)

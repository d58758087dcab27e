"""What the tests of the public boundary share: values of every kind, and what counts as an answer.

The contract of a call: it returns what is right, or it refuses with an error of the package itself whose message names
an argument. What comes out of the depths of PyTorch, POT or Python is no refusal, and neither is NaN.
"""

import math
import re
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st

import gan_course
from gan_course.errors import CourseError

PACKAGE = Path(gan_course.__file__).parent
HALF = (torch.float16, torch.bfloat16)
REAL = (torch.float32, torch.float64)
OTHER = (torch.uint8, torch.int32, torch.int64, torch.bool, torch.complex64)

NOT_TENSORS = st.sampled_from(
    [None, "images", b"x", [], [1.0, 2.0], (1, 2), {}, 3, 2.5, object(), np.zeros((3, 2)), torch.nn.ReLU(), lambda x: x]
)
LARGE = [-(2**63), 25, 200, 2**31, 2**63, 2**64, 10**30]
FRACTIONS = [0.5, 2.5, -0.5, 1e38, 1e30, 1e-45, np.float32(0.5), 10**400, float("inf"), float("-inf"), float("nan")]
NO_NUMBERS = [
    *(None, "", "3", "ring", b"3", [], [1], {}, {"a": 1}, (1, 2), 1j, object(), lambda x: x),
    *(np.array([1, 2]), np.array(["a", "b"]), torch.tensor([1.0, 2.0])),
]
ODD = [*NO_NUMBERS, True, False, np.int64(3), torch.tensor(3)]
WHOLE = st.one_of(st.integers(-3, 12), st.sampled_from(LARGE))
NUMBERS = st.one_of(st.floats(allow_subnormal=True), st.sampled_from([0, 1, -1, *FRACTIONS]))
SETTINGS = st.one_of(WHOLE, NUMBERS, st.sampled_from(ODD))
EVERY = [-3, -1, 0, 1, 2, *LARGE, *FRACTIONS, *ODD]


class NoAnswer(AssertionError):
    """A call neither gave a right answer nor refused by an error that names an argument."""


def answer(names, call, /, *arguments, **settings):
    """The result of a call, or None where the package refuses it and names one of the arguments."""
    try:
        return call(*arguments, **settings)
    except (ValueError, TypeError, CourseError) as error:
        trace = error.__traceback__
        while trace.tb_next:
            trace = trace.tb_next
        place = Path(trace.tb_frame.f_code.co_filename)
        named = any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", str(error)) for name in names)
        if place.is_relative_to(PACKAGE) and named:
            return None
        raise NoAnswer(f"{type(error).__name__} from {place}, naming none of {sorted(names)}: {error}") from error


def values(largest: float, special: bool):
    """Finite floats up to `largest` in magnitude, absurdly small ones too; if `special`, also infinite and NaN."""
    plain = st.one_of(
        st.floats(-largest, largest),
        st.sampled_from([0.0, -0.0, 1.0, -1.0, largest, -largest, 1e-45, 1e-38, 1e-300, 1e-7]),
        st.floats(-3, 3),
    )
    return st.one_of(plain, st.sampled_from([float("inf"), float("-inf"), float("nan")])) if special else plain


@st.composite
def tensors(draw, dtypes=(*HALF, *REAL), shape=None, largest=1e6, special=False, dims=(0, 5), sizes=(0, 6)):
    """A tensor of any shape and of some dtype: of many values, or constant."""
    dtype = draw(st.sampled_from(dtypes))
    if shape is None:
        shape = draw(st.lists(st.integers(*sizes), min_size=dims[0], max_size=dims[1]))
        while math.prod(shape) > 600:
            shape = shape[:-1]
    if not dtype.is_floating_point:
        numbers = torch.randint(0, 2, tuple(shape), generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))
        return numbers.to(dtype)
    largest = min(largest, torch.finfo(dtype).max)
    pool = draw(st.lists(values(largest, special), min_size=1, max_size=8))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    picked = torch.tensor(pool, dtype=torch.float64)[torch.randint(len(pool), tuple(shape), generator=generator)]
    if draw(st.booleans()):  # else a few values, repeated: ties, equal points, constants
        picked = picked * torch.rand(tuple(shape), generator=generator, dtype=torch.float64)
    return picked.clamp(-largest, largest).to(dtype) if not special else picked.to(dtype)


def anything(**settings):
    """Tensors of every kind, and what is no tensor."""
    return st.one_of(tensors((*HALF, *REAL, *OTHER), special=True, largest=3e38, **settings), NOT_TENSORS)


def finite(*xs) -> bool:
    """Whether all of it is tensors of finite floating-point numbers."""
    return all(isinstance(x, torch.Tensor) and x.is_floating_point() and bool(x.isfinite().all()) for x in xs)

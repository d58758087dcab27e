"""What every test of an erratum does: one assertion passes for what is right and fails for what is printed."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

TIMES = torch.tensor([24, 18, 12, 6]), torch.tensor([6, 12, 18, 24])  # of each of four symbols, in sixtieths
P, Q = (times.double() / 60 for times in TIMES)
LOG2 = math.log(2)


def separates(check: Callable, right: Callable, wrong: Callable, because: str) -> None:
    """`check` accepts `right` and refuses `wrong`, with a message that says why (a regular expression)."""
    check(right)
    with pytest.raises(AssertionError, match=because):
        check(wrong)


def numbers(*values: float) -> Tensor:
    """A tensor in double precision."""
    return torch.tensor(values, dtype=torch.float64)


def spread(scores: Tensor) -> list[Tensor]:
    """The scores of the four symbols, each as often as either law has it: means of them are exact expectations."""
    return [scores.repeat_interleave(times) for times in TIMES]


def slope(function: Callable, at: Tensor) -> Tensor:
    """The gradient of a scalar function there."""
    at = at.detach().clone().requires_grad_()
    return torch.autograd.grad(function(at), at)[0]


def kl(p: Tensor, q: Tensor) -> Tensor:
    """The Kullback–Leibler divergence of two laws on finitely many symbols."""
    return (p * (p / q).log()).sum()


def js(p: Tensor, q: Tensor) -> Tensor:
    """Their Jensen–Shannon divergence, from its definition."""
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


def greatest(value: Callable, n: int = 4) -> Tensor:
    """The largest value of a smooth concave function of n scores, found by SciPy."""
    from scipy.optimize import minimize

    def loss(scores):
        scores = torch.tensor(scores, dtype=torch.float64)
        return -value(scores).item(), -slope(value, scores).numpy()

    return numbers(-minimize(loss, torch.zeros(n).double().numpy(), jac=True, options={"gtol": 1e-9}).fun)[0]

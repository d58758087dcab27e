"""Adversarial objectives by name: `objectives.get("wgan-gp", weight=10.0)`; the names: `objectives.names()`.

Those of f-divergences are called `f-gan/kl` and so on; `objectives.fgan.divergence("kl")` is the divergence itself.
"""

import inspect
from collections.abc import Callable

from gan_course.errors import UnknownName
from gan_course.objectives import began, density_ratio, energy, fgan, likelihood, penalties, wasserstein
from gan_course.objectives.base import Objective
from gan_course.objectives.energy import EnergyBased, LossSensitive
from gan_course.objectives.hinge import Hinge
from gan_course.objectives.least_squares import LeastSquares
from gan_course.objectives.minimax import Dragan, Minimax, NonSaturating
from gan_course.objectives.relativistic import Relativistic
from gan_course.objectives.wasserstein import WassersteinClipping, WassersteinGradientPenalty

_CLASSES = (
    *(Minimax, NonSaturating, Dragan, LeastSquares, Hinge, Relativistic, EnergyBased, LossSensitive),
    *(WassersteinClipping, WassersteinGradientPenalty),
)

__all__ = [
    "Objective",
    "began",
    "density_ratio",
    "energy",
    "fgan",
    "get",
    "likelihood",
    "names",
    "penalties",
    "wasserstein",
]

_OBJECTIVES: dict[str, Callable[..., Objective]] = {
    **{objective.name: objective for objective in _CLASSES},
    **{f"f-gan/{name}": fgan.FGAN.maker(name) for name in fgan.names()},
}


def get(name: str, **settings) -> Objective:
    """The objective of that name; `settings` are its own, such as `weight` for `wgan-gp`.

    Raises:
        KeyError: if no objective has that name (the message lists those that exist).
        ValueError: if the objective has no such setting.
    """
    if not isinstance(name, str) or name not in _OBJECTIVES:
        raise UnknownName("objective", name, _OBJECTIVES)
    objective = _OBJECTIVES[name]
    allowed = set(inspect.signature(objective).parameters)
    if unknown := set(settings) - allowed:
        raise ValueError(f"objective {name!r} has no setting {', '.join(sorted(unknown))}; it has: {sorted(allowed)}")
    return objective(**settings)


def names() -> list[str]:
    """The names that `get` knows."""
    return sorted(_OBJECTIVES)

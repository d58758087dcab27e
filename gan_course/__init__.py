"""Generative adversarial networks in one vocabulary: objectives, networks, games, data, metrics, one training loop."""

import importlib

__version__ = "0.1.0"

# Submodules and names are imported when first used, so that `import gan_course` costs next to nothing beside torch.
_SUBMODULES = {"objectives", "networks", "games", "data", "metrics", "training", "checkpoint", "plotting", "widgets"}
_NAMES = {
    "fit": "training",
    "History": "training",
    "budget": "chapter",
    "claim": "chapter",
    "seed_everything": "chapter",
}

__all__ = sorted(_SUBMODULES | set(_NAMES))


def __getattr__(name: str):
    if name in _SUBMODULES:
        return importlib.import_module(f"gan_course.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"gan_course.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'gan_course' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]

"""Data: image sets by name (`load`), points in the plane and on the line (`toy`), `text`, streams of batches."""

import importlib

# Imported when first used: importing `gan_course.data` costs nothing beside torch.
_HOMES = {
    "Images": "images",
    "celeba": "folders",
    "folder": "folders",
    "load": "images",
    "names": "images",
    "DataNotice": "store",
    "Paired": "sources",
    "Pairs": "pairs",
    "Unpaired": "sources",
    "Loader": "sources",
}
_SUBMODULES = {"domains", "folders", "images", "pairs", "sources", "store", "text", "toy"}

__all__ = sorted({*_HOMES, "domains", "pairs", "text", "toy"})


def __getattr__(name: str):
    if name in _SUBMODULES:
        return importlib.import_module(f"gan_course.data.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"gan_course.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'gan_course.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]

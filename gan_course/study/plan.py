"""What a study asks for: a TOML file, read and checked.

    title = "Two learning rates"
    table = "rates.csv"                   # beside this file; by default the file's own name with .csv
    objectives = ["wgan", "hinge"]        # or "all"
    data = ["ring", "digits"]

    [seeds]
    choose = [100, 101]                   # the best setting of an objective on a data set is chosen on these
    report = [0, 1, 2, 3, 4]              # and reported on these

    [settings]                            # a value is the same in every cell; of a list every value is tried
    steps = 2_000
    learning_rate = [1e-3, 1e-4]

    [on.digits]                           # on a data set, in place of the above
    steps = 1_000

    [for.wgan]                            # for an objective, in place of the above; its own settings belong here
    optimizer = "rmsprop"
    clip = 0.1

Every objective is tried with the same number of settings on a data set: an equal budget.
"""

import itertools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_course.checks import whole
from gan_course.errors import UnknownName
from gan_course.study import cells
from gan_course.study.cells import Cell, StudyError

KEYS = ("title", "table", "objectives", "data", "device", "seeds", "settings", "on", "for")
NEEDED = ("objectives", "data", "seeds", "settings")


@dataclass(frozen=True)
class Study:
    """A study.

    Attributes:
        title: what it is called.
        table: where its results are kept.
        device: where its cells are played.
        settings: by objective and data set, those that are tried, in words, in order.
        seeds: by phase.
    """

    title: str
    table: Path
    device: str
    settings: Mapping[tuple[str, str], tuple[str, ...]]
    seeds: Mapping[str, tuple[int, ...]]

    def choosing(self, objective: str, data: str) -> list[Cell]:
        """The cells by which a setting is chosen."""
        return [
            Cell(objective, data, setting, seed, "choose")
            for setting in self.settings[objective, data]
            for seed in self.seeds["choose"]
        ]

    def reporting(self, objective: str, data: str, setting: str) -> list[Cell]:
        """The cells by which the chosen setting is reported."""
        return [Cell(objective, data, setting, seed, "report") for seed in self.seeds["report"]]

    def __len__(self) -> int:
        """How many cells there are in all."""
        tried = sum(map(len, self.settings.values()))
        return tried * len(self.seeds["choose"]) + len(self.settings) * len(self.seeds["report"])


def read(path: str | Path) -> Study:
    """The study that a file describes.

    Raises:
        StudyError: for a file that cannot be read, or asks for what cannot be; the message says what can.
    """
    path = Path(path)
    try:
        asked = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(f"there is no study {path}; give the path of a .toml file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path} cannot be read ({error}); give the path of a .toml file") from None
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{path} is no TOML: {error}; mend it") from None
    try:
        return _study(path, asked)
    except (ValueError, UnknownName) as error:
        raise StudyError(f"{path}: {error}") from None


def _study(path: Path, asked: dict[str, Any]) -> Study:
    _known("key", asked, KEYS)
    if missing := [key for key in NEEDED if key not in asked]:
        raise ValueError(f"{' and '.join(missing)} must be given; a study has: {', '.join(KEYS)}")
    objectives = _names("objectives", asked["objectives"], "objective", cells.contestants(), all=True)
    data = _names("data", asked["data"], "data set", cells.DATA)
    for name in ("on", "for"):
        _table(name, asked.get(name, {}))
    _known("data set in [on]", asked.get("on", {}), data)
    _known("objective in [for]", asked.get("for", {}), objectives)
    common = _table("settings", asked["settings"])
    _known("setting", common, cells.SETTINGS)
    settings = {}
    for one, other in itertools.product(objectives, data):
        special = _table(f"on.{other}", asked.get("on", {}).get(other, {}))
        _known(f"setting in [on.{other}]", special, cells.SETTINGS)
        own = _table(f"for.{one}", asked.get("for", {}).get(one, {}))
        settings[one, other] = _tried(one, {**common, **special, **own})
    for other in data:
        _equal(other, {one: len(settings[one, other]) for one in objectives})
    return Study(
        title=_text("title", asked.get("title", path.stem)),
        table=path.parent / _text("table", asked.get("table", f"{path.stem}.csv")),
        device=_text("device", asked.get("device", "cpu")),
        settings=settings,
        seeds=_seeds(asked["seeds"]),
    )


def _known(kind: str, given: Iterable, allowed: Iterable[str]) -> None:
    for name in given:
        if name not in allowed:
            raise UnknownName(kind, name, allowed)


def _table(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name}={value!r} was given; it must be a table, begun by a line [{name}]")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name}={value!r} was given; it must be a text")
    return value


def _names(name: str, value: Any, kind: str, allowed: Iterable[str], all: bool = False) -> list[str]:
    allowed = list(allowed)
    if all and value == "all":
        return allowed
    other = ', or "all"' if all else ""
    if not isinstance(value, list) or not value or not _differ(value):
        raise ValueError(f"{name}={value!r} was given; it must be a list of different names, at least one{other}")
    _known(kind, value, allowed)
    return value


def _differ(values: list) -> bool:
    return all(value not in values[:i] for i, value in enumerate(values))


def _tried(objective: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Every combination of what is in lists, in words."""
    choices = {}
    for name, value in given.items():
        choices[name] = value if isinstance(value, list) else [value]
        if not choices[name] or not _differ(choices[name]):
            raise ValueError(f"{name}={value!r} was given for {objective}; a list holds different values, at least one")
    found = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
    for settings in found:
        cells.complete(objective, settings)
    return tuple(map(cells.in_words, found))


def _equal(data: str, counts: Mapping[str, int]) -> None:
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ValueError(
            f"the numbers of settings tried on {data} differ ({told}); give every objective as many, an equal budget: "
            "lists in [for.NAME] are to have as many values as those they stand in for"
        )


def _seeds(asked: Any) -> dict[str, tuple[int, ...]]:
    _known("key in [seeds]", _table("seeds", asked), cells.PHASES)
    seeds = {}
    for phase in cells.PHASES:
        given = asked.get(phase)
        if not isinstance(given, list) or not given or not _differ(given):
            raise ValueError(f"seeds.{phase}={given!r} was given; it must be a list of different numbers, at least one")
        seeds[phase] = tuple(whole(f"seeds.{phase}", seed, least=0, most=2**32 - 1) for seed in given)
    if both := set(seeds["choose"]) & set(seeds["report"]):
        raise ValueError(
            f"the seed {min(both)} is in seeds.choose and in seeds.report; what was chosen on a seed must be reported "
            "on others"
        )
    return seeds

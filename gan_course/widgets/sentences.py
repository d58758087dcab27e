"""Sentences: what writers write at each setting of a dial, beside two numbers that judge it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from gan_course.checks import whole
from gan_course.plotting import INK, PALETTE
from gan_course.widgets.static import figure_html, module, png, said

MODULE = module("sentences.js")
WRITERS, SETTINGS, LINES, LETTERS = 6, 50, 20, 300  # more of them nobody reads

Written = tuple[Sequence[float], Sequence[str]]
"""What a writer wrote at one setting: the two numbers that judge it, and some lines."""


class Sentences:
    """A figure to turn a dial in and read; as the last expression of a cell it is shown. Needs no kernel."""

    def __init__(
        self,
        writers: Mapping[str, Sequence[Written]],
        settings: Sequence[str],
        dial: str,
        axes: Sequence[str],
        title: str,
        description: str,
        mark: Sequence[float] | None = None,
        start: int = 0,
    ):
        """See `sentences`."""
        self.title, self.description = said("title", title), said("description", description)
        self.dial = said("dial", dial)
        self.settings = _texts("settings", settings, 2, SETTINGS)
        self.axes = _texts("axes", axes, 2, 2)
        self.start = whole("start", start, 0, len(self.settings) - 1)
        if not isinstance(writers, Mapping) or not 1 <= len(writers) <= WRITERS:
            given = f"{len(writers)} of them" if isinstance(writers, Mapping) else f"a {type(writers).__name__}"
            raise ValueError(f"writers must be a mapping from 1 to {WRITERS} names to what they wrote, not {given}")
        _texts("names of writers", list(writers), 1, WRITERS)
        self.writers = {name: self._wrote(name, rows) for name, rows in writers.items()}
        self.mark = None if mark is None else _point("mark", mark)

    def _wrote(self, name: str, rows: object) -> list[tuple[tuple[float, float], list[str]]]:
        n = len(self.settings)
        if not _listed(rows) or len(rows) != n or not all(_listed(row) and len(row) == 2 for row in rows):
            raise ValueError(
                f"writers[{name!r}] must be a list with a pair for each of {n} settings: two numbers, and lines"
            )
        return [
            (_point(f"writers[{name!r}][{i}]", point), _texts(f"lines of {name!r}", lines, 1, LINES, empty=True))
            for i, (point, lines) in enumerate(rows)
        ]

    @property
    def data(self) -> dict[str, Any]:
        """All that `mount` of the module needs, as JSON."""
        return {
            "title": self.title,
            "description": self.description,
            "dial": self.dial,
            "settings": self.settings,
            "axes": self.axes,
            "start": self.start,
            "mark": self.mark,
            "writers": [
                {"name": name, "points": [point for point, _ in rows], "lines": [lines for _, lines in rows]}
                for name, rows in self.writers.items()
            ],
        }

    @property
    def html(self) -> str:
        """The figure as HTML without any address in it; put it on as many pages, and as often, as you like."""
        return figure_html(MODULE, self.data, self._poster())

    def _poster(self) -> str:
        """The plane with the way of each writer, the settings at its points, as PNG in base64."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 3.4), dpi=90, facecolor="white", layout="constrained")
        ax = figure.subplots()
        for place, (name, rows) in enumerate(self.writers.items()):
            across, up = zip(*(point for point, _ in rows), strict=True)
            ax.plot(across, up, "o-", color=PALETTE[place % len(PALETTE)], markersize=4, label=name)
            for setting, (point, _) in zip(self.settings, rows, strict=True):
                ax.annotate(setting, point, xytext=(4, 4), textcoords="offset points", fontsize=7, parse_math=False)
        if self.mark:
            ax.plot(*self.mark, "D", color=INK)
        ax.set_xlabel(self.axes[0], parse_math=False)
        ax.set_ylabel(self.axes[1], parse_math=False)
        for text in ax.legend(frameon=False, fontsize=8).get_texts():
            text.set_parse_math(False)
        return png(figure)

    def __repr__(self) -> str:
        names = ", ".join(self.writers)
        return f"Sentences of {names} at {len(self.settings)} settings: {self.title}. {self.description}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html}


def sentences(
    writers: Mapping[str, Sequence[Written]],
    settings: Sequence[str],
    dial: str,
    axes: Sequence[str],
    title: str,
    description: str,
    mark: Sequence[float] | None = None,
    start: int = 0,
) -> Sentences:
    """A figure in which a reader chooses a writer, turns a dial, and reads what is written there.

    Beside the lines stands a plane of two numbers, such as quality and variety, with the way that each writer takes
    over it as the dial is turned::

        wrote = {"GAN": [((valid, distinct), lines) for valid, distinct, lines in measured]}
        widgets.sentences(wrote, ["0.5", "1", "2"], "temperature", ["right, %", "different"], "A dial", "As it …")

    Args:
        writers: of each name, at most 6, a pair for every setting: two numbers, and from 1 to 20 lines.
        settings: what stands on the dial, from 2 to 50 words or numbers as text.
        dial: what the dial is called.
        axes: what the two numbers are called.
        title: a few words above the figure.
        description: the alternative text: what is to be seen, for a reader who sees nothing.
        mark: a point of the plane to compare with, if there is one.
        start: the setting shown first, counted from 0.

    Raises:
        ValueError: for numbers that are not finite, for too many or too few of anything, or no words.
    """
    return Sentences(writers, settings, dial, axes, title, description, mark, start)


def _listed(values: object) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


def _texts(name: str, values: object, least: int, most: int, empty: bool = False) -> list[str]:
    """Texts, so many and none too long; not empty unless they may be."""
    right = _listed(values) and all(isinstance(v, str) and (empty or v.strip()) for v in values)
    if not right or not least <= len(values) <= most or any(len(v) > LETTERS for v in values):
        raise ValueError(
            f"{name} must be a list of texts, from {least} to {most} of them, each of at most {LETTERS} letters"
        )
    return list(values)


def _point(name: str, values: object) -> tuple[float, float]:
    """Two finite numbers."""
    if (
        not _listed(values)
        or len(values) != 2
        or not all(isinstance(v, Real) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    ):
        raise ValueError(f"{name} must have two finite numbers for its place on the plane, not {values!r}")
    return float(values[0]), float(values[1])

"""The replay as plain HTML: the ES module, the frames as base64, and a poster for where no script is run."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from gan_course.plotting import FAKE, INK, REAL, SURFACE
from gan_course.widgets.recording import Frame, Recording
from gan_course.widgets.static import figure_html, module, png, said

MODULE = module("replay.js")


class Replay:
    """A recording to look at; as the last expression of a cell it is shown. Needs no kernel and no network."""

    def __init__(self, recording: Recording, title: str, description: str, frames: int = 40, autoplay: bool = True):
        """See `replay`."""
        self.title, self.description = said("title", title), said("description", description)
        if not recording.frames:
            raise ValueError("the recording is empty; give it to fit first: fit(..., callbacks=[recording])")
        if frames < 1:
            raise ValueError(f"frames={frames} was given; a replay shows at least one")
        count = len(recording.frames)
        kept = sorted(set(np.linspace(0, count - 1, min(frames, count)).round().astype(int).tolist()))
        self.frames = [recording.frames[place] for place in kept]
        self.recording, self.autoplay = recording, autoplay

    @property
    def html(self) -> str:
        """The figure as HTML without any address in it; put it on as many pages, and as often, as you like."""
        data = figure_data(self.recording, self.frames, self.title, self.description, self.autoplay)
        return figure_html(MODULE, data, _poster(self.recording, self.frames))

    def __repr__(self) -> str:
        first, last = self.frames[0].round, self.frames[-1].round
        return f"Replay of rounds {first} to {last} in {len(self.frames)} frames: {self.title}. {self.description}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html}


def replay(recording: Recording, title: str, description: str, frames: int = 40, autoplay: bool = True) -> Replay:
    """The moving figure of a recording, for the end of a cell.

    Args:
        recording: what a `Recording` kept while `fit` trained.
        title: a few words above the figure.
        description: the alternative text: what is to be seen, for a reader who sees nothing.
        frames: at most so many are shown, evenly taken; the first and the last are always among them.
        autoplay: play once when the figure is first seen (never for readers who asked their system for less motion).

    Raises:
        ValueError: for an empty recording, title or description.
    """
    return Replay(recording, title, description, frames, autoplay)


def figure_data(
    recording: Recording, frames: list[Frame], title: str, description: str, autoplay: bool
) -> dict[str, Any]:
    """All that `mount` of the module needs, as JSON."""
    return {
        "title": title,
        "description": description,
        "autoplay": autoplay,
        "extent": recording.extent,
        "side": recording.grid,
        "real": _whole(recording.real.numpy(), 2 * recording.extent),
        "frames": [frame_data(frame, recording.extent) for frame in frames],
    }


def frame_data(frame: Frame, extent: float) -> dict[str, Any]:
    """One frame: positions and gradients as 16-bit whole numbers, the surface as bytes, all in base64."""
    reach = float(np.linalg.norm(frame.pull, axis=1).max()) if len(frame.pull) else 0.0
    return {
        "round": frame.round,
        "modes": frame.modes,
        "total": frame.total,
        "quality": None if frame.quality is None else round(float(frame.quality), 4),
        "fake": _whole(frame.fake, 2 * extent),  # points farther away than twice the extent are kept at that border
        "reach": reach,
        "pull": _whole(frame.pull, reach or 1.0),
        "surface": _base64((frame.surface * 255).round().astype(np.uint8)),
    }


def _whole(values: np.ndarray, reach: float) -> str:
    return _base64((np.clip(values / reach, -1, 1) * 32767).round().astype("<i2"))


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _poster(recording: Recording, frames: list[Frame]) -> str:
    """Four moments side by side, as PNG in base64."""
    from matplotlib.figure import Figure

    extent = recording.extent
    moments = [frames[place] for place in sorted({round(part * (len(frames) - 1) / 3) for part in range(4)})]
    figure = Figure(figsize=(1.8 * len(moments), 2.05), dpi=90, facecolor="white", layout="constrained")
    for ax, frame in zip(figure.subplots(1, len(moments), squeeze=False)[0], moments, strict=True):
        box = (-extent, extent, -extent, extent)
        ax.imshow(frame.surface, extent=box, origin="lower", cmap=SURFACE, vmin=0, vmax=1, interpolation="bilinear")
        ax.scatter(*recording.real.numpy().T, s=1.5, color=REAL, alpha=0.5, linewidths=0)
        ax.scatter(*frame.fake.T, s=3, color=FAKE, linewidths=0)
        ax.set(xlim=box[:2], ylim=box[2:], xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_title(f"round {frame.round:,}", fontsize=9, color=INK, loc="center")
    return png(figure)

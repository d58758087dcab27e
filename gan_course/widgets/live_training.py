"""The replay beside a kernel: Python trains while the reader watches, a few rounds at a time."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import anywidget
import traitlets
from jaxtyping import Float
from torch import Tensor

from gan_course.training import History, fit
from gan_course.widgets.recording import Recording
from gan_course.widgets.replay import MODULE, figure_data, frame_data
from gan_course.widgets.static import said


class Live(anywidget.AnyWidget):
    """A game that trains while it is watched; made by `live`.

    The figure sends `{"command": "step"}` and gets the next frame; it asks again when it has shown it. So the kernel is
    free between steps, training never runs ahead of the eye, and to pause is not to ask.

    Attributes:
        game: the game, trained in place.
        history: what `fit` returned last; None before the first round.
        recording: the frames so far.
    """

    _esm = MODULE
    data = traitlets.Dict().tag(sync=True)

    def __init__(self, game, real, rounds: int, title: str, description: str, recording: Recording, settings: dict):
        """See `live`."""
        self.game, self.real, self.rounds, self.settings = game, real, rounds, settings
        self.history: History | None = None
        self.recording = recording
        recording(game, History())
        data = figure_data(recording, recording.frames, said("title", title), said("description", description), False)
        super().__init__(data=data)
        self.on_msg(self._receive)

    @property
    def finished(self) -> bool:
        """Whether all rounds are played."""
        return self.history is not None and self.history.rounds >= self.rounds

    def step(self) -> None:
        """Play the next rounds and show the frame after them; does nothing when all are played."""
        if not self.finished:
            until = min((self.history.rounds if self.history else 0) + self.recording.every, self.rounds)
            with contextlib.redirect_stderr(io.StringIO()):  # a progress bar per step would flood the page
                self.history = fit(
                    self.game,
                    self.real,
                    rounds=self.rounds,
                    until=until,
                    history=self.history,
                    callbacks=[self.recording],
                    **self.settings,
                )
        self._send_frame(len(self.recording.frames) - 1)

    def _send_frame(self, index: int) -> None:
        frame = frame_data(self.recording.frames[index], self.recording.extent)
        self.send({"index": index, "frame": frame, "finished": self.finished})

    def _receive(self, widget: Any, content: dict, buffers: list) -> None:
        command = content.get("command") if isinstance(content, dict) else None
        try:
            if command == "step":
                self.step()
            elif command == "hello":  # a new view: it holds the first frame only
                for index in range(1, len(self.recording.frames)):
                    self._send_frame(index)
            else:
                raise ValueError(f"the figure sent {content!r}; known commands are step and hello")
        except Exception as error:  # the reader of the figure must see it, a kernel's log is read by nobody
            self.send({"error": f"{type(error).__name__}: {error}"})


def live(
    game,
    real: Float[Tensor, "n 2"],
    rounds: int = 3_000,
    every: int = 20,
    title: str = "Training, live",
    description: str = "Generated points move over the discriminator's surface towards the real ones as Python trains.",
    *,
    samples: int = 500,
    grid: int = 40,
    extent: float | None = None,
    centers: Float[Tensor, "m 2"] | None = None,
    std: float | None = None,
    **settings,
) -> Live:
    """The widget in which a two-dimensional game trains while it is watched (JupyterLab, Colab, VS Code).

    Args:
        game: trained in place, from where it stands.
        real: the data.
        rounds: the last round.
        every: rounds between two frames.
        title, description: as in `replay`.
        samples, grid, extent, centers, std: as in `Recording`.
        settings: anything else that `fit` takes, such as `batch_size` and `seed`.
    """
    recording = Recording(real, every, samples, grid, extent, centers=centers, std=std)
    return Live(game, real, rounds, title, description, recording, settings)

"""What the replay shows: a callback of `fit` that keeps small pictures of a two-dimensional game as it trains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.plotting import pull, surface


@dataclass(frozen=True)
class Frame:
    r"""The game after some rounds.

    Attributes:
        round: rounds played.
        fake: `(n, 2)`, the generated points of the recording's own latents, which are the same in every frame.
        surface: `(side, side)`, $D(x)=\sigma(d(x))$ on the grid; the first axis is $x_2$, upwards.
        pull: `(k, 2)`, $-\partial\ell_G/\partial x$ at the first k points (see `plotting.pull`).
        modes, total, quality: modes found, of how many, and the share of the points within three standard deviations
            of one; None where the recording was given no centres.
    """

    round: int
    fake: np.ndarray
    surface: np.ndarray
    pull: np.ndarray
    modes: int | None = None
    total: int | None = None
    quality: float | None = None


class Recording:
    """A callback of `fit` that records a game whose samples are points of the plane; `replay` shows it.

    The latents are drawn once, so that the same points are seen to move. Watching changes nothing: the recording draws
    its latents with the random state forked, and calls the networks in evaluation mode.

    A recording whose game is trained anew, or goes on from an earlier round, forgets the frames from there on.
    """

    def __init__(
        self,
        real: Float[Tensor, "n 2"],
        every: int = 100,
        samples: int = 500,
        grid: int = 40,
        extent: float | None = None,
        arrows: int = 60,
        centers: Float[Tensor, "m 2"] | None = None,
        std: float | None = None,
        seed: int = 0,
    ):
        """A recording, still empty.

        Args:
            real: the data; about `samples` of them are shown, evenly taken.
            every: rounds between frames.
            samples: generated points per frame.
            grid: points per side of the discriminator's surface.
            extent: half the side of the square shown, around the origin; by default 1.3 times the farthest coordinate.
            arrows: how many generated points get the generator's gradient.
            centers: the modes of the data, if they are to be counted (then `std` is needed too).
            std: the standard deviation of one mode.
            seed: of the latents.

        Raises:
            ValueError: for data that are not points of the plane, or numbers that cannot be right.
        """
        if real.ndim != 2 or real.shape[1] != 2 or not len(real):
            raise ValueError(f"a recording shows points of the plane, shape (n, 2); the data are {tuple(real.shape)}")
        least = {"every": 1, "samples": 1, "grid": 2, "arrows": 0}
        for name, value in (("every", every), ("samples", samples), ("grid", grid), ("arrows", arrows)):
            if value < least[name]:
                raise ValueError(f"{name}={value} was given; it must be at least {least[name]}")
        if (centers is None) != (std is None):
            raise ValueError("to count modes give both, their centers and the std of one; or neither")
        farthest = float(real.abs().max())
        self.extent = (1.3 * farthest or 1.0) if extent is None else float(extent)
        if not self.extent > 0:
            raise ValueError(f"extent={extent} was given; it is half the side of the square shown and must be positive")
        self.real = real.detach().cpu()[:: max(len(real) // samples, 1)][:samples]
        self.every, self.samples, self.grid, self.arrows, self.seed = every, samples, grid, arrows, seed
        self.centers, self.std = centers, std
        self.frames: list[Frame] = []
        self._latents: Tensor | None = None

    def __call__(self, game, history) -> None:
        """Record a frame of the game as it stands."""
        if self._latents is None:
            with torch.random.fork_rng([game.device] if game.device.type == "cuda" else []):
                torch.manual_seed(self.seed)
                self._latents = game.noise(self.samples)
        fake = game.generate(self._latents.to(game.device)).detach()
        if fake.shape != (self.samples, 2):
            raise ValueError(
                f"a recording shows points of the plane, of shape (n, 2); this game generates {tuple(fake.shape)}"
            )
        arrows = np.zeros((0, 2), np.float32)
        if self.arrows:
            arrows = pull(game, self.real, fake[: self.arrows]).cpu().numpy()
        found = (None, None, None)
        if self.centers is not None:
            from gan_course import metrics

            coverage = metrics.mode_coverage(fake.cpu(), self.centers, self.std)
            found = (coverage.modes, coverage.total, coverage.quality)
        self.frames = [frame for frame in self.frames if frame.round < history.rounds]
        self.frames.append(
            Frame(
                history.rounds,
                fake.cpu().numpy(),
                surface(game, self.extent, self.grid),
                arrows,
                *found,
            )
        )

    def __repr__(self) -> str:
        rounds = f" of rounds {self.frames[0].round} to {self.frames[-1].round}" if self.frames else ""
        return f"<Recording: {len(self.frames)} frames{rounds}>"

"""The earth mover: a pile, holes to fill, and a plan that the reader makes. The page computes; no kernel answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gan_course import metrics
from gan_course.checks import whole
from gan_course.metrics._checks import histogram
from gan_course.plotting import FAKE, INK, REAL
from gan_course.widgets.static import figure_html, module, png, said

MODULE = module("earth_mover.js")
PLACES = 24  # more do not fit on a phone
OCCUPIED = 10  # of the pile or of the holes: the plan shows a cell for each pair


class EarthMover:
    """A figure to move earth in; as the last expression of a cell it is shown. Needs no kernel and no network."""

    def __init__(self, pile: Tensor, holes: Tensor, title: str, description: str, shift: int = 0):
        """See `earth_mover`."""
        self.title, self.description = said("title", title), said("description", description)
        self.pile, self.holes = (histogram(name, p).numpy() for name, p in (("pile", pile), ("holes", holes)))
        if len(self.pile) != len(self.holes) or not 2 <= len(self.pile) <= PLACES:
            raise ValueError(
                f"pile has {len(self.pile)} places and holes has {len(self.holes)}; both need the same places, "
                f"from 2 to {PLACES}"
            )
        for name, p in (("pile", self.pile), ("holes", self.holes)):
            if np.count_nonzero(p) > OCCUPIED:
                raise ValueError(f"{name} has {np.count_nonzero(p)} places that are not empty; at most {OCCUPIED} fit")
        occupied = np.flatnonzero(self.pile)
        self.least, self.most = -int(occupied[0]), len(self.pile) - 1 - int(occupied[-1])
        if not self.least <= whole("shift", shift, least=-PLACES) <= self.most:
            raise ValueError(f"shift={shift} moves the pile off its {len(self.pile)} places; allowed: {self.allowed}")
        self.shift = int(shift)

    @property
    def allowed(self) -> str:
        """Between which numbers of places the pile can be moved."""
        return f"from {self.least} to {self.most}"

    @property
    def data(self) -> dict[str, Any]:
        """All that `mount` of the module needs, as JSON."""
        return {
            "title": self.title,
            "description": self.description,
            "pile": self.pile.tolist(),
            "holes": self.holes.tolist(),
            "shift": self.shift,
        }

    @property
    def html(self) -> str:
        """The figure as HTML without any address in it; put it on as many pages, and as often, as you like."""
        return figure_html(MODULE, self.data, self._poster())

    def _poster(self) -> str:
        """Pile and holes, and the best plan, as PNG in base64."""
        from matplotlib.figure import Figure

        places = torch.arange(len(self.pile), dtype=torch.float64)
        pile = torch.as_tensor(np.roll(self.pile, self.shift))
        best = metrics.transport_plan(pile, torch.as_tensor(self.holes), (places[:, None] - places).abs())
        figure = Figure(figsize=(7.2, 2.6), dpi=90, facecolor="white", layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1.6, 1])
        left.bar(places, pile, color=FAKE, label="pile")
        left.bar(places, -self.holes, color=REAL, label="holes")
        left.axhline(0, color=INK, linewidth=1)
        left.set(xlabel="place", yticks=[])
        left.legend(frameon=False)
        right.imshow(best.plan, cmap="Greys")
        right.set(xlabel="to place", ylabel="from place")
        right.set_title(f"best plan: average distance {best.cost:.2f}", fontsize=9, color=INK)
        return png(figure)

    def __repr__(self) -> str:
        return f"Earth mover with {len(self.pile)} places: {self.title}. {self.description}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html}


def earth_mover(
    pile: Float[Tensor, " k"], holes: Float[Tensor, " k"], title: str, description: str, shift: int = 0
) -> EarthMover:
    r"""A figure in which a reader moves a pile along a line and chooses a plan $\gamma$ that fills holes with it.

    It shows the plan as paths and as a matrix, its average distance $\sum_{ij}\gamma_{ij}|x_i-y_j|$ beside the least,
    $W_1$, and beside the Jensen–Shannon divergence, over all shifts; and the critic that proves the least.
    Two entries of the matrix can be made to exchange where they go.

    Args:
        pile, holes: shares at the places 0, 1, …, k − 1; at most 24 places, of which at most 10 are not empty.
        title: a few words above the figure.
        description: the alternative text: what is to be seen, for a reader who sees nothing.
        shift: by how many places the pile is moved at first; all of it must stay on the line.

    Raises:
        ValueError: for what is no histogram, for too many places, a shift too far, or no words.
    """
    return EarthMover(pile, holes, title, description, shift)

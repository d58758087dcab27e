"""The latent walk: a plane of latents to move about in, and what several domains make of each of its points."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import whole
from gan_course.plotting import INK
from gan_course.widgets.static import figure_html, module, png, said

MODULE = module("latent_walk.js")
SIDE = 50  # points along a side of the plane: a finger does not tell more of them apart
DOMAINS = 6  # more do not fit beside the plane
BYTES = 1_000_000  # of pixels; a stored chapter has room for 1.5 MB in all


def latent_plane(corners: Float[Tensor, "4 d"], rows: int = 9, columns: int = 9) -> Float[Tensor, "points d"]:
    r"""The latents on a grid over the plane between four of them, which become its corners.

    $$z_{rc} = (1-s)(1-t)\,z_1 + (1-s)\,t\,z_2 + s\,(1-t)\,z_3 + s\,t\,z_4,
      \qquad s = \frac{r}{R-1},\quad t = \frac{c}{C-1},$$

    for $r = 0, \dots, R-1$ downwards and $c = 0, \dots, C-1$ to the right. The weights are at least 0 and sum to 1:
    where a prior is uniform on a cube, no point leaves it. In many dimensions draws of a normal prior lie near a
    sphere, and the plane between them comes nearer to the origin than they do.

    Args:
        corners: $z_1, \dots, z_4$: top left, top right, bottom left, bottom right.
        rows, columns: $R$ and $C$, each from 2 to 50.

    Returns:
        The `rows * columns` latents, row by row; `unflatten(0, (rows, columns))` of what is made of them is the grid.

    Raises:
        ValueError: for what are not four finite vectors, or fewer than 2 × 2 points.
    """
    if not isinstance(corners, Tensor) or corners.ndim != 2 or len(corners) != 4 or not corners.shape[1]:
        given = f"shape {tuple(corners.shape)}" if isinstance(corners, Tensor) else f"a {type(corners).__name__}"
        raise ValueError(
            f"corners must be four latents, a tensor of shape (4, d), not {given}; game.noise(4) draws them"
        )
    if not corners.is_floating_point() or not bool(corners.isfinite().all()):
        raise ValueError(
            f"corners must be finite floating-point numbers; {corners.dtype} was given, or NaN or infinity"
        )
    rows, columns = (whole(name, side, 2, SIDE) for name, side in (("rows", rows), ("columns", columns)))
    s = torch.linspace(0, 1, rows).to(corners).repeat_interleave(columns)[:, None]
    t = torch.linspace(0, 1, columns).to(corners).repeat(rows)[:, None]
    z1, z2, z3, z4 = corners
    return (1 - s) * (1 - t) * z1 + (1 - s) * t * z2 + s * (1 - t) * z3 + s * t * z4


class LatentWalk:
    """A figure to walk a plane of latents in; as the last expression of a cell it is shown. Needs no kernel."""

    def __init__(
        self, images: Mapping[str, Tensor] | Sequence[Tensor], names: Sequence[str], title: str, description: str
    ):
        """See `latent_walk`."""
        self.title, self.description = said("title", title), said("description", description)
        self.names = _named(names)
        self.pixels = [_pixels(name, x) for name, x in zip(self.names, _chosen(images, self.names), strict=True)]
        grids = [x.shape[:2] for x in self.pixels]
        if len(set(grids)) > 1:
            shapes = ", ".join(
                f"{name}: {rows} × {columns}" for name, (rows, columns) in zip(names, grids, strict=True)
            )
            raise ValueError(f"images of all domains must have the same rows and columns of points, not {shapes}")
        size = sum(x.nbytes for x in self.pixels)
        if size > BYTES:
            raise ValueError(
                f"images hold {size:,} bytes of pixels and a figure holds {BYTES:,} at most; take fewer points of the "
                "plane, or smaller images"
            )
        self.rows, self.columns = grids[0]

    @property
    def data(self) -> dict[str, Any]:
        """All that `mount` of the module needs, as JSON; one byte for each pixel of each channel."""
        return {
            "title": self.title,
            "description": self.description,
            "rows": self.rows,
            "columns": self.columns,
            "domains": [
                {
                    "name": name,
                    **dict(zip(("height", "width", "channels"), x.shape[2:], strict=True)),
                    "pixels": base64.b64encode(x.tobytes()).decode(),
                }
                for name, x in zip(self.names, self.pixels, strict=True)
            ],
        }

    @property
    def html(self) -> str:
        """The figure as HTML without any address in it; put it on as many pages, and as often, as you like."""
        return figure_html(MODULE, self.data, self._poster())

    def _poster(self) -> str:
        """The way round the plane, from corner to corner, with a row for each domain, as PNG in base64."""
        from matplotlib.figure import Figure

        down, right = (0, self.rows // 2, self.rows - 1), (0, self.columns // 2, self.columns - 1)
        around = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]
        points = list(dict.fromkeys((down[row], right[column]) for row, column in around))
        figure = Figure(figsize=(7.2, 0.35 + 0.85 * len(self.names)), dpi=90, facecolor="white", layout="constrained")
        axes = figure.subplots(len(self.names), len(points), squeeze=False)
        for line, name, x in zip(axes, self.names, self.pixels, strict=True):
            for ax, point in zip(line, points, strict=True):
                picture = x[point]
                ax.imshow(picture.squeeze(-1) if picture.shape[-1] == 1 else picture, cmap="gray", vmin=0, vmax=255)
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
            words = fill(name, 14)
            line[0].set_ylabel(words, fontsize=8, color=INK, rotation=0, ha="right", va="center", parse_math=False)
        for ax, (row, column) in zip(axes[0], points, strict=True):
            ax.set_title(f"row {row + 1}\ncolumn {column + 1}", fontsize=7, color=INK, loc="center")
        return png(figure)

    def __repr__(self) -> str:
        return (
            f"Latent walk over {self.rows} × {self.columns} points in {len(self.names)} domains "
            f"({', '.join(self.names)}): {self.title}. {self.description}"
        )

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html}


def latent_walk(
    images: Mapping[str, Float[Tensor, "rows columns _ _ _"]] | Sequence[Float[Tensor, "rows columns _ _ _"]],
    names: Sequence[str],
    title: str,
    description: str,
) -> LatentWalk:
    """A figure in which a reader walks a plane of latents and sees what each domain makes of the same point.

    A dot is dragged over the plane, or moved by the arrow keys; the images of the nearest point of the grid are shown,
    enlarged and without any smoothing, and nothing is made up between two points::

        z = widgets.latent_plane(game.noise(4), 9, 9)
        images = [x.unflatten(0, (9, 9)) for x in game.generate(z)]
        widgets.latent_walk(images, ["digits", "edges"], "One latent, two domains", "Digits and their edges change …")

    Args:
        images: of each domain `(rows, columns, channels, height, width)`, in [0, 1], with 1 or 3 channels; as a
            sequence, or as a mapping from names. Domains may differ in the size of their images, not in rows and
            columns, which are from 2 to 50. All together have at most 1,000,000 values: each is stored as a byte.
        names: of the domains, at most 6; of a mapping they choose the order.
        title: a few words above the figure.
        description: the alternative text: what is to be seen, for a reader who sees nothing.

    Raises:
        ValueError: for images of other shapes or values, too many of them, names that do not fit, or no words.
    """
    return LatentWalk(images, names, title, description)


def _named(names: object) -> list[str]:
    """The names of the domains, if each has one of its own."""
    listed = list(names) if isinstance(names, Sequence) and not isinstance(names, str | bytes) else []
    if not all(isinstance(name, str) and name.strip() for name in listed) or not 1 <= len(set(listed)) == len(listed):
        raise ValueError(f"names={names!r} was given; give a list with a name of its own for each domain")
    if len(listed) > DOMAINS:
        raise ValueError(f"names has {len(listed)} entries; a figure shows at most {DOMAINS} domains")
    return listed


def _chosen(images: object, names: list[str]) -> list[object]:
    """The images of each named domain."""
    if not isinstance(images, Mapping | Sequence) or isinstance(images, str | bytes):
        raise ValueError(
            f"images must be a list with a tensor for each domain, or a mapping, not a {type(images).__name__}"
        )
    if len(images) != len(names):
        raise ValueError(f"images has {len(images)} domains and names has {len(names)}; each domain needs one name")
    if not isinstance(images, Mapping):
        return list(images)
    if missing := [name for name in names if name not in images]:
        raise ValueError(
            f"names holds {missing[0]!r}, which is none of the domains of images: {', '.join(map(str, images))}"
        )
    return [images[name] for name in names]


def _pixels(name: str, x: object) -> np.ndarray:
    """Images of one domain as bytes `(rows, columns, height, width, channels)`."""
    if not isinstance(x, Tensor) or x.ndim != 5 or x.shape[2] not in (1, 3) or not x.numel():
        given = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise ValueError(
            f"images of {name!r} must be a tensor of shape (rows, columns, channels, height, width) with 1 or 3 "
            f"channels, not {given}; what a generator makes of a plane needs x.unflatten(0, (rows, columns))"
        )
    if not all(2 <= side <= SIDE for side in x.shape[:2]):
        raise ValueError(
            f"images of {name!r} have {x.shape[0]} rows and {x.shape[1]} columns of points; both must be from 2 to "
            f"{SIDE}"
        )
    if not x.is_floating_point() or not bool(((x >= 0) & (x <= 1)).all()):
        span = f"{x.min().item():g} to {x.max().item():g}" if not x.is_complex() else "complex numbers"
        raise ValueError(
            f"images of {name!r} must be floating-point numbers in [0, 1]; {x.dtype} from {span} was given: divide "
            "bytes by 255; (x + 1) / 2 brings what lies in [-1, 1] there"
        )
    return (x.detach().cpu().float() * 255).round().to(torch.uint8).movedim(2, -1).contiguous().numpy()

"""Two domains out of one set of images: disjoint halves, the second one changed, as in Liu & Tuzel (2016)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gan_course.checks import instance, samples, whole


def edges(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    r"""The outer edges of bright shapes: dilation by a 3 × 3 square, less the image (liu2016cogan, task A).

    $$e(x)_p = \max_{q \in N(p)} x_q - x_p$$

    with $N(p)$ the pixel and its eight neighbours. There is no threshold; values in [0, 1] stay there.
    """
    _images(images)
    return torch.nn.functional.max_pool2d(images, 3, stride=1, padding=1) - images


def negatives(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Dark for bright: $1 - x$ (liu2016cogan, task B)."""
    _images(images)
    return 1 - images


def rotated(images: Float[Tensor, "n c h w"], quarters: int = 1) -> Float[Tensor, "n c h w"]:
    """The images turned by so many right angles, against the clock (liu2016cogan, supplement)."""
    _images(images)
    return torch.rot90(images, whole("quarters", quarters, least=0), dims=(2, 3))


def _images(images: object) -> None:
    samples(images=images)
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(
            f"images must be floating-point numbers of shape (n, c, h, w), not {images.dtype} {tuple(images.shape)}"
        )


@dataclass(frozen=True, eq=False)
class Halves:
    """Two domains without a common original.

    Attributes:
        first: images of one half as they are.
        second: images of the other half, changed.
        rows: of the originals of both, `(indices of the first, indices of the second)`.
    """

    first: Tensor
    second: Tensor
    rows: tuple[Tensor, Tensor]


def halves(
    images: Float[Tensor, "n c h w"],
    change: Callable[[Tensor], Tensor],
    seed: int = 0,
    rows: tuple[Int64[Tensor, " a"], Int64[Tensor, " b"]] | None = None,
) -> Halves:
    """Divide images into two disjoint halves at random, and change the second.

    Nothing in one domain is the counterpart of anything in the other: a model that pairs them has not seen pairs.

    Args:
        images: at least two.
        change: what makes the second domain, such as `edges`.
        seed: of the division.
        rows: the indices of both parts, in place of a random division.

    Raises:
        ValueError: for rows that are in both parts, or that the images do not have.
    """
    samples(images=images)
    instance("change", change, Callable, "a function of images, such as data.domains.edges")
    if len(images) < 2:
        raise ValueError(f"{len(images)} image was given; two halves need at least two")
    if rows is None:
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(whole("seed", seed, least=0)))
        rows = order[: len(images) // 2], order[len(images) // 2 :]
    _disjoint(rows, len(images))
    return Halves(images[rows[0]], change(images[rows[1]]), (rows[0], rows[1]))


def _disjoint(rows: object, n: int) -> None:
    if not isinstance(rows, (tuple, list)) or len(rows) != 2:
        raise ValueError("rows must be a pair of index tensors, those of the first and those of the second half")
    for name, part in zip(("first", "second"), rows, strict=True):
        samples(**{f"rows of the {name} half": part})
        if part.dtype != torch.int64 or part.ndim != 1 or part.min() < 0 or part.max() >= n:
            raise ValueError(f"rows of the {name} half must be int64 of shape (n,), from 0 to {n - 1}")
    common = len(set(rows[0].tolist()) & set(rows[1].tolist()))
    if common:
        raise ValueError(
            f"the two halves have {common} of {n} images in common; they must be disjoint, or the domains hold pairs: "
            "leave rows out for a random division"
        )

"""How far two batches of images agree, pixel by pixel."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from gan_course.checks import number
from gan_course.metrics._checks import at_least, finite, unit_range


@dataclass(frozen=True)
class PixelAgreement:
    """The share of pixels that agree in images of the same row, beside two marks that need no correspondence at all.

    Attributes:
        agreement: share of pixels on the same side of the threshold, over all pairs.
        shuffled: the same over all pairs of different rows, computed exactly: what independent images reach.
        constant: what the best single image reaches against all the second ones: black ones agree, for instance.
        threshold: what is at least as bright counts as ink.
        pairs: how many pairs.
    """

    agreement: float
    shuffled: float
    constant: float
    threshold: float
    pairs: int


def pixel_agreement(
    expected: Float[Tensor, "n c h w"], images: Float[Tensor, "n c h w"], threshold: float = 0.5
) -> PixelAgreement:
    r"""The share of pixels on which images agree with those expected in their place (liu2016cogan, section 4).

    With $b(x) = [x \ge t]$ for each of $D$ pixels,

    $$\frac1{nD}\sum_{i=1}^n\sum_{p=1}^D [b(y_i)_p = b(x_i)_p],$$

    where $y_i$ is what the first domain's image asks for in the second (its edges, its negative) and $x_i$ what the
    second generator drew. Two marks stand beside it. Over pairs of different rows, with $r_p, s_p$ the shares of ink
    in both batches, it is $\frac1D\sum_p [r_ps_p + (1-r_p)(1-s_p)]$ up to the rows' own pairs, which are taken out. The
    best constant image reaches $\frac1D\sum_p\max(r_p, 1-r_p)$. The paper states no threshold.

    Args:
        expected: in [0, 1], what the second image should be, at least two.
        images: in [0, 1], what it is; of the same shape.
        threshold: $t$ in [0, 1].

    Raises:
        ValueError: for other values, shapes that differ, fewer than two pairs.
    """
    allowed = "images (n, c, h, w) with values in [0, 1]"
    batches = {"expected": finite("expected", expected, allowed), "images": finite("images", images, allowed)}
    threshold = number("threshold", threshold, most=1)
    for name, batch in batches.items():
        if batch.dim() != 4:
            raise ValueError(f"{name} has shape {tuple(batch.shape)}; allowed: {allowed}.")
        unit_range(name, batch, allowed)
        at_least(name, batch, 2, "for shuffled pairs")
    expected, images = batches.values()
    if expected.shape != images.shape:
        raise ValueError(
            f"expected has shape {tuple(expected.shape)} and images {tuple(images.shape)}; allowed: the same for both. "
            "Row by row they must belong together."
        )
    first, second = ((batch >= threshold).flatten(1) for batch in (expected, images))
    n = len(first)
    same = first == second
    # In double precision: sums of tens of thousands of rows.
    r, s, own = first.double().mean(0), second.double().mean(0), same.double().mean(0)
    every = r * s + (1 - r) * (1 - s)
    shuffled = (n * every - own) / (n - 1)
    constant = r.maximum(1 - r)
    return PixelAgreement(float(own.mean()), float(shuffled.mean()), float(constant.mean()), threshold, n)

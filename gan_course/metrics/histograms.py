r"""Distance of two histograms."""

from jaxtyping import Float
from torch import Tensor

from gan_course.metrics._checks import histogram


def total_variation(p: Float[Tensor, " k"], q: Float[Tensor, " k"]) -> float:
    r"""Total variation distance of two histograms, from 0 (equal) to 1 (no class in common):

    $$\mathrm{TV}(p, q) = \tfrac12 \sum_k |p_k - q_k| = \max_A |p(A) - q(A)|$$

    Raises `ValueError` for other shapes, different lengths, negative shares, and a sum other than 1.
    """
    p, q = histogram("p", p), histogram("q", q)
    if len(p) != len(q):
        raise ValueError(f"p has {len(p)} classes and q has {len(q)}; allowed: the same classes in the same order.")
    return float((p - q).abs().sum() / 2)

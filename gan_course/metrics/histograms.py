r"""Distance of two histograms."""

from jaxtyping import Float
from torch import Tensor

from gan_course.metrics._checks import finite


def histogram(name: str, p: object) -> Tensor:
    """`p` in float64 on the CPU, if it is a vector of shares."""
    allowed = "a vector (k,) of shares, not negative, with sum 1"
    p = finite(name, p, allowed).cpu().double()
    if p.dim() != 1:
        raise ValueError(f"{name} has shape {tuple(p.shape)}; allowed: {allowed}.")
    if float(p.min()) < 0 or abs(float(p.sum()) - 1) > 1e-5:
        raise ValueError(
            f"{name} has smallest entry {float(p.min()):.4g} and sum {float(p.sum()):.6g}; allowed: {allowed}. "
            "Divide counts by their sum."
        )
    return p


def total_variation(p: Float[Tensor, " k"], q: Float[Tensor, " k"]) -> float:
    r"""Total variation distance of two histograms, from 0 (equal) to 1 (no class in common):

    $$\mathrm{TV}(p, q) = \tfrac12 \sum_k |p_k - q_k| = \max_A |p(A) - q(A)|$$

    Raises `ValueError` for other shapes, different lengths, negative shares, and a sum other than 1.
    """
    p, q = histogram("p", p), histogram("q", q)
    if len(p) != len(q):
        raise ValueError(f"p has {len(p)} classes and q has {len(q)}; allowed: the same classes in the same order.")
    return float((p - q).abs().sum() / 2)

r"""Precision and recall of samples by balls around nearest neighbours."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import whole
from gan_course.metrics._checks import at_least, bounded, same_dimension
from gan_course.metrics._rows import rows

_MEMORY = 2**24  # numbers in one block of squared distances: 128 MiB


@dataclass(frozen=True)
class PrecisionRecall:
    """What `precision_recall` found."""

    precision: float
    """Share of the fakes inside the real manifold: are the samples good?"""
    recall: float
    """Share of the real samples inside the fakes' manifold: is everything there?"""

    def __str__(self) -> str:
        return f"precision {self.precision:.3f}, recall {self.recall:.3f}"


def precision_recall(real: Float[Tensor, "n *shape"], fake: Float[Tensor, "m *shape"], k: int = 3) -> PrecisionRecall:
    r"""Precision and recall: how much of each set lies inside the other's manifold.

    The manifold of a set $A$ is the union of balls, each around one member with the distance to its $k$-th nearest
    other member $r_k(a)$ as its radius:

    $$M_k(A) = \bigcup_{a\in A}\{x : \|x - a\| \le r_k(a)\},\qquad
      \text{precision} = \tfrac1m\#\{f : f \in M_k(R)\},\qquad \text{recall} = \tfrac1n\#\{r : r \in M_k(F)\}$$

    Give features, such as `image_features(images)`; in pixels it measures little. Both depend on the numbers of
    samples (balls shrink as the sets grow), so keep them equal and put the value of two real draws, which is not 1,
    beside each. A single real outlier makes a large ball, in which any fake has precision.

    In float64; ties within rounding (1e-12 of the largest square) count as inside. Raises `ValueError` for shapes that
    do not fit together, NaN, and sets of at most `k` samples. Source: kynkaanniemi2019improved (there k = 3).
    """
    r, f = (bounded(name, rows(name, x), torch.float64) for name, x in (("real", real), ("fake", fake)))
    same_dimension("real", r, "fake", f)
    whole("k", k)
    for name, x in (("real", r), ("fake", f)):
        at_least(name, x, k + 1, f"for k={k} neighbours of each")
    r, f = r.flatten(1), f.flatten(1).to(r.device)
    centre = r.mean(0)
    r, f = r - centre, f - centre
    slack = 1e-12 * float(r.square().sum(1).max().maximum(f.square().sum(1).max()))
    return PrecisionRecall(*(_inside(x, y, k, slack) for x, y in ((f, r), (r, f))))


def _blocks(x: Tensor, members: Tensor):
    """Squared distances of some rows of `x` to all members at a time."""
    lengths = members.square().sum(1)
    for part in x.split(max(1, _MEMORY // len(members))):
        yield torch.addmm(lengths, part, members.T, alpha=-2) + part.square().sum(1, keepdim=True)


def _inside(x: Tensor, members: Tensor, k: int, slack: float) -> float:
    """Share of `x` within the balls of the members."""
    # A member is its own nearest, at 0: the k-th other one is number k + 1.
    radii = torch.cat([squares.kthvalue(k + 1, dim=1).values for squares in _blocks(members, members)])
    inside = sum(int((squares <= radii + slack).any(1).sum()) for squares in _blocks(x, members))
    return inside / len(x)

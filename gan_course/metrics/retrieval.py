r"""Retrieval across domains: what of a gallery is found by the codes of queries."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gan_course.checks import one_of, whole
from gan_course.metrics._checks import bounded, same_dimension
from gan_course.metrics._rows import code_rows, labels

_MEMORY = 2**24  # numbers in one block of similarities
MEASURES = ("cosine", "euclidean")


@dataclass(frozen=True)
class Retrieval:
    """What `retrieval` found; all numbers are shares, from 0 to 1."""

    precision: float
    """P@K: relevant members among the first K, averaged over the queries."""
    mean_average_precision: float
    """mAP, over the whole gallery."""
    chance: float
    """Relevant members of the whole gallery, averaged over the queries: what P@K is for a random order."""
    k: int
    """K."""
    queries: int
    """How many."""

    def __str__(self) -> str:
        return (
            f"P@{self.k} {self.precision:.3f}, mAP {self.mean_average_precision:.3f} over {self.queries:,} queries "
            f"(a random order has P@{self.k} {self.chance:.3f})"
        )


def retrieval(
    queries: Float[Tensor, "n d"],
    gallery: Float[Tensor, "m d"],
    query_labels: Int64[Tensor, " n"],
    gallery_labels: Int64[Tensor, " m"],
    k: int = 100,
    measure: str = "cosine",
    seed: int = 0,
) -> Retrieval:
    r"""Search a gallery by codes of queries of another domain: precision among the first K, mean average precision.

    Each query orders the gallery by similarity; members with its label are relevant. With $r_j\in\{0, 1\}$ the
    relevance of the $j$-th and $R = \sum_j r_j$,

    $$P@K = \frac1K\sum_{j\le K} r_j,\qquad
      \mathrm{AP} = \frac1R\sum_{j=1}^m r_j\,\frac{r_1 + \dots + r_j}{j},$$

    averaged over the queries. Members that are equally similar stand in a random order, so that codes that say nothing
    reach chance and no more, however the gallery is sorted.

    Args:
        queries: a code of each query, such as `game.encode(x=sketches).z`.
        gallery: a code of each member, such as `game.encode(y=photos).z`.
        query_labels: the class of each query.
        gallery_labels: the class of each member.
        k: K, at most the size of the gallery.
        measure: `cosine`, of the angle between codes, or `euclidean`, of their distance.
        seed: of the order of equals.

    Raises:
        ValueError: for codes of other shapes or not finite, labels that are not one whole number for each, a query
            without a relevant member, a code 0 under `cosine`, and K above the size of the gallery.

    Sources: ryu2022wyner for the task, manning2008introduction for the measures.
    """
    q, g = code_rows("queries", queries), code_rows("gallery", gallery)
    same_dimension("queries", q, "gallery", g)
    ql = labels("query_labels", query_labels, "queries", q)
    gl = labels("gallery_labels", gallery_labels, "gallery", g)
    k, seed = whole("k", k, most=len(g)), whole("seed", seed, least=0, most=2**63 - 1)
    one_of("measure", measure, MEASURES)
    if missing := sorted({*ql.tolist()} - {*gl.tolist()}):
        raise ValueError(
            f"gallery_labels holds none of {missing[:5]}, which query_labels has; allowed: queries with at least one "
            "relevant member. Leave the others out."
        )
    q, g = (bounded(name, codes.cpu().double(), torch.float64) for name, codes in (("queries", q), ("gallery", g)))
    if measure == "cosine":
        q, g = _directions("queries", q), _directions("gallery", g)
    order = torch.randperm(len(g), generator=torch.Generator().manual_seed(seed))
    g, gl = g[order], gl[order]
    place = torch.arange(1, len(g) + 1, dtype=torch.float64)
    precision = average = 0.0
    block = max(1, _MEMORY // len(g))
    for codes, asked in zip(q.split(block), ql.split(block), strict=True):
        far = -codes @ g.T if measure == "cosine" else torch.cdist(codes, g)
        relevant = (gl[far.argsort(dim=1, stable=True)] == asked[:, None]).double()
        precision += float(relevant[:, :k].mean(1).sum())
        average += float(((relevant * relevant.cumsum(1) / place).sum(1) / relevant.sum(1)).sum())
    mine, theirs = _ranked(ql, gl)
    chance = float(torch.bincount(theirs)[mine].double().mean()) / len(g)
    return Retrieval(precision / len(q), average / len(q), chance, k, len(q))


def _directions(name: str, codes: Tensor) -> Tensor:
    largest = codes.abs().amax(1, keepdim=True)
    if not bool((largest > 0).all()):
        raise ValueError(
            f"{name} holds a code that is 0 and has no direction; allowed: codes that are not 0. "
            "Take measure='euclidean'."
        )
    codes = codes / largest
    return codes / codes.norm(dim=1, keepdim=True)


def _ranked(queries: Tensor, gallery: Tensor) -> tuple[Tensor, Tensor]:
    """Labels of both as numbers from 0, in the order of the classes of both together."""
    numbers = torch.cat([queries, gallery]).unique(return_inverse=True)[1]
    return numbers[: len(queries)], numbers[len(queries) :]

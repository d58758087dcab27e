r"""Precision and recall of distributions (PRD): a curve from two histograms."""

import math
import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import number, whole
from gan_course.metrics._checks import histogram, points, same_dimension


@dataclass(frozen=True, eq=False)
class PrecisionRecallCurve:
    """The curve that `prd` and `prd_curve` found."""

    precision: Float[Tensor, " a"]
    r"""$\alpha(\lambda)$, for angles $\arctan\lambda$ from almost 0 to almost 90 degrees."""
    recall: Float[Tensor, " a"]
    r"""$\beta(\lambda) = \alpha(\lambda)/\lambda$, for the same."""

    def f(self, beta: float | int) -> float:
        r"""The largest F-score of the curve; a large `beta` weighs recall, a small one precision.

        $$F_b = \max_\lambda\,(1 + b^2)\,\frac{\alpha(\lambda)\,\beta(\lambda)}{b^2\alpha(\lambda) + \beta(\lambda)}$$
        """
        b = number("beta", beta, positive=True, most=1e6) ** 2
        under = b * self.precision + self.recall
        return float(torch.where(under > 0, (1 + b) * self.precision * self.recall / under.clamp(min=1e-300), 0).max())

    @property
    def f_8(self) -> float:
        """`f(8)`, which weighs recall: is everything there?"""
        return self.f(8)

    @property
    def f_1_8(self) -> float:
        """`f(1/8)`, which weighs precision: are the samples good?"""
        return self.f(1 / 8)

    def __str__(self) -> str:
        return f"F_8 {self.f_8:.3f} (recall), F_1/8 {self.f_1_8:.3f} (precision)"


def prd_curve(
    reference: Float[Tensor, " k"], evaluated: Float[Tensor, " k"], angles: int = 1001
) -> PrecisionRecallCurve:
    r"""The curve of precision and recall of a histogram $Q$ = `evaluated` against $P$ = `reference`:

    $$\alpha(\lambda) = \sum_k\min(\lambda P_k, Q_k),\qquad \beta(\lambda) = \sum_k\min(P_k, Q_k/\lambda)
      = \alpha(\lambda)/\lambda,\qquad \lambda = \tan\theta$$

    at equally spaced angles $\theta$ in (0°, 90°). Equal histograms reach (1, 1), disjoint ones stay at (0, 0), and at
    λ = 1 (the middle one of an odd number of angles) both are $1 - \mathrm{TV}(P, Q)$.

    Raises `ValueError` for what is no histogram, different lengths, and fewer than 3 angles.
    Source: sajjadi2018assessing.
    """
    p, q = histogram("reference", reference), histogram("evaluated", evaluated)
    if len(p) != len(q):
        raise ValueError(
            f"reference has {len(p)} classes and evaluated has {len(q)}; allowed: the same classes in the same order."
        )
    whole("angles", angles, least=3, most=1_000_001)
    # Not tan of a grid in (0, 90°) as it stands: the second half is the first one's reciprocal, 45° in the middle.
    theta = torch.linspace(1e-10, math.pi / 2 - 1e-10, int(angles), dtype=torch.float64)
    slope = theta.tan()
    half = int(angles) // 2
    slope[-half:] = 1 / slope[:half].flip(0)
    if angles % 2:
        slope[half] = 1
    precision = torch.minimum(slope[:, None] * p, q).sum(1)
    recall = torch.minimum(p, q / slope[:, None]).sum(1)
    return PrecisionRecallCurve(precision.clamp(max=1), recall.clamp(max=1))


def prd(
    real: Float[Tensor, "n d"],
    fake: Float[Tensor, "n d"],
    clusters: int = 20,
    runs: int = 10,
    angles: int = 1001,
    seed: int = 0,
) -> PrecisionRecallCurve:
    r"""The curve of precision and recall of two sets of features, through clusters that both share.

    k-means puts the union of both sets into `clusters` clusters; the shares of the real and of the fake samples in
    them are the histograms of `prd_curve`. The curve is the mean over `runs` clusterings (k-means starts at random).

    Give features, such as `image_features(images)`, and **as many real as fake samples**, else the clusters are those
    of the larger set. What differs inside a cluster is not seen. scikit-learn's k-means.

    Raises `ValueError` for sets of different size or dimension, NaN, and more clusters than samples in both sets.
    Source: sajjadi2018assessing.
    """
    r, f = points("real", real), points("fake", fake)
    same_dimension("real", r, "fake", f)
    for name, value, most in (("clusters", clusters, 100_000), ("runs", runs, 100_000)):
        whole(name, value, most=most)
    whole("angles", angles, least=3, most=1_000_001)
    seed = whole("seed", seed, least=0, most=2**32 - 1 - int(runs))
    if len(r) != len(f):
        raise ValueError(
            f"real holds {len(r)} samples and fake {len(f)}; allowed: as many of both, or the clusters are those of "
            f"the larger set. Take the first {min(len(r), len(f))} of each."
        )
    if clusters > 2 * len(r):
        raise ValueError(
            f"clusters={clusters} was given for {len(r)} samples in each set; allowed: at most {2 * len(r)}, better a "
            "twentieth of it."
        )
    both = torch.cat([r, f])
    both = both - both.mean(0)
    both = both / (float(both.abs().max()) or 1.0)  # k-means squares and sums: numbers near 1 keep their digits
    curves = [_curve(both, int(clusters), int(angles), seed + run) for run in range(int(runs))]
    precision, recall = (torch.stack(list(found)).mean(0) for found in zip(*curves, strict=True))
    return PrecisionRecallCurve(precision, recall)


def _curve(both: Tensor, clusters: int, angles: int, seed: int) -> tuple[Tensor, Tensor]:
    from sklearn.cluster import KMeans

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer different points than clusters: some stay empty, and all is well
        found = KMeans(clusters, n_init=1, random_state=seed).fit(both.numpy()).labels_
    n = len(both) // 2
    labels = torch.from_numpy(found).long()
    p, q = (torch.bincount(part, minlength=clusters).double() / n for part in (labels[:n], labels[n:]))
    curve = prd_curve(p, q, angles)
    return curve.precision, curve.recall

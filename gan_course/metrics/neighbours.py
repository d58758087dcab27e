r"""Nearest neighbours, and whether samples are copies of the training set."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gan_course.checks import whole
from gan_course.metrics._checks import bounded, same_dimension
from gan_course.metrics._rows import rows

_MEMORY = 2**25  # numbers in one block of squared distances: 128 MiB in single precision


def nearest_neighbours(
    samples: Float[Tensor, "n *shape"], reference: Float[Tensor, "m *shape"], k: int = 1
) -> tuple[Float[Tensor, "n k"], Int64[Tensor, "n k"]]:
    r"""The `k` nearest members of the reference for each sample, nearest first: distances and row numbers.

    $$d_{ij} = \|x_i - r_j\|_2$$

    over all coordinates: of images this is the pixel space (in grey levels, root of a sum and not of a mean), of
    features theirs. A sample that *is* in the reference finds itself at distance 0. Runs on the samples' device, in
    their precision (at least single) and in blocks, so that 10,000 against 60,000 images need less than half a
    gigabyte: candidates are taken from the expanded square by matrix products, then measured by their differences, so
    that an exact copy has distance 0 exactly.

    Raises `ValueError` for shapes that do not fit together, empty sets, NaN, and `k` above the size of the reference.
    """
    x, r = rows("samples", samples), rows("reference", reference)
    same_dimension("samples", x, "reference", r)
    whole("k", k, most=len(r))
    x, r = bounded("samples", x, x.dtype).flatten(1), bounded("reference", r.to(x.device), x.dtype).flatten(1)
    centre = r.mean(0)  # the expanded square loses digits when the points lie far from the origin
    centred = r - centre
    lengths = centred.square().sum(1)
    extra = min(k + 4, len(r))  # rounding may swap neighbours that are almost equally near: keep some more
    block = max(1, _MEMORY // max(len(r), extra * r.shape[1]))
    distances, indices = [], []
    for part in x.split(block):
        found = torch.addmm(lengths, part - centre, centred.T, alpha=-2).topk(extra, largest=False).indices
        exact = (part[:, None] - r[found]).norm(dim=-1)
        order = exact.argsort(dim=1, stable=True)[:, :k]
        distances.append(exact.gather(1, order))
        indices.append(found.gather(1, order))
    return torch.cat(distances), torch.cat(indices)


@dataclass(frozen=True)
class Memorisation:
    """What `memorisation` found: median distances to the nearest neighbour, and what they say together."""

    to_train: float
    """Of the samples to the training subset."""
    to_test: float
    """Of the samples to the test subset."""
    test_to_train: float
    """Of the test subset to the training subset: how near new real data come."""
    closer: float
    """Share of the samples that are nearer to the training than to the test subset; 0.5 without memorising."""
    copies: float
    """Share of the samples that lie nearer to the *whole* training set than 99 % of the test subset; 0.01 without."""
    size: int
    """Members of each of the two subsets."""

    @property
    def ratio(self) -> float:
        """`to_train / to_test`: near 1 without memorising, towards 0 for copies."""
        return self.to_train / self.to_test if self.to_test > 0 else float("nan")

    def __str__(self) -> str:
        return (
            f"median distance to the nearest of {self.size}: {self.to_train:.3f} in train, {self.to_test:.3f} in test "
            f"(ratio {self.ratio:.3f}), from test to train {self.test_to_train:.3f}; "
            f"{100 * self.closer:.1f} % nearer to train than to test, {100 * self.copies:.1f} % as near as copies"
        )


def memorisation(
    samples: Float[Tensor, "n *shape"],
    train: Float[Tensor, "m *shape"],
    test: Float[Tensor, "l *shape"],
    seed: int = 0,
) -> Memorisation:
    r"""Do samples lie nearer to the training data than to data that were never seen?

    With $d(x, R) = \min_{r\in R}\|x - r\|$, random subsets $T$ of the training set $R$ and $S$ of the test set, of
    **equal size**, and samples $x_i$:

    * the medians of $d(x_i, T)$, of $d(x_i, S)$ and, as a yardstick, of $d(s, T)$ over $s \in S$ (as many $s$ as there
      are samples, at least 1,000);
    * `closer`, the share with $d(x_i, T) < d(x_i, S)$, ties counted as one half;
    * `copies`, the share with $d(x_i, R) < q$, where $q$ is the 1 % quantile of $d(s, R)$ over $s \in S$.

    Equal size matters in the first two: the nearest of 60,000 is nearer than the nearest of 10,000 whatever the samples
    are. For samples that know no more of the training set than of the test set, $T$ and $S$ are exchangeable, so the
    ratio of the medians is near 1 and `closer` near ½. Its spread is larger than that of $n$ coin tosses, because all
    samples share one $T$ and one $S$: look at other seeds. These two miss a copy whose original is not in $T$, so that
    with $T$ a sixth of the training set a model of nothing but copies has `closer` near 0.58; `copies` sees them all.

    The mark is ½ where training and test set are draws of one law. MNIST's are not quite, as no writer is in both:
    half of its test set, against the training set and the other half, has `closer` 0.44 to 0.47; 2,000 training images
    that were held out, against the others and the test set, have 0.51 to 0.54, and those are the mark for a model.

    `copies` above 0.01 can also come from samples that are too plain (blurred, or of few classes) and lie near
    everything: then `to_test` is below `test_to_train` too. Samples of a collapsed sampler share one neighbour, so that
    their ratio and `closer` are one toss of a coin: look at the classes first. And a training image moved by one pixel
    is far away in pixel space: look in a feature space too, by giving features in place of images.

    Raises `ValueError` as `nearest_neighbours` does. Equal sizes and `copies` are this course's rule; real test data as
    the yardstick are common practice.
    """
    x, t, s = rows("samples", samples), rows("train", train), rows("test", test)
    same_dimension("samples", x, "train", t)
    same_dimension("samples", x, "test", s)
    for name, given in (("samples", x), ("train", t), ("test", s)):
        bounded(name, given, x.dtype)
    size = min(len(t), len(s))
    generator = torch.Generator().manual_seed(whole("seed", seed, least=0, most=2**63 - 1))
    order = torch.randperm(len(t), generator=generator).to(t.device)
    t, rest = t[order[:size]], t[order[size:]]
    s = s[torch.randperm(len(s), generator=generator)[:size].to(s.device)]
    to_train, to_test = _nearest(x, t), _nearest(x, s)
    s = s[: max(len(x), 1000)]  # enough for the median and the 1 % quantile; a random part, as s was shuffled
    yardstick = _nearest(s, t)
    near, usual = to_train, yardstick
    if len(rest):  # to the whole training set
        near, usual = torch.minimum(near, _nearest(x, rest)), torch.minimum(usual, _nearest(s, rest))
    closer = (to_train < to_test).double().mean() + (to_train == to_test).double().mean() / 2
    copies = (near < usual.quantile(0.01)).double().mean()
    medians = (float(distances.median()) for distances in (to_train, to_test, yardstick))
    return Memorisation(*medians, closer=float(closer), copies=float(copies), size=size)


def _nearest(x: Tensor, reference: Tensor) -> Tensor:
    return nearest_neighbours(x, reference)[0][:, 0].cpu()

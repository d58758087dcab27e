r"""The Inception score: sharp classes for each sample, many classes in all."""

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import whole
from gan_course.metrics._checks import finite


@dataclass(frozen=True)
class InceptionScore:
    """What `inception_score` found."""

    mean: float
    """Mean over the splits."""
    std: float
    """Standard deviation over the splits (divided by their number); 0 for one split."""
    splits: int
    """Parts that the samples were split into."""

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + (f" ± {self.std:.4f} over {self.splits} splits" if self.splits > 1 else "")


def inception_score(probabilities: Float[Tensor, "n k"], splits: int = 1, seed: int = 0) -> InceptionScore:
    r"""Inception score of samples whose class probabilities are given (`class_probabilities` gives them for images):

    $$\mathrm{IS} = \exp\Big(\frac1n\sum_i \operatorname{KL}\big(p(y\mid x_i) \,\|\, p(y)\big)\Big)
      = \exp\big(H(\bar p) - \overline{H(p_i)}\big),\qquad p(y) = \frac1n\sum_i p(y\mid x_i)$$

    from 1 (every sample looks the same to the classifier) to the number of classes $k$ (each sample certain, the
    classes equally frequent). It never looks at real data; one sample per class has the full score.

    With `splits` above 1 the samples are shuffled by `seed`, split, and scored in each part, as published scores are
    (50,000 samples, 10 splits). The trap: **the score depends on the size of the parts**. It cannot exceed the number
    of samples in a part, and of noise in the classifier it makes diversity: compare only scores taken with equal $n$
    and equal `splits`. Parts with fewer samples than classes are warned of.

    Raises `ValueError` for rows that are no probabilities, NaN, an empty set, more splits than samples.
    Source: salimans2016improved, barratt2018note.
    """
    allowed = "class probabilities (n, k), not negative, with sum 1 in each row"
    p = finite("probabilities", probabilities, allowed).cpu()
    half = probabilities.dtype in (torch.float16, torch.bfloat16)
    p = p.double()
    if p.dim() != 2:
        raise ValueError(
            f"probabilities has shape {tuple(p.shape)}; allowed: {allowed}. Of images: "
            "metrics.class_probabilities(images)."
        )
    low, off = float(p.min()), float((p.sum(1) - 1).abs().max())
    if low < 0 or off > (2e-2 if half else 1e-4):
        raise ValueError(
            f"probabilities has smallest entry {low:.4g} and a row whose sum is {off:.4g} away from 1; allowed: "
            f"{allowed}. Of logits: .softmax(1)."
        )
    whole("splits", splits)
    whole("seed", seed, least=0, most=2**63 - 1)
    n, k = p.shape
    if splits > n:
        raise ValueError(f"splits={splits} was given for {n} samples; allowed: at most one split per sample.")
    if n // splits < k:
        warnings.warn(
            f"probabilities holds {n} samples in {splits} splits, {n // splits} in each, of {k} classes: the score "
            f"cannot exceed {n // splits}. Draw more samples, better fifty times the number of classes for each split.",
            stacklevel=2,
        )
    if splits > 1:
        p = p[torch.randperm(n, generator=torch.Generator().manual_seed(int(seed)))]
    scores = torch.stack([_score(part) for part in p.tensor_split(int(splits))])
    return InceptionScore(float(scores.mean()), float(scores.std(unbiased=False)), int(splits))


def _score(p: Tensor) -> Tensor:
    p = p / p.sum(1, keepdim=True)
    marginal = p.mean(0)
    return (torch.special.xlogy(p, p) - torch.special.xlogy(p, marginal)).sum(1).mean().clamp(min=0).exp()

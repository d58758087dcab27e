r"""The birthday-paradox test: how many different samples a generator has, from how soon two of them meet."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import number, whole
from gan_course.metrics._checks import bounded
from gan_course.metrics._rows import rows

MOST = 2**53  # of a support: above, not every whole number is a float
LARGEST_DRAW = 10_000_000  # of a draw: its logarithms are summed one by one


def collision_probability(draws: int, support: int) -> float:
    r"""Probability that among `draws` draws two are equal, all `support` values being equally likely:

    $$P = 1 - \prod_{i=0}^{s-1}\Big(1 - \frac iN\Big) \approx 1 - e^{-s(s-1)/2N}$$

    the product itself, not the approximation. 23 draws of 365 meet with probability 0.507. Any other distribution on
    the same support makes collisions more likely. Raises `ValueError` for numbers that are not whole and positive.
    """
    s, n = whole("draws", draws, most=LARGEST_DRAW), whole("support", support, most=MOST)
    if s > n:
        return 1.0
    i = torch.arange(s, dtype=torch.float64)
    return float(-torch.expm1(torch.log1p(-i / n).sum()))


def birthday_draws(support: int) -> int:
    r"""Draws after which two equal ones are as likely as not, $\lceil\sqrt{2N\ln2}\,\rceil \approx 1.18\sqrt N$.

    23 for 365 days, 118 for 10,000 values, 471 for 160,000. By the exact product the probability passes ½ at this
    number or at the next one. Raises `ValueError` for a support that is not a positive whole number.
    """
    return math.ceil(math.sqrt(2 * whole("support", support, most=MOST) * math.log(2)))


def implied_support(draws: int, probability: float = 0.5) -> float:
    r"""The support whose batches of `draws` draws hold a collision with a given probability, by the approximation:

    $$N = \frac{s(s-1)}{2\ln\frac1{1-P}} \qquad\Big(\approx \frac{s^2}{2\ln2}\text{ for } P = \tfrac12\Big)$$

    Raises `ValueError` for a probability outside (0, 1).
    """
    s = whole("draws", draws, least=2)
    if number("probability", probability, positive=True, most=1) == 1:
        raise ValueError("probability=1 was given; it must be below 1: certain collisions only say that draws are many")
    return s * (s - 1) / 2 / -math.log1p(-probability)


@dataclass(frozen=True)
class Birthday:
    """What `birthday` found."""

    draws: int
    """Samples in each batch."""
    batches: int
    """Batches that the samples were split into."""
    collisions: int
    """Batches that hold at least one pair of near-duplicates."""
    pairs: int
    """Pairs of near-duplicates in all batches together."""

    @property
    def probability(self) -> float:
        """Share of the batches that hold near-duplicates."""
        return self.collisions / self.batches

    @property
    def support(self) -> float:
        """`implied_support` of that share; infinite if no batch holds any.

        Where every batch does, the share is taken as half a batch less than one: an upper bound, from smaller batches
        a better one can be had.
        """
        if not self.collisions:
            return math.inf
        return implied_support(self.draws, min(self.probability, 1 - 0.5 / self.batches))

    @property
    def effective_support(self) -> float:
        r"""$1/\sum_x p(x)^2$, from the share of pairs that are near-duplicates, which estimates $\sum_x p(x)^2$.

        The number of equally likely samples that would meet as often; infinite if none do.
        """
        return self.batches * self.draws * (self.draws - 1) / 2 / self.pairs if self.pairs else math.inf

    def __str__(self) -> str:
        return (
            f"near-duplicates in {self.collisions} of {self.batches} batches of {self.draws}: "
            f"a support of about {self.support:,.0f}"
        )


def birthday(samples: Float[Tensor, "n *shape"], draws: int, threshold: float | int) -> Birthday:
    r"""Split samples into batches of `draws` and look in each for near-duplicates, pairs not farther than `threshold`.

    If a batch of $s$ holds a pair with probability ½, the samples are as varied as $s^2/(2\ln2)$ equally likely ones,
    see `implied_support`; as unequal probabilities bring collisions earlier, the whole support can be larger. The test
    sees a small support, not copies of the training set, and nothing of quality: a generator of noise passes it.

    What a near-duplicate is must be said by `threshold`, in the unit of the samples (pixels or features): take it well
    below the distances of different real samples, and look at the pairs. Samples at the end that fill no batch are
    left out; the test is meant for independent draws, so shuffle samples that are sorted.

    Raises `ValueError` for fewer samples than `draws`, an empty set, NaN, a negative `threshold`.
    Source: arora2018gans.
    """
    x = rows("samples", samples)
    x = bounded("samples", x, x.dtype).flatten(1)
    s = whole("draws", draws, least=2)
    threshold = number("threshold", threshold)
    if len(x) < s:
        raise ValueError(
            f"draws={s} was given for {len(x)} samples; allowed: up to {len(x)}, better a twentieth of it."
        )
    batches = len(x) // s
    pairs = [int((torch.pdist(batch) <= threshold).sum()) for batch in x[: batches * s].split(s)]
    return Birthday(s, batches, sum(found > 0 for found in pairs), sum(pairs))

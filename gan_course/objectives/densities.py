r"""Log densities of the laws that models with codes are made of, and bounds that are made of them, in nats.

Each density is summed over the coordinates of a sample, never averaged: a mean over pixels would weigh the divergence
of the codes as many times as there are pixels.
"""

import math

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid


def gaussian_log_density(
    z: Float[Tensor, "n *sample"], mean: Float[Tensor, "n *sample"], log_variance: Float[Tensor, "n *sample"]
) -> Float[Tensor, " n"]:
    r"""$\log N(z; \mu, \mathrm{diag}\,\sigma^2) =
    -\tfrac12\sum_i\big(\log 2\pi + \log\sigma_i^2 + (z_i-\mu_i)^2/\sigma_i^2\big)$.

    Source: kingma2014autoencoding.
    """
    squares = (z - mean).square() * (-log_variance).exp()
    return -0.5 * (math.log(2 * math.pi) + log_variance + squares).flatten(1).sum(1)


def standard_log_density(z: Float[Tensor, "n *sample"]) -> Float[Tensor, " n"]:
    r"""$\log N(z; 0, I) = -\tfrac12\sum_i(\log 2\pi + z_i^2)$, the prior of the codes."""
    return -0.5 * (math.log(2 * math.pi) + z.square()).flatten(1).sum(1)


def discretised_logistic_log_probability(
    mean: Float[Tensor, "n *sample"], log_scale: Tensor, x: Float[Tensor, "n *sample"], levels: int = 256
) -> Float[Tensor, " n"]:
    r"""The log probability of grey levels $x\in\{0, \frac1{L-1}, \dots, 1\}$ under a logistic law cut into $L$ bins.

    With $\delta = \frac1{L-1}$, $a = (x + \delta/2 - \mu)/s$ and $b = (x - \delta/2 - \mu)/s$,

    $$P(x) = \sigma(a) - \sigma(b) = \sigma(a)\,\sigma(-b)\,\big(1 - e^{-\delta/s}\big),$$

    and the bins at the ends take the tails: $P(0) = \sigma(a)$ and $P(1) = \sigma(-b)$, so that all bins sum to 1. The
    product loses no digits where the difference does: far from $\mu$ and for very small or large $s$.

    Args:
        mean: $\mu$, in the unit of the samples.
        log_scale: $\log s$; its shape broadcasts with the samples.
        x: grey levels.
        levels: $L$.

    Source: salimans2017pixelcnn, kingma2016iaf.
    """
    width = 1 / (levels - 1)
    a, b = ((x + sign * width / 2 - mean) * (-log_scale).exp() for sign in (1, -1))
    lower, upper = x < width / 2, x > 1 - width / 2
    inside = (-(-width * (-log_scale).exp()).expm1()).log()
    log_p = logsigmoid(a).masked_fill(upper, 0) + logsigmoid(-b).masked_fill(lower, 0)
    return (log_p + inside.expand_as(x).masked_fill(lower | upper, 0)).flatten(1).sum(1)


def importance_bound(log_weights: Float[Tensor, "k n"]) -> Float[Tensor, " n"]:
    r"""The bound by $k$ importance samples, whose expectation never exceeds $\log p(x)$ and grows with $k$.

    $$\log\frac1k\sum_{i=1}^k w_i,\qquad w_i = \frac{p(x\mid z_i)\,p(z_i)}{q(z_i\mid x)},\quad z_i\sim q(\cdot\mid x).$$

    With $k=1$ it is the evidence lower bound. Source: burda2016importance.
    """
    return log_weights.logsumexp(0) - math.log(len(log_weights))

"""Log-likelihoods and the divergence of the variational auto-encoder, per sample, in nats."""

import math

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from gan_course.checks import number


def bernoulli_nll(logits: Float[Tensor, "n *sample"], x: Float[Tensor, "n *sample"]) -> Float[Tensor, " n"]:
    r"""$-\log p(x\mid\ell) = \sum_i \mathrm{sp}(\ell_i) - x_i \ell_i$ for pixel logits $\ell$; greys act as means.

    Source: kingma2014autoencoding.
    """
    return _per_sample(softplus(logits) - x * logits)


def gaussian_nll(
    mean: Float[Tensor, "n *sample"], x: Float[Tensor, "n *sample"], std: float = 1.0
) -> Float[Tensor, " n"]:
    r"""$-\log N(x; \mu, s^2 I) = \frac{\|x-\mu\|^2}{2 s^2} + d \log(s\sqrt{2\pi})$.

    Raises:
        ValueError: if `std` is not a positive number, or its square not one in single precision.
    """
    if not 1e-18 <= number("std", std, positive=True) <= 1e18:
        raise ValueError(f"std is {std}; it must be from 1e-18 to 1e18, so that its square is a number too")
    d = math.prod(x.shape[1:])
    return _per_sample((x - mean).square()) / (2 * std**2) + d * math.log(std * math.sqrt(2 * math.pi))


def gaussian_kl(mean: Float[Tensor, "n d"], log_variance: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    r"""The divergence of the code's law from the standard normal one.

    $$\mathrm{KL}(N(\mu, \mathrm{diag}\,\sigma^2)\,\|\,N(0, I))
      = \tfrac12\sum_i (\mu_i^2 + \sigma_i^2 - 1 - \log\sigma_i^2).$$

    Source: kingma2014autoencoding.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def _per_sample(x: Tensor) -> Tensor:
    """The sum over all coordinates of each sample; there are none but the first where samples are numbers."""
    return x.flatten(1).sum(1) if x.ndim > 1 else x

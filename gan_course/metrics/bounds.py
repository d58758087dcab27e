r"""Judgements on models with a likelihood: bounds on it, bits per dimension, and the error of reconstructions."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import instance, samples, whole
from gan_course.metrics._checks import at_least, finite, same_dimension, unit_range
from gan_course.metrics._rows import rows


@dataclass(frozen=True)
class LikelihoodBound:
    """What `likelihood_bound` found."""

    mean: float
    """Mean lower bound on the log likelihood, in nats per sample (the sum over the dimensions)."""
    standard_error: float
    """Of that mean, from the spread over the data set."""
    importance_samples: int
    """Draws of the code for each sample; with 1 it is the evidence lower bound of the variational auto-encoder."""

    @property
    def negative(self) -> float:
        """Its negative, an upper bound on the negative log likelihood, which is what tables show."""
        return -self.mean

    def __str__(self) -> str:
        draws = "one draw" if self.importance_samples == 1 else f"{self.importance_samples:,} draws"
        return f"{self.mean:.2f} ± {self.standard_error:.2f} nats per sample ({draws} of the code)"


def likelihood_bound(
    log_weights: Callable[[Tensor], Tensor],
    data: Float[Tensor, "n *shape"],
    importance_samples: int = 1,
    batch_size: int = 500,
    seed: int = 0,
) -> LikelihoodBound:
    r"""A lower bound on the mean log likelihood of a data set, by draws of the codes.

    $$\log p(x) \ge \mathbb E\,\log\frac1k\sum_{i=1}^k w_i,\qquad
      w_i = \frac{p(x\mid z_i)\,p(z_i)}{q(z_i\mid x)},\quad z_i\sim q(\cdot\mid x).$$

    With $k=1$ it is the evidence lower bound. It grows with $k$ and tends to $\log p(x)$, as fast as $q(z\mid x)$ is
    near the posterior: bounds with different $k$ are not comparable, and those of bad posteriors least of all.

    Args:
        log_weights: from a batch $(b, \ldots)$ to $\log w$ of shape `(b,)`, of one new draw at each call, without
            gradient: such as the method `log_weights` of `games.VAE`. It may take the data's device.
        data: samples, in the unit that the model was made for.
        importance_samples: $k$.
        batch_size: samples in a call.
        seed: of the draws; the random state of the caller is not moved.

    Raises `ValueError` for fewer than two samples, NaN, no positive $k$, and weights of another shape or not finite.
    Source: kingma2014autoencoding for $k=1$, burda2016importance for more.
    """
    instance("log_weights", log_weights, Callable, "a function from a batch to (n,) log weights, such as a method")
    samples(data=data)
    finite("data", data, "a floating-point tensor of shape (n, ...)")
    at_least("data", data, 2, "for a standard error")
    k = whole("importance_samples", importance_samples, most=10**6)
    batch_size, seed = whole("batch_size", batch_size), whole("seed", seed, least=0)
    bounds = []
    devices = [data.device] if data.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        torch.manual_seed(seed)
        for batch in data.split(batch_size):
            total = torch.full((len(batch),), -math.inf, dtype=torch.float64)
            for _ in range(k):
                total = torch.logaddexp(total, _weights(log_weights, batch))
            bounds.append(total - math.log(k))
    found = torch.cat(bounds)
    return LikelihoodBound(float(found.mean()), float(found.std()) / math.sqrt(len(found)), k)


def _weights(log_weights: Callable[[Tensor], Tensor], batch: Tensor) -> Float[Tensor, " b"]:
    found = log_weights(batch)
    if not isinstance(found, Tensor) or tuple(found.shape) != (len(batch),) or not found.is_floating_point():
        given = f"{found.dtype} of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(
            f"log_weights returned {given} for {len(batch)} samples; it must return numbers of shape ({len(batch)},), "
            "the log weight of one draw for each sample"
        )
    found = found.detach().to("cpu", torch.float64)
    if not bool(found.isfinite().all()):
        bad = int((~found.isfinite()).sum())
        raise ValueError(
            f"log_weights returned {bad} values that are NaN or infinite, of {len(found)}; a likelihood with a density "
            "is finite at its data: look for a scale that went to 0, or data outside the support"
        )
    return found


def bits_per_dimension(nats: float | int, dimensions: int, levels: int | None = None) -> float:
    r"""Bits per dimension of a log likelihood: $-\frac{\log p}{d\log 2}$, and $+\log_2 L$ for a density.

    Args:
        nats: mean log likelihood of a sample, or a lower bound on it (then the bits are an upper bound).
        dimensions: $d$, such as 3,072 for CIFAR-10.
        levels: by default `nats` is the log probability of discrete data, such as that of `DiscretisedLogistic`. With
            $L$ it is a log density on $[0, 1]^d$ of `dequantised` data of $L$ levels: the density of a cell of width
            $1/L$ is $L$ times its probability.

    Source: theis2016note.
    """
    number = not isinstance(nats, bool) and isinstance(nats, (int, float))
    if not number or not abs(nats) <= 1e30:
        raise ValueError(f"nats={nats!r} was given; it must be a finite number, the log likelihood of one sample")
    d = whole("dimensions", dimensions)
    cells = 0.0 if levels is None else math.log2(whole("levels", levels, least=2))
    return -float(nats) / (d * math.log(2)) + cells


def dequantised(images: Float[Tensor, "n *shape"], levels: int = 256, seed: int = 0) -> Float[Tensor, "n *shape"]:
    r"""Images of $L$ grey levels with uniform noise: $\tilde x = \frac{(L-1)\,x + u}L$ in $[0, 1)$, $u\sim U[0, 1)$.

    The mean log density of $\tilde x$ never exceeds the log probability of the level, the integral of the density over
    its cell, by Jensen's inequality: so a density of noisy data gives a bound for discrete data, where one of the data
    themselves could be made as large as one likes.

    Args:
        images: with the values $0, \frac1{L-1}, \ldots, 1$, as loaders give bytes.
        levels: $L$.
        seed: of the noise.

    Raises `ValueError` for values between the levels or outside [0, 1].
    Source: theis2016note.
    """
    allowed = "a floating-point tensor of grey levels in [0, 1]"
    x = finite("images", images, allowed)
    unit_range("images", x, allowed)
    levels, seed = whole("levels", levels, least=2, most=2**16), whole("seed", seed, least=0)
    steps = x.double() * (levels - 1)
    off = float((steps - steps.round()).abs().max())
    if off > 0.02:
        raise ValueError(
            f"images holds values between grey levels, off by up to {off:.2g} of the distance of two; allowed: "
            f"multiples of 1/{levels - 1} for levels={levels}. Give the number of levels that the images have."
        )
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)).to(x)
    below_one = 1 - torch.finfo(x.dtype).eps / 2
    return ((steps.round().to(x) + noise) / levels).clamp(max=below_one)


def rmse(x: Float[Tensor, "n *shape"], reconstruction: Float[Tensor, "n *shape"]) -> float:
    r"""The root of the mean squared error over all samples and coordinates, in the data's unit.

    $$\sqrt{\frac1{nd}\sum_{i,j}(x_{ij} - \hat x_{ij})^2}.$$

    Of images in [0, 1], 255 times it is in bytes. Raises `ValueError` for shapes that differ, empty sets and NaN.
    """
    a, b = rows("x", x), rows("reconstruction", reconstruction)
    same_dimension("x", a, "reconstruction", b)
    if len(a) != len(b):
        raise ValueError(
            f"x has {len(a)} samples and reconstruction {len(b)}; allowed: one reconstruction for each sample, in order"
        )
    a, b = a.cpu().double(), b.cpu().double()
    scale = max(float(a.abs().max()), float(b.abs().max())) or 1.0  # squares of large numbers overflow
    return scale * math.sqrt(float((a / scale - b / scale).square().mean()))

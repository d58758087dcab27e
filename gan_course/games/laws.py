"""Laws of a sample given its code: log probability, mean, draws, and draws that have a gradient."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course.checks import number, one_of, samples, whole
from gan_course.objectives.densities import discretised_logistic_log_probability, gaussian_log_density
from gan_course.objectives.likelihood import bernoulli_nll, gaussian_nll


class Law(nn.Module):
    r"""A law $p(x\mid z)$ of samples, whose `parameters` a decoder computes from the code $z$.

    `parameters_per_coordinate` says how many numbers a decoder gives for each coordinate of a sample, along its first
    dimension: `(n, parameters_per_coordinate * channels, ...)`. What the law learns by itself, such as a scale, are
    parameters of the module.
    """

    parameters_per_coordinate = 1

    def log_probability(
        self, parameters: Float[Tensor, "n *of_law"], x: Float[Tensor, "n *sample"]
    ) -> Float[Tensor, " n"]:
        r"""$\log p(x\mid z)$, summed over the coordinates of each sample, in nats."""
        raise TypeError(f"{type(self).__name__} defines no log_probability()")

    def mean(self, parameters: Float[Tensor, "n *of_law"]) -> Float[Tensor, "n *sample"]:
        r"""$\mathbb E[x\mid z]$."""
        raise TypeError(f"{type(self).__name__} defines no mean()")

    def sample(self, parameters: Float[Tensor, "n *of_law"]) -> Float[Tensor, "n *sample"]:
        """A draw of every coordinate, without gradient."""
        raise TypeError(f"{type(self).__name__} defines no sample()")

    def relaxed_sample(
        self, parameters: Float[Tensor, "n *of_law"], temperature: float = 0.5
    ) -> Float[Tensor, "n *sample"]:
        """A draw that has a gradient with respect to the parameters; for discrete laws it is near a draw, not one."""
        raise TypeError(f"{type(self).__name__} defines no relaxed_sample()")

    def check(self, x: Tensor) -> None:
        """Refuse data outside the support of the law."""
        samples(x=x)
        if not x.is_floating_point():
            raise ValueError(f"x is of {x.dtype}; {type(self).__name__} needs floating-point samples: use .float()")
        if not bool(x.isfinite().all()):
            raise ValueError(f"x holds NaN or infinity; {type(self).__name__} allows finite numbers only")

    def check_parameters(self, parameters: Tensor, x: Tensor) -> None:
        """Refuse parameters that do not fit the samples, and would broadcast silently."""
        each = self.parameters_per_coordinate
        expected = (len(x), *x.shape[1:]) if each == 1 else (len(x), each * x.shape[1], *x.shape[2:])
        if tuple(parameters.shape) != expected:
            raise ValueError(
                f"the decoder returned parameters of shape {tuple(parameters.shape)} for samples x of shape "
                f"{tuple(x.shape)}; {type(self).__name__} needs {expected}"
            )


def _unit(law: Law, x: Tensor) -> None:
    low, high = float(x.min()), float(x.max())
    if low < 0 or high > 1:
        raise ValueError(
            f"x has values from {low:.4g} to {high:.4g}, outside the support of {type(law).__name__}; allowed: "
            "[0, 1]. Map [-1, 1] to it with (x + 1) / 2, bytes with x / 255; for numbers of any size take Gaussian"
        )


class Bernoulli(Law):
    r"""Pixels that are 0 or 1, of logits $\ell$: $\log p(x) = \sum_i x_i\ell_i - \mathrm{sp}(\ell_i)$.

    Grey levels in [0, 1] are taken as means: the formula is then the expectation of the log probability of a pixel that
    is drawn from its grey level, which is how the published bounds on MNIST treat them. For grey data it is no log
    probability of what was given, and its least value is not 0.

    A draw has no gradient. The relaxed one is the binary concrete law at temperature $T$ (maddison2017concrete,
    jang2017gumbel),

    $$\tilde x = \sigma\Big(\frac{\ell + \log u - \log(1-u)}T\Big),\quad u\sim U(0, 1),$$

    which exceeds ½ with probability $\sigma(\ell)$ at every $T$ and tends to a draw as $T\to0$; for larger $T$ its
    gradient varies less, and its law is further from pixels.
    """

    def log_probability(self, parameters: Float[Tensor, "n *d"], x: Float[Tensor, "n *d"]) -> Float[Tensor, " n"]:
        """See the class; `parameters`: logits."""
        return -bernoulli_nll(parameters, x)

    def mean(self, parameters: Float[Tensor, "n *d"]) -> Float[Tensor, "n *d"]:
        r"""$\sigma(\ell)$."""
        return parameters.sigmoid()

    def sample(self, parameters: Float[Tensor, "n *d"]) -> Float[Tensor, "n *d"]:
        """Pixels that are 0 or 1."""
        return torch.bernoulli(parameters.detach().sigmoid())

    def relaxed_sample(self, parameters: Float[Tensor, "n *d"], temperature: float = 0.5) -> Float[Tensor, "n *d"]:
        """Pixels in [0, 1], by the binary concrete law; `temperature`: $T > 0$."""
        temperature = _temperature(temperature)
        return ((parameters + _logistic_noise(parameters)) / temperature).sigmoid()

    def check(self, x: Tensor) -> None:
        """Refuse what is not in [0, 1]."""
        super().check(x)
        _unit(self, x)


class Gaussian(Law):
    r"""Coordinates with normal errors: $\log p(x) = \log N(x; \mu, s^2 I)$.

    `std` is $s$, in the unit of the samples; with `scale="learned"` only where it starts, and one $\log s$ for all
    coordinates is learned. With `scale="predicted"` the decoder says $\log s^2$ of each coordinate: its first half of
    numbers are the means, its second half the log variances, and `std` is not used.

    Draws are $\mu + s\,\varepsilon$ and have a gradient as they are.
    """

    def __init__(self, std: float = 1.0, scale: str = "fixed"):
        """`std`: $s$; `scale`: `fixed`, `learned` or `predicted`."""
        super().__init__()
        if not 1e-9 <= number("std", std, positive=True) <= 1e9:
            raise ValueError(f"std={std} was given; it must be from 1e-9 to 1e9, in the unit of the samples")
        one_of("scale", scale, ("fixed", "learned", "predicted"))
        self.std, self.scale = float(std), scale
        self.parameters_per_coordinate = 2 if scale == "predicted" else 1
        if scale == "learned":
            self.log_std = nn.Parameter(torch.tensor(math.log(std)))

    def _parts(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log variances."""
        if self.scale == "predicted":
            mean, log_variance = parameters.chunk(2, 1)
            return mean, log_variance
        log_std = self.log_std if self.scale == "learned" else parameters.new_tensor(math.log(self.std))
        return parameters, (2 * log_std).expand_as(parameters)

    def log_probability(
        self, parameters: Float[Tensor, "n *of_law"], x: Float[Tensor, "n *sample"]
    ) -> Float[Tensor, " n"]:
        """See the class."""
        if self.scale == "fixed":
            return -gaussian_nll(parameters, x, self.std)
        return gaussian_log_density(x, *self._parts(parameters))

    def mean(self, parameters: Float[Tensor, "n *of_law"]) -> Float[Tensor, "n *sample"]:
        r"""$\mu$."""
        return self._parts(parameters)[0]

    def sample(self, parameters: Float[Tensor, "n *of_law"]) -> Float[Tensor, "n *sample"]:
        r"""$\mu + s\,\varepsilon$, without gradient."""
        return self.relaxed_sample(parameters.detach()).detach()

    def relaxed_sample(
        self, parameters: Float[Tensor, "n *of_law"], temperature: float = 0.5
    ) -> Float[Tensor, "n *sample"]:
        r"""$\mu + s\,\varepsilon$ with its gradient: an exact draw, which needs no temperature."""
        mean, log_variance = self._parts(parameters)
        return mean + (0.5 * log_variance).exp() * torch.randn_like(mean)


class DiscretisedLogistic(Law):
    r"""Grey levels $0, \frac1{L-1}, \dots, 1$ as bins of a logistic law around $\mu$; the outer ones have its tails.

    The log probability is that of `objectives.densities.discretised_logistic_log_probability`: of the bytes themselves,
    so that it needs no noise on them and divides by $d\log 2$ to bits per dimension. Each channel learns one scale
    $\log s$ (kingma2016iaf, salimans2017pixelcnn).

    A draw is $\mu + s\,(\log u - \log(1-u))$ rounded to the nearest level and cut to [0, 1]; the relaxed draw is the
    same without rounding, and its gradient vanishes where it is cut.
    """

    def __init__(self, channels: int = 1, levels: int = 256, scale: float = 0.1):
        """`channels`: of a sample, its first dimension; `levels`: $L$; `scale`: where every $s$ starts, in [0, 1]'s
        unit.
        """
        super().__init__()
        self.channels = whole("channels", channels, most=10**6)
        self.levels = whole("levels", levels, least=2, most=2**16)
        if number("scale", scale, positive=True) < 1e-9:
            raise ValueError(f"scale={scale} was given; it must be at least 1e-9, in the unit of samples in [0, 1]")
        self.log_scale = nn.Parameter(torch.full((self.channels,), math.log(scale)))

    def _log_scale(self, x: Tensor) -> Tensor:
        return self.log_scale.view(1, -1, *[1] * (x.ndim - 2))

    def log_probability(self, parameters: Float[Tensor, "n *d"], x: Float[Tensor, "n *d"]) -> Float[Tensor, " n"]:
        """See the class; `parameters`: the means."""
        return discretised_logistic_log_probability(parameters, self._log_scale(x), x, self.levels)

    def mean(self, parameters: Float[Tensor, "n *d"]) -> Float[Tensor, "n *d"]:
        r"""The nearest that [0, 1] has to $\mu$: the mean of the law but for what the tails are cut by."""
        return parameters.clamp(0, 1)

    def sample(self, parameters: Float[Tensor, "n *d"]) -> Float[Tensor, "n *d"]:
        """Grey levels."""
        steps = self.levels - 1
        return ((self.relaxed_sample(parameters.detach()) * steps).round() / steps).detach()

    def relaxed_sample(self, parameters: Float[Tensor, "n *d"], temperature: float = 0.5) -> Float[Tensor, "n *d"]:
        """A draw before it is rounded; it needs no temperature."""
        return (parameters + self._log_scale(parameters).exp() * _logistic_noise(parameters)).clamp(0, 1)

    def check(self, x: Tensor) -> None:
        """Refuse what is no grey level, or has other channels."""
        super().check(x)
        if x.ndim < 2 or x.shape[1] != self.channels:
            raise ValueError(f"x has the shape {tuple(x.shape)}; this law is for (n, channels={self.channels}, ...)")
        _unit(self, x)
        steps = x.detach().double() * (self.levels - 1)
        off = float((steps - steps.round()).abs().max())
        if off > 0.02:
            raise ValueError(
                f"x holds values between grey levels, off by up to {off:.2g} of the distance between two of the "
                f"levels={self.levels}; allowed: 0, 1/{self.levels - 1}, ..., 1, bytes divided by 255 for 256 levels. "
                "Give the number of levels that the images have"
            )


LAWS = {"bernoulli": Bernoulli, "discretised-logistic": DiscretisedLogistic, "gaussian": Gaussian}
"""The laws by name, with the settings that they have by default."""


def law(likelihood: str | Law) -> Law:
    """The law of that name, or the law itself."""
    if isinstance(likelihood, Law):
        return likelihood
    if not isinstance(likelihood, str) or likelihood not in LAWS:
        raise ValueError(
            f"likelihood {likelihood!r} is unknown; choose one of {sorted(LAWS)}, or give a law such as "
            "games.Gaussian(std=0.1)"
        )
    return LAWS[likelihood]()


def _logistic_noise(like: Tensor) -> Tensor:
    """Draws of the standard logistic law; no uniform number is so near to 0 or 1 that they are infinite."""
    u = torch.rand_like(like).clamp(1e-6, 1 - 1e-6)
    return u.log() - (-u).log1p()


def _temperature(temperature: float) -> float:
    found = number("temperature", temperature, positive=True)
    if found < 1e-6:
        raise ValueError(f"temperature={temperature} was given; it must be at least 1e-6")
    return found

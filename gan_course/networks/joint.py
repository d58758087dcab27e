"""Networks for pairs of a sample and its code: judges of both together, and maps that draw their output."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course.checks import instance, whole


class JointDiscriminator(nn.Module):
    r"""Scores of pairs: $d(x, z) = h\big(f(x), g(z)\big)$, with the two features side by side.

    It is called with both, `d(x, z)`, or with a tuple, `d((x, z))`. Objectives and penalties take single tensors: for
    them `Joined` hides that there are two. Sources: donahue2017bigan, dumoulin2017ali.
    """

    samplewise = True  # where its parts are

    def __init__(self, head: nn.Module, sample: nn.Module | None = None, code: nn.Module | None = None):
        """A judge of pairs.

        Args:
            head: $h$, from the features of both, `(n, a + b)`, to scores `(n,)`, such as `networks.mlp(a + b, [256])`.
            sample: $f$, from samples to `(n, a)`; by default the sample's own coordinates.
            code: $g$, from codes to `(n, b)`; by default the code's own coordinates.
        """
        super().__init__()
        instance("head", head, nn.Module, "a torch.nn.Module")
        instance("sample", sample, (nn.Module, type(None)), "a torch.nn.Module or None")
        instance("code", code, (nn.Module, type(None)), "a torch.nn.Module or None")
        self.head, self.sample, self.code = head, sample or nn.Identity(), code or nn.Identity()

    def forward(
        self,
        x: Float[Tensor, "n *sample"] | tuple[Float[Tensor, "n *sample"], Float[Tensor, "n *code"]],
        z: Float[Tensor, "n *code"] | None = None,
    ) -> Tensor:
        """The score of each pair. Raises ValueError if there are not as many codes as samples."""
        x, z = (x, z) if z is not None else x
        if len(x) != len(z):
            raise ValueError(f"{len(x)} samples and {len(z)} codes were given; each sample needs a code of its own")
        return self.head(torch.cat([self.sample(x).flatten(1), self.code(z).flatten(1)], 1))


class Joined(nn.Module):
    r"""A judge of pairs as a judge of single tensors, in which both stand side by side: $d([x, z])$.

    So every objective and every penalty serves pairs: the slope that a penalty takes is that in all coordinates of the
    sample *and* of the code, and samples that are mixed are mixed together with their codes. `join` makes the tensors.
    """

    samplewise = True  # where the judge is

    def __init__(self, discriminator: nn.Module, sample: Sequence[int], code: Sequence[int]):
        """`discriminator`: called with two tensors; `sample`, `code`: the shape of one of each, as `(1, 28, 28)`."""
        super().__init__()
        instance("discriminator", discriminator, nn.Module, "a torch.nn.Module")
        self.discriminator, self.shapes = discriminator, (_shape("sample", sample), _shape("code", code))

    def join(self, x: Float[Tensor, "n *sample"], z: Float[Tensor, "n *code"]) -> Float[Tensor, "n both"]:
        """Samples and codes side by side, flattened.

        Raises:
            ValueError: if their shapes are not those it was made for, or there are not as many of one as of the other.
        """
        for name, given, shape in (("sample", x, self.shapes[0]), ("code", z, self.shapes[1])):
            if tuple(given.shape[1:]) != shape:
                raise ValueError(
                    f"a {name} of shape {tuple(given.shape[1:])} was given; pairs have a {name} of {shape}"
                )
        if len(x) != len(z):
            raise ValueError(f"{len(x)} samples and {len(z)} codes were given; each sample needs a code of its own")
        return torch.cat([x.flatten(1), z.flatten(1)], 1)

    def forward(self, pairs: Float[Tensor, "n both"]) -> Tensor:
        """The score of each pair."""
        x, z = pairs.split([math.prod(shape) for shape in self.shapes], 1)
        return self.discriminator(x.unflatten(1, self.shapes[0]), z.unflatten(1, self.shapes[1]))


class Stochastic(nn.Module):
    r"""A network's outputs read as a law and drawn from: $y = \mu(x) + \sigma(x)\,\varepsilon$.

    $\varepsilon\sim N(0, I)$ is drawn anew at every call. The network returns twice as many numbers as the draw has:
    first the means $\mu$, then the log variances $\log\sigma^2$. Gradients reach it through the draw
    (kingma2014autoencoding).
    """

    def __init__(self, network: nn.Module, mean_in_evaluation: bool = False):
        """`network`: to `(n, 2 d)`, or `(n, 2 c, ...)`; `mean_in_evaluation`: return $\\mu$ in evaluation mode."""
        super().__init__()
        instance("network", network, nn.Module, "a torch.nn.Module")
        instance("mean_in_evaluation", mean_in_evaluation, bool, "True or False")
        self.network, self.mean_in_evaluation = network, mean_in_evaluation

    def moments(self, x: Float[Tensor, "n *given"]) -> tuple[Float[Tensor, "n *drawn"], Float[Tensor, "n *drawn"]]:
        """Means and log variances. Raises ValueError if the network returns an odd number of coordinates."""
        out = self.network(x)
        if out.ndim < 2 or out.shape[1] % 2:
            raise ValueError(
                f"the network returned {tuple(out.shape)}, which is no mean and log variance of each coordinate: its "
                "second size must be even, twice that of what is drawn"
            )
        mean, log_variance = out.chunk(2, 1)
        return mean, log_variance

    def mean(self, x: Float[Tensor, "n *given"]) -> Float[Tensor, "n *drawn"]:
        r"""$\mu(x)$."""
        return self.moments(x)[0]

    def log_density(self, x: Float[Tensor, "n *given"], y: Float[Tensor, "n *drawn"]) -> Float[Tensor, " n"]:
        r"""$\log N(y; \mu(x), \sigma^2(x)) = -\tfrac12\sum_i\log 2\pi\sigma_i^2 + (y_i-\mu_i)^2/\sigma_i^2$."""
        mean, log_variance = self.moments(x)
        terms = math.log(2 * math.pi) + log_variance + (y - mean).square() * (-log_variance).exp()
        return -0.5 * terms.flatten(1).sum(1)

    def forward(self, x: Float[Tensor, "n *given"]) -> Float[Tensor, "n *drawn"]:
        """A draw for each, or the mean in evaluation mode if that was asked for."""
        mean, log_variance = self.moments(x)
        if self.mean_in_evaluation and not self.training:
            return mean
        return mean + (0.5 * log_variance).exp() * torch.randn_like(mean)


class Noisy(nn.Module):
    r"""A network that is given noise beside its input: $f(x, \varepsilon)$, $\varepsilon\sim N(0, I)$.

    The law of its output given $x$ can be any, but its density is unknown: nothing can be asked of it but draws.
    Source: li2017alice, whose toy networks are of that kind.
    """

    def __init__(self, network: nn.Module, noise: int):
        """`network`: from `(n, d + noise)`; `noise`: how many numbers are put beside the `d` of the flattened input."""
        super().__init__()
        instance("network", network, nn.Module, "a torch.nn.Module")
        self.network, self.noise = network, whole("noise", noise)

    def forward(self, x: Float[Tensor, "n *given"]) -> Tensor:
        """A draw for each, in either mode."""
        x = x.flatten(1)
        return self.network(torch.cat([x, torch.randn(len(x), self.noise, dtype=x.dtype, device=x.device)], 1))


def _shape(name: str, shape: object) -> tuple[int, ...]:
    instance(name, shape, (tuple, list, torch.Size), "the shape of one, such as (1, 28, 28)")
    if not shape:
        raise ValueError(f"{name}=() was given; it must name at least one size, such as (2,)")
    return tuple(whole(name, size) for size in shape)

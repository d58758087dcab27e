"""Fully connected networks."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course.checks import instance, whole


class MLP(nn.Module):
    """Linear layers with an activation between them; samples of any shape are flattened first."""

    samplewise = True

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int | tuple[int, ...] | None,
        activation: Callable[[], nn.Module] = nn.ReLU,
        final: Callable[[], nn.Module] | None = None,
    ):
        """See `mlp`."""
        super().__init__()
        instance("hidden", hidden, (list, tuple), "a list of widths")
        instance("outputs", outputs, (int, tuple, list, type(None)), "a number of coordinates, a shape, or None")
        self.shape = (outputs,) if isinstance(outputs, int) else outputs
        for name, widths in (("inputs", [inputs]), ("hidden", hidden), ("outputs", self.shape or ())):
            for width in widths:
                whole(name, width)
        widths = [inputs, *hidden, math.prod(self.shape or ())]
        layers: list[nn.Module] = []
        for i in range(len(widths) - 1):
            layers += [nn.Linear(widths[i], widths[i + 1]), activation()]
        layers.pop()
        self.last = len(layers) - 1  # the place of the last linear layer
        if final is not None:
            layers.append(final())
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "n *sample"]) -> Tensor:
        """Outputs of shape `(n, *outputs)`, or scores of shape `(n,)`."""
        return self._shaped(self.layers(x.flatten(1)))

    def features_and_scores(self, x: Float[Tensor, "n *sample"]) -> tuple[Tensor, Tensor]:
        """What the last linear layer is given, and the outputs, of one and the same pass."""
        features = self.layers[: self.last](x.flatten(1))
        return features, self._shaped(self.layers[self.last :](features))

    def _shaped(self, out: Tensor) -> Tensor:
        return out.squeeze(1) if self.shape is None else out.unflatten(1, self.shape)


def mlp(
    inputs: int,
    hidden: Sequence[int],
    outputs: int | tuple[int, ...] | None = None,
    activation: Callable[[], nn.Module] = nn.ReLU,
    final: Callable[[], nn.Module] | None = None,
) -> MLP:
    """A multilayer perceptron.

    Args:
        inputs: coordinates of one (flattened) sample.
        hidden: widths of the hidden layers.
        outputs: coordinates of the output, a shape such as `(1, 28, 28)`, or `None` for a score of shape `(n,)`.
        activation: makes the layer between two linear layers.
        final: makes a last layer after the outputs, such as `nn.Sigmoid` for images; by default none.
    """
    return MLP(inputs, hidden, outputs, activation, final)


class Fourier(nn.Module):
    r"""Fixed features $[x, \sin \omega_k x_i, \cos \omega_k x_i]$, $\omega_k = 2^k$: detail for points in the plane.

    Turns `(n, d)` into `(n, d (1 + 2 frequencies))`. With them a small MLP can tell apart points that lie close.
    """

    samplewise = True

    def __init__(self, frequencies: int = 3):
        """`frequencies`: number of octaves."""
        super().__init__()
        octaves = torch.arange(whole("frequencies", frequencies, least=0, most=24))  # single precision has no finer
        self.register_buffer("omega", 2.0**octaves)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        """The features of each point."""
        angles = (x.unsqueeze(2) * self.omega).flatten(1)
        return torch.cat([x, angles.sin(), angles.cos()], 1)


class Residual(nn.Module):
    r"""$x + f(x)$ for a network $f$ that keeps the shape, as in He et al. (2016) [he2016deep].

    As a generator, $G(z) = z + f(z)$: its first samples are nearly the noise itself, so that no mode is out of sight.
    """

    samplewise = True  # where f is

    def __init__(self, network: nn.Module):
        """`network`: the $f$."""
        super().__init__()
        instance("network", network, nn.Module, "a torch.nn.Module")
        self.network = network

    def forward(self, x: Float[Tensor, "n *sample"]) -> Float[Tensor, "n *sample"]:
        """The moved points. Raises ValueError if the network does not keep the shape."""
        move = self.network(x)
        if move.shape != x.shape:
            raise ValueError(
                f"the network turned {tuple(x.shape)} into {tuple(move.shape)}; x + f(x) needs one that keeps the shape"
            )
        return x + move


class Reconstruction(nn.Module):
    r"""An auto-encoder as a discriminator, whose score is its negative error. What it reconstructs it takes for real.

    $d(x) = -\|\mathrm{Dec}(\mathrm{Enc}(x)) - x\|_2$, one norm over all coordinates of a sample (zhao2017energy), or
    the mean of their absolute errors, $-\frac1D\|\mathrm{Dec}(\mathrm{Enc}(x)) - x\|_1$ (berthelot2017began).
    """

    samplewise = True  # where its parts are

    def __init__(self, encoder: nn.Module, decoder: nn.Module, error: str = "norm"):
        """`encoder`: from samples to codes; `decoder`: from codes to samples; `error`: `norm` or `mean absolute`."""
        super().__init__()
        instance("encoder", encoder, nn.Module, "a network")
        instance("decoder", decoder, nn.Module, "a network")
        if not isinstance(error, str) or error not in ("norm", "mean absolute"):
            raise ValueError(f"error={error!r} was given; it must be 'norm' or 'mean absolute'")
        self.encoder, self.decoder, self.error = encoder, decoder, error

    def codes(self, x: Float[Tensor, "n *sample"]) -> Float[Tensor, "n *code"]:
        """The codes of samples."""
        return self.encoder(x)

    def forward(self, x: Float[Tensor, "n *sample"]) -> Float[Tensor, " n"]:
        """The score of each sample, 0 or less."""
        error = (self.decoder(self.encoder(x)) - x).flatten(1)
        return -error.abs().mean(1) if self.error == "mean absolute" else -torch.linalg.vector_norm(error, dim=1)

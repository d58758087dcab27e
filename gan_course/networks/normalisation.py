"""Bounds on a network's slope that are built into its layers."""

from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrizations, parametrize

from gan_course.checks import instance, whole


def spectral(module: nn.Module, iterations: int = 1) -> nn.Module:
    r"""Divide the weight of every linear and convolutional layer by its largest singular value, as PyTorch does it.

    $$\bar W = W / \sigma(W), \qquad \sigma(W) \approx u^\top W v, \qquad
      u \leftarrow W v / \|W v\|, \quad v \leftarrow W^\top u / \|W^\top u\|$$

    The vectors $u, v$ are kept as buffers, and so many `iterations` of the power method follow the weight at every
    forward pass in training mode: also when the generator's turn calls the discriminator, and its parameters stand
    still. No gradient runs through them, and that of the weight is

    $$\nabla_W = \tfrac1\sigma\big(\nabla_{\bar W} - \langle\nabla_{\bar W}, \bar W\rangle\, u v^\top\big).$$

    A perceptron of such layers, with activations of slope at most 1 between them (ReLU, leaky ReLU, tanh), has slope at
    most 1 everywhere. A convolution's $\sigma$ is that of its kernel as a matrix (out, in·height·width), which is *not*
    the norm of the convolution: that can be larger, by up to $\sqrt{\text{height}\cdot\text{width}}$ of the kernel.

    Args:
        module: changed in place; other layers in it are left as they are.
        iterations: steps of the power method at each forward pass.

    Returns:
        The module.

    Raises:
        ValueError: if there is no such layer, one is normalised already, or has only zeros for weights.

    Source: miyato2018spectral.
    """
    instance("module", module, nn.Module, "a torch.nn.Module")
    whole("iterations", iterations)
    found = {name: part for name, part in module.named_modules() if isinstance(part, (nn.Linear, _ConvNd))}
    if not found:
        raise ValueError(f"module has no linear or convolutional layer to normalise; it is {type(module).__name__}")
    for name, part in found.items():
        where = f"the layer {name!r} of module" if name else "module"
        if parametrize.is_parametrized(part, "weight") or not isinstance(part.weight, nn.Parameter):
            raise ValueError(f"{where} has a weight that is computed already; normalise each layer once, and first")
        if not part.weight.any():
            raise ValueError(f"{where} has only zeros for weights, whose singular values are 0; begin with others")
    for part in found.values():
        parametrizations.spectral_norm(part, n_power_iterations=iterations)
    return module

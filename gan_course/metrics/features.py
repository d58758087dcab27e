r"""What networks see in images: features and class probabilities, the input of most metrics."""

import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course.checks import whole
from gan_course.errors import DataUnavailable
from gan_course.metrics._checks import finite, unit_range
from gan_course.metrics.digits import seen

Network = nn.Module | Callable[[Tensor], Tensor] | None


class Inception(nn.Module):
    """The Inception network of the published scores: images in [0, 1] to 2,048 features or 1,008 logits.

    Made by `inception`; grey images are taken as colour images with three equal channels.
    """

    def __init__(self, network: nn.Module):
        """`network`: from bytes (n, 3, h, w) to a pair (features, logits), as torch-fidelity's does."""
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def _pair(self, images: Tensor) -> tuple[Tensor, Tensor]:
        images = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        return self.network((images * 255).round().byte())

    def features(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The 2,048 activations of the last pooling layer."""
        return self._pair(images)[0]

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """The logits of the 1,008 classes."""
        return self._pair(images)[1]


def inception(weights: str | Path | None = None) -> Inception:
    """The Inception network with the weights that published scores were taken with, through torch-fidelity.

    `weights`: the file of torch-fidelity's weights; None: downloaded once, 91 MB, to torch's cache.

    Raises `DataUnavailable` where torch-fidelity is not installed or the weights cannot be had; the message says what
    to do. Source: heusel2017ttur, szegedy2016rethinking.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise DataUnavailable(
            "the Inception network needs the package torch-fidelity, which is not installed: pip install "
            "torch-fidelity (its weights, 91 MB, are downloaded at the first use). For digits no download is "
            "needed: network=None takes the LeNet that travels with the course."
        ) from error
    if weights is not None and not Path(weights).is_file():
        raise DataUnavailable(
            f"weights={str(weights)!r} is no file; give the path of torch-fidelity's weights, or None"
        )
    try:
        if weights is not None:
            torch.load(weights, weights_only=True)  # torch-fidelity would run whatever code a file holds
        path = None if weights is None else str(weights)
        network = FeatureExtractorInceptionV3("inception", ["2048", "logits"], path)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        source = "could not be downloaded" if weights is None else f"could not be read from {str(weights)!r}"
        raise DataUnavailable(
            f"the weights of the Inception network {source}: {error}. Download torch-fidelity's weights file where "
            "there is a network, and give its path: metrics.inception(weights=...). For digits no download is "
            "needed: network=None takes the LeNet that travels with the course."
        ) from error
    return Inception(network)


def checked_images(name: str, images: object) -> Tensor:
    """Images (n, c, h, w) with values in [0, 1]."""
    allowed = "images of shape (n, c, h, w) with values in [0, 1]"
    images = finite(name, images, allowed)
    if images.dim() != 4:
        raise ValueError(f"{name} has shape {tuple(images.shape)}; allowed: {allowed}.")
    unit_range(name, images, allowed)
    return images.float()


@torch.no_grad()
def look(name: str, images: object, network: object, method: str, batch_size: int = 500) -> Tensor:
    """What a network makes of checked images, batch by batch: its `method` if it has one, else what it returns.

    `name`: of the images in messages; `method`: "features" or "forward".
    """
    if network is not None and not callable(network):
        raise ValueError(
            f"network must be a module, a function from images to a tensor (n, d), or None, not a "
            f"{type(network).__name__}"
        )
    batch_size = whole("batch_size", batch_size)
    images = checked_images(name, images)
    if network is None:
        if images.shape[1:] != (1, 28, 28):
            raise ValueError(
                f"{name} has shape {tuple(images.shape)}, and without a network they are looked at by the LeNet, "
                "which knows grey images (n, 1, 28, 28) only. Give network=metrics.inception(), or any function from "
                "such images to a tensor (n, d)."
            )
        return seen(name, images, method)
    function = getattr(network, method, network) if isinstance(network, nn.Module) else network
    modes = {m: m.training for m in network.modules()} if isinstance(network, nn.Module) else {}
    weights = next(network.parameters(), images) if isinstance(network, nn.Module) else images
    for module in modes:
        module.training = False
    try:
        return torch.cat([_answer(function(batch.to(weights.device)), batch) for batch in images.split(batch_size)])
    finally:
        for module, mode in modes.items():
            module.training = mode


def _answer(found: object, batch: Tensor) -> Tensor:
    """One batch's answer, if it is a row of finite numbers for each image."""
    if not isinstance(found, Tensor) or found.dim() != 2 or len(found) != len(batch):
        given = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise ValueError(
            f"network gave {given} for images of shape {tuple(batch.shape)}; it must give a row of numbers for each "
            "image, (n, d). Flatten maps, for example with network=lambda images: net(images).flatten(1)."
        )
    return finite("what network gave", found, "a floating-point tensor (n, d)")


def image_features(
    images: Float[Tensor, "n c h w"], network: Network = None, batch_size: int = 500
) -> Float[Tensor, "n d"]:
    r"""What a network sees in images: $\phi(x_i)$, row by row, without gradients.

    `network`: a module with a method `features` (`lenet()`, `inception()`), or any function from images (n, c, h, w)
    to a tensor (n, d); None is the LeNet, for digits of 28 × 28. Modules are asked in evaluation mode.

    Raises `ValueError` for images outside [0, 1], NaN, an empty set, and a network that gives something else.
    """
    return look("images", images, network, "features", batch_size)


def class_probabilities(
    images: Float[Tensor, "n c h w"], network: Network = None, batch_size: int = 500
) -> Float[Tensor, "n k"]:
    r"""What classes a network sees in images: $p(y \mid x_i) = \operatorname{softmax}(\ell(x_i))$, in float64.

    `network`: a module or function from images to **logits** (n, k); None is the LeNet, for digits of 28 × 28.

    Raises `ValueError` as `image_features` does.
    """
    return look("images", images, network, "forward", batch_size).double().softmax(1)

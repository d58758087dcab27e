r"""A LeNet that looks at digits, and what it sees: the features behind the Fréchet distance, and class histograms.

The network is small, was trained by this course on the training part of MNIST (``python -m benchmarks.lenet``), and
travels with the package. Its distances are **not** those of an Inception network: compare them with the reference
marks measured on the same scale, never with a published FID.
"""

import json
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course.metrics._checks import finite, unit_range
from gan_course.metrics.frechet import between_sets

WEIGHTS = Path(__file__).with_name("lenet.safetensors")
_BATCH = 1000  # images looked at together: 1000 x 6 x 28 x 28 floats are 19 MB


class LeNet(nn.Module):
    r"""LeNet-5 with rectified units and max pooling: grey 28 × 28 images in [0, 1] to 10 logits.

    $$28^2 \xrightarrow{5\times5,\ \text{padded}} 6\cdot28^2 \to 6\cdot14^2 \xrightarrow{5\times5} 16\cdot10^2
      \to 16\cdot5^2 \to 120 \to 84 \to 10$$

    61,706 parameters. Source: lecun1998gradient (the original has scaled hyperbolic tangents, average pooling with
    weights, a partly connected second layer and radial output units).
    """

    def __init__(self):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, kernel_size=5), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU())
        self.classify = nn.Linear(84, 10)

    def features(self, images: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, "n 84"]:
        """The activations of the last hidden layer, what the Fréchet distance compares."""
        return self.hidden(self.convolutions(images))

    def forward(self, images: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, "n 10"]:
        """The logits of the classes 0 to 9."""
        return self.classify(self.features(images))


def lenet() -> LeNet:
    """The trained LeNet: a fresh copy in evaluation mode with frozen parameters, on the CPU.

    The weights are stored in half precision and computed with in single precision; the accuracy in the file's metadata
    (see `lenet_metadata`) was measured on the weights as stored.
    """
    from safetensors.torch import load_file

    network = LeNet()
    network.load_state_dict({name: weight.float() for name, weight in load_file(WEIGHTS).items()})
    return network.eval().requires_grad_(False)


def lenet_metadata() -> dict:
    """How the shipped weights came about: command, seed, epochs, versions, and the accuracy on the MNIST test set."""
    from safetensors import safe_open

    with safe_open(WEIGHTS, framework="pt") as file:
        return json.loads(file.metadata()["training"])


@lru_cache(maxsize=4)
def _judge(device: torch.device) -> LeNet:
    return lenet().to(device)


def _digits(name: str, images: object) -> Tensor:
    allowed = "grey images of shape (n, 1, 28, 28) with values in [0, 1]"
    images = finite(name, images, allowed)
    if images.dim() != 4 or images.shape[1:] != (1, 28, 28):
        raise ValueError(
            f"{name} has shape {tuple(images.shape)}; allowed: {allowed}, what the LeNet was trained on. It is not "
            "resized silently, because digits scaled up from 8 × 8 or 16 × 16 are not what the LeNet knows; if you do "
            'want it: torch.nn.functional.interpolate(images, (28, 28), mode="bilinear", antialias=True), '
            "on both sides of a comparison."
        )
    unit_range(name, images, allowed)
    return images.float()


@torch.no_grad()
def seen(name: str, images: object, look: str) -> Tensor:
    """What the LeNet makes of checked images; `look`: "features" or "forward"."""
    images = _digits(name, images)
    method = getattr(_judge(images.device), look)
    return torch.cat([method(batch) for batch in images.split(_BATCH)])


def digit_features(images: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, "n 84"]:
    """The trained LeNet's features of checked images, batch by batch, without gradients, on the images' device.

    Raises `ValueError` for images of another size or outside [0, 1], for NaN, and for an empty set.
    """
    return seen("images", images, "features")


def frechet_digits(images_a: Float[Tensor, "n 1 28 28"], images_b: Float[Tensor, "m 1 28 28"]) -> float:
    r"""Fréchet distance of two sets of digits in the LeNet's 84 features $\phi$:

    $$\mathrm{FD}(A, B) = \mathrm{FD}\big(\phi(A), \phi(B)\big)$$

    see `frechet_distance`. In squared feature units; 0 for equal sets. It is biased upwards by a term that shrinks
    with the number of images, so give both sides the same number (10,000 is what the reference marks use).

    Raises `ValueError` for images that are not 28 × 28 or lie outside [0, 1], for NaN, and for fewer than two images.
    Source: heusel2017ttur, with our LeNet in place of Inception.
    """
    a, b = seen("images_a", images_a, "features"), seen("images_b", images_b, "features")
    return between_sets("images_a", a, "images_b", b)


def class_histogram(images: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, "10"]:
    r"""Shares of the classes 0 to 9 that the LeNet sees: $h_k = \frac1n\#\{i : \arg\max_j \ell_j(x_i) = k\}$.

    float64 on the CPU, sums to 1. The LeNet always names some digit, also for an image that is none.

    Raises `ValueError` as `frechet_digits` does.
    """
    classes = seen("images", images, "forward").argmax(1).cpu()
    return torch.bincount(classes, minlength=10).double() / len(classes)

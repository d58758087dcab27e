"""Convolutional networks for square images of 8, 28, 32 and 64 pixels, after Radford et al. (2016) [radford2016dcgan].

All of them climb or descend the same ladder of resolutions, doubling the channels at every halving of the size.
"""

import math

from jaxtyping import Float
from torch import Tensor, nn

from gan_course.checks import instance, whole

# Resolution at the bottom of the ladder, and the number of doublings from there to the image.
_LADDERS = {8: (4, 1), 16: (4, 2), 28: (7, 2), 32: (4, 3), 64: (4, 4)}


def _ladder(size: int) -> tuple[int, int]:
    if not isinstance(size, int) or size not in _LADDERS:
        raise ValueError(
            f"size={size!r} of images is not supported; choose one of {sorted(_LADDERS)}, or resize the images"
        )
    return _LADDERS[size]


def _sizes(**sizes: int) -> list[int]:
    return [whole(name, value, least=0 if name == "hidden" else 1) for name, value in sizes.items()]


def _initialise(module: nn.Module) -> None:
    """Weights N(0, 0.02²), batch normalisation's scales N(1, 0.02²): the initialisation of Radford et al. (2016)."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(part.weight, 0.0, 0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.weight, 1.0, 0.02)
            nn.init.zeros_(part.bias)


class Decoder(nn.Module):
    """Latent vectors to images: linear layers to the smallest resolution, then transposed convolutions."""

    def __init__(self, size: int, channels: int, latent_size: int, width: int, final: nn.Module | None, hidden: int):
        """See `decoder`."""
        super().__init__()
        bottom, doublings = _ladder(size)
        wide = width * 2 ** (doublings - 1)
        plan = [nn.Linear(latent_size, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()] if hidden else []
        self.start = nn.Sequential(
            *plan,
            nn.Linear(hidden or latent_size, wide * bottom**2, bias=False),
            nn.Unflatten(1, (wide, bottom, bottom)),
            nn.BatchNorm2d(wide),
            nn.ReLU(inplace=True),
        )
        layers: list[nn.Module] = []
        for i in range(doublings - 1):
            inside, outside = wide // 2**i, wide // 2 ** (i + 1)
            layers += [
                nn.ConvTranspose2d(inside, outside, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outside),
                nn.ReLU(inplace=True),
            ]
        layers.append(nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1))
        if final is not None:
            layers.append(final)
        self.rise = nn.Sequential(*layers)
        _initialise(self)

    def forward(self, z: Float[Tensor, "n latent"]) -> Float[Tensor, "n channels height width"]:
        """Images, one per latent vector."""
        return self.rise(self.start(z))


class Encoder(nn.Module):
    """Images to vectors: strided convolutions, then linear layers. Without outputs: scores of shape `(n,)`."""

    samplewise = True  # where its parts are: not with batch normalisation

    def __init__(self, size: int, channels: int, outputs: int | None, width: int, normalise: bool, hidden: int):
        """See `encoder`."""
        super().__init__()
        bottom, halvings = _ladder(size)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        for i in range(halvings - 1):
            inside, outside = width * 2**i, width * 2 ** (i + 1)
            layers.append(nn.Conv2d(inside, outside, 4, stride=2, padding=1, bias=not normalise))
            if normalise:
                layers.append(nn.BatchNorm2d(outside))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        layers.append(nn.Flatten())
        features = width * 2 ** (halvings - 1) * bottom**2
        if hidden:
            layers.append(nn.Linear(features, hidden, bias=not normalise))
            if normalise:
                layers.append(nn.BatchNorm1d(hidden))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        self.descent = nn.Sequential(*layers)
        self.end = nn.Linear(hidden or features, 1 if outputs is None else outputs)
        self.scores = outputs is None
        _initialise(self)

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Tensor:
        """Vectors `(n, outputs)`, or scores `(n,)`."""
        return self.features_and_scores(x)[1]

    def features_and_scores(self, x: Float[Tensor, "n channels height width"]) -> tuple[Tensor, Tensor]:
        """What the last layer is given, and the outputs, of one and the same pass."""
        features = self.descent(x)
        out = self.end(features)
        return features, out.squeeze(1) if self.scores else out


def decoder(
    size: int = 28,
    channels: int = 1,
    latent_size: int = 64,
    width: int = 64,
    final: nn.Module | None = None,
    hidden: int = 0,
) -> Decoder:
    """Latent vectors to images; without `final` the pixels are logits.

    Args:
        size: height and width of the images: 8, 16, 28, 32 or 64.
        channels: 1 for grey, 3 for colour.
        latent_size: coordinates of a latent vector.
        width: channels of the layer next to the image; doubled at each halving of the resolution.
        final: a last layer, such as `nn.Sigmoid()` for pixels in [0, 1].
        hidden: units of a further fully connected layer before the convolutions; by default there is none, as in
            Radford et al. (2016). Convolutions see strokes; such a layer sees their arrangement.
    """
    channels, latent_size, width, hidden = _sizes(
        channels=channels, latent_size=latent_size, width=width, hidden=hidden
    )
    instance("final", final, (nn.Module, type(None)), "a torch.nn.Module or None")
    return Decoder(size, channels, latent_size, width, final, hidden)


def encoder(
    size: int = 28,
    channels: int = 1,
    outputs: int = 64,
    width: int = 64,
    normalise: bool = True,
    hidden: int = 0,
) -> Encoder:
    """Images to vectors of `outputs` coordinates; `normalise`: batch normalisation; the rest as for `decoder`."""
    channels, outputs, width, hidden = _sizes(channels=channels, outputs=outputs, width=width, hidden=hidden)
    return Encoder(size, channels, outputs, width, normalise, hidden)


def dcgan(
    size: int = 28,
    channels: int = 1,
    latent_size: int = 64,
    width: int = 64,
    normalise: bool = True,
    hidden: int = 0,
) -> tuple[Decoder, Encoder]:
    """A generator of images in [0, 1] and a discriminator with scores `(n,)`, as in Radford et al. (2016).

    Args:
        size: height and width of the images: 8, 16, 28, 32 or 64.
        channels: 1 for grey, 3 for colour.
        latent_size: coordinates of a latent vector.
        width: channels of the layer next to the image; doubled at each halving of the resolution.
        normalise: batch normalisation in the discriminator; switch it off for a gradient penalty, which needs
            scores of one sample that do not depend on the others.
        hidden: units of a further fully connected layer at the narrow end of both networks; 0: none, as in the paper.

    Returns:
        The generator `(n, latent_size) -> (n, channels, size, size)` and the discriminator `-> (n,)`.
    """
    channels, latent_size, width, hidden = _sizes(
        channels=channels, latent_size=latent_size, width=width, hidden=hidden
    )
    generator = Decoder(size, channels, latent_size, width, nn.Sigmoid(), hidden)
    return generator, Encoder(size, channels, None, width, normalise, hidden)


def parameters(network: nn.Module) -> int:
    """The number of a network's trainable numbers."""
    return sum(math.prod(p.shape) for p in network.parameters())

"""Networks of JointGAN for images."""

import math
from collections.abc import Sequence

from torch import nn

from gan_course.checks import instance, whole
from gan_course.networks.convolutional import decoder, encoder
from gan_course.networks.towers import Towers


def joint_images(
    size: int = 28,
    channels: Sequence[int] = (1, 1),
    latent_size: int = 64,
    width: int = 16,
    hidden: int = 128,
    paired: bool = True,
) -> tuple[list[Towers], Towers]:
    r"""Networks of `games.JointGAN` for images of one size in several domains.

    The paper's for images are not known to us; these are those of `dcgan`, with group normalisation in the place of
    batch normalisation. A generator reads the images of the other domains by encoders, puts what they say beside the
    noise, and draws by a decoder with pixels in [0, 1]. The critic reads the images of all domains by encoders.

    One generator draws from several laws, alone, given real images and given made ones, in batches apart. Under batch
    normalisation each batch would have moments of its own in training, and all of them the same ones, of no batch, in
    use: what was learned would not be what is drawn.

    Args:
        size: height and width of the images: 8, 16, 28, 32 or 64.
        channels: of each domain's images, 1 for grey, 3 for colour; at least two domains.
        latent_size: coordinates of a latent vector.
        width: channels of the layers next to the images.
        hidden: numbers by which an image is described, and units of the critic's last layer but one.
        paired: whether the critic also has a class for true pairs.

    Returns:
        A generator for each domain, called with latents and the other domains' images, and the critic, to logits
        `(n, 2 * domains)` or one more.
    """
    instance("channels", channels, (list, tuple), "a list with the number of channels of each domain, such as [1, 3]")
    if len(channels) < 2:
        raise ValueError(f"channels={channels!r} was given; a joint law is of two domains or more")
    channels = [whole("channels", one) for one in channels]
    hidden, latent_size = whole("hidden", hidden), whole("latent_size", latent_size)
    instance("paired", paired, bool, "True or False")
    domains = len(channels)

    def generator(own: int) -> Towers:
        others = [encoder(size, c, hidden, width) for i, c in enumerate(channels) if i != own]
        told = latent_size + hidden * len(others)
        return _grouped(Towers(decoder(size, channels[own], told, width, nn.Sigmoid()), None, *others))

    joints = 2 * domains + paired
    head = nn.Sequential(nn.LeakyReLU(0.2), nn.Linear(hidden * domains, hidden), nn.LeakyReLU(0.2))
    head.append(nn.Linear(hidden, joints))
    critic = _grouped(Towers(head, *(encoder(size, c, hidden, width) for c in channels)))
    return [generator(i) for i in range(domains)], critic


def _grouped(network: Towers) -> Towers:
    """The network with four groups of channels normalised in each image by itself, where the batch was."""
    for part in list(network.modules()):
        for name, layer in part.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                channels = layer.num_features
                setattr(part, name, nn.GroupNorm(math.gcd(4, channels), channels))
    return network

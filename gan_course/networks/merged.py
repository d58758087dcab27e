"""Networks with several inputs: features of each side by side, and those of JointGAN for images."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course.checks import instance, whole
from gan_course.networks.convolutional import decoder, encoder


class Merged(nn.Module):
    r"""A network of several inputs, $h\big([f_1(x_1), f_2(x_2), \dots]\big)$, with their features side by side.

    It is called with all of them, `network(x, y, ...)`. So a critic judges draws of several domains together, and a
    generator is given noise and samples of the other domains (`games.JointGAN`).
    """

    samplewise = True  # where its parts are

    def __init__(self, head: nn.Module, *branches: nn.Module | None):
        """A network of as many inputs as there are branches.

        Args:
            head: $h$, from all features `(n, a + b + ...)`, such as `networks.mlp(a + b, [256], 5)`.
            branches: $f_i$, from the i-th input to `(n, a)`; `None`: the input's own coordinates.
        """
        super().__init__()
        instance("head", head, nn.Module, "a torch.nn.Module")
        if not branches:
            raise ValueError("no branches were given; give one for each input, None for its own coordinates")
        for number, branch in enumerate(branches):
            instance(f"branches[{number}]", branch, (nn.Module, type(None)), "a torch.nn.Module or None")
        self.head = head
        # A Sequential for a list: of that it is known that each sample goes its own way through it.
        self.branches = nn.Sequential(*(nn.Identity() if branch is None else branch for branch in branches))

    def forward(self, *inputs: Float[Tensor, "_ ..."]) -> Tensor:
        """What the head makes of them.

        Raises:
            ValueError: for another number of inputs than branches, or inputs with different numbers of rows.
        """
        if len(inputs) != len(self.branches):
            raise ValueError(f"{len(inputs)} inputs were given; this network has {len(self.branches)} branches")
        if len({len(x) for x in inputs}) != 1:
            raise ValueError(f"inputs with {[len(x) for x in inputs]} rows were given; row by row they belong together")
        return self.head(torch.cat([f(x).flatten(1) for f, x in zip(self.branches, inputs, strict=True)], 1))


def joint_images(
    size: int = 28,
    channels: Sequence[int] = (1, 1),
    latent_size: int = 64,
    width: int = 16,
    hidden: int = 128,
    paired: bool = True,
) -> tuple[list[Merged], Merged]:
    r"""Networks of `games.JointGAN` for images of one size in several domains.

    The paper's for images are not known to us; these are those of `dcgan`. A generator reads the images of the other
    domains by encoders, puts what they say beside the noise, and draws by a decoder with pixels in [0, 1]. The critic
    reads the images of all domains by encoders without batch normalisation.

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

    def generator(own: int) -> Merged:
        others = [encoder(size, c, hidden, width) for i, c in enumerate(channels) if i != own]
        told = latent_size + hidden * len(others)
        return Merged(decoder(size, channels[own], told, width, nn.Sigmoid()), None, *others)

    joints = 2 * domains + paired
    head = nn.Sequential(nn.LeakyReLU(0.2), nn.Linear(hidden * domains, hidden), nn.LeakyReLU(0.2))
    head.append(nn.Linear(hidden, joints))
    critic = Merged(head, *(encoder(size, c, hidden, width, normalise=False) for c in channels))
    return [generator(i) for i in range(domains)], critic

"""Networks from images to images, and judges of patches: pix2pix (isola2017pix2pix) and CycleGAN (zhu2017cyclegan).

Widths and depths are those of the papers by default, and settings, so that small images are served too. Pixels are in
[0, 1], by a sigmoid; the papers' are in [−1, 1], by a hyperbolic tangent. All weights begin as N(0, 0.02²).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course.checks import number, one_of, whole
from gan_course.networks.convolutional import _initialise

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": nn.InstanceNorm2d,
    "none": lambda channels: nn.Identity(),
}


def _normalised(norm: object) -> tuple[Callable[[int], nn.Module], bool]:
    """What makes the normalisation, and whether convolutions before it need a bias (its own shift makes it idle)."""
    one_of("norm", norm, NORMS)
    return NORMS[norm], norm != "batch"


def _halvings(size: object, depth: object, least: int) -> int:
    """How often the size is halved: `depth`, or as often as it can be; refused where a half would not be whole."""
    size = whole("size", size, least=2, most=2**14)
    most = (size & -size).bit_length() - 1  # how often 2 divides it
    if depth is None:
        depth = most
        if depth < least:
            raise ValueError(f"size={size} was given; it must be divisible by {2**least}: pad or resize the images")
    depth = whole("depth", depth, least=least)
    if depth > most:
        raise ValueError(
            f"depth={depth} was given for size={size}, which can be halved {most} times; give depth={most} or less, or "
            f"resize the images to a multiple of {2**depth if depth < 20 else '2^depth'}"
        )
    return depth


def _check_square(x: Tensor, size: int, name: str) -> None:
    if x.ndim != 4 or tuple(x.shape[2:]) != (size, size):
        raise ValueError(
            f"{name} was made for images of shape (n, channels, {size}, {size}), and was given {tuple(x.shape)}; give "
            "size= when it is made, or resize the images"
        )


class Dropout(nn.Module):
    """Dropout in either mode: it is the noise of pix2pix, which is there at test time too (isola2017pix2pix)."""

    def __init__(self, probability: float):
        """`probability`: that a number is set to 0."""
        super().__init__()
        self.probability = probability

    def forward(self, x: Float[Tensor, "n *given"]) -> Float[Tensor, "n *given"]:
        """The input with some numbers set to 0, and the others scaled up."""
        return nn.functional.dropout(x, self.probability, training=True)


class UNet(nn.Module):
    """Images to images, down to the narrowest level and up again, with a bridge across at each level: see `unet`."""

    def __init__(
        self, size: int, channels: int, outputs: int, width: int, depth: int, norm: str, dropout: float, most: int
    ):
        """See `unet`."""
        super().__init__()
        make, bias = _normalised(norm)
        self.size = size
        widths = [width * min(2**i, most) for i in range(depth)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, outside in enumerate(widths):
            layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if i else []
            layers.append(nn.Conv2d(widths[i - 1] if i else channels, outside, 4, 2, 1, bias=bias))
            if 0 < i < depth - 1:  # not at the image, and not where a single pixel may be left
                layers.append(make(outside))
            self.down.append(nn.Sequential(*layers))
        for i in reversed(range(depth)):
            inside = widths[i] * (1 if i == depth - 1 else 2)  # beside what came across
            outside = widths[i - 1] if i else outputs
            layers = [nn.ReLU(), nn.ConvTranspose2d(inside, outside, 4, 2, 1, bias=bias or not i)]
            if i:
                layers.append(make(outside))
                if dropout and depth - 1 - i < 3:
                    layers.append(Dropout(dropout))
            else:
                layers.append(nn.Sigmoid())
            self.up.append(nn.Sequential(*layers))
        _initialise(self)

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n outputs height width"]:
        """An image for each image.

        Raises:
            ValueError: for images of another size than it was made for.
        """
        _check_square(x, self.size, "this U-Net")
        across = []
        for block in self.down:
            x = block(x)
            across.append(x)
        for level, block in enumerate(self.up):
            x = block(x if level == 0 else torch.cat([x, across[-1 - level]], 1))
        return x


def unet(
    size: int = 256,
    channels: int = 3,
    outputs: int | None = None,
    width: int = 64,
    depth: int | None = None,
    norm: str = "batch",
    dropout: float = 0.5,
    most: int = 8,
) -> UNet:
    """The generator of pix2pix: convolutions of stride 2 down and up, each level bridged (isola2017pix2pix).

    With the defaults it has 54,413,955 parameters, eight levels for 256 pixels, from 64 channels to 512.

    Args:
        size: height and width of the images.
        channels: of what it is given.
        outputs: channels of what it makes; by default as many.
        width: channels of the level next to the image, doubled at each level.
        depth: levels, at least 2; by default as many as the size can be halved. 28 pixels can be halved twice.
        norm: `batch`, `instance` (what batch normalisation comes to with batches of one image) or `none`.
        dropout: probability, in the first three blocks on the way up; in training and after: it is the noise. 0: none.
        most: channels grow up to `most * width`.

    Raises:
        ValueError: for a depth by which the size cannot be halved.
    """
    depth = _halvings(size, depth, least=2)
    channels, width, most = whole("channels", channels), whole("width", width), whole("most", most)
    outputs = channels if outputs is None else whole("outputs", outputs)
    if number("dropout", dropout, most=1) == 1:
        raise ValueError(f"dropout={dropout} was given; it must be in [0, 1): 1 would leave nothing")
    return UNet(size, channels, outputs, width, depth, norm, float(dropout), most)


class _Block(nn.Module):
    """Two convolutions and what they were given."""

    def __init__(self, width: int, make: Callable[[int], nn.Module], bias: bool):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect", bias=bias), make(width), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect", bias=bias), make(width)),
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x + self.layers(x)


class ResNetGenerator(nn.Module):
    """Images to images through residual blocks at a lower resolution: see `resnet_generator`."""

    def __init__(self, size: int, channels: int, outputs: int, width: int, blocks: int, depth: int, norm: str):
        """See `resnet_generator`."""
        super().__init__()
        make, bias = _normalised(norm)
        self.size = size
        edge = min(3, size - 1)  # a reflection is shorter than the image
        first = nn.Conv2d(channels, width, 2 * edge + 1, padding=edge, padding_mode="reflect", bias=bias)
        layers: list[nn.Module] = [first, make(width), nn.ReLU()]
        for i in range(depth):
            inside = width * 2**i
            layers += [nn.Conv2d(inside, 2 * inside, 3, 2, 1, bias=bias), make(2 * inside), nn.ReLU()]
        layers += [_Block(width * 2**depth, make, bias) for _ in range(blocks)]
        for i in reversed(range(depth)):
            outside = width * 2**i
            layers.append(nn.ConvTranspose2d(2 * outside, outside, 3, 2, 1, output_padding=1, bias=bias))
            layers += [make(outside), nn.ReLU()]
        layers += [nn.Conv2d(width, outputs, 2 * edge + 1, padding=edge, padding_mode="reflect"), nn.Sigmoid()]
        self.layers = nn.Sequential(*layers)
        _initialise(self)

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n outputs height width"]:
        """An image for each image.

        Raises:
            ValueError: for images of another size than it was made for.
        """
        _check_square(x, self.size, "this generator")
        return self.layers(x)


def resnet_generator(
    size: int = 256,
    channels: int = 3,
    outputs: int | None = None,
    width: int = 64,
    blocks: int = 9,
    depth: int = 2,
    norm: str = "instance",
) -> ResNetGenerator:
    """The generator of CycleGAN: down by two halvings, residual blocks, and up again (zhu2017cyclegan).

    With the defaults it has 11,378,179 parameters; with the 6 blocks that the paper has for 128 pixels, 7,837,699.
    Borders are reflected.

    Args:
        size: height and width of the images.
        channels: of what it is given.
        outputs: channels of what it makes; by default as many.
        width: channels at the image's resolution, doubled at each halving.
        blocks: residual blocks.
        depth: halvings, at least 1.
        norm: `instance`, as in the paper, `batch` or `none`.

    Raises:
        ValueError: for a depth by which the size cannot be halved to at least 2 pixels.
    """
    depth = _halvings(size, whole("depth", depth), least=1)
    if size >> depth < 2:
        raise ValueError(f"depth={depth} was given for size={size}: one pixel would be left, which has no border")
    channels, width, blocks = whole("channels", channels), whole("width", width), whole("blocks", blocks, most=10**3)
    outputs = channels if outputs is None else whole("outputs", outputs)
    return ResNetGenerator(size, channels, outputs, width, blocks, depth, norm)


class PatchDiscriminator(nn.Module):
    """Images to a score for each patch: see `patch_discriminator`."""

    samplewise = True  # where its parts are: not with a normalisation

    def __init__(self, channels: int, width: int, depth: int, norm: str):
        """See `patch_discriminator`."""
        super().__init__()
        make, bias = _normalised(norm)
        self.depth = depth
        if depth == 0:
            layers: list[nn.Module] = [nn.Conv2d(channels, width, 1), nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(width, 2 * width, 1, bias=bias), make(2 * width), nn.LeakyReLU(0.2)]
            layers.append(nn.Conv2d(2 * width, 1, 1))
        else:
            layers = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
            for i in range(1, depth + 1):
                inside, outside = width * min(2 ** (i - 1), 8), width * min(2**i, 8)
                stride = 2 if i < depth else 1
                layers += [nn.Conv2d(inside, outside, 4, stride, 1, bias=bias), make(outside), nn.LeakyReLU(0.2)]
            layers.append(nn.Conv2d(outside, 1, 4, 1, 1))
        self.layers = nn.Sequential(*layers)
        _initialise(self)

    @property
    def patch(self) -> int:
        """Height and width of what a score has seen, its receptive field: 1, 16, 34, 70, 142, 286 for depths 0 to 5."""
        return patch_size(self.depth)

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n 1 h w"]:
        """Scores of all patches.

        Raises:
            ValueError: for images too small for a single score.
        """
        least = 3 * 2**self.depth if self.depth else 2  # each convolution of stride 1 takes one pixel away
        if x.ndim != 4 or min(x.shape[2:]) < least:
            raise ValueError(
                f"images of shape {tuple(x.shape)} were given; a patch discriminator of depth={self.depth} takes "
                f"(n, channels, height, width) of at least {least} pixels: make it less deep"
            )
        return self.layers(x)


def patch_size(depth: int) -> int:
    r"""The receptive field of a score, in pixels: with kernels $k$ and strides $s$, $r \leftarrow (r - 1)s + k$.

    Counted from the score back to the image: 1 for depth 0, then 16, 34, 70, 142, 286.
    """
    field = 1
    if whole("depth", depth, least=0, most=20):
        for stride in (1, 1, *[2] * depth):
            field = (field - 1) * stride + 4
    return field


def patch_discriminator(
    channels: int = 3, width: int = 64, depth: int = 3, norm: str | None = None
) -> PatchDiscriminator:
    """The discriminator of pix2pix and CycleGAN: a score for each patch, by convolutions alone.

    Scores are `(n, 1, h, w)`, as objectives take them. With three channels, `depth=3` and `instance` it has 2,764,737
    parameters and sees 70 × 70 pixels (zhu2017cyclegan); with the six of two images side by side and `batch`, 2,768,705
    (isola2017pix2pix).

    Args:
        channels: of the images; of both together where pairs are judged.
        width: channels next to the image, doubled at each of the following convolutions, up to eightfold.
        depth: convolutions of stride 2, which make the patch: 0 for single pixels, 1 for 16 × 16, 3 for 70 × 70.
        norm: `batch`, `instance` or `none`; by default `instance`, as in CycleGAN. With `none` each image is judged by
            itself whatever the batch, as gradient penalties need it.
    """
    channels, width = whole("channels", channels), whole("width", width)
    depth = whole("depth", depth, least=0, most=20)
    return PatchDiscriminator(channels, width, depth, "instance" if norm is None else norm)

"""Networks of several domains with layers in common: the same module object, so that they cannot drift apart.

A stack is a list of blocks of layers. `couple` takes a stack for each domain and puts the first blocks of the first
stack in the place of the first blocks of all the others, or the last ones in the place of the last ones. The networks
of Liu & Tuzel (2016) [liu2016cogan] are made of it: `cogan_digits`, `cogan_narrow`, `cogan_rotation`, `cogan_faces`.
"""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course.checks import instance, whole
from gan_course.networks.convolutional import _initialise

REMEDY = "bring the domains to one size in blocks of their own, or share fewer"


class Coupled(nn.Module):
    """One network for each domain, with shared blocks at one end; made by `couple`.

    `shared` is held once, and each of its blocks is called once for all domains, on what all of them bring: a batch
    normalisation among the shared blocks sees them all. `own` is held once for each domain.
    """

    def __init__(self, shared: Sequence[nn.Module], own: Sequence[Sequence[nn.Module]], first: bool):
        """`first`: the shared blocks come first, as in generators; else last, as in discriminators."""
        super().__init__()
        self.shared = nn.Sequential(*shared)
        self.own = nn.ModuleList(nn.Sequential(*blocks) for blocks in own)
        self.first = first

    @property
    def domains(self) -> int:
        """How many domains there are."""
        return len(self.own)

    def blocks(self, domain: int) -> list[nn.Module]:
        """The blocks that one domain's samples pass, in order."""
        own = list(self.own[whole("domain", domain, least=0, most=self.domains - 1)])
        return [*self.shared, *own] if self.first else [*own, *self.shared]

    def only(self, x: Tensor, domain: int) -> Tensor:
        """The output of one domain's network alone."""
        domain = whole("domain", domain, least=0, most=self.domains - 1)
        given = f"domain {domain}'s input"
        if self.first:
            return self._in_own(domain, _through(self.shared, x, "shared block", given))
        return _through(self.shared, self._in_own(domain, x), "shared block", given)

    def forward(self, x: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Every domain's output: of one and the same input if the first blocks are shared, else of an input each.

        Raises:
            ValueError: if domains bring different sizes to a shared block, or a block cannot take what it is given; the
                message says which block it is.
        """
        if self.first:
            common = _through(self.shared, x, "shared block", "the input of all domains")
            return tuple(self._in_own(domain, common) for domain in range(self.domains))
        return self._in_shared(self._brought(x), 0, len(self.shared))

    def features_and_scores(self, x: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """For each domain what its last block is given, and the outputs, of one and the same pass; errors as above."""
        if self.first:
            raise ValueError("networks that share their first blocks have no features in common; couple(last=...) has")
        count = len(self.shared)
        if count:
            features = self._in_shared(self._brought(x), 0, count - 1)
            return features, self._in_shared(features, count - 1, count)
        features = self._brought(x, end=-1)
        scores = [self._in_own(i, part, start=len(self.own[i]) - 1) for i, part in enumerate(features)]
        return features, tuple(scores)

    def _brought(self, x: Sequence[Tensor], end: int | None = None) -> tuple[Tensor, ...]:
        """What each domain's own blocks, up to `end`, make of its input."""
        if len(x) != self.domains:
            raise ValueError(f"{len(x)} batches were given to networks of {self.domains} domains; give one for each")
        return tuple(self._in_own(domain, part, end=end) for domain, part in enumerate(x))

    def _in_own(self, domain: int, x: Tensor, start: int = 0, end: int | None = None) -> Tensor:
        """What a domain's own blocks from `start` to `end` make of it."""
        given = f"domain {domain}'s input"
        return _through(self.own[domain], x, f"domain {domain}'s own block", given, start, end)

    def _in_shared(self, parts: tuple[Tensor, ...], start: int, end: int) -> tuple[Tensor, ...]:
        """What the shared blocks from `start` to `end` make of all parts, by one call."""
        if start == end:
            return parts
        for domain, part in enumerate(parts):
            if part.shape[1:] != parts[0].shape[1:]:
                raise ValueError(
                    f"shared block {start + 1} of {len(self.shared)}: domain 0 brings {tuple(parts[0].shape[1:])}, "
                    f"domain {domain} brings {tuple(part.shape[1:])}; {REMEDY}"
                )
        out = _through(self.shared, torch.cat(parts), "shared block", "the input of all domains", start, end)
        return out.split([len(part) for part in parts])


def _through(blocks: nn.Sequential, x: Tensor, kind: str, given: str, start: int = 0, end: int | None = None) -> Tensor:
    """The output of the blocks from `start` to `end`; one that cannot take what it is given is named."""
    for number, block in enumerate(list(blocks)[start:end], start=start + 1):
        if torch.compiler.is_compiling():  # a compiler has its own errors, and does without ours
            x = block(x)
            continue
        try:
            x = block(x)
        except torch.OutOfMemoryError:
            raise
        except (IndexError, RuntimeError, ValueError) as error:
            remedy = (
                REMEDY if kind == "shared block" else "the sizes of a domain's samples and of its blocks must agree"
            )
            raise ValueError(
                f"{kind} {number} of {len(blocks)} cannot take {tuple(x.shape)}, from {given}: "
                f"{str(error).partition(chr(10))[0]}; {remedy}"
            ) from error
    return x


def couple(stacks: Sequence[Sequence[nn.Module]], first: int | None = None, last: int | None = None) -> Coupled:
    r"""Make the stacks share their `first` or their `last` blocks, which are the first stack's from then on:

    $$\theta_{g_1^{(i)}} = \theta_{g_2^{(i)}},\ i \le k, \qquad
      \theta_{f_1^{(n_1-j)}} = \theta_{f_2^{(n_2-j)}},\ 0 \le j < l.$$

    Args:
        stacks: for each domain its blocks, at least two domains. Blocks that are not shared may differ as they like, so
            that domains may have images of different sizes and channels.
        first: $k$, for generators. 0: nothing is shared.
        last: $l$, for discriminators.

    Raises:
        ValueError: for more shared blocks than a stack has, and for blocks to be shared that are not alike; the message
            says which block it is.
    """
    if (first is None) == (last is None):
        raise ValueError(f"first={first} and last={last} were given; give one of them")
    instance("stacks", stacks, (list, tuple), "a list of stacks, one for each domain")
    if len(stacks) < 2:
        raise ValueError(f"{len(stacks)} stacks were given; coupled networks are of two domains or more")
    for domain, stack in enumerate(stacks):
        instance(f"stacks[{domain}]", stack, (list, tuple), "a list of torch.nn.Module")
        for block in stack:
            instance(f"stacks[{domain}]", block, nn.Module, "a list of torch.nn.Module")
    shortest = min(map(len, stacks))
    name, count = ("first", first) if first is not None else ("last", last)
    if whole(name, count, least=0) > shortest:
        raise ValueError(
            f"{name}={count} was given, but a network has only {shortest} blocks; share {shortest} or less"
        )
    own, shared = [], []
    for domain, stack in enumerate(stacks):
        place = count if first is not None else len(stack) - count
        parts = (stack[:place], stack[place:]) if first is not None else (stack[place:], stack[:place])
        own.append(parts[1])
        shared = shared or list(parts[0])
        for number, (block, other) in enumerate(zip(shared, parts[0], strict=True), start=1):
            _alike(block, other, f"shared block {number} of {count}", domain)
    return Coupled(shared, own, first is not None)


def _alike(block: nn.Module, other: nn.Module, where: str, domain: int) -> None:
    """Refuse a block that another one cannot stand for."""
    sizes, others = ({n: tuple(t.shape) for n, t in one.state_dict().items()} for one in (block, other))
    for name in sorted(sizes.keys() | others.keys()):
        if sizes.get(name) != others.get(name):
            raise ValueError(
                f"{where} has {name} of shape {sizes.get(name)} in domain 0 and {others.get(name)} in domain {domain}; "
                "shared blocks must be alike: bring the domains to one size in blocks of their own, or share fewer"
            )


# --- Digits --------------------------------------------------------------------------------------------------------


def _activated(layer: nn.Module, width: int, flat: bool = False) -> nn.Sequential:
    """Batch normalisation without scale and shift, and a PReLU."""
    norm = nn.BatchNorm1d if flat else nn.BatchNorm2d
    return nn.Sequential(layer, norm(width, affine=False), nn.PReLU())


def _climb(inside: int, outside: int) -> nn.Sequential:
    """To 2s − 1 pixels from s."""
    return _activated(nn.ConvTranspose2d(inside, outside, 3, stride=2, padding=1, bias=False), outside)


def _digit_generator(latent_size: int, channels: int) -> list[nn.Module]:
    """Five blocks: 4, 7, 13, 25 and 28 pixels."""
    widths = (1024, 512, 256, 128)
    start = nn.Sequential(
        nn.Unflatten(1, (latent_size, 1, 1)),
        _activated(nn.ConvTranspose2d(latent_size, widths[0], 4, bias=False), widths[0]),
    )
    blocks = [_climb(inside, outside) for inside, outside in itertools.pairwise(widths)]
    # A transposed convolution of stride 1 and padding 1 is a convolution with padding 4, which PyTorch does faster.
    end = nn.Sequential(nn.Conv2d(widths[-1], channels, 6, padding=4), nn.Sigmoid())
    return _initialised([start, *blocks, end])


def _digit_discriminator(channels: int) -> list[nn.Module]:
    """Four blocks: two convolutions with max-pooling and nothing else between them, a wide layer, the score."""
    return _initialised(
        [
            nn.Sequential(nn.Conv2d(channels, 20, 5), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(20, 50, 5), nn.MaxPool2d(2)),
            nn.Sequential(nn.Flatten(), nn.Linear(50 * 16, 500), nn.PReLU()),
            nn.Sequential(nn.Linear(500, 1), nn.Flatten(0)),
        ]
    )


def _narrow_generator(latent_size: int, channels: int, width: int = 16, hidden: int = 512) -> list[nn.Module]:
    """Five blocks: a wide layer, then 7, 14, 28 and 28 pixels."""
    blocks = [
        nn.Sequential(nn.Linear(latent_size, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()),
        nn.Sequential(
            nn.Linear(hidden, 2 * width * 49, bias=False),
            nn.Unflatten(1, (2 * width, 7, 7)),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
        ),
        *(
            nn.Sequential(
                nn.ConvTranspose2d(inside, width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
            )
            for inside in (2 * width, width)
        ),
        nn.Sequential(nn.Conv2d(width, channels, 3, padding=1), nn.Sigmoid()),
    ]
    for block in blocks:
        _initialise(block)
    return blocks


def _narrow_discriminator(channels: int, width: int = 16, hidden: int = 512) -> list[nn.Module]:
    """Four blocks: two convolutions of stride 2, a wide layer, the score."""
    blocks = [
        nn.Sequential(nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)),
        nn.Sequential(
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2),
        ),
        nn.Sequential(
            nn.Flatten(), nn.Linear(2 * width * 49, hidden, bias=False), nn.BatchNorm1d(hidden), nn.LeakyReLU(0.2)
        ),
        nn.Sequential(nn.Linear(hidden, 1), nn.Flatten(0)),
    ]
    for block in blocks:
        _initialise(block)
    return blocks


def _initialised(blocks: list[nn.Module]) -> list[nn.Module]:
    """Weights by He et al. (2015), as in the paper's code; biases 0."""
    for block in blocks:
        for part in block.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.kaiming_normal_(part.weight, nonlinearity="linear" if part.weight.shape[0] == 1 else "relu")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
    return blocks


def _channels(channels: int | Sequence[int], domains: int) -> list[int]:
    whole("domains", domains, least=2)
    if isinstance(channels, (list, tuple)):
        if len(channels) != domains:
            raise ValueError(f"channels={channels!r} was given for {domains} domains; give one number for each, or one")
        return [whole("channels", one) for one in channels]
    return [whole("channels", channels)] * domains


def cogan_digits(
    domains: int = 2, channels: int | Sequence[int] = 1, latent_size: int = 100, first: int = 4, last: int = 3
) -> tuple[Coupled, Coupled]:
    """The paper's networks for digits of 28 × 28 pixels (liu2016cogan, supplement).

    Generators: five blocks of transposed convolutions with 1024, 512, 256, 128 channels and the image's, over 4, 7, 13
    and 25 to 28 pixels. Discriminators: four blocks, convolutions with 20 and 50 channels, 500 units, the score.

    Args:
        domains: how many, at least two.
        channels: of the images, one number for all domains or one for each.
        latent_size: coordinates of a latent vector.
        first: the generators' shared blocks, 0 to 5.
        last: the discriminators' shared blocks, 0 to 4.

    Returns:
        The generators, from latents `(n, latent_size)` to an image batch for each domain, and the discriminators, from
        an image batch for each domain to scores `(n,)` for each.
    """
    colours, latent_size = _channels(channels, domains), whole("latent_size", latent_size)
    generators = couple([_digit_generator(latent_size, one) for one in colours], first=first)
    return generators, couple([_digit_discriminator(one) for one in colours], last=last)


def cogan_narrow(
    domains: int = 2, channels: int | Sequence[int] = 1, latent_size: int = 100, first: int = 4, last: int = 3
) -> tuple[Coupled, Coupled]:
    """Networks for digits of 28 × 28 pixels and a CPU, with as many blocks as `cogan_digits` and the same settings.

    Layers, normalisation and first weights are those of `dcgan` with a width of 16 and 512 hidden units: so few
    channels draw strokes, the wide layers plan the digit and judge it as a whole, and batch normalisation bears the
    step sizes that a short training needs. Without it these games collapsed.
    """
    colours, latent_size = _channels(channels, domains), whole("latent_size", latent_size)
    generators = couple([_narrow_generator(latent_size, one) for one in colours], first=first)
    return generators, couple([_narrow_discriminator(one) for one in colours], last=last)


def cogan_rotation(
    domains: int = 2, latent_size: int = 100, first: int = 4, last: int = 1, width: int = 1024
) -> tuple[Coupled, Coupled]:
    """The paper's networks for digits and rotated digits, where places do not correspond: fully connected generators.

    Generators: four layers of 1024 units, then 784 pixels, five blocks. Discriminators as in `cogan_digits`, of which
    only the last block is shared.

    Args:
        domains: how many, at least two.
        latent_size: coordinates of a latent vector.
        first: the generators' shared blocks, 0 to 5.
        last: the discriminators' shared blocks, 0 to 4.
        width: units of the generators' layers.
    """
    latent_size, width = whole("latent_size", latent_size), whole("width", width)
    domains = whole("domains", domains, least=2)

    def stack() -> list[nn.Module]:
        sizes = [latent_size, width, width, width, width]
        blocks = [_activated(nn.Linear(a, b, bias=False), b, flat=True) for a, b in itertools.pairwise(sizes)]
        return _initialised([*blocks, nn.Sequential(nn.Linear(width, 784), nn.Unflatten(1, (1, 28, 28)), nn.Sigmoid())])

    generators = couple([stack() for _ in range(domains)], first=first)
    return generators, couple([_digit_discriminator(1) for _ in range(domains)], last=last)


# --- Faces ---------------------------------------------------------------------------------------------------------


def cogan_faces(
    size: int = 64,
    domains: int = 2,
    channels: int | Sequence[int] = 3,
    latent_size: int = 100,
    first: int | None = None,
    last: int | None = None,
    width: int = 32,
) -> tuple[Coupled, Coupled]:
    """The paper's networks for faces, of 128 pixels, and the same with a doubling less for 64.

    Generators: a linear layer to 4 × 4 pixels, then transposed convolutions that double the size and halve the channels
    down to `width`, and a convolution. Pixels are in [0, 1], by a sigmoid; the paper's are in [−1, 1], by a hyperbolic
    tangent. Discriminators: convolutions with stride 2 whose channels rise from `width`, batch normalisation, dropout,
    a wide layer, the score.

    Args:
        size: height and width of the images, 64 or 128.
        domains: how many, at least two.
        channels: of the images, one number for all domains or one for each.
        latent_size: coordinates of a latent vector.
        first: the generators' shared blocks; by default all but the last.
        last: the discriminators' shared blocks; by default all but the first two.
        width: channels next to the image; 32 in the paper.
    """
    if whole("size", size) not in (64, 128):
        raise ValueError(f"size={size!r} of faces was given; it must be 64 or 128: resize the images")
    colours, latent_size, width = _channels(channels, domains), whole("latent_size", latent_size), whole("width", width)
    doublings = 4 if size == 64 else 5
    generators = [_face_generator(latent_size, one, doublings, width) for one in colours]
    discriminators = [_face_discriminator(one, doublings, width) for one in colours]
    first = len(generators[0]) - 1 if first is None else first
    last = len(discriminators[0]) - 2 if last is None else last
    return couple(generators, first=first), couple(discriminators, last=last)


def _face_generator(latent_size: int, channels: int, doublings: int, width: int) -> list[nn.Module]:
    widths = [width * 2**power for power in reversed(range(doublings))]
    wide = 2 * widths[0]
    start = nn.Sequential(nn.Linear(latent_size, wide * 16, bias=False), nn.Unflatten(1, (wide, 4, 4)))
    blocks = [
        _activated(nn.ConvTranspose2d(inside, outside, 4, stride=2, padding=1, bias=False), outside)
        for inside, outside in zip([wide, *widths], widths, strict=False)
    ]
    end = nn.Sequential(nn.Conv2d(width, channels, 3, padding=1), nn.Sigmoid())
    return _initialised([_activated(start, wide), *blocks, end])


def _face_discriminator(channels: int, halvings: int, width: int) -> list[nn.Module]:
    widths = [channels, *(width * 2**power for power in range(halvings + 1))]
    blocks = []
    for place in range(halvings + 1):
        kernel = 5 if place < 3 else 3
        layer = nn.Conv2d(widths[place], widths[place + 1], kernel, stride=2, padding=kernel // 2, bias=False)
        dropout = (0.1, 0.3, 0.3, 0.5, 0.5, 0.5)[place]
        blocks.append(nn.Sequential(*_activated(layer, widths[place + 1]), nn.Dropout(dropout)))
    wide = widths[-1] * 4  # two pixels by two
    hidden = 64 * width
    dense = _activated(nn.Linear(wide, hidden, bias=False), hidden, flat=True)
    blocks.append(nn.Sequential(nn.Flatten(), *dense, nn.Dropout(0.5)))
    return _initialised([*blocks, nn.Sequential(nn.Linear(hidden, 1), nn.Flatten(0))])


# --- One network for all domains -----------------------------------------------------------------------------------


class Conditioned(nn.Module):
    """A network that is given, beside its input, a class: as further coordinates of a vector, or channels of an image.

    The class comes as a one-hot vector $e_y$; for images each of its coordinates fills a channel.
    """

    def __init__(self, network: nn.Module, classes: int):
        """`network`: takes `classes` coordinates or channels more than the samples have."""
        super().__init__()
        instance("network", network, nn.Module, "a torch.nn.Module")
        self.network, self.classes = network, whole("classes", classes, least=2)

    def forward(self, x: Float[Tensor, "n *sample"], labels: Tensor) -> Tensor:
        """The network's output of each sample beside its class."""
        codes = nn.functional.one_hot(labels, self.classes).to(x)
        codes = codes.view(*codes.shape, *[1] * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])
        return self.network(torch.cat([x, codes], 1))


def conditional_digits(
    classes: int = 2, channels: int = 1, latent_size: int = 100, narrow: bool = False
) -> tuple[Conditioned, Conditioned]:
    """The digit networks once, with the domain as an input: the baseline of Liu & Tuzel (2016).

    Args:
        classes: domains.
        channels: of the images.
        latent_size: coordinates of a latent vector.
        narrow: those of `cogan_narrow` instead of `cogan_digits`.
    """
    classes, channels = whole("classes", classes, least=2), whole("channels", channels)
    latent_size = whole("latent_size", latent_size)
    instance("narrow", narrow, bool, "True or False")
    makers = (_narrow_generator, _narrow_discriminator) if narrow else (_digit_generator, _digit_discriminator)
    generator = nn.Sequential(*makers[0](latent_size + classes, channels))
    discriminator = nn.Sequential(*makers[1](channels + classes))
    return Conditioned(generator, classes), Conditioned(discriminator, classes)

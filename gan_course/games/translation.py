"""Games that translate from one domain to another: pix2pix from pairs, CycleGAN without."""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course import objectives
from gan_course.checks import explained, instance, number, whole
from gan_course.games.base import (
    Batch,
    Game,
    OptimizerFactory,
    Turn,
    adam,
    check_average,
    check_learning,
    chosen,
    constant,
    evaluating,
    follow,
    lagged,
    trying,
    zeros,
)
from gan_course.games.pairs import check_part, pairs_of, singles_of
from gan_course.objectives import Objective
from gan_course.objectives.base import checked


def _objective(objective: object) -> Objective:
    instance("objective", objective, (str, Objective), "a name that objectives.get knows, or an Objective")
    return objectives.get(objective) if isinstance(objective, str) else objective


def _shapes(shapes: object) -> list[tuple[int, ...]]:
    allowed = "the shapes of one sample of the first and of the second domain, such as [(3, 32, 32), (3, 32, 32)]"
    instance("shapes", shapes, (list, tuple), allowed)
    if len(shapes) != 2:
        raise ValueError(f"{len(shapes)} shapes were given; give {allowed}")
    for i, shape in enumerate(shapes):
        instance(f"shapes[{i}]", shape, (list, tuple, torch.Size), "the shape of one sample, such as (3, 32, 32)")
        if not shape:
            raise ValueError(f"shapes[{i}]=() was given; it must name at least one size")
    return [tuple(whole(f"shapes[{i}]", size) for size in shape) for i, shape in enumerate(shapes)]


def _tried(
    name: str, network: nn.Module, given: tuple[int, ...], wanted: tuple[int, ...] | None, hint: str = ""
) -> None:
    """Refuse a network that does not make samples of the shape wanted, or scores if none is, of two zeros."""
    with trying(network), explained(f"the {name} cannot take inputs of shape {given}, as shapes has it{hint}"):
        out = network(zeros(network, 2, *given))
        if wanted is None:
            checked(out, 2)
    if wanted is not None and (not isinstance(out, Tensor) or tuple(out.shape) != (2, *wanted)):
        made = tuple(out.shape[1:]) if isinstance(out, Tensor) else f"a {type(out).__name__}"
        raise ValueError(f"the {name} makes {made} of inputs of shape {given}; by shapes it must make {wanted}")


class Pix2Pix(Game):
    r"""A generator from $x$ to $y$, learned from pairs: adversarial, and near to the true answer (isola2017pix2pix).

    $$\min_G\max_D\ \mathbb E_{q(x, y)}\log D(x, y) + \mathbb E_{q(x)}\log(1 - D(x, G(x)))
      + \lambda\,\mathbb E_{q(x, y)}\,|y - G(x)|,$$

    with any objective in the place of the logistic one, and $|\cdot|$ the mean absolute error of a coordinate. The
    discriminator sees the question beside the answer, along the channels; without `conditional` it sees the answer
    alone, and nothing but the last term ties that to the question. There is no noise but what the generator brings
    itself, dropout in `networks.unet`.

    The paper's pixels are in [−1, 1], where errors are twice as large: its balance is a weight of 200 for pixels in
    [0, 1]. It halves the discriminator's loss, which Adam's steps hardly see; we do not.

    Batches are pairs: `fit(game, data.Pairs(x, y), ...)`.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        shapes: Sequence[Sequence[int]],
        objective: str | Objective = "non-saturating",
        weight: float = 100.0,
        conditional: bool = True,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
        average: float | None = None,
    ):
        r"""A game of paired translation; both networks are tried once on zeros.

        Args:
            generator: from samples of the first domain to samples of the second: `networks.unet`.
            discriminator: from both, joined along the first size of a sample, to scores `(n,)` or `(n, 1, h, w)`:
                `networks.patch_discriminator(6)` for two images of three channels.
            shapes: of one sample of each domain, such as `[(1, 32, 32), (3, 32, 32)]`.
            objective: a name that `objectives.get` knows, or an objective.
            weight: $\lambda$.
            conditional: whether the discriminator sees the question.
            optimizer: makes both optimisers, or a dict with the keys `discriminator` and `generator`; Adam by default.
            rate: factor on both learning rates as a function of progress.
            average: if given, translations come from an average of the generator that keeps this share of itself.
        """
        super().__init__()
        for name, network in (("generator", generator), ("discriminator", discriminator)):
            instance(name, network, nn.Module, "a torch.nn.Module")
        check_learning(optimizer, rate)
        instance("conditional", conditional, bool, "True or False")
        self.shapes, self.conditional = _shapes(shapes), conditional
        x, y = self.shapes
        if conditional and x[1:] != y[1:]:
            raise ValueError(
                f"shapes={self.shapes} were given; the discriminator sees both side by side along their first size: "
                "the other sizes must be the same"
            )
        self.objective = _objective(objective)
        self.objective.check(discriminator)
        self.weight, self.average = number("weight", weight), check_average(average)
        self.optimizer, self.rate = optimizer or adam(), rate
        _tried("generator", generator, x, y)
        seen = (x[0] + y[0], *y[1:]) if conditional else y
        _tried("discriminator", discriminator, seen, None, f" with conditional={conditional}")
        self.generator, self.discriminator = generator, discriminator
        self.averaged = None if average is None else lagged(generator)

    def parted(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Questions and answers. Raises ValueError for samples that are not said to be pairs."""
        return pairs_of(batch, self.shapes, "CycleGAN, with data.Unpaired(x, y)")

    def judged(self, x: Tensor, y: Tensor) -> Tensor:
        """What the discriminator sees of a question and its answer."""
        return torch.cat([x, y], 1) if self.conditional else y

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The discriminator's terms on true and on made answers to the same questions."""
        x, y = self.parted(batch)
        with torch.no_grad():
            fake = self.generator(x)
        return self.objective.for_discriminator(self.discriminator, self.judged(x, y), self.judged(x, fake))

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The generator's adversarial terms, and its error."""
        x, y = self.parted(batch)
        fake = self.generator(x)
        terms = self.objective.for_generator(self.discriminator, self.judged(x, y), self.judged(x, fake))
        return terms | {"error": self.weight * (y - fake).abs().mean()}

    def turns(self) -> list[Turn]:
        """The discriminator's turn, then the generator's."""
        return [
            Turn(
                "discriminator",
                [self.discriminator],
                self.discriminator_loss,
                optimizer=chosen(self.optimizer, "discriminator"),
                rate=self.rate,
                after_step=lambda: self.objective.constrain(self.discriminator),
            ),
            Turn(
                "generator",
                [self.generator],
                self.generator_loss,
                optimizer=chosen(self.optimizer, "generator"),
                rate=self.rate,
                after_step=self._follow if self.average is not None else None,
            ),
        ]

    def _follow(self) -> None:
        follow(self.averaged, self.generator, self.average)

    def translate(self, x: Float[Tensor, "n *question"]) -> Float[Tensor, "n *answer"]:
        """Answers to questions, in evaluation mode and without gradient; by the average where the game keeps one.

        Raises:
            ValueError: if the questions are not of the first domain's shape.
        """
        check_part("x", x, self.shapes[0])
        generator = self.generator if self.averaged is None else self.averaged
        with evaluating(generator):
            return generator(x.to(self.device))


class Pool(nn.Module):
    r"""A history of fakes: the discriminator sees old ones among the new (shrivastava2017learning, zhu2017cyclegan).

    As long as it is not full, new fakes are kept and handed on. When it is, each new fake is handed on itself with
    probability ½; else an old one takes its place, and the new one the old one's. So a fake stays for
    $2\cdot\text{size}$ further ones on the mean.

    It is kept in buffers, so that a checkpoint holds it; as bits, so that nothing takes a mean of it. Of a batch larger
    than the pool the rest goes by.
    """

    def __init__(self, size: int, shape: Sequence[int]):
        """`size`: how many fakes are kept, 0 for none; `shape`: of one of them."""
        super().__init__()
        self.size = whole("size", size, least=0, most=10**6)
        instance("shape", shape, (tuple, list, torch.Size), "the shape of one fake, such as (3, 32, 32)")
        shape = tuple(whole("shape", one) for one in shape)
        self.register_buffer("kept", torch.zeros(self.size, *shape, dtype=torch.int32))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @property
    def images(self) -> Float[Tensor, "k *sample"]:
        """The fakes that it holds, at most `size`."""
        return self.kept[: int(self.filled)].view(torch.float32)

    @torch.no_grad()
    def forward(self, fake: Float[Tensor, "n *sample"]) -> Float[Tensor, "n *sample"]:
        """As many fakes as are given, old ones among them."""
        if not self.size:
            return fake
        n = min(len(fake), self.size)
        new = fake[:n].detach().float().contiguous()
        full = self.filled == self.size
        place = (self.filled + torch.arange(n, device=fake.device)) % self.size
        # All places differ, so that no two fakes go to one: at random, or one after the other until it is full.
        slot = torch.where(full, torch.rand(self.size, device=fake.device).argsort()[:n], place)
        fits = self.filled + torch.arange(n, device=fake.device) < self.size
        swapped = full & (torch.rand(n, device=fake.device) < 0.5)
        old = self.kept[slot]
        rows = (n, *[1] * (fake.ndim - 1))
        self.kept[slot] = torch.where((fits | swapped).view(rows), new.view(torch.int32), old)
        self.filled.add_(fits.sum())
        handed = torch.where(swapped.view(rows), old.view(torch.float32), new).to(fake.dtype)
        return torch.cat([handed, fake[n:].detach()])


class CycleGAN(Game):
    r"""Generators $G: X\to Y$ and $F: Y\to X$, learned without pairs (zhu2017cyclegan).

    Each domain's discriminator tells its samples from what is translated into it, and what is translated there and back
    is to be what it was:

    $$\mathcal L = \mathcal L_{GAN}(G, D_Y) + \mathcal L_{GAN}(F, D_X)
      + \lambda\big(\mathbb E\,|F(G(x)) - x| + \mathbb E\,|G(F(y)) - y|\big)
      + \lambda\mu\big(\mathbb E\,|G(y) - y| + \mathbb E\,|F(x) - x|\big),$$

    with the mean absolute error of a coordinate. The last part, for domains of one shape, keeps what already belongs to
    the target. Discriminators see a history of fakes, `Pool`. The cycle excludes translations that forget the sample;
    it does not say which translation is meant: any that matches the laws and can be turned back costs nothing.

    With the paper's balance of terms: its pixels are in [−1, 1], where errors are twice as large, and its least squares
    for the generators are twice ours, so that the same $\lambda$ serves pixels in [0, 1]. It halves the discriminators'
    losses, as our least squares do. A round has fresh batches for both turns, the paper's one batch for both.

    Batches are independent draws: `fit(game, data.Unpaired(x, y), ...)`.
    """

    def __init__(
        self,
        generators: Sequence[nn.Module],
        discriminators: Sequence[nn.Module],
        shapes: Sequence[Sequence[int]],
        objective: str | Objective = "least-squares",
        cycle: float = 10.0,
        identity: float = 0.0,
        pool: int = 50,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
        average: float | None = None,
    ):
        r"""A game of unpaired translation; every network is tried once on zeros.

        Args:
            generators: $G$, from the first domain to the second, and $F$, back: `networks.resnet_generator`.
            discriminators: $D_X$ of the first domain and $D_Y$ of the second, to scores `(n,)` or `(n, 1, h, w)`:
                `networks.patch_discriminator`.
            shapes: of one sample of each domain, such as `[(1, 32, 32), (3, 32, 32)]`.
            objective: a name that `objectives.get` knows, or an objective; of both discriminators.
            cycle: $\lambda$.
            identity: $\mu$, the weight of the identity term beside the cycle's; 0.5 where the paper has one.
            pool: fakes that each discriminator's history holds; 0: it sees new ones only.
            optimizer: makes both optimisers, or a dict with the keys `discriminators` and `generators`; Adam by
                default.
            rate: factor on both learning rates; `linear_decay` from the middle on is the paper's.
            average: if given, translations come from averages of the generators that keep this share of themselves.
        """
        super().__init__()
        for name, given in (("generators", generators), ("discriminators", discriminators)):
            instance(name, given, (list, tuple, nn.ModuleList), "a list of two torch.nn.Module")
            if len(given) != 2:
                raise ValueError(f"{len(given)} {name} were given; there are two, one for each domain")
            for i, network in enumerate(given):
                instance(f"{name}[{i}]", network, nn.Module, "a torch.nn.Module")
        check_learning(optimizer, rate)
        self.shapes, self.objective = _shapes(shapes), _objective(objective)
        self.cycle, self.identity = number("cycle", cycle), number("identity", identity)
        if self.identity and self.shapes[0] != self.shapes[1]:
            raise ValueError(
                f"identity={identity} was given for shapes={self.shapes}; a generator can be given samples of its "
                "target only where both domains have one shape: leave identity at 0"
            )
        whole("pool", pool, least=0, most=10**6)
        for i in (0, 1):
            _tried(f"generators[{i}]", generators[i], self.shapes[i], self.shapes[1 - i])
            _tried(f"discriminators[{i}]", discriminators[i], self.shapes[i], None)
            self.objective.check(discriminators[i])
        self.generators, self.discriminators = nn.ModuleList(generators), nn.ModuleList(discriminators)
        self.pools = nn.ModuleList(Pool(pool, shape) for shape in self.shapes)
        self.optimizer, self.rate, self.average = optimizer or adam(), rate, check_average(average)
        self.averaged = None if average is None else lagged(self.generators)

    def parted(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Samples of both domains. Raises ValueError for pairs, which are for `Pix2Pix`."""
        return singles_of(batch, self.shapes, "Pix2Pix, with data.Pairs(x, y)")

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The discriminators' terms, each under its name and its domain's number; fakes come through the pools."""
        real = self.parted(batch)
        with torch.no_grad():
            fake = [self.pools[i](self.generators[1 - i](real[1 - i])) for i in (0, 1)]
        return {
            f"{name} {i}": term
            for i in (0, 1)
            for name, term in self.objective.for_discriminator(self.discriminators[i], real[i], fake[i]).items()
        }

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The generators' terms: adversarial in their target domain, cycles from each domain, and identities."""
        real = self.parted(batch)
        terms: dict[str, Tensor] = {}
        for i, x in enumerate(real):
            there, back, target = self.generators[i], self.generators[1 - i], 1 - i
            fake = there(x)
            adversarial = self.objective.for_generator(self.discriminators[target], real[target], fake)
            terms |= {f"{name} {target}": term for name, term in adversarial.items()}
            terms[f"cycle {i}"] = self.cycle * (back(fake) - x).abs().mean()
            if self.identity:
                terms[f"identity {i}"] = self.cycle * self.identity * (back(x) - x).abs().mean()
        return terms

    def turns(self) -> list[Turn]:
        """The turn of both discriminators, then that of both generators."""
        return [
            Turn(
                "discriminators",
                [self.discriminators],
                self.discriminator_loss,
                optimizer=chosen(self.optimizer, "discriminators"),
                rate=self.rate,
                after_step=self._constrain,
            ),
            Turn(
                "generators",
                [self.generators],
                self.generator_loss,
                optimizer=chosen(self.optimizer, "generators"),
                rate=self.rate,
                after_step=self._follow if self.average is not None else None,
            ),
        ]

    def _constrain(self) -> None:
        for discriminator in self.discriminators:
            self.objective.constrain(discriminator)

    def _follow(self) -> None:
        follow(self.averaged, self.generators, self.average)

    def translate(self, x: Float[Tensor, "n *given"], source: int = 0) -> Float[Tensor, "n *made"]:
        """Samples of one domain in the other, in evaluation mode; by the averages where the game keeps them.

        Raises:
            ValueError: if the samples are not of the shape of the domain `source`, 0 or 1.
        """
        check_part("x", x, self.shapes[whole("source", source, least=0, most=1)])
        generators = self.generators if self.averaged is None else self.averaged
        with evaluating(generators):
            return generators[source](x.to(self.device))

"""JointGAN: marginals and conditionals of several domains learned at once, against one critic of many joint laws."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course.checks import explained, instance, number, one_of, whole
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
from gan_course.objectives import joint_softmax
from gan_course.objectives.base import samplewise
from gan_course.objectives.matching import absolute_error, squared_error

ABSENT = ("zeros", "noise")
ERRORS = {"l1": absolute_error, "l2": squared_error}


class Joint(NamedTuple):
    """A joint law of the game: the domain that is drawn first, and whether that draw is a real sample."""

    first: int | None
    real: bool

    def __str__(self) -> str:
        if self.first is None:
            return "true pairs"
        return f"{'real' if self.real else 'made'} {self.first}, then the others"


class JointGAN(Game):
    r"""One generator for each domain, which draws it alone *and* given the others (pu2018jointgan).

    With $q$ the data, a generator $\theta$ of $y$ and a generator $\phi$ of $x$ there are the joint laws

    $$p_1 = q(x)\,p_\theta(y\mid x),\quad p_2 = q(y)\,p_\phi(x\mid y),\quad p_3 = p_\phi(x)\,p_\theta(y\mid x),\quad
      p_4 = p_\theta(y)\,p_\phi(x\mid y),\quad p_5 = q(x, y),$$

    the last of true pairs. The critic tells them apart by a softmax, and the generators make them one:

    $$\min_{\theta, \phi}\max_g\ \sum_{k=1}^K\mathbb E_{p_k(x, y)}\log g(x, y)[k],$$

    of value $-K\log K$ at the optimum of both (`objectives.joint_softmax`). A generator is one network for its marginal
    and its conditional: it is given noise and the other domain's sample, in whose place there are zeros (or noise) for
    the marginal. Every draw has noise of its own.

    **Pairs.** With `paired` batches are pairs, `fit(game, data.Pairs(x, y), ...)`, and $K = 5$: at the optimum all laws
    are $q(x, y)$. Without pairs, `fit(game, data.Unpaired(x, y), ...)`, $K = 4$, and nothing says which samples belong
    together: at the optimum the four laws are equal, and any joint law with the right marginals will do, the product of
    the marginals among them. Then there are cycles, with weights $c$,

    $$c\,\mathbb E_{q(x)}\,\|x - \hat x\|,\qquad \hat x\sim p_\phi(x\mid y),\ y\sim p_\theta(y\mid x),$$

    and the same for $y$. They exclude independence, but they do *not* identify the pairing: any matching that can be
    turned back costs nothing. They also ask the conditionals to do without noise.

    **More than two domains** are our own derivation, not the paper's. With $m$ of them the domains stand in a circle.
    From each of them start two laws, with a real sample and with one from the generator's marginal, and the others
    follow around the circle, each given all that were drawn before it: $K = 2m$, and one more for true pairs. That is
    the above for $m = 2$. The proof of the value holds for any $K$; at the optimum the laws are equal, so that each
    generator's marginal is right, and its conditionals, given those before it on the circle, are those of the common
    law. Conditionals given other sets of domains are not learned. A cycle goes once around, and back to its beginning.
    """

    def __init__(
        self,
        generators: Sequence[nn.Module],
        critic: nn.Module,
        shapes: Sequence[Sequence[int]],
        latent_size: int = 64,
        paired: bool = True,
        loss: str = "non-saturating",
        cycle: float | None = None,
        error: str = "l1",
        absent: str = "zeros",
        critic_steps: int = 1,
        generator_steps: int = 1,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
        average: float | None = None,
    ):
        """A game of joint laws; every network is tried once on zeros.

        Args:
            generators: one for each domain, at least two; each is called with latents `(n, latent_size)` and a batch of
                each other domain, in their order, and returns samples of its own: `networks.Towers`, for instance.
            critic: called with a batch of each domain, to logits `(n, K)`.
            shapes: of one sample of each domain, such as `[(1, 28, 28), (1, 28, 28)]`.
            latent_size: coordinates of a latent vector.
            paired: whether batches are true pairs: then they are a joint law of their own.
            loss: the generators': `saturating`, that of the zero-sum game, or `non-saturating`, its surrogate.
            cycle: weight of the cycles; by default 0 with pairs and 1 without.
            error: of the cycles, `l1` or `l2`: absolute or squared error, summed over a sample's coordinates.
            absent: what stands for a sample that is not drawn yet, `zeros` or `noise`.
            critic_steps: the critic's steps in a round.
            generator_steps: the generators' steps in a round.
            optimizer: makes both optimisers, or a dict with the keys `critic` and `generators`; Adam by default.
            rate: factor on both learning rates as a function of progress.
            average: if given, samples come from averages of the generators that keep this share of themselves.

        Raises:
            ValueError: for networks that do not fit the shapes, and a critic with another number of classes than the
                game has joint laws.
        """
        super().__init__()
        instance("generators", generators, (list, tuple, nn.ModuleList), "a list with a generator for each domain")
        instance("shapes", shapes, (list, tuple), "a list with the shape of one sample of each domain, as [(2,), (2,)]")
        if len(generators) < 2 or len(generators) != len(shapes):
            raise ValueError(
                f"{len(generators)} generators and {len(shapes)} shapes were given; there must be one of each for "
                "every domain, at least two"
            )
        for i, (generator, shape) in enumerate(zip(generators, shapes, strict=True)):
            instance(f"generators[{i}]", generator, nn.Module, "a torch.nn.Module")
            instance(f"shapes[{i}]", shape, (list, tuple, torch.Size), "the shape of one sample, such as (2,)")
        instance("critic", critic, nn.Module, "a torch.nn.Module")
        instance("paired", paired, bool, "True or False")
        for name, given, allowed in (
            ("loss", loss, joint_softmax.LOSSES),
            ("error", error, ERRORS),
            ("absent", absent, ABSENT),
        ):
            one_of(name, given, allowed)
        check_learning(optimizer, rate)
        check_average(average)
        self.latent_size = whole("latent_size", latent_size, most=10**6)
        self.shapes = [tuple(whole(f"shapes[{i}]", size) for size in shape) for i, shape in enumerate(shapes)]
        self.generators, self.critic = nn.ModuleList(generators), critic
        self.paired, self.loss, self.absent = paired, loss, absent
        self.cycle = (0.0 if paired else 1.0) if cycle is None else number("cycle", cycle)
        self.error = ERRORS[error]
        self.critic_steps = whole("critic_steps", critic_steps)
        self.generator_steps = whole("generator_steps", generator_steps)
        self.optimizer, self.rate, self.average = optimizer or adam(), rate, average
        self._try()
        self.averaged = None if average is None else lagged(self.generators)

    @property
    def domains(self) -> int:
        """How many domains the game is played in."""
        return len(self.generators)

    @property
    def joints(self) -> list[Joint]:
        """The joint laws, in the order of the critic's classes."""
        made = [Joint(first, real) for real in (True, False) for first in range(self.domains)]
        return [*made, Joint(None, True)] if self.paired else made

    def _try(self) -> None:
        """Every network on two zeros: what does not fit is an error here, in words."""
        with trying(*self.generators, self.critic):
            parts = [zeros(self.critic, 2, *shape) for shape in self.shapes]
            for i, generator in enumerate(self.generators):
                others = [zeros(generator, 2, *shape) for j, shape in enumerate(self.shapes) if j != i]
                made = self._answer(f"generators[{i}]", generator, zeros(generator, 2, self.latent_size), *others)
                if tuple(made.shape) != (2, *self.shapes[i]):
                    raise ValueError(
                        f"generators[{i}] made samples of shape {tuple(made.shape[1:])}; by shapes those of domain {i} "
                        f"have {self.shapes[i]}"
                    )
            logits = self._answer("critic", self.critic, *parts)
            if tuple(logits.shape) != (2, len(self.joints)):
                raise ValueError(
                    f"the critic returned {tuple(logits.shape)} for 2 draws; with paired={self.paired} and "
                    f"{self.domains} domains there are K={len(self.joints)} joint laws, and it must return "
                    f"(2, {len(self.joints)}): one logit for each"
                )

    def _answer(self, name: str, network: nn.Module, *given: Tensor) -> Tensor:
        """What a network makes of zeros; its errors in words."""
        shapes = ", ".join(str(tuple(x.shape)) for x in given)
        advice = (
            ". A generator is called with latents of latent_size and a batch of each other domain, the critic with a "
            "batch of each domain, of the sizes in shapes"
        )
        with explained(f"{name} cannot take inputs of shapes {shapes}", advice):
            out = network(*given)
        if not isinstance(out, Tensor) or not out.is_floating_point():
            raise ValueError(f"{name} must return a tensor of floating-point numbers, not a {type(out).__name__}")
        return out

    # Draws

    def noise(self, n: int) -> Float[Tensor, "n latent"]:
        """`n` latent vectors from the standard normal distribution, on the game's device."""
        return torch.randn(n, self.latent_size, device=self.device)

    def drawn(
        self,
        domain: int,
        n: int,
        given: Mapping[int, Tensor],
        generators: nn.ModuleList | None = None,
    ) -> Float[Tensor, "n *sample"]:
        """`n` samples of one domain, each with new noise, given those of other domains; absent ones are stood for."""
        others = []
        for j, shape in enumerate(self.shapes):
            if j == domain:
                continue
            if j in given:
                others.append(given[j])
            elif self.absent == "zeros":
                others.append(torch.zeros(n, *shape, device=self.device))
            else:
                others.append(torch.randn(n, *shape, device=self.device))
        return (self.generators if generators is None else generators)[domain](self.noise(n), *others)

    def around(self, first: int, x: Tensor, generators: nn.ModuleList | None = None) -> tuple[Tensor, ...]:
        """Samples of one domain, and of all the others as they follow around the circle, each given those before."""
        known = {first: x}
        for step in range(1, self.domains):
            domain = (first + step) % self.domains
            known[domain] = self.drawn(domain, len(x), known, generators)
        return tuple(known[domain] for domain in range(self.domains))

    def draws(self, singles: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
        """A draw of each joint law that generators make, in the order of `joints`, from real samples of each domain."""
        real = [self.around(i, x) for i, x in enumerate(singles)]
        made = [self.around(i, self.drawn(i, len(x), {})) for i, x in enumerate(singles)]
        return real + made

    def logits(self, draws: Sequence[tuple[Tensor, ...]]) -> list[Float[Tensor, "n classes"]]:
        """The critic's logits of draws of several laws; by one call, where that makes no difference."""
        if samplewise(self.critic):
            together = [torch.cat(parts) for parts in zip(*draws, strict=True)]
            return list(self.critic(*together).float().split([len(draw[0]) for draw in draws]))
        return [self.critic(*draw).float() for draw in draws]

    # Losses

    def parted(self, batch: Batch) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...] | None]:
        """Real samples of each domain, and the true pairs where the game learns from such.

        Raises:
            ValueError: for unpaired samples in a game of pairs and the other way round; the message names the other.
        """
        if self.paired:
            pairs = pairs_of(batch, self.shapes, "JointGAN(paired=False), with data.Unpaired(x, y)")
            return pairs, pairs
        return singles_of(batch, self.shapes, "JointGAN(paired=True), with data.Pairs(x, y)"), None

    def critic_loss(self, batch: Batch) -> dict[str, Tensor]:
        r"""The critic's cross entropy, $-\mathcal L$; no gradient reaches the generators."""
        singles, pairs = self.parted(batch)
        with torch.no_grad():
            draws = self.draws(singles)
        if pairs is not None:
            draws.append(pairs)
        return {"cross entropy": joint_softmax.critic_loss(self.logits(draws))}

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The generators' terms: adversarial, of the laws that they make, and a cycle from each domain."""
        singles, _ = self.parted(batch)
        draws = self.draws(singles)
        terms = {"adversarial": joint_softmax.LOSSES[self.loss](self.logits(draws))}
        if self.cycle:
            for i, x in enumerate(singles):
                terms[f"cycle {i}"] = self.cycle * self.cycle_loss(i, x, draws[i])
        return terms

    def cycle_loss(self, domain: int, x: Tensor, draw: tuple[Tensor, ...]) -> Float[Tensor, ""]:
        """How badly real samples of a domain come back from what was drawn for them in the others, on the mean."""
        others = {j: part for j, part in enumerate(draw) if j != domain}
        return self.error(x, self.drawn(domain, len(x), others)).mean()

    def turns(self) -> list[Turn]:
        """The critic's turn, then that of all generators."""
        return [
            Turn(
                "critic",
                [self.critic],
                self.critic_loss,
                steps=self.critic_steps,
                optimizer=chosen(self.optimizer, "critic"),
                rate=self.rate,
            ),
            Turn(
                "generators",
                [self.generators],
                self.generator_loss,
                steps=self.generator_steps,
                optimizer=chosen(self.optimizer, "generators"),
                rate=self.rate,
                after_step=self._follow if self.average is not None else None,
            ),
        ]

    def _follow(self) -> None:
        follow(self.averaged, self.generators, self.average)

    # Use

    @property
    def _drawn_from(self) -> nn.ModuleList:
        return self.generators if self.averaged is None else self.averaged

    def sample(self, n: int, first: int = 0) -> tuple[Tensor, ...]:
        """`n` draws of the joint law, a batch for each domain: `first` from its marginal, then the others given it."""
        whole("n", n), whole("first", first, least=0, most=self.domains - 1)
        with evaluating(self._drawn_from):
            return self.around(first, self.drawn(first, n, {}, self._drawn_from), self._drawn_from)

    def marginal(self, n: int, domain: int) -> Float[Tensor, "n *sample"]:
        """`n` samples of one domain alone."""
        return self.sample(n, domain)[domain]

    def complete(self, x: Float[Tensor, "n *sample"], domain: int) -> tuple[Tensor, ...]:
        """Samples of one domain with a draw of all the others given them, a batch for each domain.

        Raises:
            ValueError: if the samples are not of the domain's shape.
        """
        check_part("x", x, self.shapes[whole("domain", domain, least=0, most=self.domains - 1)])
        with evaluating(self._drawn_from):
            return self.around(domain, x.to(self.device), self._drawn_from)

    def translate(self, x: Float[Tensor, "n *given"], source: int, target: int) -> Float[Tensor, "n *made"]:
        """A draw of one domain for each sample of another.

        Raises:
            ValueError: if the samples are not of the source's shape.
        """
        whole("source", source, least=0, most=self.domains - 1)
        return self.complete(x, source)[whole("target", target, least=0, most=self.domains - 1)]

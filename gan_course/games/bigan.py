"""Games that match joint laws: a generator and an encoder against one judge of samples together with their codes."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from gan_course import objectives
from gan_course.checks import explained, instance, number, one_of, whole
from gan_course.games.base import (
    Batch,
    OptimizerFactory,
    Turn,
    adam,
    check_average,
    check_learning,
    chosen,
    constant,
    follow,
    lagged,
    trying,
    zeros,
)
from gan_course.games.codes import CodeModel
from gan_course.networks.joint import Joined, Stochastic
from gan_course.objectives import Objective
from gan_course.objectives.base import checked, scores_of
from gan_course.objectives.likelihood import gaussian_nll
from gan_course.objectives.matching import absolute_error, exchanged, squared_error

MAPS = "encoder and generator"
CYCLES = ("l1", "l2", "gaussian", "adversarial")


class BiGAN(CodeModel):
    r"""Generator $G$ and encoder $E$ against a judge of pairs, $d(x, z)$ [donahue2017bigan, dumoulin2017ali].

    $$\min_{G, E}\max_D\ \mathbb E_{q(x)}\log D(x, E(x)) + \mathbb E_{p(z)}\log\big(1 - D(G(z), z)\big).$$

    The encoder's pairs $(x, E(x))$ are the "real" ones, the generator's $(G(z), z)$ the "fake" ones. The best judge is
    $d^* = \log q(x, z) - \log p(x, z)$, and the value is smallest, $-\log 4$, when the joints are equal. Then, if both
    maps are deterministic, they invert each other. Where they draw (`networks.Stochastic`, `networks.Noisy`), the game
    is ALI, and $q(z\mid x)$ becomes the posterior of $p(x\mid z)$.

    A round is `discriminator_steps` steps of the judge, then `generator_steps` of both maps together, by
    `objectives.matching.exchanged`. Nobody compares $x$ with $G(E(x))$: see `ALICE` for a game that does.
    """

    def __init__(
        self,
        encoder: nn.Module,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: str | Objective = "non-saturating",
        latent_size: int = 64,
        discriminator_steps: int = 1,
        generator_steps: int = 1,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
        average: float | None = None,
    ):
        """A game of joint laws.

        Args:
            encoder: from samples to codes `(n, latent_size)`.
            generator: from codes to samples.
            discriminator: called with samples and codes, to scores `(n,)`: `networks.JointDiscriminator`.
            objective: a name that `objectives.get` knows, or an objective. Penalties take the slope in both.
            latent_size: coordinates of a code; codes of the prior are drawn from N(0, I).
            discriminator_steps: the judge's steps in a round.
            generator_steps: the maps' steps in a round.
            optimizer: makes both optimisers, or a dict with the keys `discriminator` and `encoder and generator`; Adam
                by default.
            rate: factor on both learning rates as a function of progress.
            average: if given, codes and samples come from averages of both maps over the rounds that keep this share
                of themselves at each step.
        """
        super().__init__(encoder, generator, latent_size, called="generator")
        check_learning(optimizer, rate)
        instance("objective", objective, (str, Objective), "a name that objectives.get knows, or an Objective")
        self.objective = objectives.get(objective) if isinstance(objective, str) else objective
        if getattr(self.objective, "pulling_away", 0):
            raise ValueError(
                "objective asks for pulling_away, which spreads the inner codes of an auto-encoder; a judge of pairs "
                "has none: leave pulling_away at 0"
            )
        self.discriminator_steps = whole("discriminator_steps", discriminator_steps)
        self.generator_steps = whole("generator_steps", generator_steps)
        check_average(average)
        self.scorer = self.judging("discriminator", discriminator, (self.latent_size,))
        self.optimizer, self.rate, self.average = optimizer or adam(), rate, average
        self.averaged_encoder = None if average is None else lagged(encoder)
        self.averaged_generator = None if average is None else lagged(generator)

    @property
    def generator(self) -> nn.Module:
        """The decoder, by the name that it has in this game."""
        return self.decoder

    @property
    def discriminator(self) -> nn.Module:
        """The judge of pairs."""
        return self.scorer.discriminator

    def judging(self, name: str, discriminator: nn.Module, other: tuple[int, ...]) -> Joined:
        """A judge of samples beside something of the shape `other`, tried on zeros: its scores have the right shape."""
        instance(name, discriminator, nn.Module, "a torch.nn.Module")
        self.objective.check(discriminator)
        scorer = Joined(discriminator, self.shape, other)
        with trying(discriminator):
            x, y = zeros(discriminator, 2, *self.shape), zeros(discriminator, 2, *other)
            with explained(
                f"the {name} cannot score samples of shape {self.shape} beside {other}",
                ". It is called with both, and returns a score of each pair",
            ):
                checked(scorer(scorer.join(x, y)), 2)
        return scorer

    def in_use(self) -> tuple[nn.Module, nn.Module]:
        """The averages where the game keeps them, else the players themselves."""
        return (
            (self.encoder, self.decoder) if self.average is None else (self.averaged_encoder, self.averaged_generator)
        )

    def pairs(self, real: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's pairs of a batch and as many of the generator's, each pair side by side."""
        self.check_samples(real)
        return self._encoded(real, self.encoder(real)), self._generated(len(real))

    def _encoded(self, real: Tensor, codes: Tensor) -> Tensor:
        return self.scorer.join(real, codes)

    def _generated(self, n: int) -> Tensor:
        z = self.noise(n)
        return self.scorer.join(self.decoder(z), z)

    def discriminator_loss(self, real: Tensor) -> dict[str, Tensor]:
        """The judge's terms on a batch; no gradient reaches the maps."""
        with torch.no_grad():
            encoded, generated = self.pairs(real)
        return self.objective.for_discriminator(self.scorer, encoded, generated)

    def maps_loss(self, real: Tensor) -> dict[str, Tensor]:
        """The term of encoder and generator together: each wants its pairs to be taken for the other's."""
        return self._matched(*self.pairs(real))

    def _matched(self, encoded: Tensor, generated: Tensor) -> dict[str, Tensor]:
        return {"adversarial": exchanged(self.objective, *scores_of(self.scorer, encoded, generated))}

    def judges(self) -> list[nn.Module]:
        """The networks that the discriminator's turn moves."""
        return [self.discriminator]

    def turns(self) -> list[Turn]:
        """The judge's turn, then the one turn of encoder and generator."""
        return [
            Turn(
                "discriminator",
                self.judges(),
                self.discriminator_loss,
                steps=self.discriminator_steps,
                optimizer=chosen(self.optimizer, "discriminator"),
                rate=self.rate,
                after_step=self._constrain,
            ),
            Turn(
                MAPS,
                [self.encoder, self.decoder],
                self.maps_loss,
                steps=self.generator_steps,
                optimizer=chosen(self.optimizer, MAPS),
                rate=self.rate,
                after_step=self._follow if self.average is not None else None,
            ),
        ]

    def _constrain(self) -> None:
        for judge in self.judges():
            self.objective.constrain(judge)

    def _follow(self) -> None:
        follow(self.averaged_encoder, self.encoder, self.average)
        follow(self.averaged_generator, self.decoder, self.average)


class ALICE(BiGAN):
    r"""ALI with conditional entropy (li2017alice): what the encoder has read, the generator must give back.

    Equal joints do not say *which* sample belongs to which code: any pairing will do, and with maps that draw there are
    many. The game adds a bound on what is left open of $x$ when its code is known,

    $$H_q(x\mid z) = -\mathbb E_{q(x, z)}\log q(x\mid z) \le -\mathbb E_{q(x, z)}\log p(x\mid z),$$

    with equality for $p(x\mid z) = q(x\mid z)$. The right side is a cycle, $x\to z\to\hat x$. Its density is explicit
    (`l1`, `l2`, `gaussian`), or learned by a second judge that compares $(x, x)$ with $(x, \hat x)$ (`adversarial`).
    With a `supervision` above 0, known pairs join: the source gives `samples` and `pairs`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: str | Objective = "non-saturating",
        latent_size: int = 64,
        cycle: str = "l2",
        weight: float = 1.0,
        cycle_discriminator: nn.Module | None = None,
        supervision: float = 0.0,
        discriminator_steps: int = 1,
        generator_steps: int = 1,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
        average: float | None = None,
    ):
        r"""A game of joint laws with a cycle; what is not named here is as in `BiGAN`.

        Args:
            encoder: as in `BiGAN`.
            generator: as in `BiGAN`; for `gaussian` a `networks.Stochastic`, or else its variances are 1.
            discriminator: as in `BiGAN`.
            objective: as in `BiGAN`; of both judges.
            latent_size: as in `BiGAN`.
            cycle: `l1` or `l2`, the error $\|x-\hat x\|_1$ or $\|x-\hat x\|_2^2$, summed over a sample's coordinates;
                `gaussian`, $-\log p(x\mid z)$ in nats; or `adversarial`.
            weight: of the cycle's term in the loss of encoder and generator.
            cycle_discriminator: for `adversarial`: called with two samples, to scores `(n,)`.
            supervision: weight of the errors of known pairs, $\|x-G(z)\| + \|z-E(x)\|$ as for `l1`, else as for `l2`.
                Above 0 the batches are dicts, such as `Unpaired(samples=x, pairs=Paired(x, z))` gives.
            discriminator_steps: as in `BiGAN`.
            generator_steps: as in `BiGAN`.
            optimizer: as in `BiGAN`; both judges have one optimiser.
            rate: as in `BiGAN`.
            average: as in `BiGAN`.
        """
        super().__init__(
            *(encoder, generator, discriminator, objective, latent_size, discriminator_steps, generator_steps),
            *(optimizer, rate, average),
        )
        one_of("cycle", cycle, CYCLES)
        if (cycle == "adversarial") != (cycle_discriminator is not None):
            asked = "needs" if cycle == "adversarial" else "takes no"
            raise ValueError(f"cycle={cycle!r} {asked} cycle_discriminator, which judges pairs of samples")
        self.cycle, self.weight = cycle, number("weight", weight)
        self.supervision = number("supervision", supervision)
        self.error = absolute_error if cycle == "l1" else squared_error
        self.cycle_scorer = None
        if cycle_discriminator is not None:
            self.cycle_scorer = self.judging("cycle_discriminator", cycle_discriminator, self.shape)

    def judges(self) -> list[nn.Module]:
        """The judge of pairs, and that of the cycle where there is one."""
        return [self.discriminator] + ([self.cycle_scorer.discriminator] if self.cycle_scorer else [])

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The judges' terms; those of the cycle's judge begin with `cycle`."""
        real, _ = self._parts(batch)
        if self.cycle_scorer is None:
            return super().discriminator_loss(real)
        self.check_samples(real)
        with torch.no_grad():
            codes = self.encoder(real)
            encoded, generated = self._encoded(real, codes), self._generated(len(real))
            same, restored = self._cycles(real, codes)
        terms = self.objective.for_discriminator(self.scorer, encoded, generated)
        cycle = self.objective.for_discriminator(self.cycle_scorer, same, restored)
        return terms | {f"cycle {name}": term for name, term in cycle.items()}

    def maps_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of encoder and generator: adversarial, the cycle's, and those of known pairs."""
        real, pairs = self._parts(batch)
        self.check_samples(real)
        codes = self.encoder(real)
        terms = self._matched(self._encoded(real, codes), self._generated(len(real)))
        terms["cycle"] = self.weight * self.cycle_loss(real, codes)
        if pairs is not None:
            x, z = pairs
            apart = self.error(x, self.decoder(z)) + self.error(z, self.encoder(x))
            terms["supervised"] = self.supervision * apart.mean()
        return terms

    def cycle_loss(self, x: Tensor, z: Tensor) -> Tensor:
        """How badly the generator gives back samples from their codes, on the mean, by the way chosen."""
        if self.cycle == "adversarial":
            return sum(self.objective.for_generator(self.cycle_scorer, *self._cycles(x, z)).values())
        if self.cycle != "gaussian":
            return self.error(x, self.decoder(z)).mean()
        if isinstance(self.decoder, Stochastic):
            return -self.decoder.log_density(z, x).mean()
        return gaussian_nll(self.decoder(z), x).mean()

    def _cycles(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Each sample beside itself, and beside what the generator makes of its code."""
        return self.cycle_scorer.join(x, x), self.cycle_scorer.join(x, self.decoder(z))

    def _parts(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """The samples of a batch, and its known pairs where the game has a use for them."""
        if not self.supervision:
            return batch, None
        parts = batch if isinstance(batch, dict) else {}
        samples, pairs = parts.get("samples"), parts.get("pairs")
        if samples is None or not isinstance(pairs, tuple) or len(pairs) != 2:
            raise ValueError(
                f"supervision={self.supervision:g} needs batches with samples and pairs, such as the source "
                "Unpaired(samples=x, pairs=Paired(known_x, known_z)) gives"
            )
        self.check_samples(pairs[0])
        if tuple(pairs[1].shape) != (len(pairs[0]), self.latent_size):
            raise ValueError(
                f"pairs hold codes of shape {tuple(pairs[1].shape)} for {len(pairs[0])} samples; latent_size is "
                f"{self.latent_size}"
            )
        return samples, pairs

"""The game of two: a generator and a discriminator, with any objective."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course import objectives
from gan_course.checks import instance, whole
from gan_course.games.base import (
    Game,
    OptimizerFactory,
    Turn,
    adam,
    check_average,
    check_learning,
    check_parts,
    chosen,
    constant,
    evaluating,
    follow,
    lagged,
    still,
)
from gan_course.objectives import Objective


class GAN(Game):
    r"""Generator $G$ against discriminator $d$ (goodfellow2014generative).

    A round is `discriminator_steps` steps of the discriminator, each on fresh data and fresh noise, then one of the
    generator. With `simultaneous` it is one step of both, from one batch and one draw of fakes, each against the other
    as it was before: the single-step method of Nowozin et al. (2016),

    $$\omega \leftarrow \omega - \eta\nabla_\omega\mathcal L_D(\theta, \omega), \qquad
      \theta \leftarrow \theta - \eta\nabla_\theta\mathcal L_G(\theta, \omega).$$

    Latents are $z\sim N(0, I)$.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: str | Objective = "non-saturating",
        latent_size: int = 64,
        discriminator_steps: int = 1,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
        average: float | None = None,
        reuse_fakes: bool = False,
        simultaneous: bool = False,
    ):
        """A game of two.

        Args:
            generator: from latents `(n, latent_size)` to samples.
            discriminator: from samples to scores `(n,)`, or `(n, 1, h, w)` for patches.
            objective: a name that `objectives.get` knows, or an objective.
            latent_size: coordinates of a latent vector.
            discriminator_steps: the discriminator's steps per step of the generator.
            optimizer: makes both optimisers, or a dict with the keys `generator` and `discriminator` (or with the one
                key `both`, if simultaneous); Adam by default.
            rate: factor on both learning rates as a function of progress.
            average: if given, samples come from an average of the generator over the rounds that keeps this share of
                itself at each step (for example 0.999); the players themselves still play with the newest weights.
            reuse_fakes: the generator moves on the very fakes of the discriminator's last step, instead of new ones as
                in the paper: one forward pass of the generator less in a round.
            simultaneous: both players move at the same time, as the one player `both`, with one optimiser (one step
                size, and `clipped` cuts the joint norm); their terms are `both/discriminator/…` and `both/generator/…`.
        """
        super().__init__()
        check_parts(generator=generator, discriminator=discriminator)
        check_learning(optimizer, rate)
        instance("objective", objective, (str, Objective), "a name that objectives.get knows, or an Objective")
        whole("latent_size", latent_size)
        whole("discriminator_steps", discriminator_steps)
        check_average(average)
        self.generator, self.discriminator = generator, discriminator
        self.objective = objectives.get(objective) if isinstance(objective, str) else objective
        self.objective.check(discriminator)
        self.latent_size, self.discriminator_steps = latent_size, discriminator_steps
        self.optimizer, self.rate, self.average = optimizer or adam(), rate, average
        instance("reuse_fakes", reuse_fakes, bool, "True or False")
        instance("simultaneous", simultaneous, bool, "True or False")
        if simultaneous and (reuse_fakes or discriminator_steps != 1):
            given = "reuse_fakes=True" if reuse_fakes else f"discriminator_steps={discriminator_steps}"
            raise ValueError(
                f"simultaneous=True was given with {given}: both players make one step, on the same fakes; leave out "
                "one of the two settings"
            )
        self.reuse_fakes, self.simultaneous = reuse_fakes, simultaneous
        self.averaged = None if average is None else lagged(generator)

    def noise(self, n: int) -> Float[Tensor, "n latent"]:
        """`n` latent vectors from the standard normal distribution, on the game's device."""
        return torch.randn(n, self.latent_size, device=self.device)

    def discriminator_loss(self, real: Tensor, fake: Tensor | None = None) -> dict[str, Tensor]:
        """The discriminator's terms on a batch; the fakes, by default new ones, carry no gradient to the generator."""
        if fake is None:
            with torch.no_grad():
                fake = self.generator(self.noise(len(real)))
        return self.objective.for_discriminator(self.discriminator, real, fake.detach())

    def generator_loss(self, real: Tensor, fake: Tensor | None = None) -> dict[str, Tensor]:
        """The generator's terms on the fakes, by default new ones, as many as the batch has samples."""
        if fake is None:
            fake = self.generator(self.noise(len(real)))
        return self.objective.for_generator(self.discriminator, real, fake)

    def simultaneous_loss(self, real: Tensor) -> dict[str, Tensor]:
        """Both players' terms on one draw of fakes; each player's parameters get the gradient of its own terms only."""
        fake = self.generator(self.noise(len(real)))
        terms = self.discriminator_loss(real, fake)
        with still(self.discriminator):
            answers = self.generator_loss(real, fake)
        return {f"discriminator/{k}": v for k, v in terms.items()} | {f"generator/{k}": v for k, v in answers.items()}

    def turns(self) -> list[Turn]:
        """The discriminator's turn, then the generator's; or the one turn of both."""
        if self.simultaneous:
            networks, optimizer = [self.discriminator, self.generator], chosen(self.optimizer, "both")
            return [Turn("both", networks, self.simultaneous_loss, 1, optimizer, self.rate, self._after_both)]
        fakes = _Fakes(self) if self.reuse_fakes else None
        return [
            Turn(
                "discriminator",
                [self.discriminator],
                fakes.discriminator_loss if fakes else self.discriminator_loss,
                steps=self.discriminator_steps,
                optimizer=chosen(self.optimizer, "discriminator"),
                rate=self.rate,
                after_step=lambda: self.objective.constrain(self.discriminator),
            ),
            Turn(
                "generator",
                [self.generator],
                fakes.generator_loss if fakes else self.generator_loss,
                optimizer=chosen(self.optimizer, "generator"),
                rate=self.rate,
                after_step=self._follow if self.average is not None else None,
            ),
        ]

    def _after_both(self) -> None:
        self.objective.constrain(self.discriminator)
        if self.average is not None:
            self._follow()

    def _follow(self) -> None:
        follow(self.averaged, self.generator, self.average)

    def sample(self, n: int) -> Tensor:
        """`n` samples, from the averaged generator where the game keeps one."""
        return self.generate(self.noise(n))

    def generate(self, latents: Float[Tensor, "n latent"]) -> Tensor:
        """The samples of given latents, as `sample` makes them."""
        generator = self.averaged if self.averaged is not None else self.generator
        with evaluating(generator):
            return generator(latents)


class _Fakes:
    """Both players' losses in a round of a game, the generator's on the fakes of the discriminator's last step."""

    def __init__(self, game: GAN):
        self.game, self.steps, self.fake = game, 0, None

    def discriminator_loss(self, real: Tensor) -> dict[str, Tensor]:
        self.steps += 1
        last = self.steps % self.game.discriminator_steps == 0
        if not last or torch.compiler.is_compiling():  # a compiled function keeps no graph for the next one
            return self.game.discriminator_loss(real)
        self.fake = self._drawn(len(real))
        return self.game.discriminator_loss(real, self.fake)

    def generator_loss(self, real: Tensor) -> dict[str, Tensor]:
        fake, self.fake = self.fake, None
        return self.game.generator_loss(real, fake)

    def _drawn(self, n: int) -> Tensor:
        """Fakes with their graph, although the generator stands still in this turn."""
        resting = [p for p in self.game.generator.parameters() if not p.requires_grad]
        for p in resting:
            p.requires_grad_(True)
        fake = self.game.generator(self.game.noise(n))
        for p in resting:
            p.requires_grad_(False)
        return fake

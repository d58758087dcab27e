"""The game whose discriminator is an auto-encoder, kept in balance with the generator by a controller."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from gan_course import objectives
from gan_course.checks import number, samples
from gan_course.games.base import OptimizerFactory, Turn, chosen, constant, still
from gan_course.games.gan import GAN
from gan_course.objectives import began
from gan_course.objectives.base import scores_of


class BEGAN(GAN):
    r"""Boundary equilibrium (berthelot2017began): $k$ decides how much the discriminator cares to tell fakes apart.

    With errors $\mathcal L = -d$ of an auto-encoder and $k$ from `objectives.began.controlled`,

    $$\mathcal L_D = \mathbb E\mathcal L(x) - k\,\mathbb E\mathcal L(G(z_D)),\qquad
      \mathcal L_G = \mathbb E\mathcal L(G(z_G)).$$

    Both players move at once, as in the paper: a round is one turn of `both`, with two draws of latents, after which
    $k$ moves. Recorded with the two losses: `k`, `real_error` and `fake_error`, and the measure `convergence`.
    In the paper latents are uniform in $[-1, 1]$; here they are normal, as in every game of the course.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        diversity: float = 0.5,
        gain: float = 1e-3,
        latent_size: int = 64,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
        average: float | None = None,
    ):
        r"""A game in balance.

        Args:
            generator: from latents `(n, latent_size)` to samples.
            discriminator: from samples to scores of at most 0, which are negative errors of reconstruction, such as
                `networks.Reconstruction(encoder, decoder, "mean absolute")`, which is the paper's.
            diversity: $\gamma$ in [0, 1], the ratio of the fakes' error to the data's at which the game balances.
            gain: $\lambda_k$, how fast $k$ moves; its unit is one over that of the error.
            latent_size: coordinates of a latent vector.
            optimizer: makes the one optimiser of both players; Adam by default.
            rate: factor on the learning rate as a function of progress.
            average: as in `GAN`.
        """
        # The generator descends the error of its samples, as against any energy.
        super().__init__(generator, discriminator, objectives.get("ebgan"), latent_size, 1, optimizer, rate, average)
        self.diversity, self.gain = number("diversity", diversity, most=1), number("gain", gain)
        for name in ("k", "real_error", "fake_error", "convergence"):
            self.register_buffer(name, torch.zeros(()))

    def discriminator_loss(self, real: Tensor, fake: Tensor | None = None) -> dict[str, Tensor]:
        """The discriminator's term on a batch, with the present k; the fakes carry no gradient to the generator."""
        samples(real=real)
        if fake is None:
            with torch.no_grad():
                fake = self.generator(self.noise(len(real)))
        real_scores, fake_scores = scores_of(self.discriminator, real, fake.detach())
        self.real_error.copy_(-real_scores.detach().mean())
        return {"discriminator": began.discriminator_loss(-real_scores, -fake_scores, self.k.clone())}

    def generator_loss(self, real: Tensor, fake: Tensor | None = None) -> dict[str, Tensor]:
        """The generator's term on the fakes, by default new ones, as many as the batch has samples."""
        (term,) = super().generator_loss(real, fake).values()
        self.fake_error.copy_(term.detach())
        return {"generator": term}

    def loss(self, real: Tensor) -> dict[str, Tensor]:
        """Both players' terms, each of which moves its own player only."""
        terms = self.discriminator_loss(real)
        with still(self.discriminator):
            return terms | self.generator_loss(real)

    def control(self) -> None:
        """Move k by the errors of the last step."""
        self.convergence.copy_(began.convergence(self.real_error, self.fake_error, self.diversity))
        self.k.copy_(began.controlled(self.k, self.real_error, self.fake_error, self.diversity, self.gain))

    def turns(self) -> list[Turn]:
        """The one turn of both."""
        players = [self.generator, self.discriminator]
        optimizer = chosen(self.optimizer, "both")
        return [Turn("both", players, self.loss, optimizer=optimizer, rate=self.rate, after_step=self._after_step)]

    def _after_step(self) -> None:
        self.control()
        if self.average is not None:
            self._follow()

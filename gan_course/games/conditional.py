"""A GAN that is told the class of what it draws and judges."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from gan_course.checks import samples, whole
from gan_course.games.base import Batch, OptimizerFactory, constant, evaluating
from gan_course.games.gan import GAN
from gan_course.objectives import Objective


class ConditionalGAN(GAN):
    r"""Generator $G(z, y)$ against discriminator $d(x, y)$; both see the class $y$ (mirza2014conditional).

    $$\min_G \max_D\; \mathbb E_{x, y}[\log D(x, y)] + \mathbb E_{z, y}[\log(1 - D(G(z, y), y))],\quad D = \sigma(d),$$

    or any other objective in its place. Batches are samples with labels, from `data.Paired(samples, labels)`; fakes are
    drawn under the batch's own labels. With the domain as the class it is the baseline of liu2016cogan: one
    noise under several labels is a draw in several domains.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        classes: int,
        objective: str | Objective = "non-saturating",
        latent_size: int = 64,
        discriminator_steps: int = 1,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
        average: float | None = None,
    ):
        """A game of two that both see labels.

        Args:
            generator: from latents `(n, latent_size)` and labels `(n,)` to samples.
            discriminator: from samples and labels to scores `(n,)`.
            classes: how many; labels are whole numbers from 0 to classes − 1.
            objective: a name that `objectives.get` knows, or an objective.
            latent_size: coordinates of a latent vector.
            discriminator_steps: the discriminator's steps per step of the generator.
            optimizer: makes both optimisers, or a dict with the keys `generator` and `discriminator`.
            rate: factor on both learning rates as a function of progress.
            average: if given, samples come from an average of the generator that keeps this share of itself.
        """
        super().__init__(
            generator, discriminator, objective, latent_size, discriminator_steps, optimizer, rate, average
        )
        self.classes = whole("classes", classes, least=2)

    def parted(self, batch: object) -> tuple[Tensor, Tensor]:
        """A batch as samples and labels.

        Raises:
            ValueError: where it is no such pair.
        """
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise ValueError("a conditional GAN learns from samples with labels: give fit data.Paired(samples, labels)")
        x, y = batch
        samples(real=x, labels=y)
        if y.dtype != torch.int64 or y.shape != x.shape[:1]:
            raise ValueError(f"labels must be int64 of shape ({len(x)},), not {y.dtype} {tuple(y.shape)}")
        return x, y

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The discriminator's terms, real and fake under the same labels."""
        x, y = self.parted(batch)
        with torch.no_grad():
            fake = self.generator(self.noise(len(x)), y)
        return self.objective.for_discriminator(lambda x: self.discriminator(x, y), x, fake)

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The generator's terms on new fakes under the batch's labels."""
        x, y = self.parted(batch)
        fake = self.generator(self.noise(len(x)), y)
        return self.objective.for_generator(lambda x: self.discriminator(x, y), x, fake)

    def generate(self, latents: Float[Tensor, "n latent"], labels: Int64[Tensor, " n"]) -> Tensor:
        """The samples of given latents under given labels."""
        generator = self.averaged if self.averaged is not None else self.generator
        with evaluating(generator):
            return generator(latents, labels)

    def sample(self, n: int, labels: Int64[Tensor, " n"] | None = None) -> Tensor:
        """`n` samples under the labels given, by default drawn uniformly."""
        if labels is None:
            labels = torch.randint(self.classes, (n,), device=self.device)
        return self.generate(self.noise(n), labels)

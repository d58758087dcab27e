r"""How much of an f-divergence a small network finds: the variational bound between two normal laws.

P is N(0, 1), Q is N(1, 1); in the variant `spread` Q is N(0.5, 1.2²). A perceptron of one variable climbs the bound
$\mathbb E_P g_f(v) - \mathbb E_Q f^*(g_f(v))$, on new samples in every step. Then the bound is taken on four million
fresh samples of either law, and by quadrature: that is its value without the error of sampling. Both are given in per
cent of the true divergence. The GAN's row has $f(1) = -\log 4$: there what lies above $-\log 4$ is compared.
The settings were chosen on seed 10.
"""

import math

import torch
from torch import Tensor, nn

from gan_course import games, networks, objectives
from gan_course.headlines import Experiment, Play
from gan_course.objectives import fgan

BATCH, ROUNDS, FRESH, CHUNK = 4096, 600, 4_000_000, 50_000
DIVERGENCES = [name for name in fgan.names() if name != "alpha"]


def density(x: Tensor, mean: float, std: float) -> Tensor:
    """Of a normal law."""
    return (-((x - mean) ** 2) / (2 * std**2)).exp() / (std * math.sqrt(2 * math.pi))


class Estimator(games.Game):
    """A discriminator alone, between N(0, 1) and N(mean, std²), whose samples never end."""

    def __init__(self, name: str, mean: float, std: float):
        super().__init__()
        self.objective = objectives.get(f"f-gan/{name}")
        self.discriminator = networks.mlp(1, [32, 32], activation=nn.SiLU)
        self.mean, self.std = mean, std

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """`n` samples of P and of Q."""
        real, noise = torch.randn(2, n, 1, device=self.device)
        return real, self.mean + self.std * noise

    def turns(self) -> list[games.Turn]:
        """The discriminator's, with a rate that falls to zero."""

        def loss(batch: Tensor) -> dict[str, Tensor]:  # of the batch only its size is used
            return self.objective.for_discriminator(self.discriminator, *self.draw(len(batch)))

        adam = games.adam(1e-2, betas=(0.9, 0.999))
        return [games.Turn("discriminator", [self.discriminator], loss, optimizer=adam, rate=games.cosine_decay)]

    @torch.no_grad()
    def bound(self, chunks: int) -> float:
        """The bound, on so many chunks of fresh samples."""
        draws = (self.draw(CHUNK) for _ in range(chunks))
        losses = [self.objective.for_discriminator(self.discriminator, *draw)["adversarial"].double() for draw in draws]
        return -float(torch.stack(losses).mean())

    @torch.no_grad()
    def integrals(self) -> tuple[float, float]:
        """The bound and the divergence itself, by quadrature."""
        x = torch.linspace(-16, 16, 320_001, dtype=torch.float64)
        p, q = density(x, 0, 1), density(x, self.mean, self.std)
        row, v = self.objective.divergence, self.discriminator(x.float()[:, None]).double()
        bound = torch.trapezoid(p * row.activation(v) - q * row.composed(v), x)
        return float(bound), float(torch.trapezoid(q * row.f(p / q), x))


def measure(game: Estimator) -> dict[str, float]:
    """Both estimates in per cent of the truth."""
    bound, truth = game.integrals()
    least = float(game.objective.divergence.f(torch.ones((), dtype=torch.float64)))
    share = lambda value: 100 * (value - least) / (truth - least)  # noqa: E731
    return {"bound on fresh samples, %": share(game.bound(FRESH // CHUNK)), "bound by quadrature, %": share(bound)}


def experiment(title: str, mean: float, std: float) -> Experiment:
    """Every divergence between N(0, 1) and this law."""
    plays = {
        name: Play(lambda name=name: Estimator(name, mean, std), rounds=ROUNDS, batch_size=BATCH)
        for name in DIVERGENCES
    }
    return Experiment(
        title=f"Estimated f-divergences, {title}",
        chapter="05_f_gan",
        seeds=range(3),
        games=plays,
        data=lambda: torch.zeros(BATCH, 1),
        measure=measure,
    )


EXPERIMENT = experiment("N(0, 1) and N(1, 1)", 1.0, 1.0)
VARIANTS = {"spread": experiment("N(0, 1) and N(0.5, 1.2²)", 0.5, 1.2)}

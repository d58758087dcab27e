"""The grid of 25 by games of joint laws: modes, quality, and whether a point comes back to its mode.

ALI was published with 13.4 ± 5.8 modes of this grid (spacing 2, standard deviation 0.05), where a mode counts as soon
as one of 10,000 samples is assigned to it. Here a sample is assigned to the nearest mode if it lies within three
standard deviations of it; beside that rule stands the stricter one of the other headlines, which asks for a quarter of
a mode's fair share. ALICE has the same networks, with the squared error of a point that goes there and back added to
the loss. The settings were chosen on seed 10; every seed that is run is reported.
"""

import torch
from torch import nn

from gan_course import data, games, metrics, networks
from gan_course.headlines import Experiment, Play

SAMPLES, STD, SCALE, CODE, WIDTH = 10_000, 0.05, 8**0.5, 2, 128


def points() -> torch.Tensor:
    """The data that the game sees."""
    return data.toy.grid(10_000, std=STD, seed=0) / SCALE


def seeing(octaves: int, outputs: int) -> nn.Module:
    """A perceptron of points of the plane that sees Fourier features of them."""
    waves = networks.Fourier(octaves)
    return nn.Sequential(waves, networks.mlp(waves(torch.zeros(1, 2)).shape[1], [WIDTH] * 3, outputs))


def parts() -> dict:
    """Encoder, generator and judge, and how they learn: a drawing encoder, a generator that is a function."""
    waves = networks.Fourier(3)
    inputs = waves(torch.zeros(1, 2)).shape[1] + CODE
    head = networks.mlp(inputs, [WIDTH] * 3, activation=lambda: nn.LeakyReLU(0.2))
    return {
        "encoder": networks.Stochastic(seeing(2, 2 * CODE)),
        "generator": networks.Residual(seeing(3, 2)),
        "discriminator": networks.JointDiscriminator(head, sample=waves),
        "latent_size": CODE,
        "optimizer": {"discriminator": games.adam(2e-3), "encoder and generator": games.adam(5e-4)},
        "rate": games.cosine_decay,
    }


def ali() -> games.BiGAN:
    """The non-saturating game of the paper."""
    return games.BiGAN(**parts())


def alice() -> games.ALICE:
    """The same with a cycle. On the scale of the data, neighbouring modes have the squared distance 1/2."""
    return games.ALICE(**parts(), cycle="l2", weight=1.0)


def measure(game: games.CodeModel) -> dict[str, float]:
    """Modes and quality of 10,000 samples, and where the data's points come back to."""
    samples, centers, x = game.sample(SAMPLES), data.toy.grid_centers() / SCALE, points()
    strict = metrics.mode_coverage(samples, centers, STD / SCALE)
    back = game.reconstruct(x)
    home = torch.cdist(back, centers).argmin(1) == torch.cdist(x, centers).argmin(1)
    return {
        "modes with a sample, of 25": sum(count > 0 for count in strict.counts),
        "modes found of 25": strict.modes,
        "samples within 3σ of a mode, %": round(100 * strict.quality, 2),
        "points that come back to their mode, %": round(100 * home.double().mean().item(), 2),
        "distance of a point from where it comes back to": float((SCALE * (back - x)).norm(dim=1).mean()),
    }


EXPERIMENT = Experiment(
    title="Grid of 25, ALI and ALICE",
    chapter="18_bigan",
    seeds=range(5),
    games={"ALI": Play(ali, rounds=3_000, batch_size=256), "ALICE": Play(alice, rounds=3_000, batch_size=256)},
    data=points,
    measure=measure,
    published={"ALI: modes with a sample, of 25": {"value": "13.4 ± 5.8", "source": "dumoulin2017ali"}},
)

"""The grid of 25: modes found and quality of a WGAN-GP, a minute a seed on one core.

Spacing 2, standard deviation 0.05, all divided by √8, the data's own standard deviation, as in the toy code of
Gulrajani et al. (2017). A mode is found when at least a quarter of its fair share of 10,000 samples lies within three
standard deviations of it; quality is the share of all samples within three standard deviations of a mode.
The settings were chosen on the seeds from 10 on; every seed that is run is reported.
"""

from dataclasses import replace

import torch
from torch import nn

from gan_course import data, games, metrics, networks, objectives
from gan_course.headlines import Experiment, Play

SAMPLES, STD, SCALE = 10_000, 0.05, 8**0.5


def points() -> torch.Tensor:
    """The data that the game sees."""
    return data.toy.grid(10_000, std=STD, seed=0) / SCALE


def features(octaves: int) -> tuple[nn.Module, int]:
    """Fourier features of a point of the plane, or the point itself, and how many numbers that is."""
    layer = networks.Fourier(octaves) if octaves else nn.Identity()
    return layer, layer(torch.zeros(1, 2)).shape[1]


def wgan_gp(seen: int = 4, drawn: int = 3) -> games.GAN:
    """A critic and a generator that both see Fourier features: a map with 25 sharp steps is slow to learn without.

    The wavelengths of the critic's 4 octaves reach down to about the grid's spacing, not to the width of a mode. Three
    steps of the critic for one of the generator, both rates fall to zero, and the weight of the penalty is 1.
    """
    waves, inputs = features(drawn)
    generator = networks.Residual(nn.Sequential(waves, networks.mlp(inputs, [128, 128, 128], 2)))
    waves, inputs = features(seen)
    critic = nn.Sequential(waves, networks.mlp(inputs, [128, 128, 128], activation=lambda: nn.LeakyReLU(0.2)))
    return games.GAN(
        generator,
        critic,
        objectives.get("wgan-gp", weight=1.0),
        latent_size=2,
        discriminator_steps=3,
        optimizer=games.adam(2e-3, betas=(0.5, 0.9)),
        rate=games.cosine_decay,
    )


def measure(game: games.GAN) -> dict[str, float]:
    """Coverage and quality of 10,000 samples."""
    coverage = metrics.mode_coverage(game.sample(SAMPLES), data.toy.grid_centers() / SCALE, STD / SCALE)
    return {"modes found of 25": coverage.modes, "samples within 3σ of a mode, %": round(100 * coverage.quality, 2)}


EXPERIMENT = Experiment(
    title="Grid of 25, WGAN-GP",
    chapter="08_wgan_gp",
    seeds=range(5),
    games={"WGAN-GP": Play(wgan_gp, rounds=1_000, batch_size=256)},
    data=points,
    measure=measure,
    published={
        "modes found of 25": {"value": "24.6", "source": "srivastava2017veegan"},
        "samples within 3σ of a mode, %": {"value": "40", "source": "srivastava2017veegan"},
    },
)
VARIANTS = {
    "plain": replace(
        EXPERIMENT,
        title="Grid of 25, WGAN-GP without Fourier features",
        seeds=range(10, 13),
        published={},
        games={"WGAN-GP": Play(lambda: wgan_gp(seen=0, drawn=0), rounds=1_000, batch_size=256)},
    ),
}

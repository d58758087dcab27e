"""The ring of eight: modes found and quality of a non-saturating GAN, half a minute a seed on one core.

Radius 2, standard deviation 0.05. A mode is found when at least a quarter of its fair share of 10,000 samples lies
within three standard deviations of it; quality is the share of all samples within three standard deviations of a mode.
The settings were chosen on the seeds from 10 on; every seed that is run is reported.
"""

from dataclasses import replace

import torch
from torch import nn

from gan_course import data, games, metrics, networks
from gan_course.headlines import Experiment, Play

SAMPLES, STD = 10_000, 0.05


def gan(skip: bool = True, octaves: int = 0) -> games.GAN:
    """The pair of chapter 02: the discriminator learns four times as fast, both rates fall to zero.

    Without `skip` the generator is its network alone, G(z) = f(z); with `octaves` the discriminator sees so many of
    Fourier features beside the point.
    """
    network = networks.mlp(2, [128, 128, 128], 2)
    generator = networks.Residual(network) if skip else network
    features = networks.Fourier(octaves) if octaves else nn.Identity()
    inputs = features(torch.zeros(1, 2)).shape[1]
    judge = networks.mlp(inputs, [128, 128, 128], activation=lambda: nn.LeakyReLU(0.2))
    discriminator = nn.Sequential(features, judge)
    return games.GAN(
        generator,
        discriminator,
        objective="non-saturating",
        latent_size=2,
        optimizer={"generator": games.adam(5e-4), "discriminator": games.adam(2e-3)},
        rate=games.cosine_decay,
    )


def measure(game: games.GAN) -> dict[str, float]:
    """Coverage and quality of 10,000 samples."""
    coverage = metrics.mode_coverage(game.sample(SAMPLES), data.toy.ring_centers(), STD)
    return {"modes found of 8": coverage.modes, "samples within 3σ of a mode, %": round(100 * coverage.quality, 2)}


EXPERIMENT = Experiment(
    title="Ring of eight, non-saturating GAN",
    chapter="02_minimax_gan",
    seeds=range(5),
    games={"GAN": Play(gan, rounds=3_000, batch_size=256)},
    data=lambda: data.toy.ring(10_000, std=STD, seed=0),
    measure=measure,
    published={
        "modes found of 8": {"value": "1", "source": "srivastava2017veegan"},
        "samples within 3σ of a mode, %": {"value": "99.3", "source": "srivastava2017veegan"},
    },
)
VARIANTS = {
    "clump": replace(
        EXPERIMENT,
        title="Ring of eight, the generator's network alone",
        seeds=range(10, 15),
        published={},
        games={"GAN": Play(lambda: gan(skip=False), rounds=3_000, batch_size=256)},
    ),
    "fourier": replace(
        EXPERIMENT,
        title="Ring of eight, Fourier features for the discriminator",
        seeds=range(10, 13),
        published={},
        games={"GAN": Play(lambda: gan(octaves=3), rounds=3_000, batch_size=256)},
    ),
}

"""MNIST in two minutes on two cores: a GAN beside a VAE and two marks on one Fréchet scale.

Fréchet distances are taken in the 84 features of the shipped LeNet, 10,000 samples against the 10,000 test images.
The marks: 10,000 training images (real against real), and the ten class means, each repeated 1,000 times.
"""

import functools

import torch

from gan_course import data, games, metrics, networks
from gan_course.headlines import Experiment, Play

LATENT, CODE, WIDTH, WIDE, N = 64, 16, 16, 512, 10_000
DISTANCE = "Fréchet distance (LeNet features, test images)"

images = functools.cache(lambda split: data.load("mnist", split=split))


def gan() -> games.GAN:
    """Convolutions for strokes, and in both players a wide layer for the whole digit, batch-normalised like the rest.

    Without that layer the same time bought a distance twice as large and hardly any ones; without its normalisation the
    game collapsed at this learning rate.
    """
    return games.GAN(
        *networks.dcgan(28, latent_size=LATENT, width=WIDTH, hidden=WIDE),
        latent_size=LATENT,
        optimizer=games.adam(2e-3, betas=(0.5, 0.99)),
        rate=games.linear_decay,
        average=0.99,
    )


def vae() -> games.VAE:
    """The model of chapter 01 with the same networks as the GAN: what differs is the objective alone."""
    encoder = networks.encoder(28, 1, 2 * CODE, WIDTH, hidden=WIDE)
    return games.VAE(encoder, networks.decoder(28, 1, CODE, WIDTH, hidden=WIDE), CODE, rate=games.linear_decay)


def measure(game: games.Game) -> dict[str, float]:
    """Distance, classes and copies of 10,000 samples."""
    samples, train, test = game.sample(N), images("train").images, images("test").images
    copies = metrics.memorisation(samples[:2000], train, test, seed=0)
    uniform = metrics.total_variation(metrics.class_histogram(samples), torch.full((10,), 0.1))
    return {
        DISTANCE: metrics.frechet_digits(samples, test),
        "class histogram, total variation from uniform": uniform,
        "nearest neighbours, distance to train / to test": copies.ratio,
        "nearest neighbours, as near to train as copies, %": 100 * copies.copies,
    }


def marks() -> dict[str, float]:
    """The distances of real images and of class means."""
    train, test = images("train"), images("test").images
    means = torch.stack([train.images[train.labels == c].mean(0) for c in range(10)]).repeat(N // 10, 1, 1, 1)
    return {
        f"real against real: {DISTANCE}": metrics.frechet_digits(train.images[:N], test),
        f"class means: {DISTANCE}": metrics.frechet_digits(means, test),
    }


EXPERIMENT = Experiment(
    title="MNIST, non-saturating convolutional GAN, two minutes",
    chapter="02_minimax_gan",
    seeds=range(3),
    games={"GAN": Play(gan, rounds=2_000, batch_size=64), "VAE": Play(vae, rounds=1_500, batch_size=128)},
    data=lambda: images("train").images,
    measure=measure,
    marks=marks,
)

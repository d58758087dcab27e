"""MNIST with codes: a VAE, a VAE-GAN and a BiGAN with the same narrow networks, on one Fréchet scale.

All three have codes of 16 coordinates, the convolutions of the headline `mnist` and a wide layer at their narrow end.
What differs is the objective, and the discriminators of the two that have one. Rounds are chosen so that each seed of
each game takes at most a quarter of an hour on one core; those of the VAE are the most, as it has the cheapest ones.

Fréchet distances are taken in the 84 features of the shipped LeNet against the 10,000 test images. Reconstructions are
of the test images, which no game has seen: how far their pixels are off, and whether the LeNet reads the same digit.
"""

import functools

import torch
from torch import nn

from gan_course import data, games, metrics, networks
from gan_course.headlines import Experiment, Play

CODE, WIDTH, WIDE, N = 16, 16, 512, 10_000
DISTANCE = "Fréchet distance (LeNet features, test images)"

images = functools.cache(lambda split: data.load("mnist", split=split))


def encoder(outputs: int) -> networks.convolutional.Encoder:
    """Images to vectors."""
    return networks.encoder(28, 1, outputs, WIDTH, hidden=WIDE)


def vae() -> games.VAE:
    """The plain model: pixels are compared one by one."""
    return games.VAE(
        encoder(2 * CODE), networks.decoder(28, 1, CODE, WIDTH, hidden=WIDE), CODE, rate=games.linear_decay
    )


def vae_gan() -> games.VAEGAN:
    """Reconstructions are compared in the discriminator's last layer, whose features have unit variance."""
    decoder, discriminator = networks.dcgan(28, latent_size=CODE, width=WIDTH, hidden=WIDE)
    return games.VAEGAN(
        encoder(2 * CODE),
        decoder,
        discriminator,
        CODE,
        similarity=1e-2,
        optimizer=games.adam(2e-3, betas=(0.5, 0.99)),
        rate=games.linear_decay,
        average=0.99,
    )


class Fog(nn.Module):
    """Noise before the judge's eyes (chapter 18): pairs of functions lie on thin sets, which it tells apart at once."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """What is given, and noise with a deviation of 0.3."""
        return given + 0.3 * torch.randn_like(given)


def bigan() -> games.BiGAN:
    """Nothing is compared with its reconstruction: a judge sees images beside their codes, in fog.

    Without fog the judge won at once (Fréchet distances 927, 203 and 702 in three seeds, after 3,000 rounds); with an
    R1 penalty instead, and no batch normalisation in the judge, one seed came to 150. Codes have unit variance.
    """
    generator, _ = networks.dcgan(28, latent_size=CODE, width=WIDTH, hidden=WIDE)
    judge = networks.JointDiscriminator(
        networks.mlp(WIDE + 64, [WIDE], activation=leaky),
        sample=nn.Sequential(Fog(), encoder(WIDE)),
        code=nn.Sequential(Fog(), networks.mlp(CODE, [WIDE], 64, activation=leaky)),
    )
    return games.BiGAN(
        nn.Sequential(encoder(CODE), nn.BatchNorm1d(CODE, affine=False)),
        generator,
        judge,
        latent_size=CODE,
        optimizer=games.adam(1e-3, betas=(0.5, 0.99)),
        rate=games.linear_decay,
        average=0.99,
    )


def leaky() -> nn.Module:
    """The judge's activation."""
    return nn.LeakyReLU(0.2)


def measure(game: games.Game) -> dict[str, float]:
    """Distance of 10,000 samples, and the reconstructions of all test images."""
    test = images("test").images
    reconstructed = torch.cat([game.reconstruct(x).cpu() for x in test.split(1_000)])
    read, reread = (metrics.class_probabilities(x).argmax(1) for x in (test, reconstructed))
    return {
        DISTANCE: metrics.frechet_digits(game.sample(N), test),
        "reconstructions: root mean squared error of pixels": metrics.rmse(test, reconstructed),
        "reconstructions: read as the same digit, %": 100 * float((read == reread).float().mean()),
    }


def marks() -> dict[str, float]:
    """The distance of real images."""
    return {
        f"real against real: {DISTANCE}": metrics.frechet_digits(images("train").images[:N], images("test").images),
    }


EXPERIMENT = Experiment(
    title="MNIST with codes: VAE, VAE-GAN and BiGAN with the same networks",
    chapter="17_vae_gan",
    seeds=range(3),
    games={
        "VAE": Play(vae, rounds=4_000, batch_size=128),
        "VAE-GAN": Play(vae_gan, rounds=2_500, batch_size=64),
        "BiGAN": Play(bigan, rounds=3_000, batch_size=64),
    },
    data=lambda: images("train").images,
    measure=measure,
    marks=marks,
)

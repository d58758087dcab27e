"""CIFAR-10: bits per dimension, errors of reconstructions and Inception scores, by AS-VAE and its halves.

For whoever has a GPU and the weights of the Inception network (`pip install "gan-course[inception]"`, downloaded at the
first use): `gan-course headline as_vae_cifar --device cuda --minutes 8`, again and again. Nothing of it has been run to
its end yet.

Colours are bytes, taken as bins of a logistic law with a scale for each channel, so that the bound divides to bits per
dimension without noise on the data (the paper takes normal laws, on data with uniform noise); one draw of the code for
each of the 10,000 test images. Reconstructions are means; their root mean squared error is in units of a byte, which
the paper does not say of its own. The score is that of 50,000 draws in 10 parts. The networks are ours, since the
paper's text lost its own; ratios compare with data and prior (`reference="fixed"`), as in the headline `as_vae`, and
see draws before they are rounded.
"""

import functools

import torch
from torch import nn

from gan_course import data, games, metrics, networks
from gan_course.headlines import Experiment, Play

CODE, WIDTH, WIDE, DRAWN, ROUNDS = 128, 64, 1_024, 50_000, 100_000
BITS, ERROR, SCORE = "bits per dimension, one draw", "root mean squared error, of 255", "Inception score"
PUBLISHED = {
    "AS-VAE": ("3.32", "3.36", "6.34"),
    "AS-VAE-r": ("3.09", "3.17", "2.91"),
    "AS-VAE-g": ("93.12", "13.12", "6.89"),
    "ALI": (None, "14.53", "4.79"),
}

images = functools.cache(lambda split: data.load("cifar10", split=split).images)
inception = functools.cache(metrics.inception)


def training() -> torch.Tensor:
    """The images; without the Inception network the run ends here, before its first round."""
    inception()
    return images("train")


def maps() -> tuple[nn.Module, nn.Module]:
    """Encoder, to means and log variances of codes, and decoder, to the means of colours."""
    return networks.encoder(32, 3, 2 * CODE, WIDTH, hidden=WIDE), networks.decoder(32, 3, CODE, WIDTH, hidden=WIDE)


def judge() -> nn.Module:
    """A judge of images with their codes, without normalisation of batches."""
    sample = networks.encoder(32, 3, 512, WIDTH, normalise=False)
    head = networks.mlp(512 + CODE, [512], activation=lambda: nn.LeakyReLU(0.2))
    return networks.JointDiscriminator(head, sample)


def vae() -> games.VAE:
    """The plain model."""
    return games.VAE(*maps(), CODE, games.DiscretisedLogistic(3), rate=games.linear_decay)


def as_vae(variant: str, *halves: str) -> games.ASVAE:
    """AS-VAE with a ratio for each of its halves."""
    return games.ASVAE(
        *maps(),
        CODE,
        games.DiscretisedLogistic(3),
        variant=variant,
        ratio_steps=3,
        reference="fixed",
        optimizer={"ratios": games.adam(2e-4), "model": games.adam(5e-4, (0.9, 0.999))},
        rate=games.linear_decay,
        **{f"{half}_ratio": judge() for half in halves},
    )


def ali() -> games.BiGAN:
    """The joints alone: an encoder that draws, a deterministic decoder."""
    encoder, decoder = maps()
    parts = networks.Stochastic(encoder, mean_in_evaluation=True), nn.Sequential(decoder, nn.Sigmoid()), judge()
    return games.BiGAN(*parts, latent_size=CODE, optimizer=games.adam(2e-4), rate=games.linear_decay)


def measure(game: games.Game) -> dict[str, float]:
    """Bits where there is a likelihood, the error of test images, the score of draws."""
    test, found = images("test"), {}
    if isinstance(game, games.VAE):
        bound = metrics.likelihood_bound(game.log_weights, test)
        found[BITS] = metrics.bits_per_dimension(-bound.negative, test[0].numel())
    back = torch.cat([game.reconstruct(part).cpu() for part in test.split(1_000)])
    found[ERROR] = 255 * metrics.rmse(test, back)
    network = inception().to(game.device)
    parts = [min(500, DRAWN - done) for done in range(0, DRAWN, 500)]
    probabilities = [metrics.class_probabilities(game.sample(n).clamp(0, 1), network).cpu() for n in parts]
    found[SCORE] = metrics.inception_score(torch.cat(probabilities), splits=10).mean
    return found


GAMES = {
    "AS-VAE": functools.partial(as_vae, "full", "encoder", "decoder"),
    "AS-VAE-r": functools.partial(as_vae, "reconstruction", "encoder"),
    "AS-VAE-g": functools.partial(as_vae, "generation", "decoder"),
    "VAE": vae,
    "ALI": ali,
}
EXPERIMENT = Experiment(
    title="CIFAR-10, AS-VAE",
    chapter="23_as_vae",
    seeds=range(1),
    games={name: Play(make, ROUNDS, batch_size=128) for name, make in GAMES.items()},
    data=training,
    measure=measure,
    published={
        f"{name}: {quantity}": {"value": value, "source": "pu2017asvae"}
        for name, values in PUBLISHED.items()
        for quantity, value in zip((BITS, ERROR, SCORE), values, strict=True)
        if value
    },
)

"""MNIST: bounds on the likelihood by AS-VAE, its reconstruction half, a VAE with a flow and without, beside ALI.

The protocol is the paper's (Pu et al., 2017): grey levels are taken as the means of binary pixels, all 10,000 test
images, one draw of the code for each. Bounds by 50 importance samples stand in a row of their own, as they are no
quantity of the paper's. ALI's decoder is deterministic: it has no likelihood.

For a GPU, in slices: `gan-course headline as_vae --device cuda --minutes 8`, again and again. `as_vae-narrow` takes
three quarters of an hour on two cores: perceptrons, no flow but in the VAE that is named for it, one seed; the half
that generates is played by itself, `as_vae-narrow-generation`.

What the paper leaves open is chosen here: the networks, which its text lost; codes of 32 numbers; an inverse
autoregressive flow of two layers in place of 80 planar ones; the mean of the pixels where samples are compared, as the
data are means too; three steps of the ratios for one of the model. And the law that the ratios compare with: data and
prior, which stand still (`reference="fixed"`). With the paper's, the marginals of the other joint, the codes ran away
from the prior in a try-out of the narrow version (800 rounds: 1,790 nats, against 171). A ratio learned from batches of
128 cannot report the tens of nats that a code here holds of its image either; what is known of it need not be learned
(`reference="encoder"`: 131 nats after 800 rounds, as the VAE's 130). Both are played beside the others.
"""

import functools
from dataclasses import replace

from torch import nn

from gan_course import data, games, metrics, networks
from gan_course.games.as_vae import HALVES
from gan_course.headlines import Experiment, Play

CODE, DRAWS, N = 32, 50, 10_000
NLL = "bound on -log p(x), one draw, nats"
IMPORTANCE = f"bound on -log p(x), {DRAWS} importance samples, nats"

images = functools.cache(lambda split: data.load("mnist", split=split))


def leaky() -> nn.Module:
    """The activation of every perceptron here."""
    return nn.LeakyReLU(0.2)


def maps(narrow: bool, codes: int) -> tuple[nn.Module, nn.Module]:
    """Encoder, to so many numbers, and decoder: convolutions, or perceptrons where time is short."""
    if narrow:
        return networks.mlp(784, [400, 400], codes, leaky), networks.mlp(CODE, [400, 400], (1, 28, 28), leaky)
    return networks.encoder(28, 1, codes, 64, hidden=512), networks.decoder(28, 1, CODE, 64, hidden=512)


def judge(narrow: bool) -> nn.Module:
    """A judge of images with their codes: plain and light, without normalisation of batches."""
    sample = networks.mlp(784, [256], 128, leaky) if narrow else networks.encoder(28, 1, 256, 32, normalise=False)
    return networks.JointDiscriminator(networks.mlp((128 if narrow else 256) + CODE, [256], activation=leaky), sample)


def flow() -> nn.Module:
    """Two layers, so that every coordinate of a code can depend on every other."""
    return networks.InverseAutoregressiveFlow(CODE, 2, [256])


def vae(narrow: bool = False, flowing: bool = False) -> games.VAE:
    """A VAE, with a flow of its codes or without."""
    return games.VAE(*maps(narrow, 2 * CODE), CODE, rate=games.linear_decay, flow=flow() if flowing else None)


def as_vae(narrow: bool = False, variant: str = "full", reference: str = "fixed") -> games.ASVAE:
    """AS-VAE: whole, with a ratio for each half, or one half."""
    learned = [half for half in HALVES[variant] if (half, reference) != ("encoder", "encoder")]
    return games.ASVAE(
        *maps(narrow, 2 * CODE),
        CODE,
        variant=variant,
        ratio_steps=3,
        relaxation="mean",
        reference=reference,
        optimizer={"ratios": games.adam(1e-3), "model": games.adam(1e-3, (0.9, 0.999))},
        rate=games.linear_decay,
        flow=None if narrow else flow(),
        **{f"{half}_ratio": judge(narrow) for half in learned},
    )


def ali(narrow: bool = False) -> games.BiGAN:
    """Adversarially learned inference: the joints alone, an encoder that draws, a deterministic decoder."""
    encoder, decoder = maps(narrow, 2 * CODE)
    generator = nn.Sequential(decoder, nn.Sigmoid())
    optimizer = {"discriminator": games.adam(2e-4), "encoder and generator": games.adam(2e-4)}
    parts = networks.Stochastic(encoder, mean_in_evaluation=True), generator, judge(narrow)
    return games.BiGAN(*parts, latent_size=CODE, optimizer=optimizer, rate=games.linear_decay)


def measure(game: games.Game) -> dict[str, float]:
    """Bounds where there is a likelihood; errors of reconstructions, and a distance of samples."""
    test, found = images("test").images, {}
    likely = isinstance(game, games.VAE)
    lost = sum(int((~game.log_weights(x).isfinite()).sum()) for x in test.split(500)) if likely else 0
    if lost:  # codes that ran away past the largest number
        found["test images without a finite bound"] = lost
    elif likely:
        found[NLL] = metrics.likelihood_bound(game.log_weights, test).negative
        found[IMPORTANCE] = metrics.likelihood_bound(game.log_weights, test, DRAWS).negative
    found["root mean squared error of reconstructions, of 255"] = 255 * metrics.rmse(test, game.reconstruct(test))
    found["Fréchet distance (LeNet features, test images)"] = metrics.frechet_digits(game.sample(N), test)
    return found


def experiment(narrow: bool, rounds: int, generation: bool) -> Experiment:
    """All games, for the same number of rounds; `generation`: in the narrow version that half alone."""
    make = {
        "AS-VAE": functools.partial(as_vae, narrow),
        "AS-VAE-r": functools.partial(as_vae, narrow, "reconstruction"),
        "AS-VAE-g": functools.partial(as_vae, narrow, "generation"),
        "AS-VAE, the encoder's density known": functools.partial(as_vae, narrow, reference="encoder"),
        "AS-VAE, the paper's reference": functools.partial(as_vae, narrow, reference="marginals"),
        "VAE with a flow": functools.partial(vae, narrow, flowing=True),
        "VAE": functools.partial(vae, narrow),
        "ALI": functools.partial(ali, narrow),
    }
    if narrow:
        make = {name: game for name, game in make.items() if (name == "AS-VAE-g") == generation}
    published = {"AS-VAE": "82.51", "AS-VAE-r": "81.14", "AS-VAE-g": "146.32", "VAE with a flow": "85.1"}
    one = Experiment(
        title=f"MNIST, AS-VAE{', perceptrons' * narrow}{', the half that generates' * (narrow and generation)}",
        chapter="23_as_vae",
        seeds=range(1) if narrow else range(2),
        games={name: Play(game, rounds, batch_size=128) for name, game in make.items()},
        data=lambda: images("train").images,
        measure=measure,
    )
    cited = {
        f"{label}{NLL}": {"value": published[name], "source": "pu2017asvae"}
        for name, label in one.labels().items()
        if name in published
    }
    return replace(one, published=cited)


EXPERIMENT = experiment(narrow=False, rounds=60_000, generation=True)
VARIANTS = {
    "narrow": experiment(narrow=True, rounds=8_000, generation=False),
    "narrow-generation": experiment(narrow=True, rounds=8_000, generation=True),
}

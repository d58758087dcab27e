"""Networks, games and `fit`, given any settings: they are as asked for, or a refusal names the setting."""

import inspect

import torch
from fuzzing import HALF, OTHER, REAL, SETTINGS, answer, finite
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader

from gan_course import fit, games, networks
from gan_course.training import every, training_device

X = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
NETWORKS = {
    networks.mlp: dict(inputs=2, hidden=[3], outputs=2),
    networks.decoder: dict(size=8, channels=1, latent_size=2, width=2, final=None, hidden=0),
    networks.encoder: dict(size=8, channels=1, outputs=2, width=2, hidden=0),
    networks.dcgan: dict(size=8, channels=1, latent_size=2, width=2, hidden=0),
    networks.Fourier: dict(frequencies=3),
    networks.Residual: dict(network=nn.Identity()),
    networks.JointDiscriminator: dict(head=nn.Identity(), sample=None, code=nn.Identity()),
    networks.Joined: dict(discriminator=nn.Identity(), sample=(2,), code=(3,)),
    networks.joint_images: dict(size=8, channels=(1, 1), latent_size=2, width=2, hidden=3, paired=False),
    networks.unet: dict(size=8, channels=1, outputs=1, width=2, depth=2, norm="batch", dropout=0.5, most=8),
    networks.resnet_generator: dict(size=8, channels=1, outputs=1, width=2, blocks=1, depth=1, norm="none"),
    networks.patch_discriminator: dict(channels=1, width=2, depth=1, norm="batch"),
    networks.Noisy: dict(network=nn.Identity(), noise=2),
    networks.Stochastic: dict(network=nn.Identity(), mean_in_evaluation=False),
    networks.Reconstruction: dict(encoder=nn.Identity(), decoder=nn.Identity(), error="norm"),
    networks.PlanarFlow: dict(latent_size=2, length=1),
    networks.RecurrentGenerator: dict(vocabulary=9, length=2, embedding=2, hidden=2, cell="gru", start=0, std=0.1),
    networks.EncoderDecoder: dict(vocabulary=9, length=2, embedding=2, hidden=2, start=1, padding=0),
    networks.InverseAutoregressiveFlow: dict(latent_size=2, length=1, hidden=[3]),
    games.adam: dict(rate=1e-3, betas=(0.5, 0.9)),
    games.rmsprop: dict(rate=1e-3),
    games.sgd: dict(rate=1e-3, momentum=0.0),
    games.clipped: dict(factory=games.sgd(), norm=1.0),
    every: dict(rounds=1, callback=print),
}
LISTS = st.lists(SETTINGS | st.integers(1, 4), max_size=3)
VALUES = st.one_of(SETTINGS, LISTS, LISTS.map(tuple), st.floats(0, 1), st.integers(1, 9))
kinds = st.sampled_from(sorted(NETWORKS, key=lambda make: make.__name__))


def names(settings) -> tuple[str, ...]:
    return tuple(settings)


def changed(good, name, value):
    """The settings with one of them changed."""
    return {**good, name: value}


@given(st.data(), kinds)
def test_networks_and_optimisers(data, make):
    good = NETWORKS[make]
    name = data.draw(st.sampled_from(sorted(good)))
    made = answer(names(good), make, **changed(good, name, data.draw(VALUES)))
    if made is None:
        return
    if make in (games.adam, games.rmsprop, games.sgd):
        weight = nn.Parameter(torch.ones(2))
        weight.grad = torch.ones(2)
        made([weight]).step()
        assert weight.isfinite().all()
    for network in made if isinstance(made, tuple) else [made]:
        if isinstance(network, nn.Module):
            assert all(p.isfinite().all() for p in network.parameters())


@given(st.integers(0, 24), st.floats(-1e6, 1e6, width=32))
def test_fourier_features_are_finite(frequencies, x):
    assert finite(networks.Fourier(frequencies)(torch.full((2, 3), x)))


def small_game(**settings):
    return games.GAN(networks.mlp(2, [4], 2), networks.mlp(2, [4]), **{"latent_size": 2, **settings})


MODULES = ("generator", "discriminator", "encoder", "decoder")
GAMES = {
    games.GAN: ("objective", "latent_size", "discriminator_steps", "optimizer", "rate", "average", "simultaneous"),
    games.BEGAN: ("diversity", "gain", "latent_size", "optimizer", "rate", "average"),
    games.BiGAN: (
        *("objective", "latent_size", "discriminator_steps", "generator_steps", "optimizer", "rate", "average"),
    ),
    games.ALICE: (
        *("objective", "latent_size", "cycle", "weight", "supervision", "discriminator_steps", "generator_steps"),
        *("optimizer", "rate", "average"),
    ),
    games.ASVAE: (
        *("latent_size", "likelihood", "encoder_ratio", "decoder_ratio", "variant", "ratio_steps", "relaxation"),
        *("temperature", "reference", "optimizer", "rate", "flow"),
    ),
    games.VAE: ("latent_size", "likelihood", "optimizer", "rate", "flow"),
    games.VAEGAN: (
        *("latent_size", "similarity", "std", "layer", "reconstructions", "saturating", "optimizer", "rate", "average"),
    ),
    games.AutoEncoder: ("latent_size", "optimizer", "rate"),
    games.DiscriminatorAlone: (
        *("shape", "steps", "step_size", "noise", "restarted", "pool", "limits", "magnitude", "objective"),
        *("sampling_steps", "optimizer", "rate"),
    ),
}


@given(st.data(), st.sampled_from(sorted(GAMES, key=lambda kind: kind.__name__)))
def test_games(data, kind):
    good = {"shape": (2,), "pool": 9} if kind is games.DiscriminatorAlone else {"latent_size": 2}
    modules = [name for name in inspect.signature(kind).parameters if name in MODULES]
    for name in modules:
        good[name] = networks.mlp(2, [3], 4 if issubclass(kind, (games.VAE, games.VAEGAN)) and name == "encoder" else 2)
    if issubclass(kind, (games.GAN, games.DiscriminatorAlone)):
        good["discriminator"] = networks.mlp(2, [3])
    if issubclass(kind, games.BiGAN):
        good["discriminator"] = networks.JointDiscriminator(networks.mlp(4, [3]))
    if kind is games.VAEGAN:
        good |= {"discriminator": networks.mlp(2, [3]), "layer": "layers.0"}
    if issubclass(kind, games.ASVAE):
        judges = [networks.JointDiscriminator(networks.mlp(4, [3])) for _ in range(2)]
        good |= dict(zip(("encoder_ratio", "decoder_ratio"), judges, strict=True))
    name = data.draw(st.sampled_from([*modules, *GAMES[kind]]))
    value = data.draw(VALUES | st.dictionaries(st.sampled_from(["generator", "x"]), SETTINGS, max_size=2))
    if name == "latent_size" and isinstance(value, int) and value > 2:
        return  # right, but not for these networks
    game = answer((*names(good), *GAMES[kind]), kind, **changed(good, name, value))
    if game is None or name in modules or (name == "rate" and callable(value)):
        return
    optimizers = answer(("optimizer",), game.turns)
    if optimizers is None or (name == "optimizer" and value):
        return
    if name == "shape":
        return  # right, but not for this network
    if name != "latent_size":
        found = answer(("step_size",), game.sample, 3)
        assert (found is None and name in ("step_size", "noise", "limits")) or finite(found)


WORDS = torch.randint(0, 4, (6, 3), generator=torch.Generator().manual_seed(0))
PLAYED = ("optimizer", "rate")
STEPPED = ("discriminator_steps", "generator_steps", *PLAYED)
ADVERSARIAL = ("discriminator", "values", "rollouts", "keep", "baseline", "teacher", *STEPPED)
WORD_GAMES = {
    games.MaximumLikelihood: ("generator", *PLAYED),
    games.PolicyGradient: ("generator", "reward", "baseline", *PLAYED),
    games.TwoAgents: ("first", "second", "reward", "exchanges", *PLAYED),
    games.SeqGAN: ("generator", "objective", "reward", "decay", *ADVERSARIAL),
    games.RankGAN: ("generator", "sharpness", *ADVERSARIAL),
    games.MaliGAN: ("generator", "discriminator", "mixed", "samples", "decay", *STEPPED),
    games.ConditionalSeqGAN: ("generator", "mismatched", *ADVERSARIAL),
}


@given(st.data(), st.sampled_from(sorted(WORD_GAMES, key=lambda kind: kind.__name__)))
def test_games_of_words(data, kind):
    """They are refused by the setting's name, or every turn has a loss that is finite."""

    def reward(*lines):
        return lines[-1].flatten(1).float().mean(1)

    speaking = kind in (games.TwoAgents, games.ConditionalSeqGAN)
    makes = networks.EncoderDecoder if speaking else networks.RecurrentGenerator
    writers = {name: makes(4, 3, 2, 2) for name in ("generator", "first", "second") if name in WORD_GAMES[kind]}
    judge = networks.ReplyDiscriminator(4, 3, 2, 2) if speaking else networks.SequenceCNN(4, 3, 2, (1, 2), 2)
    good = writers | ({"discriminator": judge} if "discriminator" in WORD_GAMES[kind] else {"reward": reward})
    if kind is games.MaximumLikelihood:
        del good["reward"]
    name = data.draw(st.sampled_from(WORD_GAMES[kind]))
    value = data.draw(VALUES | st.dictionaries(st.sampled_from(["generator", "x"]), SETTINGS, max_size=2))
    if name in ("rollouts", "exchanges", "samples") and isinstance(value, int) and value > 9:
        return  # right, and slow
    game = answer((*good, *WORD_GAMES[kind]), kind, **changed(good, name, value))
    if game is None or name in PLAYED:
        return
    batch = (WORDS, WORDS) if kind is games.ConditionalSeqGAN else WORDS
    for turn in game.turns():
        assert all(term.isfinite() for term in turn.loss(batch).values()), turn.player


FIT = ("rounds", "batch_size", "seed", "players", "history", "until", "callbacks", "device", "precision")
ASKED = {"rounds": 2, "batch_size": 3, "until": 2}  # until: however many rounds are asked for


@given(
    st.sampled_from(FIT),
    VALUES | st.lists(st.sampled_from(["generator", "discriminator", "critic", 3])) | st.text(max_size=4),
)
def test_fit(name, value):
    if name == "batch_size" and isinstance(value, int) and 100 < value < 2**31:
        return  # right, but large
    game = small_game()
    before = {key: weight.clone() for key, weight in game.state_dict().items()}
    if name == "callbacks" and isinstance(value, list | tuple) and any(map(callable, value)):
        return  # they are called with what they do not expect
    history = answer((*FIT, name), fit, game, X, **changed(ASKED, name, value))
    if history is None:
        assert all(torch.equal(before[key], weight) for key, weight in game.state_dict().items())
    else:
        assert history.frame.notna().all(axis=None)


@given(st.sampled_from([*HALF, *REAL, *OTHER]), st.sampled_from([torch.float32, torch.float64]), st.booleans())
def test_samples_and_weights_of_different_kinds(samples, weights, loader):
    x, game = torch.ones(6, 2).to(samples), small_game(optimizer=games.sgd()).to(weights)
    if weights == torch.float64:
        game.noise = lambda n: torch.randn(n, 2, dtype=torch.float64)
    source = DataLoader(x, batch_size=3) if loader else x
    if answer(("source",), fit, game, source, **ASKED) is not None:
        assert samples == weights


@given(SETTINGS | st.lists(st.integers(), max_size=2))
def test_fit_without_a_game(thing):
    assert answer(("game",), fit, thing, X, rounds=1) is None


@given(st.text(max_size=8) | SETTINGS | st.sampled_from(["cpu", "cpu:0", "cuda:77", "meta", "mps", "xla"]))
def test_devices(device):
    found = answer(("device",), training_device, device)
    assert found is None or found.type in ("cpu", "cuda", "mps")

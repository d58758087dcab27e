"""Both players at the same time: the single-step method."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import checkpoint, fit, games, networks, objectives

X = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))
RATE = 0.1
OBJECTIVES = [
    *objectives.names(),
    objectives.get("f-gan/kl", generator="bound"),
    objectives.get("f-gan/jensen-shannon", penalties=[objectives.penalties.ZeroCentredPenalty(2.0)]),
]


def gan(objective="non-saturating", seed=0, **settings):
    torch.manual_seed(seed)
    pair = networks.mlp(3, [8], 2), networks.mlp(2, [8])
    return games.GAN(*pair, objective, latent_size=3, **{"simultaneous": True, **settings})


def by_hand(game, real, noise):
    """Both players' weights after a step of gradient descent, each against the other's old weights."""
    fake = game.generator(noise)
    torch.manual_seed(7)  # penalties may draw points
    judging = sum(game.objective.for_discriminator(game.discriminator, real, fake.detach()).values())
    making = sum(game.objective.for_generator(game.discriminator, real, fake).values())
    steps = [
        [p - RATE * g for p, g in zip(player.parameters(), torch.autograd.grad(loss, player.parameters()), strict=True)]
        for loss, player in ((judging, game.discriminator), (making, game.generator))
    ]
    return steps


def one_step(game, real, noise):
    """The game's own turn, as `fit` takes it, on this noise."""
    game.noise = lambda n: noise
    (turn,) = game.turns()
    optimizer = turn.optimizer(turn.parameters())
    torch.manual_seed(7)
    sum(turn.loss(real).values()).backward()
    optimizer.step()
    turn.after_step()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_a_step_is_that_of_each_against_the_other_as_it_was(objective):
    game, noise = gan(objective, optimizer=games.sgd(RATE)), torch.randn(10, 3)
    judge, maker = by_hand(game, X[:10], noise)
    one_step(game, X[:10], noise)
    clip = getattr(game.objective, "clip", None)
    judge = judge if clip is None else [p.clamp(-clip, clip) for p in judge]
    for found, expected in ((game.discriminator, judge), (game.generator, maker)):
        for p, q in zip(found.parameters(), expected, strict=True):
            assert_close(p, q)


def test_alternating_is_something_else():
    """Against the discriminator's new weights the generator's step is another; the discriminator's is the same."""
    both, turns = gan(optimizer=games.sgd(RATE)), gan(optimizer=games.sgd(RATE), simultaneous=False)
    noise = torch.randn(64, 3)
    for game in (both, turns):
        game.noise = lambda n: noise
        history = fit(game, X, rounds=1, batch_size=64, seed=3)
        expected = ["both/discriminator/adversarial", "both/generator/adversarial"]
        if game is turns:
            expected = ["discriminator/adversarial", "generator/adversarial"]
        assert list(history.frame.columns) == expected
    assert_close(both.discriminator.state_dict(), turns.discriminator.state_dict())
    assert all(
        (p - q).abs().max() > 1e-6
        for p, q in zip(both.generator.parameters(), turns.generator.parameters(), strict=True)
    )


def test_penalties_are_recorded_under_their_names():
    history = fit(gan("wgan-gp"), X, rounds=2)
    names = ["discriminator/adversarial", "discriminator/gradient penalty", "generator/adversarial"]
    assert list(history.frame.columns) == [f"both/{name}" for name in names]


def test_weights_are_clipped_and_the_average_follows():
    game = gan(objectives.get("wgan", clip=0.02), average=0.5)
    before = [p.detach().clone() for p in game.generator.parameters()]
    fit(game, X, rounds=1)
    assert max(p.abs().max() for p in game.discriminator.parameters()) <= 0.02
    for own, old, new in zip(game.averaged.parameters(), before, game.generator.parameters(), strict=True):
        assert_close(own, 0.5 * old + 0.5 * new.detach())


def test_nothing_of_the_discriminator_stays_frozen():
    game = gan()
    fit(game, X, rounds=2)
    assert all(p.requires_grad for p in game.parameters())
    game.discriminator.layers[0].bias.requires_grad_(False)
    fit(game, X, rounds=1)
    assert [name for name, p in game.named_parameters() if not p.requires_grad] == ["discriminator.layers.0.bias"]


@pytest.mark.parametrize("objective", ["f-gan/kl", "wgan-gp"])
def test_resumed_equals_uninterrupted_bit_for_bit(objective, tmp_path):
    settings = dict(rounds=8, batch_size=16, seed=3)
    game = dict(average=0.9, rate=games.linear_decay)
    through, broken = gan(objective, **game), gan(objective, **game)
    history = fit(through, X, **settings)
    checkpoint.save(tmp_path / "a.safetensors", broken, fit(broken, X, until=3, **settings))
    broken = gan(objective, seed=9, **game)
    second = fit(broken, X, history=checkpoint.load(tmp_path / "a.safetensors", broken), **settings)
    assert history.frame.equals(second.frame)
    assert all(torch.equal(value, broken.state_dict()[name]) for name, value in through.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(reuse_fakes=True), "simultaneous=True was given with reuse_fakes=True: both players make one step"),
        (dict(discriminator_steps=2), "simultaneous=True was given with discriminator_steps=2: both players"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        gan(**settings)


def test_one_optimiser_is_for_both():
    with pytest.raises(ValueError, match=r"optimizer names .* but the game's player 'both' is not among them"):
        gan(optimizer={"generator": games.sgd(), "discriminator": games.sgd()}).turns()
    (turn,) = gan(optimizer={"both": games.sgd(0.5)}).turns()
    assert turn.optimizer([nn.Parameter(torch.ones(1))]).defaults["lr"] == 0.5

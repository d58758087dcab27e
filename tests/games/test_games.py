"""Games and their helpers."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import fit, games, networks
from gan_course.games import evaluating, follow, lagged, still


def test_lagged_copy_follows():
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    twin = lagged(module)
    assert not any(p.requires_grad for p in twin.parameters())
    with torch.no_grad():
        for p in module.parameters():
            p.add_(1)
    module[1].running_mean.fill_(5)
    before = [p.clone() for p in twin.parameters()]
    follow(twin, module, keep=0.75)
    for old, mine, theirs in zip(before, twin.parameters(), module.parameters(), strict=True):
        assert_close(mine, 0.75 * old + 0.25 * theirs.detach())
    assert (twin[1].running_mean == 5).all()


def test_still_blocks_parameters_not_inputs_and_not_buffers():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    network[0].bias.requires_grad_(False)
    x = torch.randn(4, 2, requires_grad=True)
    before = network[1].running_mean.clone()
    with still(network):
        network(x).square().sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is None for p in network.parameters())
    assert not torch.equal(before, network[1].running_mean)  # frozen means parameters
    assert network[0].weight.requires_grad
    assert not network[0].bias.requires_grad  # what was frozen before stays so


def test_evaluating_restores_modes():
    network = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)).train()
    network[1].eval()
    with evaluating(network):
        assert not network[0].training
        assert not torch.is_grad_enabled()
    assert network[0].training
    assert not network[1].training


def test_sampling_is_in_evaluation_mode_and_without_gradient():
    game = games.GAN(*networks.dcgan(8, width=4, latent_size=3), latent_size=3)
    before = game.generator.start[2].running_mean.clone()
    x = game.sample(5)
    assert x.shape == (5, 1, 8, 8)
    assert not x.requires_grad
    assert torch.equal(before, game.generator.start[2].running_mean)
    assert game.generator.training


def test_average_is_an_exponential_average_of_the_generator():
    torch.manual_seed(0)
    game = games.GAN(networks.mlp(2, [4], 2), networks.mlp(2, [4]), latent_size=2, average=0.5)
    expected = game.generator.state_dict()["layers.0.weight"].clone()

    def watch(game, history):
        nonlocal expected
        if history.rounds:
            expected = 0.5 * expected + 0.5 * game.generator.layers[0].weight.detach()

    fit(game, torch.randn(50, 2), rounds=5, callbacks=[watch])
    assert_close(game.averaged.layers[0].weight, expected)
    assert not torch.equal(game.generator.layers[0].weight, game.averaged.layers[0].weight)
    z = torch.randn(3, 2)
    assert_close(game.generate(z), game.averaged(z))


def test_shared_parameters_are_gathered_once():
    shared = nn.Linear(2, 2)
    turn = games.Turn("both", [nn.Sequential(shared, nn.ReLU()), shared, nn.Linear(2, 1)], lambda x: x)
    assert len(turn.parameters()) == 4


def test_optimisers():
    p = nn.Parameter(torch.ones(3))
    p.grad = torch.full((3,), 10.0)
    games.sgd(0.1)([p]).step()
    assert_close(p.detach(), torch.zeros(3))
    games.clipped(games.sgd(1.0), 3.0)(iter([p])).step()
    assert p.detach().norm().item() == pytest.approx(3.0)  # a step of norm 3 from the origin
    adam = games.adam()([p])
    assert (adam.defaults["lr"], adam.defaults["betas"]) == (2e-4, (0.5, 0.999))
    assert games.adam(betas=(0, 0.9))([p]).defaults["betas"] == (0.0, 0.9)  # torch itself takes no integer 0
    assert games.rmsprop()([p]).defaults["lr"] == 5e-5
    with pytest.raises(ValueError, match=r"rate=0.0 was given; it must be a finite number above 0"):
        games.adam(0.0)


def test_optimisers_by_player():
    make = lambda **s: games.GAN(networks.mlp(2, [4], 2), networks.mlp(2, [4]), latent_size=2, **s)  # noqa: E731
    game = make(optimizer={"generator": games.sgd(0.5), "discriminator": games.sgd(0.25)})
    rates = {turn.player: turn.optimizer(turn.parameters()).defaults["lr"] for turn in game.turns()}
    assert rates == {"generator": 0.5, "discriminator": 0.25}
    with pytest.raises(ValueError, match="'discriminator' is not among them"):
        make(optimizer={"generator": games.sgd(0.5)}).turns()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(latent_size=0), "latent_size=0 was given"),
        (dict(discriminator_steps=0), "discriminator_steps=0 was given"),
        (dict(average=1.0), "average=1.0 was given"),
        (dict(objective="f-gan"), "unknown objective 'f-gan'"),
    ],
)
def test_bad_games(settings, message):
    with pytest.raises((ValueError, KeyError), match=message):
        games.GAN(networks.mlp(2, [4], 2), networks.mlp(2, [4]), **settings)
    with pytest.raises(ValueError, match="likelihood 'poisson' is unknown"):
        games.VAE(nn.Identity(), nn.Identity(), 2, likelihood="poisson")


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_vae_learns_and_samples(likelihood):
    torch.manual_seed(0)
    x = torch.rand(64, 1, 8, 8).round()
    game = games.VAE(networks.encoder(8, 1, 6, 8), networks.decoder(8, 1, 3, 8), 3, likelihood)
    history = fit(game, x, rounds=60)
    loss = history.frame.sum(axis=1)
    assert loss.iloc[-10:].mean() < loss.iloc[:10].mean()
    assert list(history.frame.columns) == ["vae/reconstruction", "vae/divergence"]
    assert game.sample(5).shape == game.reconstruct(x[:5]).shape == (5, 1, 8, 8)


def test_auto_encoder_samples_from_the_law_of_its_codes():
    torch.manual_seed(0)
    game = games.AutoEncoder(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False), 2)
    with torch.no_grad():
        for part in (game.encoder, game.decoder):
            part.weight.copy_(torch.eye(2))
    x = torch.randn(5000, 2) @ torch.tensor([[2.0, 1.0], [0.0, 0.5]]) + torch.tensor([3.0, -1.0])
    for _ in range(1000):  # the averages' memory is 100 batches
        game.loss(x)
    samples = game.sample(20_000)
    assert_close(samples.mean(0), x.mean(0), atol=0.06, rtol=0)
    assert_close(samples.T.cov(), x.T.cov(), atol=0.15, rtol=0)


def test_base_class_says_what_is_missing():
    with pytest.raises(TypeError, match=r"defines no turns\(\)"):
        games.Game().turns()
    with pytest.raises(TypeError, match=r"defines no sample\(\)"):
        games.Game().sample(1)

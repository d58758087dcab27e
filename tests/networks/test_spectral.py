"""Spectral normalisation against the singular value decomposition, and what it does and does not bound."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import checkpoint, fit, games, networks, objectives
from gan_course.objectives.penalties import gradient_norms

CONVOLUTIONS = [
    nn.Conv2d(3, 5, 3), nn.ConvTranspose2d(3, 5, 4), nn.Conv1d(2, 3, 5), nn.Linear(7, 4), nn.Conv2d(4, 6, 3, groups=2)
]  # fmt: skip


def converged(module, *inputs):
    """After so many passes that the power method has found the largest singular value."""
    for _ in range(200):
        module(*inputs)
    return module.eval()


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=lambda layer: type(layer).__name__)
def test_the_largest_singular_value_is_one(layer):
    torch.manual_seed(0)
    original = copy.deepcopy(layer).weight.detach()
    layer = networks.spectral(copy.deepcopy(layer))
    assert set(dict(layer.named_buffers())) == {"parametrizations.weight.0._u", "parametrizations.weight.0._v"}
    shapes = {nn.Linear: (2, 7), nn.Conv1d: (2, 2, 9)}
    channels = getattr(layer, "in_channels", 0)
    converged(layer, torch.zeros(shapes.get(type(layer).__mro__[1], (2, channels, 6, 6))))
    first = 1 if isinstance(layer, nn.ConvTranspose2d) else 0  # the axis of the output's channels

    def norm(weight):
        return torch.linalg.matrix_norm(weight.movedim(first, 0).flatten(1), 2)

    assert norm(layer.weight).item() == pytest.approx(1, abs=1e-4)
    assert_close(layer.weight, original / norm(original), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("activation", [nn.ReLU, lambda: nn.LeakyReLU(0.2), nn.Tanh])
def test_a_perceptron_has_slope_at_most_one(activation):
    torch.manual_seed(0)
    network = networks.mlp(2, [64, 64], activation=activation)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(5)
    x = 3 * torch.randn(2000, 2)
    assert gradient_norms(network, x).max() > 2
    normalised = converged(networks.spectral(network), x[:2])
    assert gradient_norms(normalised, x).max() <= 1 + 1e-4
    rise = (normalised(x[:1000]) - normalised(x[1000:])).abs() / (x[:1000] - x[1000:]).norm(dim=1)
    assert rise.max() <= 1 + 1e-4


def test_the_gradient_of_the_weight_takes_no_part_of_u_and_v():
    torch.manual_seed(0)
    layer = networks.spectral(nn.Linear(5, 4, bias=False)).double().eval()
    outer = torch.randn(4, 5, dtype=torch.float64)
    ways = layer.parametrizations.weight
    u, v, weight = ways[0]._u.clone(), ways[0]._v.clone(), ways.original
    sigma = u @ weight @ v
    (layer.weight * outer).sum().backward()
    normalised = (weight / sigma).detach()
    expected = (outer - (outer * normalised).sum() * torch.outer(u, v)) / sigma.detach()
    assert_close(weight.grad, expected)


def test_one_step_of_the_power_method_for_each_pass_in_training_mode():
    torch.manual_seed(0)
    layer = networks.spectral(nn.Linear(20, 30))
    ways = layer.parametrizations.weight
    with torch.no_grad():
        ways.original.copy_(torch.randn(30, 20))
    before = ways[0]._u.clone()
    u = nn.functional.normalize(ways.original.detach() @ ways[0]._v, dim=0)
    v = nn.functional.normalize(ways.original.detach().T @ u, dim=0)
    layer.eval()(torch.zeros(1, 20))
    assert torch.equal(ways[0]._u, before)
    layer.train()(torch.zeros(1, 20))
    assert_close(ways[0]._u, u)
    assert_close(ways[0]._v, v)
    assert not torch.allclose(u, before, atol=1e-3)


def test_the_norm_of_a_kernel_is_not_that_of_its_convolution():
    """Nine equal numbers: as a matrix (1, 9) of norm 1, but a constant image comes out three times as bright."""
    layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.constant_(layer.weight, 5.0)
    layer = converged(networks.spectral(layer), torch.zeros(1, 1, 4, 4))
    assert layer.weight.flatten().norm().item() == pytest.approx(1, abs=1e-4)
    x = torch.ones(1, 1, 64, 64)
    assert 2.9 < (layer(x).norm() / x.norm()).item() <= 3


def test_the_vectors_of_a_frozen_opponent_move():
    """Frozen means parameters: the generator's turn calls the discriminator in training mode."""
    torch.manual_seed(0)
    critic = networks.spectral(networks.mlp(2, [8]))
    game = games.GAN(networks.mlp(2, [8], 2), critic, "hinge", latent_size=2)
    ways = critic.layers[0].parametrizations.weight
    with torch.no_grad():
        ways.original.copy_(torch.randn(8, 2))
    u, weight = ways[0]._u.clone(), ways.original.clone()
    fit(game, torch.randn(20, 2), rounds=1, batch_size=4, players=["generator"])
    assert torch.equal(ways.original, weight)
    assert not torch.equal(ways[0]._u, u)


def test_a_game_of_images_goes_on_from_a_checkpoint(tmp_path):
    def play(rounds, start=None):
        torch.manual_seed(0)
        generator, critic = networks.dcgan(8, 1, 3, 4, normalise=False)
        game = games.GAN(generator, networks.spectral(critic), "hinge", latent_size=3, average=0.5)
        history = checkpoint.load(start, game) if start else None
        history = fit(game, torch.rand(20, 1, 8, 8), rounds=rounds, batch_size=4, history=history)
        checkpoint.save(tmp_path / f"{rounds}.safetensors", game, history)
        return game.state_dict()

    whole = play(4)
    play(2)
    parts = play(4, tmp_path / "2.safetensors")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert any(name.endswith("._u") for name in whole)


@pytest.mark.parametrize("normalise", [networks.spectral, lambda m: nn.utils.spectral_norm(m[0]) and m])
def test_clipping_what_is_normalised_is_refused(normalise):
    critic = normalise(nn.Sequential(nn.Linear(2, 1), nn.Flatten(0)))
    generator = networks.mlp(2, [4], 2)
    with pytest.raises(ValueError, match=r"clipped and spectrally normalised.*discriminator, 0 is normalised"):
        games.GAN(generator, critic, "wgan", latent_size=2)
    games.GAN(generator, critic, objectives.wasserstein.Wasserstein(), latent_size=2)


def zeros():
    layers = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    nn.init.zeros_(layers[1].weight)
    return layers


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.ReLU(), "no linear or convolutional layer"),
        (networks.spectral(nn.Linear(2, 2)), "computed already"),
        (nn.Sequential(nn.utils.spectral_norm(nn.Linear(2, 2))), "layer '0'.*computed already"),
        (zeros(), "layer '1'.*only zeros"),
    ],
)
def test_what_cannot_be_normalised(module, words):
    before = set(module.state_dict())
    with pytest.raises(ValueError, match=words):
        networks.spectral(module)
    assert set(module.state_dict()) == before  # nothing half done

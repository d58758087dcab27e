"""What models with codes share."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import games, networks
from gan_course.networks import Stochastic


def model(**settings):
    torch.manual_seed(0)
    parts = dict(encoder=networks.encoder(8, 1, 3, 4), decoder=networks.decoder(8, 1, 3, 4), latent_size=3)
    return games.CodeModel(**{**parts, **settings})


def test_it_knows_the_shape_and_takes_samples_to_codes_and_back():
    game, x = model(), torch.rand(5, 1, 8, 8)
    assert game.shape == (1, 8, 8)
    assert game.noise(7).shape == (7, 3)
    game.encoder.eval()
    game.decoder.eval()
    z = game.encoder(x)
    assert_close(game.encode(x), z)
    assert_close(game.decode(z), game.decoder(z))
    assert_close(game.reconstruct(x), game.decoder(z))
    torch.manual_seed(1)
    samples = game.sample(4)
    torch.manual_seed(1)
    assert_close(samples, game.decoder(torch.randn(4, 3)))


def test_answers_are_in_evaluation_mode_and_without_gradient():
    game, x = model(), torch.rand(5, 1, 8, 8)
    before = {name: buffer.clone() for name, buffer in game.named_buffers()}
    for found in (game.encode(x), game.decode(torch.randn(2, 3)), game.reconstruct(x), game.sample(2)):
        assert not found.requires_grad
    assert all(torch.equal(before[name], buffer) for name, buffer in game.named_buffers())
    assert all(module.training for module in game.modules())


def test_where_maps_draw_encode_and_reconstruct_take_means_and_decode_draws():
    game = model(encoder=Stochastic(networks.encoder(8, 1, 6, 4)), decoder=Stochastic(networks.decoder(8, 2, 3, 4)))
    x, z = torch.rand(5, 1, 8, 8), torch.randn(5, 3)
    assert torch.equal(game.encode(x), game.encode(x))
    assert torch.equal(game.reconstruct(x), game.reconstruct(x))
    assert not torch.equal(game.decode(z), game.decode(z))
    assert game.shape == (1, 8, 8)


def test_making_a_model_draws_no_random_number_and_moves_no_statistics():
    encoder = nn.Sequential(networks.encoder(8, 1, 6, 4), nn.BatchNorm1d(6))
    decoder = networks.Noisy(networks.mlp(5, [4], (1, 8, 8)), 2)
    torch.manual_seed(3)
    expected = torch.randn(2)
    torch.manual_seed(3)
    games.CodeModel(Stochastic(encoder), decoder, 3)
    assert torch.equal(torch.randn(2), expected)
    assert encoder[1].num_batches_tracked == 0
    assert encoder.training


def test_several_numbers_of_each_coordinate():
    assert model(encoder=networks.encoder(8, 1, 6, 4), numbers_per_coordinate=2).latent_size == 3
    with pytest.raises(ValueError, match=r"the encoder returned \(2, 3\).*it must return \(2, 6\)"):
        model(numbers_per_coordinate=2)


def test_other_precisions():
    game = games.CodeModel(networks.mlp(2, [3], 2).double(), networks.mlp(2, [3], 2).double(), 2)
    assert game.encode(torch.ones(3, 2, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(latent_size=0), "latent_size=0 was given"),
        (dict(latent_size=4, called="generator"), "the generator cannot take codes of latent_size=4, of shape"),
        (dict(latent_size=4), "the decoder cannot take codes of latent_size=4, of shape"),
        (
            dict(encoder=networks.encoder(8, 1, 5, 4)),
            r"the encoder returned \(2, 5\) for 2 samples of shape \(1, 8, 8\)",
        ),
        (dict(encoder=networks.encoder(8, 3, 3, 4)), r"the encoder cannot take samples, of shape \(2, 1, 8, 8\)"),
        (dict(encoder=nn.Flatten(0)), "the encoder returned"),
        (dict(decoder=nn.LSTM(3, 3)), "the decoder returned a tuple for 2 inputs"),
    ],
)
def test_sizes_that_disagree_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        model(**settings)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda game: game.encode(torch.rand(2, 8, 8)), r"shape \(n, 1, 8, 8\), not one of shape \(2, 8, 8\)"),
        (lambda game: game.encode(torch.rand(0, 1, 8, 8)), r"not one of shape \(0, 1, 8, 8\)"),
        (lambda game: game.reconstruct([1.0]), "not a list"),
        (lambda game: game.decode(torch.rand(2, 4)), r"codes of shape \(n, latent_size=3\), not of shape \(2, 4\)"),
        (lambda game: game.decode("z"), "not a str"),
    ],
)
def test_what_is_no_sample_or_code_is_refused(call, message, monkeypatch, unchecked):
    game = model()
    for name in ("encode", "decode", "reconstruct"):  # as users have them, without the tests' checks of shapes
        monkeypatch.setattr(games.CodeModel, name, unchecked(getattr(games.CodeModel, name)))
    with pytest.raises(ValueError, match=message):
        call(game)

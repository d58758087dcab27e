"""VAE-GAN: who gets which gradient, and the formulas by hand."""

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus
from torch.testing import assert_close

from gan_course import fit, games, networks

PLAYERS = ("encoder", "decoder", "discriminator")


def make(**settings):
    torch.manual_seed(0)
    decoder, discriminator = networks.dcgan(8, latent_size=3, width=4, normalise=False)
    parts = dict(encoder=networks.encoder(8, 1, 6, 4, normalise=False), decoder=decoder, discriminator=discriminator)
    return games.VAEGAN(**{**parts, "latent_size": 3, **settings}).eval()  # statistics of batches would mix samples


X = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def gradients(game, loss) -> dict[str, list]:
    """Each player's gradients of a loss, None where it gets none."""
    game.zero_grad(set_to_none=True)
    loss.backward()
    return {name: [p.grad for p in getattr(game, name).parameters()] for name in PLAYERS}


@pytest.mark.parametrize("player", PLAYERS)
def test_each_loss_moves_its_own_player_only(player):
    game = make()
    found = gradients(game, sum(getattr(game, f"{player}_loss")(X).values()))
    for name, given in found.items():
        if name == player:
            assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in given)
        else:
            assert all(gradient is None for gradient in given), name


def by_hand(game, seed: int) -> dict[str, torch.Tensor]:
    """All terms of the paper, with gradients to everybody, from the draws that a seed gives."""
    torch.manual_seed(seed)
    mean, log_variance = game.encoder(X).chunk(2, 1)
    z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
    reconstructed, drawn = game.decoder(z), game.decoder(torch.randn(6, 3))
    f, d = game.discriminator.descent, game.discriminator
    return {
        "prior": 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean(),
        "similarity": 0.5 / game.std**2 * (f(X) - f(reconstructed)).square().sum(1).mean(),
        "adversarial": softplus(-d(drawn)).mean() + softplus(-d(reconstructed)).mean(),
    }


@pytest.mark.parametrize("std", [1.0, 0.2])
@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
def test_gradients_are_the_descent_directions_of_the_paper(weight, std):
    """Encoder: prior + similarity. Decoder: γ similarity + adversarial."""
    game = make(similarity=weight, std=std)
    expected = gradients(game, by_hand(game, 5)["prior"] + by_hand(game, 5)["similarity"])["encoder"]
    torch.manual_seed(5)
    assert_close(gradients(game, sum(game.encoder_loss(X).values()))["encoder"], expected)
    terms = by_hand(game, 5)
    expected = gradients(game, weight * terms["similarity"] + terms["adversarial"])["decoder"]
    torch.manual_seed(5)
    assert_close(gradients(game, sum(game.decoder_loss(X).values()))["decoder"], expected)


def test_the_encoder_feels_no_adversary_and_the_discriminator_no_reconstruction():
    game = make()
    terms = by_hand(game, 5)
    assert gradients(game, terms["adversarial"])["encoder"][0].abs().sum() > 0  # there would be one
    assert gradients(game, by_hand(game, 5)["similarity"])["discriminator"][0].abs().sum() > 0  # and here
    assert list(game.encoder_loss(X)) == ["divergence", "similarity"]
    assert list(game.decoder_loss(X)) == ["similarity", "adversarial"]
    assert list(game.discriminator_loss(X)) == ["adversarial"]


@pytest.mark.parametrize("reconstructions", [True, False])
def test_the_discriminator_sees_draws_and_reconstructions(reconstructions):
    game = make(reconstructions=reconstructions)
    torch.manual_seed(7)
    drawn = game.decoder(torch.randn(6, 3))
    expected = softplus(-game.discriminator(X)).mean() + softplus(game.discriminator(drawn)).mean()
    adversarial = softplus(-game.discriminator(drawn)).mean()
    if reconstructions:
        reconstructed = game.decoder(game.draw(X))
        expected = expected + softplus(game.discriminator(reconstructed)).mean()
    torch.manual_seed(7)
    found = game.discriminator_loss(X)["adversarial"]
    assert_close(found, expected)
    game = make(reconstructions=reconstructions, saturating=True)
    torch.manual_seed(7)
    reconstructed = game.decoder(game.draw(X))
    fakes = [game.decoder(torch.randn(6, 3)), *([reconstructed] if reconstructions else [])]
    torch.manual_seed(7)
    found = game.decoder_loss(X)["adversarial"]
    assert_close(found, sum(-softplus(game.discriminator(x)).mean() for x in fakes))
    assert not torch.equal(found, adversarial)


def test_layers_by_name():
    game, last = make(layer="descent.0"), make()
    features, scores = game.features_and_scores(X)
    assert_close(features, game.discriminator.descent[0](X))  # not what the activation after it made of it in place
    assert (features < 0).any()
    assert_close(scores, game.discriminator(X))
    assert_close(last.features_and_scores(X)[0], last.discriminator.descent(X))
    assert not game.discriminator.descent[0]._forward_hooks
    assert game.encoder_loss(X)["similarity"] != last.encoder_loss(X)["similarity"]


def test_codes_and_samples():
    game = make()
    z = game.encode(X)
    assert_close(z, game.encoder(X)[:, :3])
    assert_close(game.reconstruct(X), game.decoder(z))
    assert game.sample(4).shape == (4, 1, 8, 8)
    assert_close(game.decode(z), game.decoder(z))


def test_averages_answer_and_the_players_play():
    game = make(average=0.5)
    fit(game, X, rounds=3, batch_size=6)
    assert_close(game.encode(X), game.averaged_encoder(X)[:, :3])
    assert not torch.equal(game.averaged_encoder.end.weight, game.encoder.end.weight)
    assert_close(game.reconstruct(X), game.averaged_decoder(game.encode(X)))


def test_it_learns_to_reconstruct_what_it_has_seen():
    torch.manual_seed(0)
    x = torch.rand(4, 1, 8, 8).round().repeat(8, 1, 1, 1)
    decoder, discriminator = networks.dcgan(8, latent_size=3, width=8)
    game = games.VAEGAN(networks.encoder(8, 1, 6, 8), decoder, discriminator, 3, 0.1, optimizer=games.adam(2e-3))
    before = (x - game.reconstruct(x)).square().mean()
    history = fit(game, x, rounds=300, batch_size=32)
    assert (x - game.reconstruct(x)).square().mean() < 0.6 * before
    assert list(history.frame.columns) == [
        *("discriminator/adversarial", "encoder/divergence", "encoder/similarity"),
        *("decoder/similarity", "decoder/adversarial"),
    ]


def test_every_turn_moves_its_network_and_gradients_reach_all_of_it():
    game = make(optimizer={name: games.sgd(0.1) for name in PLAYERS})
    assert [turn.player for turn in game.turns()] == ["discriminator", "encoder", "decoder"]
    for turn in game.turns():
        before = {name: p.detach().clone() for name, p in game.named_parameters()}
        fit(game, X, rounds=1, batch_size=6, players=[turn.player])
        changed = {name.split(".")[0] for name, p in game.named_parameters() if not torch.equal(p, before[name])}
        assert changed == {turn.player}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(latent_size=4), "decoder cannot take codes of latent_size=4"),
        (dict(encoder=networks.encoder(8, 1, 3, 4)), r"the encoder returned \(2, 3\) .* it must return \(2, 6\)"),
        (dict(encoder=networks.encoder(8, 1, 8, 4)), r"the encoder returned \(2, 8\) .* it must return \(2, 6\)"),
        (dict(discriminator=networks.encoder(8, 1, 5, 4)), "the discriminator cannot score samples"),
        (dict(discriminator=networks.dcgan(28)[1]), r"the discriminator cannot score samples of shape \(1, 8, 8\)"),
        (dict(discriminator=nn.Sequential(nn.Flatten(), nn.Linear(64, 1))), "has no features_and_scores; name one"),
        (dict(layer="descent.99"), r"layer='descent.99' was given, but the discriminator has no such module"),
        (dict(similarity=-1.0), "similarity=-1.0 was given"),
        (dict(similarity=float("nan")), "similarity=nan was given"),
        (dict(std=0.0), "std=0.0 was given"),
        (dict(std=1e-12), "std=1e-12 was given; it must be from 1e-9 to 1e9"),
        (dict(average=1.0), "average=1.0 was given; the share kept"),
    ],
)
def test_bad_games(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


def test_bad_layers_and_samples():
    class Pair(nn.Module):
        def forward(self, x):
            return x.sum(), x

    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = Pair()

        def forward(self, x):
            return self.pair(x)[1].flatten(1).sum(1)

    with pytest.raises(ValueError, match="the discriminator cannot score samples"):
        make(discriminator=Scores(), layer="pair")
    with pytest.raises(ValueError, match=r"samples must be a tensor of shape \(n, 1, 8, 8\)"):
        fit(make(), torch.rand(6, 1, 16, 16), rounds=1)

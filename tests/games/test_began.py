"""BEGAN: its formulas, its controller, and the game that is held in balance."""

import functools

import pytest
import torch
from torch.testing import assert_close

from gan_course import checkpoint, fit, games, networks
from gan_course.objectives import began

X = torch.randn(60, 2, generator=torch.Generator().manual_seed(1))


def game(seed=0, **settings):
    torch.manual_seed(seed)
    judge = networks.Reconstruction(networks.mlp(2, [8], 1), networks.mlp(1, [8], 2), "mean absolute")
    return games.BEGAN(networks.mlp(3, [8], 2), judge, **{"latent_size": 3, "gain": 0.05, **settings})


def t(x):
    return torch.tensor(x, dtype=torch.float64)


@pytest.mark.parametrize(
    ("k", "real", "fake", "expected"),
    [
        (0.3, 2.0, 0.4, 0.36),  # 0.3 + 0.1 (0.5 * 2 - 0.4)
        (0.3, 2.0, 1.6, 0.24),
        (0.3, 2.0, 1.0, 0.3),  # L(G) = γ L(x): it stands still
        (0.02, 0.0, 9.0, 0.0),  # clipped at either end
        (0.98, 9.0, 0.0, 1.0),
        (0.0, 0.0, 0.0, 0.0),
    ],
)
def test_the_controller(k, real, fake, expected):
    real, fake = t(real).requires_grad_(True), t(fake).requires_grad_(True)
    after = began.controlled(t(k), real, fake, diversity=0.5, gain=0.1)
    assert after.item() == pytest.approx(expected)
    assert not after.requires_grad


def test_convergence_vanishes_only_if_both_errors_do():
    assert began.convergence(t(2.0), t(1.0), 0.5) == 2  # in balance only the data's error is left
    assert began.convergence(t(2.0), t(1.6), 0.5).item() == pytest.approx(2.6)
    assert began.convergence(t(2.0), t(0.4), 0.5).item() == pytest.approx(2.6)
    assert began.convergence(t(0.0), t(0.0), 0.5) == 0


def test_losses():
    real, fake = t([1.0, 3.0]), t([4.0, 6.0, 8.0])
    assert began.discriminator_loss(real, fake, 0.25) == 2 - 0.25 * 6
    assert began.discriminator_loss(real, fake, t(0.0)) == 2  # an auto-encoder by itself
    assert began.generator_loss(fake) == 6


def test_the_mean_absolute_error_of_an_auto_encoder():
    network = networks.Reconstruction(networks.mlp(6, [5], 3), networks.mlp(3, [5], (2, 3)), "mean absolute")
    x = torch.randn(7, 2, 3)
    assert_close(network(x), -(network.decoder(network.encoder(x)) - x).abs().mean((1, 2)))


def test_each_player_descends_its_own_loss_and_no_other():
    play = game()
    play.k.fill_(0.4)
    torch.manual_seed(5)
    latents = torch.randn(10, 3), torch.randn(10, 3)
    draws = iter(latents)
    play.noise = lambda n: next(draws)
    sum(play.loss(X[:10]).values()).backward()
    judge, generator = play.discriminator, play.generator

    def error(x):
        return (judge.decoder(judge.encoder(x)) - x).abs().mean()

    fake = generator(latents[0]).detach()
    slopes = torch.autograd.grad(error(X[:10]) - 0.4 * error(fake), list(judge.parameters()))
    for parameter, slope in zip(judge.parameters(), slopes, strict=True):
        assert_close(parameter.grad, slope)
    slopes = torch.autograd.grad(error(generator(latents[1])), list(generator.parameters()))
    for parameter, slope in zip(generator.parameters(), slopes, strict=True):
        assert_close(parameter.grad, slope)
    assert all(p.requires_grad for p in play.parameters())


def test_k_is_recorded_and_follows_the_recorded_errors():
    play = game(diversity=0.7)
    frame = fit(play, X, rounds=40).frame
    assert list(frame.columns) == [
        *("both/discriminator", "both/generator", "k", "real_error", "fake_error", "convergence")
    ]
    k = torch.zeros(())
    for row in frame.itertuples(index=False):
        real, fake = torch.tensor(row.real_error), torch.tensor(row.fake_error)
        k = began.controlled(k, real, fake, 0.7, 0.05)
        assert row.k == pytest.approx(k.item(), abs=1e-6)
        assert row.convergence == pytest.approx(began.convergence(real, fake, 0.7).item(), abs=1e-6)
        assert row.fake_error == pytest.approx(row[1])
    assert frame["k"].max() > 0
    assert play.k.item() == pytest.approx(frame["k"].iloc[-1])


def test_unclipped_the_balance_is_exact_on_average():
    """Summed up, k_T - k_0 = λ Σ (γ L(x) - L(G)): the mean imbalance is at most 1/(λT) while k is not clipped."""
    play, rounds = game(gain=0.02), 100
    play.k.fill_(0.5)
    frame = fit(play, X, rounds=rounds).frame
    assert frame["k"].between(0.1, 0.9).all()
    imbalance = (0.5 * frame["real_error"] - frame["fake_error"]).mean()
    assert imbalance == pytest.approx((frame["k"].iloc[-1] - 0.5) / (0.02 * rounds), abs=1e-5)


def test_resumed_from_a_checkpoint_it_goes_on_with_its_k(tmp_path):
    through, broken, found = game(average=0.9), game(average=0.9), game(seed=7, average=0.9)
    a = fit(through, X, rounds=12)
    half = fit(broken, X, rounds=12, until=5)
    checkpoint.save(tmp_path / "a.safetensors", broken, half)
    b = fit(found, X, rounds=12, history=checkpoint.load(tmp_path / "a.safetensors", found))
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in through.state_dict().items())
    assert a.columns == b.columns
    assert found.k > 0


def test_compiled_equals_eager(monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    plain, compiled = game(), game()
    a, b = fit(plain, X, rounds=5), fit(compiled, X, rounds=5, compile=True)
    assert list(b.columns["k"]) == pytest.approx(list(a.columns["k"]), rel=1e-5)
    for name, value in plain.state_dict().items():
        assert_close(compiled.state_dict()[name], value, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(diversity=1.5), "diversity=1.5 was given; it must be a finite number of at least 0 and at most 1"),
        (dict(gain=-1.0), "gain=-1.0 was given"),
        (dict(latent_size=0), "latent_size=0 was given"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        game(**settings)
    with pytest.raises(ValueError, match="error='l1' was given; it must be 'norm' or 'mean absolute'"):
        networks.Reconstruction(torch.nn.Identity(), torch.nn.Identity(), "l1")

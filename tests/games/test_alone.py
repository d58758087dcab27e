"""The discriminator that generates by itself."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import checkpoint, fit, games, networks, objectives
from gan_course.errors import Diverged


class Quadratic(nn.Module):
    """d(x) = a x - b x²/2, the score of a normal law with mean a/b and variance 1/b."""

    def __init__(self, a=0.0, b=1.0):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(a)), nn.Parameter(torch.tensor(b))

    def forward(self, x):
        return (self.a * x - self.b * x.square() / 2).flatten(1).sum(1)


def alone(discriminator=None, **settings):
    return games.DiscriminatorAlone(discriminator or Quadratic(), **{"shape": (1,), **settings})


@pytest.mark.parametrize(("noise", "step_size"), [(1.0, 0.02), (0.5, 0.3)])
def test_langevin_has_the_stationary_law_of_a_quadratic_score(noise, step_size):
    torch.manual_seed(0)
    mean, std = 1.5, 0.7
    game = alone(Quadratic(mean / std**2, 1 / std**2), noise=noise, step_size=step_size)
    x = game.walk(game.start(20_000), 8 * math.ceil(std**2 / step_size))
    variance = noise**2 * std**2 / (1 - step_size / (2 * std**2))
    assert x.mean().item() == pytest.approx(mean, abs=0.02)
    assert x.var().item() == pytest.approx(variance, rel=0.03)


def test_ascent_goes_to_the_maximum_at_the_rate_of_its_curvature():
    game = alone(Quadratic(3.0, 2.0), noise=0.0, step_size=0.1, steps=5)
    start = torch.tensor([[-1.0], [4.0]])
    assert_close(game.walk(start), 1.5 + (1 - 0.1 * 2.0) ** 5 * (start - 1.5))
    assert_close(game.walk(start, 200), torch.full((2, 1), 1.5))
    assert torch.equal(game.walk(start, 0), start)


def test_the_gradient_of_the_loss_is_that_of_the_likelihood():
    torch.manual_seed(0)
    real = 2 + 0.5 * torch.randn(400, 1)
    game = alone(Quadratic(1.0, 2.0), pool=400, step_size=1e-3)
    loss = game.loss(real)["likelihood"]
    slope = torch.autograd.grad(loss, [game.discriminator.a, game.discriminator.b])
    negatives = game.negatives  # of a batch as large as the pool: all of them
    assert_close(slope[0], negatives.mean() - real.mean())
    assert_close(slope[1], (real.square().mean() - negatives.square().mean()) / 2)


def test_a_normal_law_is_learnt():
    torch.manual_seed(0)
    real = 0.5 + 0.7 * torch.randn(2_000, 1)
    adam = games.adam(0.1, (0.9, 0.999))
    game = alone(restarted=0.0, pool=500, steps=5, step_size=0.05, optimizer=adam, rate=games.linear_decay)
    fit(game, real, rounds=100, batch_size=500)
    a, b = game.discriminator.a.item(), game.discriminator.b.item()
    assert a / b == pytest.approx(real.mean().item(), abs=0.05)
    assert 1 / math.sqrt(b) == pytest.approx(real.std().item(), abs=0.05)
    assert list(game.turns()[0].networks) == [game.discriminator]


def test_the_pool_keeps_where_walks_came_to_and_some_begin_anew():
    torch.manual_seed(0)
    far = dict(noise=0.0, step_size=1e-6, steps=1, pool=1_000, limits=(5, 6))
    game = alone(Quadratic(), restarted=0.0, **far)
    before = game.negatives.clone()
    ends = game.opponents(300)
    assert len(ends) == 300
    assert (game.negatives != before).sum() == 300
    assert_close(game.negatives, before, atol=1e-4, rtol=0)
    assert alone(Quadratic(), pool=10).opponents(300).shape == (10, 1)
    game = alone(Quadratic(), restarted=0.25, **far)
    before = game.negatives.clone()
    game.opponents(1_000)
    moved = ((game.negatives - before).abs() > 1e-4).float().mean().item()
    assert moved == pytest.approx(0.25, abs=0.05)


def test_limits_hold_and_sampling_changes_nothing_but_chance():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.BatchNorm1d(4), networks.mlp(4, [8]))
    game = games.DiscriminatorAlone(network, (1, 2, 2), limits=(0, 1), step_size=0.5, pool=8)
    before = {name: value.clone() for name, value in game.state_dict().items()}
    x = game.sample(6)
    assert x.shape == (6, 1, 2, 2)
    assert not x.requires_grad
    assert 0 <= x.min() <= x.max() <= 1
    assert all(torch.equal(before[name], value) for name, value in game.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in game.parameters())
    assert game.discriminator.training


def test_an_objective_may_judge_instead_and_scores_may_be_held_small():
    torch.manual_seed(0)
    real, settings = torch.randn(50, 1), dict(objective="minimax", magnitude=0.5, pool=50, noise=0.0)
    game = alone(Quadratic(0.3, 0.7), **settings)
    terms = game.loss(real)
    on_real, on_fake = game.discriminator(real), game.discriminator(game.negatives)
    assert_close(terms["adversarial"], objectives.get("minimax").discriminator_loss(on_real, on_fake))
    assert_close(terms["magnitude"], 0.5 * (on_real.square().mean() + on_fake.square().mean()))
    assert set(alone(**{**settings, "magnitude": 0.0}).loss(real)) == {"adversarial"}
    game = alone(Quadratic(2.0, 1.0), objective="wgan", pool=50)
    fit(game, real, rounds=1, batch_size=50)
    assert game.discriminator.a.abs() <= 0.0101  # the objective's clipping is heard


def test_saved_and_resumed_bit_for_bit(tmp_path):
    x = torch.randn(64, 2)

    def game():
        torch.manual_seed(3)
        return games.DiscriminatorAlone(networks.mlp(2, [8]), (2,), steps=3, pool=40)

    whole, half = game(), game()
    fit(whole, x, rounds=8, batch_size=16)
    history = fit(half, x, rounds=8, until=4, batch_size=16)
    checkpoint.save(tmp_path / "alone.safetensors", half, history)
    resumed = games.DiscriminatorAlone(networks.mlp(2, [8]), (2,), steps=3, pool=40)
    fit(resumed, x, rounds=8, batch_size=16, history=checkpoint.load(tmp_path / "alone.safetensors", resumed))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(shape=()), r"shape=\(\) was given"),
        (dict(shape=(2, 0)), "shape=0 was given"),
        (dict(shape=(10**9,)), "at most 10\\^8 coordinates"),
        (dict(steps=0), "steps=0 was given"),
        (dict(step_size=0.0), "step_size=0.0 was given"),
        (dict(noise=-1.0), "noise=-1.0 was given"),
        (dict(restarted=1.5), "restarted=1.5 was given; it must be a finite number of at least 0 and at most 1"),
        (dict(pool=0), "pool=0 was given"),
        (dict(limits=(1, 0)), r"limits=\(1, 0\) was given; it must be a pair of finite numbers, the lower one first"),
        (dict(limits=(0, math.inf)), "limits"),
        (dict(objective="f-gan"), "unknown objective 'f-gan'"),
        (dict(sampling_steps=0), "sampling_steps=0 was given"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises((ValueError, KeyError), match=message):
        alone(**settings)


def test_what_cannot_be_learnt_from_or_walked():
    with pytest.raises(ValueError, match=r"real samples have the shape \(2,\), the game's shape is \(1,\)"):
        fit(alone(), torch.randn(10, 2), rounds=1)
    with pytest.raises(Diverged, match="lower step_size=5, give limits"):
        alone(step_size=5.0, sampling_steps=200).sample(3)
    with pytest.raises(ValueError, match="scores of shape"):
        alone(nn.Linear(1, 1)).sample(3)


def test_it_plays_in_one_process(monkeypatch):
    game = alone()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with pytest.raises(ValueError, match="plays in one process"):
        game.opponents(3)

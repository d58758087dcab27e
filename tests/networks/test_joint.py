"""Judges of pairs, and maps that draw their output."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import networks, objectives
from gan_course.networks import Joined, JointDiscriminator, Noisy, Stochastic
from gan_course.objectives.base import samplewise
from gan_course.objectives.penalties import gradient_norms

X, Z = torch.randn(6, 1, 4, 4), torch.randn(6, 3)


def linear(inputs, outputs, weight):
    layer = nn.Linear(inputs, outputs, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(weight, dtype=torch.float32))
    return layer


def test_a_pair_is_scored_by_the_features_of_both(unchecked):
    torch.manual_seed(0)
    sample, code, head = networks.encoder(28, 1, 5, 2), networks.mlp(3, [4], 7), networks.mlp(12, [8])
    judge, x = JointDiscriminator(head, sample, code).eval(), torch.rand(6, 1, 28, 28)
    sample.eval()
    assert_close(judge(x, Z), head(torch.cat([sample(x), code(Z)], 1)))
    assert_close(judge((x, Z)), judge(x, Z))
    plain = JointDiscriminator(networks.mlp(19, [8]))
    assert_close(plain(X, Z), plain.head(torch.cat([X.flatten(1), Z], 1)))
    with pytest.raises(ValueError, match="6 samples and 5 codes were given"):
        unchecked(JointDiscriminator.forward)(plain, X, Z[:5])


def test_joined_the_judge_is_one_of_single_tensors(unchecked):
    judge = JointDiscriminator(networks.mlp(19, [8]))
    joined = Joined(judge, (1, 4, 4), (3,))
    pairs = joined.join(X, Z)
    assert pairs.shape == (6, 19)
    assert_close(joined(pairs), judge(X, Z))
    assert samplewise(joined)
    assert not samplewise(Joined(JointDiscriminator(nn.BatchNorm1d(19)), (1, 4, 4), (3,)))
    with pytest.raises(ValueError, match=r"a sample of shape \(4, 4\) was given; pairs have a sample of \(1, 4, 4\)"):
        joined.join(X[:, 0], Z)
    with pytest.raises(ValueError, match=r"a code of shape \(2,\) was given; pairs have a code of \(3,\)"):
        joined.join(X, Z[:, :2])
    with pytest.raises(ValueError, match="6 samples and 4 codes"):
        unchecked(Joined.join)(joined, X, Z[:4])


def test_penalties_take_the_slope_in_sample_and_code():
    joined = Joined(JointDiscriminator(nn.Sequential(linear(3, 1, [[2.0, -3.0, 6.0]]), nn.Flatten(0))), (2,), (1,))
    pairs = joined.join(torch.randn(5, 2), torch.randn(5, 1))
    assert_close(gradient_norms(joined, pairs), torch.full((5,), 7.0))  # the root of 4 + 9 + 36
    terms = objectives.get("wgan-gp", weight=1.0).for_discriminator(joined, pairs, pairs + 1)
    assert_close(terms["gradient penalty"], torch.tensor(36.0))


def test_stochastic_draws_from_the_law_that_the_network_names():
    """Means x and x - 1, variances e^(2x) and 4."""
    network = linear(1, 4, [[1.0], [1.0], [2.0], [0.0]])
    network.bias = nn.Parameter(torch.tensor([0.0, -1.0, 0.0, math.log(4.0)]))
    draw, x = Stochastic(network), torch.full((200_000, 1), 0.5)
    torch.manual_seed(0)
    y = draw(x)
    assert_close(y.mean(0), torch.tensor([0.5, -0.5]), atol=0.02, rtol=0)
    assert_close(y.var(0), torch.tensor([math.e, 4.0]), atol=0, rtol=0.02)
    assert abs(torch.corrcoef(y.T)[0, 1]) < 0.01
    assert_close(draw.mean(x[:1]), torch.tensor([[0.5, -0.5]]))
    law = torch.distributions.Normal(torch.tensor([0.5, -0.5]), torch.tensor([math.e**0.5, 2.0]))
    assert_close(draw.log_density(x[:50], y[:50]), law.log_prob(y[:50]).sum(1))


def test_stochastic_passes_gradients_through_the_draw():
    """Of E y² with y = μ + σε: 2μ for the mean, σ² for the log variance."""
    network = nn.Linear(1, 2)
    with torch.no_grad():
        network.weight.zero_()
        network.bias.copy_(torch.tensor([1.5, math.log(0.49)]))
    torch.manual_seed(0)
    Stochastic(network)(torch.zeros(200_000, 1)).square().mean().backward()
    assert_close(network.bias.grad, torch.tensor([3.0, 0.49]), atol=0.01, rtol=0)


def test_stochastic_gives_the_mean_in_evaluation_only_where_asked():
    x = torch.randn(4, 3)
    for asked in (False, True):
        draw = Stochastic(networks.mlp(3, [4], 4), mean_in_evaluation=asked)
        assert not torch.equal(draw(x), draw.mean(x))
        draw.eval()
        assert torch.equal(draw(x), draw.mean(x)) == asked
    images = Stochastic(nn.Conv2d(1, 6, 1))
    assert images(torch.rand(2, 1, 4, 4)).shape == (2, 3, 4, 4)
    assert images.log_density(torch.rand(2, 1, 4, 4), torch.rand(2, 3, 4, 4)).shape == (2,)


def test_noisy_puts_noise_beside_the_input():
    network = Noisy(linear(4, 2, [[1.0, 0, 0, 0], [0, 1.0, 3.0, 4.0]]), 2)
    torch.manual_seed(0)
    y = network(torch.tensor([[[2.0, -1.0]]]).expand(100_000, 1, 2))
    assert (y[:, 0] == 2).all()
    assert y[:, 1].mean().item() == pytest.approx(-1, abs=0.05)
    assert y[:, 1].std().item() == pytest.approx(5, rel=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Joined(nn.Identity(), (), (2,)), r"sample=\(\) was given"),
        (lambda: Joined(nn.Identity(), (2,), (0,)), "code=0 was given"),
        (lambda: Stochastic(nn.Identity())(torch.ones(2, 3)), "its second size must be even"),
        (lambda: Noisy(nn.Identity(), 0), "noise=0 was given"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()

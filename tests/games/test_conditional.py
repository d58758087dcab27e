"""The GAN that is told the class."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import data, fit, games, networks, objectives


class Told(nn.Module):
    """A perceptron of the input beside a one-hot class."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.network = networks.Conditioned(networks.mlp(inputs + 2, [8], outputs), 2)

    def forward(self, x, labels):
        return self.network(x, labels)


def game(**settings):
    return games.ConditionalGAN(Told(3, 2), Told(2, None), 2, **{"latent_size": 3, **settings})


X, Y = torch.randn(6, 2), torch.tensor([0, 1, 1, 0, 0, 1])


@pytest.mark.parametrize("objective", ["non-saturating", "wgan-gp", "relativistic"])
def test_both_players_are_told_the_batchs_classes(objective):
    conditional = game(objective=objective)
    seed = torch.get_rng_state()
    terms = conditional.discriminator_loss((X, Y))
    torch.set_rng_state(seed)
    fake = conditional.generator(conditional.noise(6), Y).detach()
    told = lambda x: conditional.discriminator(x, Y)  # noqa: E731
    for name, term in objectives.get(objective).for_discriminator(told, X, fake).items():
        assert_close(terms[name], term)
    torch.set_rng_state(seed)
    expected = objectives.get(objective).for_generator(told, X, fake)["adversarial"]
    assert_close(conditional.generator_loss((X, Y))["adversarial"], expected)


def test_it_learns_two_points_apart():
    """Class 0 lies at −2, class 1 at 2."""
    torch.manual_seed(0)
    labels = torch.arange(400) % 2
    points = (4.0 * labels - 2)[:, None] + 0.1 * torch.randn(400, 2)
    conditional = game(optimizer=games.adam(5e-3), average=0.95)
    fit(conditional, data.Paired(points, labels), rounds=300, batch_size=64, device="cpu")
    for label in (0, 1):
        drawn = conditional.sample(200, torch.full((200,), label))
        assert_close(drawn.mean().item(), 4.0 * label - 2, atol=0.5, rtol=0)


def test_samples_of_no_given_class_are_of_any():
    conditional = game()
    torch.manual_seed(0)
    labels = torch.randint(2, (5,))
    expected = conditional.generate(conditional.noise(5), labels)
    torch.manual_seed(0)
    assert_close(conditional.sample(5), expected)
    assert not conditional.sample(5).requires_grad


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (X, "give fit data.Paired"),
        ((X, Y, Y), "give fit data.Paired"),
        ((X, Y.float()), r"labels must be int64 of shape \(6,\), not torch.float32"),
        ((X, Y[:3]), r"labels must be int64 of shape \(6,\), not torch.int64 \(3,\)"),
    ],
)
def test_batches_without_labels(batch, message):
    with pytest.raises(ValueError, match=message):
        game().discriminator_loss(batch)


def test_classes():
    with pytest.raises(ValueError, match="classes=1"):
        games.ConditionalGAN(Told(3, 2), Told(2, None), 1, latent_size=3)

"""Shapes, ranges and numbers of parameters."""

import pytest
import torch
from torch import nn

from gan_course import networks


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("hidden", [0, 6])
def test_dcgan_shapes(size, channels, hidden):
    generator, discriminator = networks.dcgan(size, channels, latent_size=5, width=4, hidden=hidden)
    images = generator(torch.randn(3, 5))
    assert images.shape == (3, channels, size, size)
    assert images.min() >= 0
    assert images.max() <= 1
    assert discriminator(images).shape == (3,)
    assert networks.encoder(size, channels, 7, width=4, hidden=hidden)(images).shape == (3, 7)
    assert networks.decoder(size, channels, 5, width=4, hidden=hidden)(torch.randn(3, 5)).shape == images.shape


def test_a_hidden_layer_stands_at_the_narrow_end_of_both():
    plain, wide = (networks.dcgan(8, latent_size=5, width=4, hidden=hidden) for hidden in (0, 6))
    bottom = 4 * 4 * 4  # channels, height, width
    added = 5 * 6 + 2 * 6 + 6 * bottom - 5 * bottom  # weights, normalisation, and what the next layer sees now
    assert networks.parameters(wide[0]) - networks.parameters(plain[0]) == added
    added = bottom * 6 + 2 * 6 + (6 + 1) - (bottom + 1)
    assert networks.parameters(wide[1]) - networks.parameters(plain[1]) == added


@pytest.mark.parametrize("hidden", [0, 6])
def test_a_discriminator_without_normalisation_scores_each_sample_alone(hidden):
    _, discriminator = networks.dcgan(28, width=4, normalise=False, hidden=hidden)
    x = torch.rand(6, 1, 28, 28)
    torch.testing.assert_close(discriminator(x)[:2], discriminator(x[:2]))
    _, coupled = networks.dcgan(28, width=4)
    assert not torch.allclose(coupled(x)[:2], coupled(x[:2]))


def test_unsupported_size():
    with pytest.raises(ValueError, match=r"\[8, 16, 28, 32, 64\]"):
        networks.dcgan(30)


def test_mlp():
    assert networks.mlp(4, [8, 8])(torch.randn(3, 2, 2)).shape == (3,)
    assert networks.mlp(4, [8], 5)(torch.randn(3, 4)).shape == (3, 5)
    assert networks.mlp(4, [], (1, 2, 3), final=nn.Sigmoid)(torch.randn(3, 4)).shape == (3, 1, 2, 3)
    assert networks.parameters(networks.mlp(4, [8], 5)) == 4 * 8 + 8 + 8 * 5 + 5
    assert [type(m).__name__ for m in networks.mlp(2, [3], 1, nn.Tanh).layers] == ["Linear", "Tanh", "Linear"]
    with pytest.raises(ValueError, match="at least 1"):
        networks.mlp(2, [0], 1)


def test_fourier():
    x = torch.tensor([[0.5, -1.0]])
    features = networks.Fourier(2)(x)
    expected = [0.5, -1.0, *(torch.tensor([0.5, 1.0, -1.0, -2.0]).sin()), *(torch.tensor([0.5, 1.0, -1.0, -2.0]).cos())]
    torch.testing.assert_close(features, torch.tensor([expected]))


def test_residual():
    network = networks.mlp(2, [8], 2)
    x = torch.randn(5, 2)
    torch.testing.assert_close(networks.Residual(network)(x), x + network(x))
    assert torch.equal(networks.Residual(nn.Identity())(x), 2 * x)
    with pytest.raises(ValueError, match=r"\(5, 2\) into \(5, 3\)"):
        networks.Residual(networks.mlp(2, [], 3))(x)

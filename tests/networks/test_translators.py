"""Networks of pix2pix and CycleGAN: shapes, numbers of parameters, receptive fields, and sizes that do not fit."""

import jaxtyping
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import networks
from gan_course.objectives.base import checked, samplewise


@pytest.fixture
def untyped():
    """As users have it: without jaxtyping's check, which under test would answer before our own message does."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def on_meta(make, *arguments, **settings):
    """A network without its weights, for those that are large."""
    with torch.device("meta"):
        return make(*arguments, **settings)


def test_the_published_networks_have_the_published_numbers_of_parameters():
    """Those that the authors' code prints: 54.414, 11.378, 2.765 and 2.769 million."""
    assert networks.parameters(on_meta(networks.unet)) == 54_413_955
    assert networks.parameters(on_meta(networks.resnet_generator)) == 11_378_179
    assert networks.parameters(on_meta(networks.resnet_generator, 128, blocks=6)) == 7_837_699
    assert networks.parameters(on_meta(networks.patch_discriminator)) == 2_764_737
    assert networks.parameters(on_meta(networks.patch_discriminator, 6, norm="batch")) == 2_768_705


def test_the_published_networks_take_images_of_256_pixels():
    x = torch.empty(1, 3, 256, 256, device="meta")
    assert on_meta(networks.unet)(x).shape == x.shape
    assert on_meta(networks.resnet_generator)(x).shape == x.shape
    assert on_meta(networks.patch_discriminator)(x).shape == (1, 1, 30, 30)


def test_the_levels_of_the_published_unet():
    convolutions = [m for m in on_meta(networks.unet).modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    down, up = convolutions[:8], convolutions[8:]
    assert [c.out_channels for c in down] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [c.in_channels for c in up] == [512, 1024, 1024, 1024, 1024, 512, 256, 128]
    assert [c.out_channels for c in up] == [512, 512, 512, 512, 256, 128, 64, 3]


@pytest.mark.parametrize(
    ("size", "depth", "norm"), [(8, None, "batch"), (28, None, "instance"), (16, 2, "none"), (12, 2, "batch")]
)
def test_small_unets(size, depth, norm):
    network = networks.unet(size, 1, 3, width=2, depth=depth, norm=norm)
    out = network(torch.rand(2, 1, size, size))
    assert out.shape == (2, 3, size, size)
    assert out.min() >= 0
    assert out.max() <= 1
    out.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_a_unet_goes_as_deep_as_its_size_can_be_halved():
    assert [len(networks.unet(size, 1, width=1).down) for size in (8, 12, 28, 32)] == [3, 2, 2, 5]


def test_every_level_is_bridged():
    """Cut off at the narrowest level, what is above still answers to the input."""
    network = networks.unet(8, 1, width=2, norm="none", dropout=0.0)
    for p in network.down[-1].parameters():
        nn.init.zeros_(p)
    for p in network.up.parameters():
        nn.init.normal_(p)
    x, y = torch.rand(2, 1, 1, 8, 8)
    assert not torch.allclose(network(x), network(y))


def test_dropout_is_the_noise_in_either_mode():
    network = networks.unet(8, 1, width=4, norm="none").eval()
    for p in network.parameters():
        nn.init.normal_(p)
    x = torch.rand(1, 1, 8, 8)
    assert not torch.equal(network(x), network(x))
    steady = networks.unet(8, 1, width=4, norm="none", dropout=0.0)
    assert torch.equal(steady(x), steady(x))
    found = networks.translation.Dropout(0.25).eval()(torch.ones(1, 20_000))
    assert_close((found == 0).float().mean().item(), 0.25, atol=0.02, rtol=0)
    assert_close(found.max().item(), 1 / 0.75)


@pytest.mark.parametrize(
    ("size", "depth", "blocks", "norm"), [(8, 2, 1, "instance"), (28, 2, 2, "batch"), (4, 1, 1, "none")]
)
def test_small_resnets(size, depth, blocks, norm):
    network = networks.resnet_generator(size, 1, 3, width=2, blocks=blocks, depth=depth, norm=norm)
    out = network(torch.rand(2, 1, size, size))
    assert out.shape == (2, 3, size, size)
    assert out.min() >= 0
    assert out.max() <= 1
    out.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize(("depth", "patch"), [(0, 1), (1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_patches_are_as_large_as_the_paper_says(depth, patch):
    assert networks.patch_size(depth) == patch
    assert networks.patch_discriminator(1, 1, depth).patch == patch


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_score_sees_its_patch_and_no_more(depth):
    """The slope of one score in the image: the receptive field, measured."""
    network = networks.patch_discriminator(1, 1, depth, norm="none")
    for p in network.parameters():
        nn.init.ones_(p)
    x = torch.ones(1, 1, 80, 80, requires_grad=True)
    scores = network(x)
    middle = scores.shape[2] // 2
    seen = torch.autograd.grad(scores[0, 0, middle, middle], x)[0][0, 0] != 0
    patch = networks.patch_size(depth)
    assert seen.any(0).sum() == patch
    assert seen.any(1).sum() == patch


@pytest.mark.parametrize(("depth", "size"), [(0, 2), (1, 6), (2, 12), (2, 28)])
def test_scores_of_patches(depth, size):
    for norm in (None, "batch", "none"):
        network = networks.patch_discriminator(2, 2, depth, norm=norm)
        scores = checked(network(torch.rand(3, 2, size, size)), 3)
        assert scores.shape[:2] == (3, 1)
        assert samplewise(network) == (norm == "none")


# --- Bad input


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (networks.unet, dict(size=28, depth=3), "depth=3 was given for size=28, which can be halved 2 times"),
        (networks.unet, dict(size=7), "size=7 was given; it must be divisible by 4"),
        (networks.unet, dict(size=8, depth=1), "depth=1 was given"),
        (networks.unet, dict(size=8, dropout=1.0), "dropout=1.0 was given"),
        (networks.unet, dict(size=8, norm="layer"), "norm='layer' was given; choose one of batch, instance, none"),
        (networks.unet, dict(size=8, width=0), "width=0 was given"),
        (networks.resnet_generator, dict(size=6), "depth=2 was given for size=6, which can be halved 1 times"),
        (networks.resnet_generator, dict(size=4), "one pixel would be left"),
        (networks.resnet_generator, dict(size=8, blocks=0), "blocks=0 was given"),
        (networks.patch_discriminator, dict(depth=-1), "depth=-1 was given"),
        (networks.patch_discriminator, dict(norm=3), "norm=3 was given"),
        (networks.patch_discriminator, dict(channels=0), "channels=0 was given"),
    ],
)
def test_bad_settings(make, settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


def test_images_of_another_size():
    x = torch.rand(1, 1, 10, 10)
    with pytest.raises(ValueError, match=r"made for images of shape \(n, channels, 8, 8\).*\(1, 1, 10, 10\)"):
        networks.unet(8, 1, width=1)(x)
    with pytest.raises(ValueError, match=r"made for images of shape \(n, channels, 8, 8\)"):
        networks.resnet_generator(8, 1, width=1, blocks=1)(x)
    with pytest.raises(ValueError, match=r"depth=2 takes .* of at least 12 pixels: make it less deep"):
        networks.patch_discriminator(1, 1, 2)(x)

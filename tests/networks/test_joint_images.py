"""Networks of JointGAN for images."""

import jaxtyping
import pytest
import torch

from gan_course import networks
from gan_course.objectives.base import samplewise


@pytest.fixture
def untyped():
    """As users have it: without jaxtyping's check, which under test would answer before our own message does."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("size", "channels"), [(8, (1, 3)), (28, (1, 1)), (16, (3, 1, 1))])
def test_networks_for_joint_images(size, channels, paired):
    generators, critic = networks.joint_images(size, channels, latent_size=5, width=2, hidden=6, paired=paired)
    images = [torch.rand(3, c, size, size) for c in channels]
    for i, generator in enumerate(generators):
        out = generator(torch.randn(3, 5), *(x for j, x in enumerate(images) if j != i))
        assert out.shape == images[i].shape
        assert out.min() >= 0
        assert out.max() <= 1
    assert critic(*images).shape == (3, 2 * len(channels) + paired)
    assert samplewise(critic)


@pytest.mark.usefixtures("untyped")
def test_settings_of_joint_images():
    with pytest.raises(ValueError, match=r"channels=\[1\] was given; a joint law is of two domains or more"):
        networks.joint_images(channels=[1])
    with pytest.raises(ValueError, match="size=7 of images is not supported"):
        networks.joint_images(size=7)
    with pytest.raises(ValueError, match="channels=0 was given"):
        networks.joint_images(channels=(1, 0))

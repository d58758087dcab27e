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


def test_a_draw_is_the_same_in_training_and_in_use_and_depends_on_no_other():
    """As one generator draws from several laws, in batches apart, no moments of a batch may enter."""
    generators, critic = networks.joint_images(16, (1, 1), latent_size=5, width=4, hidden=6)
    z, x, y = torch.randn(6, 5), torch.rand(6, 1, 16, 16), torch.rand(6, 1, 16, 16)
    for network, things in ((generators[0], (z, y)), (generators[1], (z, x)), (critic, (x, y))):
        together = network(*things)
        torch.testing.assert_close(network.eval()(*things), together)
        torch.testing.assert_close(network(*(thing[2:3] for thing in things)), together[2:3])
        assert not list(network.buffers())
        assert any(isinstance(part, torch.nn.GroupNorm) for part in network.modules())
        network.train()


@pytest.mark.usefixtures("untyped")
def test_settings_of_joint_images():
    with pytest.raises(ValueError, match=r"channels=\[1\] was given; a joint law is of two domains or more"):
        networks.joint_images(channels=[1])
    with pytest.raises(ValueError, match="size=7 of images is not supported"):
        networks.joint_images(size=7)
    with pytest.raises(ValueError, match="channels=0 was given"):
        networks.joint_images(channels=(1, 0))

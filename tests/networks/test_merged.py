"""Networks of several inputs."""

import jaxtyping
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import networks
from gan_course.objectives.base import samplewise

X, Y = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)), torch.ones(5, 1, 3)


@pytest.fixture
def untyped():
    """As users have it: without jaxtyping's check, which under test would answer before our own message does."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_features_stand_side_by_side():
    branch, head = nn.Linear(2, 4), nn.Linear(7, 2)
    merged = networks.Merged(head, branch, None)
    assert_close(merged(X, Y), head(torch.cat([branch(X), Y.flatten(1)], 1)))
    assert samplewise(merged)
    assert not samplewise(networks.Merged(head, nn.BatchNorm1d(2), None))


@pytest.mark.usefixtures("untyped")
def test_inputs_that_do_not_fit():
    merged = networks.Merged(nn.Linear(5, 1), None, None)
    with pytest.raises(ValueError, match="1 inputs were given; this network has 2 branches"):
        merged(X)
    with pytest.raises(ValueError, match=r"inputs with \[5, 4\] rows"):
        merged(X, Y[:4])
    with pytest.raises(ValueError, match="no branches were given"):
        networks.Merged(nn.Identity())
    with pytest.raises(ValueError, match=r"branches\[1\] must be a torch.nn.Module or None"):
        networks.Merged(nn.Identity(), None, 3)


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

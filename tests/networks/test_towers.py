"""Towers: several things through features of their own into one head."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import networks
from gan_course.objectives.base import samplewise

X, Y, Z = torch.randn(5, 2), torch.randn(5, 1, 3, 3), torch.randn(5, 4)


def test_it_is_the_head_of_all_features_side_by_side():
    tower, head = nn.Conv2d(1, 2, 3), networks.mlp(2 + 2 + 4, [6], 3)
    together = networks.Towers(head, None, tower, None)
    assert_close(together(X, Y, Z), head(torch.cat([X, tower(Y).flatten(1), Z], 1)))
    assert {*together.parameters()} == {*tower.parameters(), *head.parameters()}
    assert samplewise(together)
    assert not samplewise(networks.Towers(head, nn.BatchNorm1d(2)))


def test_what_does_not_fit_is_refused():
    pair = networks.Towers(networks.mlp(6, [3], 2), None, None)
    with pytest.raises(ValueError, match="1 things were given for 2 towers; give one for each"):
        pair(X)
    with pytest.raises(ValueError, match=r"things of \[4, 5\] rows were given"):
        pair(X, Z[:4])
    with pytest.raises(ValueError, match="no towers were given"):
        networks.Towers(nn.Identity())

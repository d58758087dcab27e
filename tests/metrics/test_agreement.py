"""Pixel agreement and the marks beside it."""

import pytest
import torch
from torch.testing import assert_close

from gan_course import metrics


def ink(n, share, seed):
    """Binary images with so much ink."""
    return (torch.rand(n, 1, 6, 6, generator=torch.Generator().manual_seed(seed)) < share).float()


def test_images_agree_with_themselves_and_never_with_their_negatives():
    x = ink(20, 0.3, 0)
    assert metrics.pixel_agreement(x, x).agreement == 1
    assert metrics.pixel_agreement(x, 1 - x).agreement == 0


def test_independent_images_agree_by_chance():
    """With a share r of ink in either: r² + (1 − r)²."""
    found = metrics.pixel_agreement(ink(4_000, 0.2, 0), ink(4_000, 0.2, 1))
    assert found.agreement == pytest.approx(0.2**2 + 0.8**2, abs=0.005)
    assert found.shuffled == pytest.approx(0.68, abs=0.005)
    assert found.constant == pytest.approx(0.8, abs=0.005)
    assert (found.pairs, found.threshold) == (4_000, 0.5)


def test_shuffled_pairs_are_all_pairs_of_different_rows():
    first, second = ink(7, 0.4, 0), ink(7, 0.5, 1)
    pairs = [float((first[i] == second[j]).float().mean()) for i in range(7) for j in range(7) if i != j]
    found = metrics.pixel_agreement(first, second)
    assert_close(found.shuffled, sum(pairs) / len(pairs))
    own = [float((first[i] == second[i]).float().mean()) for i in range(7)]
    assert_close(found.agreement, sum(own) / 7)


def test_the_best_constant_image():
    """Of all binary images of four pixels, the one that agrees most."""
    expected = torch.rand(9, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    each = [
        metrics.pixel_agreement(expected, torch.tensor(bits).view(1, 1, 2, 2).expand(9, -1, -1, -1).float()).agreement
        for bits in torch.cartesian_prod(*[torch.arange(2)] * 4).tolist()
    ]
    assert_close(metrics.pixel_agreement(expected, expected).constant, max(each))
    black = torch.zeros(5, 1, 2, 2)
    assert metrics.pixel_agreement(black, black).constant == 1


def test_the_threshold_counts_as_ink():
    grey = torch.full((2, 1, 1, 1), 0.5)
    assert metrics.pixel_agreement(grey, torch.ones_like(grey)).agreement == 1
    assert metrics.pixel_agreement(grey, torch.ones_like(grey), threshold=0.6).agreement == 0


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (torch.rand(1, 1, 2, 2), torch.rand(1, 1, 2, 2), "at least 2, for shuffled pairs"),
        (torch.rand(3, 1, 2, 2), torch.rand(3, 1, 2, 2) + 1, "images has values from"),
    ],
)
def test_what_cannot_be_compared(first, second, message):
    with pytest.raises(ValueError, match=message):
        metrics.pixel_agreement(first, second)

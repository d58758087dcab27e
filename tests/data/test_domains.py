"""Two domains out of one set of images."""

import pytest
import torch
from torch.testing import assert_close

from gan_course.data import domains

X = torch.rand(9, 1, 5, 5, generator=torch.Generator().manual_seed(0))


def test_edges_of_a_point_are_its_ring():
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 2] = 0.8
    found = domains.edges(image)
    assert found[0, 0, 2, 2] == 0
    assert_close(found[0, 0, 1:4, 1:4].sum().item(), 8 * 0.8)
    assert_close(found.sum().item(), 8 * 0.8)


def test_edges_are_the_largest_of_nine_less_the_pixel():
    found = domains.edges(X)
    for i, j in [(0, 0), (2, 3), (4, 4)]:
        near = X[:, :, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].amax((2, 3))
        assert_close(found[:, :, i, j], near - X[:, :, i, j])
    assert ((found >= 0) & (found <= 1)).all()


def test_negatives_and_rotations():
    assert_close(domains.negatives(X), 1 - X)
    assert_close(domains.rotated(X)[..., 0, :], X.flip(3)[..., :, 0])  # the right-hand column goes to the top
    assert_close(domains.rotated(X, 4), X)


def test_halves_are_disjoint_and_the_second_is_changed():
    found = domains.halves(X, domains.negatives, seed=3)
    rows = torch.cat(found.rows)
    assert sorted(rows.tolist()) == list(range(9))
    assert_close(found.first, X[found.rows[0]])
    assert_close(found.second, 1 - X[found.rows[1]])
    assert (len(found.first), len(found.second)) == (4, 5)
    again, other = domains.halves(X, domains.negatives, seed=3), domains.halves(X, domains.negatives, seed=4)
    assert torch.equal(found.rows[0], again.rows[0])
    assert not torch.equal(found.rows[0], other.rows[0])


def test_halves_that_overlap_are_refused():
    one = torch.tensor([0, 1, 2])
    with pytest.raises(ValueError, match="the two halves have 2 of 9 images in common; they must be disjoint"):
        domains.halves(X, domains.edges, rows=(one, one + 1))
    assert len(domains.halves(X, domains.edges, rows=(one, one + 3)).second) == 3
    with pytest.raises(ValueError, match="rows of the second half must be int64"):
        domains.halves(X, domains.edges, rows=(one, one + 8))
    with pytest.raises(ValueError, match="1 image was given"):
        domains.halves(X[:1], domains.edges)


@pytest.mark.parametrize("change", [domains.edges, domains.negatives, domains.rotated])
def test_images_of_bytes_are_refused(change):
    with pytest.raises(ValueError, match="floating-point"):
        domains._images((X * 255).byte())
    with pytest.raises(ValueError, match=r"\(n, c, h, w\)"):
        domains._images(X[0])
    assert change(X).shape == X.shape

import itertools

import pytest
import torch

from gan_course.metrics import total_variation


def test_equal_disjoint_and_between():
    assert total_variation(torch.full((10,), 0.1), torch.full((10,), 0.1)) == 0
    assert total_variation(torch.eye(3)[0], torch.eye(3)[2]) == 1
    assert total_variation(torch.tensor([0.5, 0.5]), torch.tensor([0.75, 0.25])) == pytest.approx(0.25)


def test_it_is_the_largest_difference_over_all_events():
    generator = torch.Generator().manual_seed(0)
    p, q = torch.rand(2, 7, generator=generator, dtype=torch.float64).softmax(1)
    events = itertools.chain.from_iterable(itertools.combinations(range(7), r) for r in range(8))
    largest = max(abs(float(p[list(a)].sum() - q[list(a)].sum())) for a in events)
    assert total_variation(p, q) == pytest.approx(largest, rel=1e-12)
    assert total_variation(q, p) == total_variation(p, q)


@pytest.mark.parametrize(
    ("q", "message"),
    [
        (torch.tensor([1.0]), "p has 2 classes and q has 1"),
        (torch.tensor([3.0, 1.0]), "q has smallest entry 1 and sum 4; .*Divide counts"),
        (torch.tensor([1.5, -0.5]), "q has smallest entry -0.5 and sum 1; allowed"),
        (torch.tensor([[0.5, 0.5]]), r"q has shape \(1, 2\)"),
        (torch.tensor([float("nan"), 0.5]), "q holds 1 values that are NaN"),
        (torch.tensor([1, 0]), "q has dtype torch.int64"),
    ],
)
def test_bad_input(q, message, unchecked):
    with pytest.raises(ValueError, match=message):
        unchecked(total_variation)(torch.tensor([0.5, 0.5]), q)

import math

import pytest
import torch

from gan_course.metrics import birthday, birthday_draws, collision_probability, implied_support


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("support", "draws"), [(365, 23), (10_000, 118), (160_000, 471)])
def test_draws_for_an_even_chance(support, draws):
    assert birthday_draws(support) == draws
    assert collision_probability(draws - 1, support) < 0.5
    assert collision_probability(draws, support) == pytest.approx(0.5, abs=0.008)
    assert collision_probability(draws + 1, support) > 0.5
    assert implied_support(draws) == pytest.approx(support, rel=0.01)


def test_the_product_itself():
    assert collision_probability(23, 365) == pytest.approx(1 - math.perm(365, 23) / 365**23, rel=1e-12)
    assert [collision_probability(*pair) for pair in ((1, 1), (1, 9), (2, 1), (2, 10), (11, 10))] == pytest.approx(
        [0, 0, 1, 0.1, 1]
    )
    assert collision_probability(2, 2**53) == pytest.approx(2**-53, rel=1e-9)  # 1 - (1 - 2⁻⁵³) would be 0


def test_support_and_probability_are_inverse():
    assert implied_support(23) == pytest.approx(23 * 22 / (2 * math.log(2)))
    for support in (1_000, 50_000):
        assert implied_support(60, 1 - math.exp(-60 * 59 / 2 / support)) == pytest.approx(support)


@pytest.mark.parametrize("support", [100, 365, 2_000])
def test_a_generator_with_few_samples_is_found_out(support):
    pool = normal(support, 5)
    drawn = pool[torch.randint(support, (20_000,), generator=torch.Generator().manual_seed(1))]
    found = birthday(drawn, birthday_draws(support), threshold=0)
    assert found.probability == pytest.approx(0.5, abs=0.1)
    assert found.support == pytest.approx(support, rel=0.3)
    assert found.effective_support == pytest.approx(support, rel=0.2)


def test_unequal_samples_meet_earlier_and_the_effective_support_says_so():
    shares = torch.tensor([0.5, *[0.5 / 500] * 500])
    drawn = torch.multinomial(shares, 20_000, replacement=True, generator=torch.Generator().manual_seed(0))
    found = birthday(normal(501, 3)[drawn], 2, threshold=0)
    assert found.effective_support == pytest.approx(1 / float(shares.square().sum()), rel=0.1)


def test_near_duplicates_are_counted_by_the_threshold():
    x = torch.tensor([[0.0], [1.0], [3.0], [3.5], [9.0], [9.25], [9.5], [20.0], [30.0]])
    found = birthday(x, 4, threshold=0.5)
    assert (found.draws, found.batches, found.collisions, found.pairs) == (4, 2, 2, 4)  # 9.0, 9.25, 9.5: three pairs
    assert birthday(x, 4, threshold=0.25).collisions == 1
    none = birthday(x, 4, threshold=0.2)
    assert (none.probability, none.support, none.effective_support) == (0, math.inf, math.inf)
    assert found.support == pytest.approx(implied_support(4, 0.75))  # every batch: half a batch less
    assert str(none) == "near-duplicates in 0 of 2 batches of 4: a support of about inf"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda u: u(birthday)(torch.zeros(0, 2), 2, 0.1), "samples is empty"),
        (lambda u: u(birthday)(torch.zeros(5), 2, 0.1), r"samples has shape \(5,\)"),
        (lambda u: u(birthday)(torch.zeros(5, 2), 6, 0.1), "draws=6 was given for 5 samples"),
        (lambda u: u(birthday)(torch.zeros(5, 2), 1, 0.1), "draws=1 was given"),
        (lambda u: u(birthday)(torch.zeros(5, 2), 2, -1.0), "threshold=-1.0 was given"),
        (lambda u: u(birthday)(torch.zeros(5, 2) / 0, 2, 0.1), "samples holds 10 values that are NaN"),
        (lambda u: u(birthday_draws)(0), "support=0 was given"),
        (lambda u: u(implied_support)(23, 0), "probability=0 was given; it must be .* above 0"),
        (lambda u: u(implied_support)(23, 1), "probability=1 was given; it must be below 1"),
        (lambda u: u(collision_probability)(0, 5), "draws=0 was given"),
    ],
)
def test_bad_input(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call(unchecked)

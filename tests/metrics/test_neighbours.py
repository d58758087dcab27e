import pytest
import torch

from gan_course.metrics import memorisation, nearest_neighbours, neighbours


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def brute_force(x, r, k):
    differences = x.flatten(1).double()[:, None] - r.flatten(1).double()[None]
    return differences.square().sum(-1).sqrt().sort(dim=1, stable=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [1, 3, 90])
@pytest.mark.parametrize("shape", [(1,), (5,), (1, 6, 6)])
def test_it_is_brute_force(dtype, k, shape):
    x, r = normal(70, *shape, dtype=dtype), normal(90, *shape, seed=1, dtype=dtype)
    expected, rows = brute_force(x, r, k)
    distances, indices = nearest_neighbours(x, r, k)
    assert distances.shape == indices.shape == (70, k)
    assert indices.dtype == torch.int64
    torch.testing.assert_close(distances.double(), expected[:, :k], rtol=1e-5, atol=1e-6)
    if dtype == torch.float64:
        assert torch.equal(indices, rows[:, :k])


def test_blocks_change_nothing(monkeypatch):
    x, r = normal(103, 4, dtype=torch.float64), normal(57, 4, seed=1, dtype=torch.float64)
    whole = nearest_neighbours(x, r, 2)
    monkeypatch.setattr(neighbours, "_MEMORY", 57 * 10)  # ten samples at a time
    parts = nearest_neighbours(x, r, 2)
    assert torch.equal(whole[1], parts[1])
    torch.testing.assert_close(whole[0], parts[0])


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_a_copy_is_at_distance_zero_exactly(offset):
    r = normal(200, 784) * 0.1 + offset
    order = torch.randperm(200, generator=torch.Generator().manual_seed(2))
    distances, indices = nearest_neighbours(r[order], r)
    assert float(distances.max()) == 0
    assert torch.equal(indices[:, 0], order)


def test_far_from_the_origin_no_neighbour_is_lost():
    x, r = normal(50, 3, dtype=torch.float64), normal(80, 3, seed=1, dtype=torch.float64)
    assert torch.equal(nearest_neighbours(x + 1e6, r + 1e6)[1], nearest_neighbours(x, r)[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(2, 3), torch.zeros(2, 4)), r"samples has points of \(3,\) coordinates and reference of \(4,\)"),
        ((torch.zeros(2, 1, 8, 8), torch.zeros(2, 64)), r"samples has points of \(1, 8, 8\).*reference of \(64,\)"),
        ((torch.zeros(2), torch.zeros(2)), r"samples has shape \(2,\).*x\[:, None\]"),
        ((torch.zeros(0, 3), torch.zeros(2, 3)), "samples is empty"),
        ((torch.zeros(2, 3), torch.zeros(2, 3) / 0), "reference holds 6 values that are NaN"),
        ((torch.zeros(2, 3), torch.zeros(2, 3), 3), "k=3 was given; it must be .*at least 1 and at most 2"),
        ((torch.zeros(2, 3), torch.zeros(2, 3), 0), "k=0 was given; it must be"),
    ],
)
def test_bad_input(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        unchecked(nearest_neighbours)(*arguments)


@pytest.mark.parametrize("seed", range(3))
def test_new_data_of_the_same_law_memorise_nothing(seed):
    train, test, new = (normal(n, 5, seed=10 * seed + i) for i, n in enumerate((3000, 1000, 1000)))
    found = memorisation(new, train, test, seed=seed)
    assert found.size == 1000
    assert found.ratio == pytest.approx(1, abs=0.06)
    assert found.closer == pytest.approx(0.5, abs=0.06)
    assert found.copies < 0.03
    assert found.to_train == pytest.approx(found.test_to_train, rel=0.06)


def test_copies_are_found():
    train, test, new = normal(3000, 5), normal(1000, 5, seed=1), normal(1000, 5, seed=2)
    copied = memorisation(train[:1000], train, test)
    assert copied.copies == 1
    assert copied.closer == pytest.approx(1 / 3 + 2 / 3 / 2, abs=0.06)  # a third of the originals is in the subset
    some = memorisation(torch.cat([train[:100], new[:900]]), train, test)
    assert some.copies == pytest.approx(0.1 + 0.9 * 0.01, abs=0.02)
    every = memorisation(train[:1000], train[:1000], test)  # as many as test: all originals are in the subset
    assert (every.to_train, every.ratio, every.closer, every.copies) == (0, 0, 1, 1)


def test_without_equal_sizes_the_comparison_would_mislead():
    """New data against 3000 and 100 members: nearer to the larger set, though they know neither."""
    train, test, new = normal(3000, 5), normal(100, 5, seed=1), normal(1000, 5, seed=2)
    unequal = nearest_neighbours(new, train)[0].median() / nearest_neighbours(new, test)[0].median()
    assert unequal < 0.6
    assert memorisation(new, train, test).ratio == pytest.approx(1, abs=0.15)


def test_plain_samples_are_near_everything_and_not_taken_for_copies():
    train, test = normal(2000, 5), normal(1000, 5, seed=1)
    found = memorisation(0.7 * normal(1000, 5, seed=2), train, test)
    assert found.to_train < 0.85 * found.test_to_train
    assert found.ratio == pytest.approx(1, abs=0.05)
    assert found.closer == pytest.approx(0.5, abs=0.1)


def test_the_subset_is_the_seeds():
    train, test, new = normal(500, 2), normal(100, 2, seed=1), normal(50, 2, seed=2)
    assert memorisation(new, train, test, seed=1) == memorisation(new, train, test, seed=1)
    assert memorisation(new, train, test, seed=1) != memorisation(new, train, test, seed=2)
    state = torch.random.get_rng_state()
    memorisation(new, train, test)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_it_says_what_it_found():
    x = torch.arange(4.0)[:, None]
    assert str(memorisation(x, x, x + 0.25)) == (
        "median distance to the nearest of 4: 0.000 in train, 0.250 in test (ratio 0.000), from test to train 0.250; "
        "100.0 % nearer to train than to test, 100.0 % as near as copies"
    )


def test_sets_that_do_not_fit(unchecked):
    with pytest.raises(ValueError, match=r"samples has points of \(2,\) coordinates and test of \(3,\)"):
        unchecked(memorisation)(torch.zeros(2, 2), torch.zeros(2, 2), torch.zeros(2, 3))

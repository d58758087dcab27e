"""Metrics, given anything: a number that is right, or a refusal that names the argument.

Promised: every finite input of at most 1e15 in magnitude (1e6 where it is compared with the definition) has an answer.
"""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from fuzzing import HALF, NOT_TENSORS, REAL, SETTINGS, answer, anything, finite, tensors
from hypothesis import given
from hypothesis import strategies as st

from gan_course import metrics

FLOATS = (*HALF, *REAL)


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of covariances that are singular: most are, here
        yield


def pair(dims=(1, 3), largest=1e6, dtypes=FLOATS):
    """Two sets of samples of one shape, of any sizes."""

    @st.composite
    def both(draw):
        shape = draw(st.lists(st.integers(1, 4), min_size=dims[0] - 1, max_size=dims[1] - 1))
        n, m = draw(st.integers(1, 5)), draw(st.integers(1, 5))
        return draw(tensors(dtypes, [n, *shape], largest)), draw(tensors(dtypes, [m, *shape], largest))

    return both()


def wrong(found) -> bool:
    """Whether a number, or any in a tuple, list, tensor or dataclass, is not finite."""
    if isinstance(found, torch.Tensor):
        return not bool(found.isfinite().all())
    if isinstance(found, tuple | list):
        return any(map(wrong, found))
    return wrong(tuple(vars(found).values())) if hasattr(found, "__dict__") else not math.isfinite(found)


BINARY = {
    metrics.frechet_digits: ("images_a", "images_b"),
    metrics.frechet_distance: ("features_a", "features_b"),
    metrics.kernel_distance: ("features_a", "features_b"),
    metrics.nearest_neighbours: ("samples", "reference"),
    metrics.pixel_agreement: ("expected", "images"),
    metrics.prd_curve: ("reference", "evaluated"),
    metrics.precision_recall: ("real", "fake"),
    metrics.total_variation: ("p", "q"),
    metrics.wasserstein: ("x", "y"),
}


@given(
    st.sampled_from(sorted(BINARY, key=lambda f: f.__name__)),
    st.one_of(pair(), pair(largest=3e38), st.tuples(anything(), anything())),
)
def test_any_two_sets(metric, both):
    found = answer(BINARY[metric], metric, *both)
    if found is None:
        assert not (finite(*both) and obviously_right(metric, *both)), "refused what is right"
    else:
        assert finite(*both)
        assert not wrong(found)


def obviously_right(metric, a, b) -> bool:
    """Whether there is no reason to refuse two sets."""
    no_samples = (metrics.frechet_digits, metrics.pixel_agreement, metrics.total_variation, metrics.prd_curve)
    if metric in no_samples or 0 in (a.numel(), b.numel(), a.ndim, b.ndim):
        return False  # most of what is drawn here is no image in [0, 1], and no histogram
    large = max(float(a.abs().max()), float(b.abs().max())) > 1e15
    allowed = {metrics.nearest_neighbours: range(2, 9), metrics.precision_recall: range(2, 9)}.get(metric, range(1, 3))
    least = {metrics.frechet_distance: 2, metrics.kernel_distance: 2, metrics.precision_recall: 4}.get(metric, 1)
    enough = min(len(a), len(b)) >= least
    return a.ndim == b.ndim and a.ndim in allowed and a.shape[1:] == b.shape[1:] and enough and not large


@given(st.one_of(pair(), pair(largest=3e38), st.tuples(anything(), anything())), st.booleans())
def test_errors_of_reconstructions(both, same_shape):
    a, b = both
    if same_shape and isinstance(a, torch.Tensor):
        b = a.flip(0) if a.ndim else a
    found = answer(("x", "reconstruction"), metrics.rmse, a, b)
    if found is None:
        assert not (finite(a, b) and a.ndim > 1 and a.numel() and a.shape == b.shape), "refused what is right"
    else:
        assert finite(a, b)
        assert 0 <= found < math.inf


@given(anything(), st.sampled_from([1, 2, 3]), SETTINGS)
def test_bounds_of_any_data(data, draws, batch_size):
    def log_weights(x):
        return x.flatten(1).double().sum(1) if x.ndim > 1 else x.double()

    found = answer(
        ("data", "batch_size", "log_weights"), metrics.likelihood_bound, log_weights, data, draws, batch_size
    )
    assert found is None or (finite(data) and not wrong(found))


@given(anything(), SETTINGS)
def test_noise_on_anything(images, levels):
    found = answer(("images", "levels"), metrics.dequantised, images, levels)
    assert found is None or (finite(images) and bool(((found >= 0) & (found < 1)).all()))


@given(pair(dims=(2, 2), largest=3e38) | st.tuples(anything(), anything()), SETTINGS | st.integers(1, 5), st.booleans())
def test_what_codes_of_any_kind_are_good_for(both, k, cosine):
    labels = [torch.arange(len(x) if isinstance(x, torch.Tensor) and x.ndim else 1) % 2 for x in both]
    measure = "cosine" if cosine else "euclidean"
    names = ("queries", "gallery", "query_labels", "gallery_labels", "k")
    found = answer(names, metrics.retrieval, *both, *labels, k, measure)
    assert found is None or (not wrong((found.precision, found.mean_average_precision)) and finite(*both))
    names = ("train", "train_labels", "test", "test_labels", "strength")
    found = answer(names, metrics.latent_accuracy, both[0], labels[0], both[1], labels[1], k)
    assert found is None or 0 <= found.accuracy <= 1


TRUE = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def ranking():
    """A model of true pairs."""
    return metrics.relevance_model(TRUE, TRUE, 1, [5.0], 1, 2)


@given(pair(dims=(2, 2)) | pair(largest=3e38) | st.tuples(anything(), anything()), st.booleans())
def test_relevance_of_any_two_sets(ranking, both, same_shape):
    a, b = both
    if same_shape and isinstance(a, torch.Tensor):
        b = a.flip(0) if a.ndim else a
    found = answer(("first", "second"), metrics.relevance, a, b, ranking)
    if found is None:
        small = finite(a, b) and a.ndim == 2 and a.shape == b.shape and a.shape[1] == 2 and len(a) > 1
        assert not (small and float(max(a.abs().max(), b.abs().max())) <= 1e6), "refused what is right"
    else:
        assert finite(a, b)
        assert not wrong(found)
        assert -1 - 1e-6 <= found.score <= 1 + 1e-6
    assert answer(("model",), metrics.relevance, a, b, both) is None


@given(pair(dims=(2, 2), largest=3e38) | st.tuples(anything(), anything()), SETTINGS | st.integers(1, 3))
def test_a_model_of_any_pairs(both, negatives):
    found = answer(
        ("first", "second", "negatives"), metrics.relevance_model, *both, negatives=negatives, gammas=[5.0], epochs=1
    )
    assert found is None or not wrong((found.true, found.random))


@given(st.one_of(anything(), tensors(dims=(2, 2), largest=1)), st.booleans(), SETTINGS | st.integers(1, 3))
def test_information_in_anything(table, scaled, first):
    if scaled and isinstance(table, torch.Tensor) and table.is_floating_point() and table.numel():
        table = table.double().abs() / table.double().abs().sum()
    found = answer(("table",), metrics.mutual_information, table)
    assert found is None or 0 <= found <= math.log(max(table.shape)) + 1e-6
    square = table.double() @ table.double().T if finite(table) and table.ndim == 2 else table
    found = answer(("covariance", "first"), metrics.gaussian_mutual_information, square, first)
    assert found is None or 0 <= found < math.inf


@given(SETTINGS | st.floats(-1, 1))
def test_common_information_of_anything(number):
    for name, metric in (
        ("correlation", metrics.gaussian_common_information),
        ("crossover", metrics.binary_common_information),
    ):
        found = answer((name,), metric, number)
        assert found is None or 0 <= found < math.inf


@given(SETTINGS, SETTINGS, SETTINGS)
def test_bits_of_anything(nats, dimensions, levels):
    found = answer(("nats", "dimensions", "levels"), metrics.bits_per_dimension, nats, dimensions, levels)
    assert found is None or math.isfinite(found)


@given(st.one_of(anything(), tensors(dims=(4, 4))), st.sampled_from([metrics.class_histogram, metrics.digit_features]))
def test_any_images(images, metric):
    assert answer(("images",), metric, images) is None  # none of them is 28 × 28


@given(
    st.integers(0, 3),
    st.sampled_from(FLOATS),
    st.sampled_from([0.0, 1.0, 0.5, 1e-45, -1e-3, 1.001, math.nan, math.inf]),
)
def test_images_of_the_right_size(n, dtype, value):
    images = torch.full((n, 1, 28, 28), value, dtype=dtype)
    right = n > 0 and bool(((images >= 0) & (images <= 1)).all())
    for metric in (metrics.class_histogram, metrics.digit_features):
        found = answer(("images",), metric, images)
        assert (found is not None) == right
        assert found is None or finite(found)
    distance = answer(("images_a", "images_b"), metrics.frechet_digits, images, images)
    assert distance == (pytest.approx(0, abs=1e-6) if right and n > 1 else None)


def pixels(images):
    return images.flatten(1)


@given(
    st.sampled_from([metrics.fid, metrics.kid, metrics.mifid]),
    st.lists(st.one_of(tensors(dims=(4, 4), largest=1), anything(dims=(3, 5))), min_size=2, max_size=2),
)
def test_distances_of_any_images_in_any_features(metric, both):
    names = ("images", "train") if metric is metrics.mifid else ("images_a", "images_b")
    found = answer((*names, "network"), metric, *both, pixels, **({"subsets": 1} if metric is metrics.kid else {}))
    if found is not None:
        assert finite(*both)
        assert not wrong(found)
        assert all(bool(((x >= 0) & (x <= 1)).all()) for x in both)


@given(pair(dims=(2, 3)) | st.tuples(anything(), anything()), SETTINGS | st.integers(1, 3))
def test_precision_and_recall(both, k):
    found = answer(("real", "fake", "k"), metrics.precision_recall, *both, k)
    if found is not None:
        assert 0 <= found.precision <= 1
        assert 0 <= found.recall <= 1
        itself = metrics.precision_recall(both[0], both[0], k)
        assert (itself.precision, itself.recall) == (1, 1)


@given(st.lists(st.one_of(tensors(dims=(2, 2), sizes=(4, 4)), anything(dims=(1, 2))), min_size=2, max_size=2))
def test_curves_of_any_samples(both):
    found = answer(("real", "fake"), metrics.prd, *both, clusters=2, runs=1, angles=5)
    if found is not None:
        assert finite(*both)
        assert bool(((found.precision >= 0) & (found.precision <= 1)).all())
        assert bool(((found.recall >= 0) & (found.recall <= 1)).all())
        assert 0 <= found.f_8 <= 1
        assert 0 <= found.f_1_8 <= 1


@given(st.one_of(anything(), tensors(dims=(2, 2), largest=50)), st.booleans(), SETTINGS | st.integers(1, 4))
def test_inception_scores(x, softmax, splits):
    if softmax and isinstance(x, torch.Tensor) and x.is_floating_point() and x.ndim == 2:
        x = x.softmax(1)
    found = answer(("probabilities", "splits"), metrics.inception_score, x, splits)
    if found is not None:
        assert not wrong(found)
        assert 1 <= found.mean <= x.shape[1] * (1 + 1e-9)


@given(pair(dims=(2, 3)), anything(), SETTINGS | st.floats(1e-3, 1e6), st.booleans())
def test_parzen_windows(both, other, bandwidth, sound):
    samples, x = both if sound else (both[0], other)
    found = answer(("samples", "x", "bandwidth"), metrics.parzen_density, samples, x, bandwidth)
    assert found is None or (not wrong(found) and finite(samples, x))
    found = answer(("samples", "test", "validation", "bandwidths"), metrics.parzen, samples, x, samples, [bandwidth])
    assert found is None or (math.isfinite(found.mean) and math.isfinite(found.standard_error))


@given(st.one_of(anything(), tensors(dims=(2, 3))), SETTINGS | st.integers(2, 3), SETTINGS | st.floats(0, 1e3))
def test_birthdays(samples, draws, threshold):
    found = answer(("samples", "draws", "threshold"), metrics.birthday, samples, draws, threshold)
    if found is not None:
        assert finite(samples)
        assert 0 <= found.collisions <= found.batches == len(samples) // draws
        assert found.collisions <= found.pairs
        assert min(found.support, found.effective_support) > 0


@given(SETTINGS | st.integers(1, 10**7), SETTINGS | st.integers(1, 2**53))
def test_collisions_of_any_numbers(draws, support):
    found = answer(("draws", "support"), metrics.collision_probability, draws, support)
    assert found is None or 0 <= found <= 1
    found = answer(("support",), metrics.birthday_draws, support)
    assert found is None or found >= 2


@given(pair(), anything(), SETTINGS | st.floats(1e-3, 1e6), SETTINGS | st.floats(0.1, 1), st.booleans())
def test_mode_coverage(both, other, std, share, sound):
    samples, centers = both if sound else (both[0], other)
    found = answer(("samples", "centers", "std", "share"), metrics.mode_coverage, samples, centers, std, share)
    if found is not None:
        assert not wrong(found)
        assert 0 <= found.quality <= 1
        assert sum(found.counts) <= len(samples)
        assert found.modes <= found.total == len(centers)


@given(pair(dims=(2, 3)), anything(dims=(2, 3)), SETTINGS | st.integers(0, 9))
def test_memorisation(both, test, seed):
    for third in (test, both[1], both[0]):
        found = answer(("samples", "train", "test", "seed"), metrics.memorisation, *both, third, seed)
        if found is not None:
            assert finite(third)
            assert not wrong(found)
            assert 0 <= found.closer <= 1
            assert 0 <= found.copies <= 1


@given(pair(dims=(2, 3)) | st.tuples(anything(), anything()), SETTINGS | st.integers(1, 3))
def test_nearest_neighbours(both, k):
    found = answer(("samples", "reference", "k"), metrics.nearest_neighbours, *both, k)
    if found is None:
        return
    distances, indices = found
    samples, reference = (x.double().flatten(1) for x in both)
    exact = torch.cdist(samples, reference, compute_mode="donot_use_mm_for_euclid_dist").sort(1).values[:, : int(k)]
    scale = float(max(samples.abs().max(), reference.abs().max()))
    assert distances.shape == indices.shape == exact.shape
    torch.testing.assert_close(distances.double(), exact, rtol=1e-3, atol=1e-3 * scale)


@given(pair(dims=(1, 2)), st.sampled_from([1, 1.5, 2, 3, 8, 16]), st.sampled_from([1e-18, 1e-9, 1e-3, 1, 1e6]))
def test_wasserstein_is_the_best_of_all_assignments(both, order, unit):
    x, y = (unit * x[: min(map(len, both))].double() for x in both)
    best = best_of_all_assignments(x.reshape(len(x), -1), y.reshape(len(y), -1), order)
    largest = float(x.abs().max().maximum(y.abs().max()))
    assert metrics.wasserstein(x, y, order) == pytest.approx(best, rel=1e-6, abs=1e-12 * largest)


@given(st.one_of(pair(dims=(1, 2)), pair(dims=(1, 2), largest=3e38)), SETTINGS)
def test_wasserstein_of_any_order(both, order):
    found = answer(("order", "x", "y"), metrics.wasserstein, *both, order)
    assert found is None or (math.isfinite(found) and found >= 0)


@given(st.integers(1, 4), st.integers(1, 4), st.data(), st.sampled_from([1e-18, 1.0, 1e12]))
def test_transport_plan(n, m, drawn, unit):
    counts = st.integers(0, 9)
    p, q = (drawn.draw(st.lists(counts, min_size=k, max_size=k).filter(any)) for k in (n, m))
    p, q = (torch.tensor(part).double() / sum(part) for part in (p, q))
    costs = unit * drawn.draw(tensors([torch.float64], [n, m], 1e3))
    found = answer(("p", "q", "costs"), metrics.transport_plan, p, q, costs)
    small = 1e-9 * float(costs.abs().max())
    assert (found.plan.sum(1) - p).abs().max() < 1e-12
    assert (found.plan.sum(0) - q).abs().max() < 1e-12
    assert (costs - found.source[:, None] - found.target).min() >= -small
    assert abs(float(p @ found.source + q @ found.target) - found.cost) <= small


@given(anything(), anything(), anything())
def test_transport_plan_of_anything(p, q, costs):
    found = answer(("p", "q", "costs"), metrics.transport_plan, p, q, costs)
    assert found is None or (math.isfinite(found.cost) and finite(p, q, costs))


@given(*[st.one_of(anything(dims=(1, 2)), tensors(dims=(1, 1), sizes=(2, 2)), st.just(torch.eye(2)))] * 4)
def test_frechet_gaussians(mean_a, covariance_a, mean_b, covariance_b):
    arguments = (mean_a, covariance_a, mean_b, covariance_b)
    found = answer(("mean_a", "covariance_a", "mean_b", "covariance_b"), metrics.frechet_gaussians, *arguments)
    assert found is None or (math.isfinite(found) and found >= 0 and finite(*arguments))


@given(pair(dims=(2, 2), largest=1e15), st.sampled_from(REAL))
def test_frechet_gaussians_of_any_covariance(roots, dtype):
    a, b = (root.double() / (1 + root.double().abs().max()) ** 0.5 for root in roots)
    a, b = ((root.T @ root).to(dtype) for root in (a, b))
    mean = torch.zeros(len(a), dtype=dtype)
    found = answer(("covariance_a", "covariance_b"), metrics.frechet_gaussians, mean, a, mean, b)
    assert found >= 0
    assert math.isfinite(found)
    scale = float(a.abs().max().maximum(b.abs().max()))
    assert metrics.frechet_gaussians(mean, a, mean, a) <= 1e-6 * scale


@given(NOT_TENSORS, st.sampled_from(sorted(BINARY, key=lambda f: f.__name__)))
def test_what_is_no_tensor(thing, metric):
    assert answer(BINARY[metric], metric, thing, torch.ones(3, 2)) is None
    assert answer(BINARY[metric], metric, torch.full((3, 1, 28, 28), 0.5).squeeze(), thing) is None


def best_of_all_assignments(x, y, order) -> float:
    lengths = (x[:, None] - y[None]).norm(dim=2).numpy()
    rows, unit = np.arange(len(x)), lengths.max() or 1.0
    smallest = min(np.sum((lengths[rows, list(p)] / unit) ** order) for p in itertools.permutations(rows))
    return unit * (smallest / len(x)) ** (1 / order)


@pytest.mark.parametrize("order", [1, 2, 4, 8])
@pytest.mark.parametrize("seed", range(5))
def test_wasserstein_of_two_small_clusters_far_apart(order, seed):
    generator = torch.Generator().manual_seed(seed)
    places = torch.tensor([[0.0, 0.0]] * 3 + [[1.0, 0.0]] * 3, dtype=torch.float64)
    x, y = (places + 1e-6 * torch.randn(6, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    assert metrics.wasserstein(x, y, order) == pytest.approx(best_of_all_assignments(x, y, order), rel=1e-6)


@pytest.mark.parametrize("metric", [metrics.nearest_neighbours, metrics.frechet_distance, metrics.wasserstein])
def test_numbers_whose_squares_are_none_are_refused(metric):
    large = 1e30 if metric is metrics.nearest_neighbours else 1e200
    x = torch.full((3, 2), large, dtype=torch.float32 if large < 1e38 else torch.float64)
    assert answer(BINARY[metric], metric, x, -x) is None
    assert answer(("test",), metrics.memorisation, torch.ones(3, 2), torch.ones(3, 2), torch.full((3, 2), 1e30)) is None

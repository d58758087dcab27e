"""Retrieval and classes read off codes: by hand, at the ends, at chance, and what scikit-learn says."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from gan_course.metrics import latent_accuracy, retrieval

GENERATOR = torch.Generator().manual_seed(0)


def codes(n, classes=4, d=6, spread=0.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    centres = 3 * torch.randn(classes, d, generator=torch.Generator().manual_seed(9))
    return centres[labels] + spread * torch.randn(n, d, generator=generator), labels


def test_one_query_by_hand():
    """Relevant at the places 1, 3 and 4 of 5: AP = (1 + 2/3 + 3/4) / 3, P@2 = 1/2."""
    gallery = torch.tensor([[1.0, 0.5], [1.0, 0.0], [1.0, 0.2], [1.0, 2.0], [1.0, 1.0]])
    labels = torch.tensor([7, 7, 3, 3, 7])
    found = retrieval(torch.tensor([[2.0, 0.0]]), gallery, torch.tensor([7]), labels, k=2)
    assert found.mean_average_precision == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert found.precision == 0.5
    assert found.chance == 0.6
    assert "P@2 0.500, mAP 0.806" in str(found)


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
def test_average_precision_is_scikit_learns(measure):
    (q, ql), (g, gl) = codes(15, spread=3.0), codes(40, spread=3.0, seed=1)
    found = retrieval(q, g, ql, gl, k=10, measure=measure)
    near = torch.cosine_similarity(q[:, None], g[None], dim=2) if measure == "cosine" else -torch.cdist(q, g)
    scores = [average_precision_score((gl == label).numpy(), row.numpy()) for row, label in zip(near, ql, strict=True)]
    assert found.mean_average_precision == pytest.approx(np.mean(scores), rel=1e-6)
    first = near.topk(10).indices
    assert found.precision == pytest.approx(float((gl[first] == ql[:, None]).double().mean()))


def test_the_ends():
    q, ql = codes(30, spread=0.0)
    perfect = retrieval(q, q + 0, ql, ql, k=3, measure="euclidean")
    assert (perfect.precision, perfect.mean_average_precision) == (1, 1)
    away = retrieval(
        torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 0.0], [1.0, 0.1]]), *map(torch.tensor, ([0], [0, 1])), k=1
    )
    assert (away.precision, away.mean_average_precision) == (0, 0.5)


def test_codes_that_say_nothing_reach_chance_however_the_gallery_is_sorted():
    labels = torch.arange(5).repeat_interleave(200)
    nothing = torch.ones(1_000, 3)
    found = [retrieval(nothing[:50], nothing, labels[::20], labels, k=100, seed=seed).precision for seed in range(20)]
    assert np.mean(found) == pytest.approx(0.2, abs=0.03)
    assert retrieval(nothing[:50], nothing, labels[::20], labels).chance == pytest.approx(0.2)


def test_the_unit_does_not_matter():
    (q, ql), (g, gl) = codes(15, spread=3.0), codes(40, spread=3.0, seed=1)
    assert retrieval(1e-3 * q, 1e6 * g, ql, gl, k=5) == retrieval(q, g, ql, gl, k=5)
    assert (
        retrieval(1e6 * q, 1e6 * g, ql, gl, 5, "euclidean").precision
        == retrieval(q, g, ql, gl, 5, "euclidean").precision
    )


def test_separable_codes_are_read_and_noise_is_not():
    (a, al), (b, bl) = codes(300), codes(200, seed=1)
    found = latent_accuracy(a, al, b, bl)
    assert found.accuracy > 0.99
    assert found.classes == 4
    noise = torch.randn(2, 400, 6, generator=GENERATOR)
    assert abs(latent_accuracy(noise[0, :300], al, noise[1, :200], bl).accuracy - 0.25) < 0.1
    assert found.constant == pytest.approx(float((bl == al.mode().values).double().mean()))
    assert "% right by a linear classifier of 4 classes" in str(found)


def test_two_normal_classes_reach_the_bayes_rule():
    """N(±1, 1): the best classifier is the sign, right with probability Φ(1)."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(2).repeat(10_000)
    x = 2.0 * labels[:, None] - 1 + torch.randn(20_000, 1, generator=generator)
    found = latent_accuracy(x[:10_000], labels[:10_000], x[10_000:], labels[10_000:])
    assert found.accuracy == pytest.approx(0.5 * (1 + math.erf(1 / math.sqrt(2))), abs=0.01)
    assert found.constant == 0.5


def test_units_and_constant_coordinates_do_not_matter():
    (a, al), (b, bl) = codes(100, spread=2.0), codes(100, spread=2.0, seed=1)
    more = [torch.cat([1e4 * x, torch.full((100, 1), 7.0)], 1) for x in (a, b)]
    assert latent_accuracy(more[0], al, more[1], bl) == latent_accuracy(a, al, b, bl)


def test_a_class_that_was_not_learned_counts_as_wrong():
    (a, al), (b, _) = codes(100), codes(100, seed=1)
    assert latent_accuracy(a, al, b, torch.full((100,), 9)).accuracy == 0


X, L = torch.randn(6, 2, generator=GENERATOR), torch.tensor([0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: retrieval(X, X, L, L), "k=100 was given; .* at most 6"),
        (lambda: retrieval(X, X[:, :1], L, L, 2), "queries has points of .*2.* and gallery of .*1"),
        (lambda: retrieval(X, X, L[:5], L, 2), r"query_labels is torch.int64 of shape \(5,\); .* each row of queries"),
        (lambda: retrieval(X, X, L, L.float(), 2), "gallery_labels is torch.float32 of .*Convert it"),
        (lambda: retrieval(X, X, L + 1, L, 2), r"gallery_labels holds none of \[2\]"),
        (lambda: retrieval(0 * X, X, L, L, 2), "queries holds a code that is 0 .* measure='euclidean'"),
        (lambda: retrieval(X, X, L, L, 2, "dot"), "measure='dot' was given; choose one of cosine, euclidean"),
        (lambda: retrieval(X[:, :, None], X, L, L, 2), r"queries has shape \(6, 2, 1\); .*flatten"),
        (lambda: latent_accuracy(X, L, X, L[:3]), "test_labels is torch.int64"),
        (lambda: latent_accuracy(X, 0 * L, X, L), "train_labels holds the class 0 only; allowed: at least two classes"),
        (lambda: latent_accuracy(X, L, X[:, :1], L), "train has points of"),
        (lambda: latent_accuracy(X, L, X, L, 0), "strength=0 was given"),
        (lambda: latent_accuracy(X / 0, L, X, L), "train holds 12 values that are NaN or infinite"),
    ],
)
def test_what_is_refused(call, message, monkeypatch, unchecked):
    monkeypatch.setitem(globals(), "retrieval", unchecked(retrieval))
    monkeypatch.setitem(globals(), "latent_accuracy", unchecked(latent_accuracy))
    with pytest.raises(ValueError, match=message):
        call()

import pytest
import torch

from gan_course import data
from gan_course.metrics import class_probabilities, inception_score


def probabilities(n, k, seed=0):
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).mul(2).softmax(1)


@pytest.mark.parametrize("k", [2, 10, 1000])
def test_one_certain_sample_per_class_has_the_full_score(k):
    assert inception_score(torch.eye(k)).mean == pytest.approx(k, rel=1e-12)


@pytest.mark.filterwarnings("ignore:probabilities holds")
def test_samples_that_look_alike_have_score_one():
    assert inception_score(probabilities(1, 10).expand(50, 10)).mean == pytest.approx(1, abs=1e-12)
    assert inception_score(torch.eye(10)[[3] * 50]).mean == 1
    assert inception_score(torch.full((50, 10), 0.1)).mean == pytest.approx(1, abs=1e-12)


def test_m_of_k_classes_have_score_m_and_weights_their_exponential_entropy():
    assert inception_score(torch.eye(10)[:4].repeat(20, 1)).mean == pytest.approx(4, rel=1e-12)
    rows = torch.eye(10)[[0] * 90 + [1] * 10]
    entropy = -(0.9 * torch.tensor(0.9).log() + 0.1 * torch.tensor(0.1).log())
    assert inception_score(rows).mean == pytest.approx(float(entropy.exp()), rel=1e-6)


def test_it_is_the_formula():
    p = probabilities(400, 7)
    divergence = (p * (p.log() - p.mean(0).log())).sum(1).mean()
    assert inception_score(p).mean == pytest.approx(float(divergence.exp()), rel=1e-12)
    # Not the slide's sum over the samples, nor without the exponential.
    assert inception_score(p.repeat(3, 1)).mean == pytest.approx(float(divergence.exp()), rel=1e-12)


def test_splits_are_shuffled_parts_and_lower_the_score():
    p = torch.eye(10).repeat_interleave(50, 0)  # sorted by class: parts in this order would score 1 each
    whole, parts = inception_score(p), inception_score(p, splits=10)
    assert parts.splits == 10
    assert 8 < parts.mean < whole.mean == pytest.approx(10)
    assert parts.std > 0
    assert whole.std == 0
    assert inception_score(p, splits=25).mean < parts.mean  # the trap: smaller parts, lower score
    assert inception_score(p, splits=10) == parts != inception_score(p, splits=10, seed=1)


def test_noise_in_the_classifier_looks_like_diversity():
    """The other half of the trap: of equally vague rows, small parts score higher."""
    p = probabilities(5000, 10)
    assert inception_score(p, splits=100).mean < inception_score(p).mean


def test_a_part_cannot_score_more_than_its_samples():
    with pytest.warns(UserWarning, match="10 samples in 5 splits, 2 in each, of 10 classes: the score cannot exceed 2"):
        assert inception_score(torch.eye(10), splits=5).mean == pytest.approx(2)


def test_real_digits_score_high():
    digits = data.load("digits")
    large = torch.nn.functional.interpolate(digits.images, (20, 20), mode="bilinear").clamp(0, 1)
    p = class_probabilities(torch.nn.functional.pad(large, (4, 4, 4, 4)))
    assert p.dtype == torch.float64
    torch.testing.assert_close(p.sum(1), torch.ones(len(p), dtype=torch.float64))
    assert 7.5 < inception_score(p).mean < 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(0, 10),), "probabilities is empty"),
        ((torch.eye(10)[0],), r"probabilities has shape \(10,\).*class_probabilities"),
        ((torch.rand(4, 1, 28, 28),), r"probabilities has shape \(4, 1, 28, 28\)"),
        ((torch.eye(4) * 2,), r"a row whose sum is 1 away from 1.*softmax"),
        ((torch.tensor([[1.5, -0.5]]),), "smallest entry -0.5"),
        ((torch.eye(4) / 0,), "probabilities holds"),
        ((torch.eye(4), 5), "splits=5 was given for 4 samples"),
        ((torch.eye(4), 0), "splits=0 was given"),
        ((torch.eye(4), 1, -1), "seed=-1 was given"),
    ],
)
def test_bad_input(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        unchecked(inception_score)(*arguments)

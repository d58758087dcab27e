import os
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from gan_course import data
from gan_course.metrics import (
    class_histogram,
    digit_features,
    frechet_digits,
    frechet_distance,
    lenet,
    lenet_metadata,
)
from gan_course.metrics.digits import WEIGHTS


def enlarged(split):
    """The embedded 8 × 8 digits as MNIST draws them: 20 × 20 in the middle of 28 × 28."""
    digits = data.load("digits", split=split)
    large = functional.interpolate(digits.images, (20, 20), mode="bilinear").clamp(0, 1)
    return functional.pad(large, (4, 4, 4, 4)), digits.labels


@pytest.fixture(scope="module")
def digits():
    return enlarged("train")


def mnist():
    """MNIST's test part where the real one is at hand, else None: no test downloads it."""
    root = os.environ.get("GAN_COURSE_DATA", "")
    if not root or not (Path(root) / "mnist").is_dir():
        return None
    found = data.load("mnist", split="test")
    return None if found.notice else found  # a notice: the substitutes that the tests make


def accuracy(images, labels):
    return float((lenet()(images).argmax(1) == labels).double().mean())


def test_it_reads_digits_that_it_has_never_seen(digits):
    """Another hand, another scanner, an eighth of the pixels: above 90 % only for a network that knows digits."""
    assert accuracy(*digits) > 0.93
    assert accuracy(*enlarged("test")) > 0.93


def test_accuracy_on_mnist():
    known, found = lenet_metadata()["test_accuracy"], mnist()
    assert known >= 0.985
    if found is not None:
        assert round(accuracy(found.images, found.labels), 4) == pytest.approx(known, abs=2e-4)


def test_the_file_says_how_it_was_made_and_is_small():
    told = lenet_metadata()
    assert told["command"] == "python -m benchmarks.lenet --seed 0 --epochs 20"
    assert {"seed", "epochs", "data", "torch", "python", "licence"} <= set(told)
    assert told["parameters"] == sum(weight.numel() for weight in lenet().parameters()) == 61_706
    assert WEIGHTS.stat().st_size < 300_000


def test_each_lenet_is_a_fresh_frozen_copy():
    first, second = lenet(), lenet()
    assert not first.training
    assert not any(weight.requires_grad for weight in first.parameters())
    with torch.no_grad():
        first.classify.weight.zero_()
    assert float(second.classify.weight.abs().sum()) > 0
    assert float(lenet().classify.weight.abs().sum()) > 0


def test_logits_are_the_last_layer_of_the_features(digits):
    network, images = lenet(), digits[0][:7]
    features = network.features(images)
    assert features.shape == (7, 84)
    torch.testing.assert_close(network(images), features @ network.classify.weight.T + network.classify.bias)
    torch.testing.assert_close(digit_features(images), features)


def test_features_of_many_images_come_in_order(digits):
    images = digits[0]  # more than one batch of them
    assert len(images) > 1000
    torch.testing.assert_close(digit_features(images), lenet().features(images), rtol=1e-4, atol=1e-5)


def test_frechet_digits_is_the_distance_of_the_features(digits):
    a, b = digits[0][:700], digits[0][700:1400]
    network = lenet()
    expected = frechet_distance(network.features(a), network.features(b))
    assert frechet_digits(a, b) == pytest.approx(expected, rel=1e-4)
    assert frechet_digits(b, a) == pytest.approx(expected, rel=1e-4)
    assert frechet_digits(a, a) == pytest.approx(0, abs=1e-6)


def test_frechet_digits_puts_worse_samples_farther_away(digits):
    """In this order: other real digits, noisy ones, noisier ones, noise alone; and one class is far from all ten."""
    images, labels = digits
    generator = torch.Generator().manual_seed(0)
    real, other = images[::2], images[1::2]
    noise = torch.rand(other.shape, generator=generator)
    distances = [frechet_digits(real, (1 - share) * other + share * noise) for share in (0, 0.2, 0.5, 1)]
    assert distances == sorted(distances)
    assert distances[1] > 2 * distances[0]
    assert frechet_digits(real, images[labels == 0]) > 10 * distances[0]


def test_class_histogram_of_known_digits(digits):
    images, labels = digits
    shares = class_histogram(images)
    assert shares.dtype == torch.float64
    assert float(shares.sum()) == pytest.approx(1)
    assert class_histogram(images[labels == 0])[0] > 0.9
    predicted = lenet()(images).argmax(1)
    torch.testing.assert_close(shares, (predicted[:, None] == torch.arange(10)).double().mean(0))
    assert torch.equal(class_histogram(images[predicted == 3]), torch.eye(10, dtype=torch.float64)[3])


def test_images_are_left_as_they_were(digits):
    images = digits[0][:50].clone().requires_grad_()
    assert not digit_features(images).requires_grad
    assert torch.equal(images, digits[0][:50])


GOOD = torch.zeros(100, 1, 28, 28)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            torch.zeros(5, 1, 8, 8),
            r"has shape \(5, 1, 8, 8\); allowed: grey images.*not\s+resized silently.*interpolate",
        ),
        (torch.zeros(5, 28, 28), r"has shape \(5, 28, 28\); allowed"),
        (torch.zeros(5, 3, 28, 28), r"has shape \(5, 3, 28, 28\); allowed"),
        (GOOD - 1, r"has values from -1 to -1; allowed.*\(images \+ 1\) / 2"),
        (GOOD + 1.5, "has values from 1.5 to 1.5; allowed"),
        (GOOD / 0, "holds 78400 values that are NaN"),
        (torch.zeros(0, 1, 28, 28), "is empty"),
        (torch.zeros(5, 1, 28, 28, dtype=torch.uint8), "has dtype torch.uint8"),
    ],
)
def test_bad_images(images, message, unchecked):
    with pytest.raises(ValueError, match="images_a " + message):
        unchecked(frechet_digits)(images, GOOD)
    with pytest.raises(ValueError, match="images_b " + message):
        unchecked(frechet_digits)(GOOD, images)
    with pytest.raises(ValueError, match="images " + message):
        unchecked(class_histogram)(images)


def test_too_few_images_for_84_features():
    x = torch.rand(84, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="images_a holds 84 samples of 84 features"):
        frechet_digits(x, torch.cat([x, x]))
    with pytest.raises(ValueError, match="images_a holds 1 sample"):
        frechet_digits(x[:1], x)

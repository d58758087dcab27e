r"""What a linear classifier reads off codes."""

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gan_course.checks import number
from gan_course.metrics._checks import at_least, bounded, same_dimension
from gan_course.metrics._rows import code_rows, labels


@dataclass(frozen=True)
class LatentAccuracy:
    """What `latent_accuracy` found; both numbers are shares of the test set."""

    accuracy: float
    """Classified rightly."""
    constant: float
    """Of the class that is the most frequent one of the training set: what codes that say nothing reach."""
    classes: int
    """Of the training set."""

    def __str__(self) -> str:
        return (
            f"{100 * self.accuracy:.1f} % right by a linear classifier of {self.classes} classes "
            f"(the most frequent class alone: {100 * self.constant:.1f} %)"
        )


def latent_accuracy(
    train: Float[Tensor, "n d"],
    train_labels: Int64[Tensor, " n"],
    test: Float[Tensor, "m d"],
    test_labels: Int64[Tensor, " m"],
    strength: float | int = 1.0,
) -> LatentAccuracy:
    r"""How much of a class a linear classifier reads off codes.

    Multinomial logistic regression by scikit-learn, on codes that are brought to mean 0 and deviation 1 in each
    coordinate of the training set, minimises

    $$\frac12\|W\|^2 + C\sum_i -\log\mathrm{softmax}(W z_i + b)_{c_i}.$$

    A common code should tell the class that both domains share; a local code should not.

    Args:
        train: codes that the classifier learns from.
        train_labels: their classes, at least two.
        test: codes that it is judged on.
        test_labels: their classes; one that was not learned counts as wrong.
        strength: $C$.

    Raises:
        ValueError: for codes of other shapes or not finite, labels that are not one whole number for each, and a
            training set of one class.

    Sources: ryu2022wyner for the task, pedregosa2011scikit.
    """
    from sklearn.linear_model import LogisticRegression

    a, b = code_rows("train", train), code_rows("test", test)
    same_dimension("train", a, "test", b)
    at_least("train", a, 2, "of at least two classes")
    known, asked = labels("train_labels", train_labels, "train", a), labels("test_labels", test_labels, "test", b)
    strength = number("strength", strength, positive=True, most=1e6)
    if strength < 1e-6:
        raise ValueError(f"strength={strength!r} was given; it must be at least 1e-06")
    a, b = (bounded(name, codes.cpu().double(), torch.float64) for name, codes in (("train", a), ("test", b)))
    classes, counts = known.unique(return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"train_labels holds the class {int(classes[0])} only; allowed: at least two classes.")
    largest = max(float(a.abs().max()), 1e-300)  # squares of large numbers overflow
    a, b = a / largest, b / largest
    mean, std = a.mean(0), a.std(0, correction=0)
    std = torch.where(std > 1e-12 * (1 + mean.abs()), std, torch.ones_like(std))  # a constant says nothing
    a, b = ((codes - mean) / std for codes in (a, b))
    b = b.clamp(-1e6, 1e6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps that end before the last digit
        classifier = LogisticRegression(C=strength, max_iter=1_000).fit(a.numpy(), known.numpy())
    said = torch.from_numpy(classifier.predict(b.numpy()))
    common = classes[counts.argmax()]
    return LatentAccuracy(
        float((said == asked).double().mean()), float((asked == common).double().mean()), len(classes)
    )

"""What `gan-course evaluate` measures: the metrics that are right for the data a run learned from.

Each number stands beside the same number for real data, where that makes sense: the mark that no model can pass.
"""

import torch
from torch import Tensor

from gan_course import metrics
from gan_course.data import toy

TRANSPORTED = 1_000  # points on each side of an exact transport problem


def judge(name: str, samples: Tensor, train: Tensor, test: Tensor) -> dict[str, tuple[object, object]]:
    """Return by name each measured value and the same for real data (None where there is no such mark).

    `name`: the data set; `samples`: of the model; `train`, `test`: real data, seen and unseen.
    """
    samples, train, test = samples.cpu(), train.cpu(), test.cpu()
    found: dict[str, tuple[object, object]] = {}
    if name in ("ring", "grid"):
        centers = toy.ring_centers() if name == "ring" else toy.grid_centers()
        fake, real = (metrics.mode_coverage(points, centers, std=0.05) for points in (samples, test))
        found["modes found"] = fake.modes, real.modes
        found["modes in all"] = fake.total, real.total
        found["share within 3σ of a mode"] = fake.quality, real.quality
    if name == "mnist":
        n = min(len(samples), len(test))
        found["Fréchet distance (LeNet)"] = (
            metrics.frechet_digits(samples[:n], test[:n]),
            metrics.frechet_digits(_some(train, n), test[:n]),
        )
        shares, real = metrics.class_histogram(samples), metrics.class_histogram(test)
        uniform = torch.full((10,), 0.1, dtype=shares.dtype)
        found["total variation from uniform classes"] = (
            float(metrics.total_variation(shares, uniform)),
            float(metrics.total_variation(real, uniform)),
        )
        for digit in range(10):
            found[f"share of the digit {digit}"] = float(shares[digit]), float(real[digit])
    n = min(len(samples), len(test), TRANSPORTED)
    real = _some(test, n).flatten(1)
    found[f"Wasserstein distance ({n:,} samples)"] = (
        metrics.wasserstein(samples[:n].flatten(1), real),
        metrics.wasserstein(_some(train, n).flatten(1), real),
    )
    if train.ndim == 4:  # on the plane, where the law is known, a copy of the data is a good sample
        n = min(len(samples), 1_000)
        memory = metrics.memorisation(samples[:n], train, test)
        found["median distance to the nearest in train"] = memory.to_train, memory.test_to_train
        found["median distance to the nearest in test"] = memory.to_test, None
        found["share nearer to train than to test"] = memory.closer, 0.5
    return found


def _some(x: Tensor, n: int) -> Tensor:
    """The same `n` rows each time, from all over the tensor: images may be sorted by class."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order[:n]]

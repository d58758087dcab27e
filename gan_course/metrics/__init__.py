"""Judgements on samples: none of them takes part in training, and each was shown to reject what it must reject.

Which to take: in the plane, where the modes are known, `mode_coverage`; for any two sets of points, `wasserstein`, and
`transport_plan` for two histograms; for digits, `frechet_digits` and `class_histogram` with `total_variation`; for
copies of the training set, `nearest_neighbours` and `memorisation`.
"""

from gan_course.metrics.digits import (
    LeNet,
    class_histogram,
    digit_features,
    frechet_digits,
    lenet,
    lenet_metadata,
)
from gan_course.metrics.frechet import frechet_distance, frechet_gaussians
from gan_course.metrics.histograms import total_variation
from gan_course.metrics.modes import ModeCoverage, mode_coverage
from gan_course.metrics.neighbours import Memorisation, memorisation, nearest_neighbours
from gan_course.metrics.transport import TransportPlan, transport_plan, wasserstein

__all__ = [
    "LeNet",
    "Memorisation",
    "ModeCoverage",
    "TransportPlan",
    "class_histogram",
    "digit_features",
    "frechet_digits",
    "frechet_distance",
    "frechet_gaussians",
    "lenet",
    "lenet_metadata",
    "memorisation",
    "mode_coverage",
    "nearest_neighbours",
    "total_variation",
    "transport_plan",
    "wasserstein",
]

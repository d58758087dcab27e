"""Judgements on samples: none of them takes part in training, and each was shown to reject what it must reject.

Which to take: in the plane, where the modes are known, `mode_coverage`; for any two sets of points, `wasserstein`, and
`transport_plan` for two histograms; for images, `fid` and `kid` in the features of a network (ours for digits,
`inception` for photographs), `precision_recall` and `prd`, which tell bad samples from missing ones; `inception_score`
where no real data are at hand; for copies of the training set, `nearest_neighbours`, `memorisation` and `mifid`; for a
generator that has few samples, `birthday`. Models with a likelihood have `likelihood_bound` and `bits_per_dimension`,
those with codes the error of their reconstructions, `rmse`. What two variables have in common is told by
`mutual_information` and, where closed forms are known, Wyner's common information; what codes are good for, by
`retrieval` across domains and by `latent_accuracy`. Texts have `sequence_nll` where their law is known, `bleu` with
`self_bleu` and `ngram_coverage` beside real ones, `grammar_validity` where a grammar decides. `parzen` is there for
comparison with papers that used it. Each can be fooled: take several.
"""

from gan_course.metrics.agreement import PixelAgreement, pixel_agreement
from gan_course.metrics.birthday import (
    Birthday,
    birthday,
    birthday_draws,
    collision_probability,
    implied_support,
)
from gan_course.metrics.bounds import LikelihoodBound, bits_per_dimension, dequantised, likelihood_bound, rmse
from gan_course.metrics.common_information import (
    binary_common_information,
    gaussian_common_information,
    gaussian_mutual_information,
    mutual_information,
)
from gan_course.metrics.digits import (
    LeNet,
    class_histogram,
    digit_features,
    frechet_digits,
    lenet,
    lenet_metadata,
)
from gan_course.metrics.features import Inception, class_probabilities, image_features, inception
from gan_course.metrics.frechet import frechet_distance, frechet_gaussians
from gan_course.metrics.frechet_inception import fid
from gan_course.metrics.histograms import total_variation
from gan_course.metrics.inception_score import InceptionScore, inception_score
from gan_course.metrics.kernel import KernelDistance, kernel_distance, kid
from gan_course.metrics.latent_accuracy import LatentAccuracy, latent_accuracy
from gan_course.metrics.mifid import MiFID, mifid
from gan_course.metrics.modes import ModeCoverage, mode_coverage
from gan_course.metrics.neighbours import Memorisation, memorisation, nearest_neighbours
from gan_course.metrics.parzen import ParzenLikelihood, parzen, parzen_density
from gan_course.metrics.prd import PrecisionRecallCurve, prd, prd_curve
from gan_course.metrics.precision_recall import PrecisionRecall, precision_recall
from gan_course.metrics.relevance import Relevance, RelevanceModel, relevance, relevance_model
from gan_course.metrics.retrieval import Retrieval, retrieval
from gan_course.metrics.sequences import (
    Coverage,
    SequenceLikelihood,
    Validity,
    WordLikelihood,
    bleu,
    grammar_validity,
    ngram_coverage,
    self_bleu,
    sequence_nll,
    word_nll,
)
from gan_course.metrics.transport import TransportPlan, transport_plan, wasserstein

__all__ = [
    "Birthday",
    "Coverage",
    "Inception",
    "InceptionScore",
    "KernelDistance",
    "LatentAccuracy",
    "LeNet",
    "LikelihoodBound",
    "Memorisation",
    "MiFID",
    "ModeCoverage",
    "ParzenLikelihood",
    "PixelAgreement",
    "PrecisionRecall",
    "PrecisionRecallCurve",
    "Relevance",
    "RelevanceModel",
    "Retrieval",
    "SequenceLikelihood",
    "TransportPlan",
    "Validity",
    "WordLikelihood",
    "binary_common_information",
    "birthday",
    "birthday_draws",
    "bits_per_dimension",
    "bleu",
    "class_histogram",
    "class_probabilities",
    "collision_probability",
    "dequantised",
    "digit_features",
    "fid",
    "frechet_digits",
    "frechet_distance",
    "frechet_gaussians",
    "gaussian_common_information",
    "gaussian_mutual_information",
    "grammar_validity",
    "image_features",
    "implied_support",
    "inception",
    "inception_score",
    "kernel_distance",
    "kid",
    "latent_accuracy",
    "lenet",
    "lenet_metadata",
    "likelihood_bound",
    "memorisation",
    "mifid",
    "mode_coverage",
    "mutual_information",
    "nearest_neighbours",
    "ngram_coverage",
    "parzen",
    "parzen_density",
    "pixel_agreement",
    "prd",
    "prd_curve",
    "precision_recall",
    "relevance",
    "relevance_model",
    "retrieval",
    "rmse",
    "self_bleu",
    "sequence_nll",
    "total_variation",
    "transport_plan",
    "wasserstein",
    "word_nll",
]

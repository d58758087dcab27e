"""The package as a whole: what it exports, what importing it costs, and that the written shapes hold."""

import inspect
import json
import subprocess
import sys

import beartype
import jaxtyping
import pytest
import torch

from gan_course import metrics, networks

HEAVY = ("ot", "scipy", "sklearn", "pandas", "matplotlib", "torchvision", "torchmetrics", "safetensors")


def test_importing_it_loads_nothing_heavy():
    program = (
        "import sys, torch, jaxtyping, json; before = set(sys.modules); import gan_course.metrics; "
        "print(json.dumps(sorted({name.split('.')[0] for name in set(sys.modules) - before})))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = json.loads(printed)
    assert "gan_course" in loaded
    assert not set(loaded) & set(HEAVY)


def test_every_exported_name_exists_and_is_described():
    assert metrics.__all__ == sorted(metrics.__all__)
    for name in metrics.__all__:
        assert inspect.getdoc(getattr(metrics, name)), name


IMAGES = torch.rand(90, 1, 28, 28, generator=torch.Generator().manual_seed(0))
POINTS = torch.rand(90, 2, generator=torch.Generator().manual_seed(0))
SHARES = torch.tensor([0.25, 0.75])
LINES, TOKENS = ["a b a", "b b"], torch.tensor([[0, 1], [2, 1]])
WRITER = networks.RecurrentGenerator(3, 2)
CALLS = {
    "binary_common_information": (0.1,),
    "birthday": (IMAGES, 30, 1.0),
    "birthday_draws": (365,),
    "bits_per_dimension": (-82, 784, 256),
    "bleu": (LINES, TOKENS, 2),
    "class_histogram": (IMAGES,),
    "class_probabilities": (IMAGES,),
    "collision_probability": (23, 365),
    "dequantised": (IMAGES.round(), 2, 1),
    "digit_features": (IMAGES,),
    "fid": (IMAGES, IMAGES[:86]),
    "frechet_digits": (IMAGES, IMAGES[:86]),
    "frechet_distance": (POINTS, POINTS[:50].double()),
    "frechet_gaussians": (torch.zeros(2), torch.eye(2), torch.ones(2), torch.eye(2)),
    "gaussian_common_information": (-0.8,),
    "gaussian_mutual_information": (torch.eye(3), 2),
    "grammar_validity": (LINES, bool),
    "image_features": (IMAGES, metrics.lenet(), 20),
    "implied_support": (23, 0.5),
    "inception_score": (SHARES.expand(90, 2), 3),
    "kernel_distance": (POINTS, POINTS[:50].double(), 3, 20, 1),
    "kid": (IMAGES, IMAGES[:40], None, 3),
    "latent_accuracy": (POINTS, torch.arange(90) % 3, POINTS[:50], torch.arange(50) % 3),
    "likelihood_bound": (lambda x: x.flatten(1).sum(1), IMAGES, 3, 40, 1),
    "memorisation": (IMAGES, IMAGES[:50], IMAGES[50:]),
    "mifid": (IMAGES, IMAGES[:86]),
    "mode_coverage": (POINTS, POINTS[:3], 0.1),
    "mutual_information": (torch.full((2, 4), 0.125),),
    "nearest_neighbours": (POINTS, POINTS[:40], 3),
    "ngram_coverage": (TOKENS, LINES, 1),
    "parzen": (POINTS[:50], POINTS[50:70], POINTS[70:], [0.01, 0.1, 1.0]),
    "pixel_agreement": (IMAGES, IMAGES),
    "parzen_density": (POINTS, POINTS[:5], 1),
    "prd": (POINTS[:40], POINTS[40:80], 4, 2),
    "prd_curve": (SHARES, SHARES.flip(0)),
    "precision_recall": (POINTS, POINTS[:40]),
    "retrieval": (POINTS[:9], POINTS, torch.arange(9) % 3, torch.arange(90) % 3, 5),
    "relevance": (POINTS, POINTS, metrics.relevance_model(POINTS, POINTS, 3, [5.0], 1)),
    "relevance_model": (IMAGES, POINTS, 3, [5.0], 1),
    "rmse": (IMAGES, 1 - IMAGES),
    "self_bleu": (LINES, 2),
    "sequence_nll": (WRITER, WRITER, TOKENS, 3, 2, 1),
    "total_variation": (torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])),
    "transport_plan": (torch.tensor([0.5, 0.5]), torch.tensor([1.0]), torch.ones(2, 1)),
    "wasserstein": (POINTS[:, 0], POINTS[:50, 1], 2),
    "word_nll": (WRITER, TOKENS, None, 1),
}
WITHOUT_SHAPES = {"inception", "lenet", "lenet_metadata"}


def checked(function):
    return jaxtyping.jaxtyped(typechecker=beartype.beartype)(inspect.unwrap(function))


def test_all_functions_are_called_below():
    functions = {name for name in metrics.__all__ if not inspect.isclass(getattr(metrics, name))}
    assert set(CALLS) | WITHOUT_SHAPES == functions


@pytest.mark.parametrize("name", CALLS)
def test_arguments_and_results_have_the_written_shapes(name):
    checked(getattr(metrics, name))(*CALLS[name])


@pytest.mark.parametrize("name", ["features", "forward"])
def test_the_lenets_shapes(name):
    network = metrics.lenet()
    checked(getattr(metrics.LeNet, name))(network, IMAGES)
    with pytest.raises(jaxtyping.TypeCheckError):
        checked(getattr(metrics.LeNet, name))(network, IMAGES[:, 0])


def test_a_wrong_shape_is_seen():
    with pytest.raises(jaxtyping.TypeCheckError):
        checked(metrics.wasserstein)(POINTS, torch.zeros(3, 5))

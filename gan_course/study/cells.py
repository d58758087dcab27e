"""A cell of a study: one objective with one setting on one data set and one seed, trained and judged.

All objectives play with the same networks: perceptrons for points, small convolutional networks for images, where a
discriminator under a gradient penalty does without batch normalisation (`normalise`). Where the discriminator is an
auto-encoder (`ebgan`, `began`) it is a perceptron with as many hidden layers, as wide, and a code between them.

A cell trains for a number of `steps`, those of both players together, so that a setting with five steps of the
discriminator per step of the generator has as much computation to spend as one with a single step, and not three times
as much.
"""

import contextlib
import functools
import hashlib
import json
import math
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gan_course import data, games, metrics, networks, objectives, provenance, training
from gan_course.chapter import seed_everything
from gan_course.checks import instance, number, whole
from gan_course.errors import CourseError, Diverged, UnknownName

PHASES = ("choose", "report")
DONE, DIVERGED, FAILED = "done", "diverged", "failed"
POINTS, STD = 10_000, 0.05
REFERENCE = 1_000  # points that samples are to be transported to

OPTIMIZERS = {"adam": games.adam, "rmsprop": games.rmsprop}
DECAYS = {"constant": games.constant, "linear": games.linear_decay, "cosine": games.cosine_decay}


class StudyError(CourseError, ValueError):
    """A study that cannot be read, run or continued as asked."""


@dataclass(frozen=True)
class Cell:
    """What a row of the table was asked for.

    Attributes:
        objective: one of `contestants()`.
        data: one of `DATA`.
        setting: the settings that the study gives, as JSON with sorted names.
        seed: of weights, batches, noise and samples.
        phase: `choose` or `report`.
    """

    objective: str
    data: str
    setting: str
    seed: int
    phase: str

    @property
    def settings(self) -> dict[str, Any]:
        """The settings by name."""
        return json.loads(self.setting)

    def __str__(self) -> str:
        return f"{self.objective} on {self.data}, seed {self.seed}, {self.setting}"


def contestants() -> list[str]:
    """What can play: every objective by name, and BEGAN, which is a game of its own."""
    return [*objectives.names(), "began"]


def in_words(settings: Mapping[str, Any]) -> str:
    """Settings as they stand in the table."""
    return json.dumps(dict(sorted(settings.items())))


# Settings


def _one_of(allowed: Mapping[str, Any]) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if not isinstance(value, str) or value not in allowed:
            raise UnknownName(name, value, allowed)
        return value

    return check


def _truth(name: str, value: Any) -> None:
    instance(name, value, bool, "true or false")


def _momentum(name: str, value: Any) -> float:
    if number(name, value, most=1) == 1:
        raise ValueError(f"{name}={value} was given; it must be in [0, 1), such as 0.5")
    return float(value)


SETTINGS: dict[str, tuple[Any, Callable[[str, Any], Any]]] = {
    "steps": (3_000, whole),
    "batch_size": (128, functools.partial(whole, least=2)),
    "learning_rate": (1e-3, functools.partial(number, positive=True)),
    "discriminator_steps": (1, whole),
    "optimizer": ("adam", _one_of(OPTIMIZERS)),
    "beta1": (0.5, _momentum),
    "beta2": (0.99, _momentum),
    "decay": ("linear", _one_of(DECAYS)),
    "average": (0.0, _momentum),
    "width": (128, whole),
    "depth": (2, whole),
    "latent_size": (8, whole),
    "fourier": (0, functools.partial(whole, least=0, most=24)),
    "normalise": (True, _truth),
    "code_size": (8, whole),
    "samples": (2_500, functools.partial(whole, least=100)),
}
"""What can be set of every contestant: the default, and the check. Anything else is the objective's own.

`steps`: of both players together; `average`: share of itself that the average of the generator keeps, 0: none;
`width`, `depth`: units and number of hidden layers (of convolutional networks: units of their one fully connected
layer, beside a quarter as many channels); `fourier`: octaves that the discriminator sees beside a point; `normalise`:
batch normalisation in the discriminator of images, without which a gradient penalty must do;
`code_size`: coordinates of an auto-encoder's code; `samples`: how many are judged.
"""


def complete(objective: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is set of every contestant, with the defaults, and the objective's own settings.

    Raises:
        ValueError: for what cannot be, or has a name that neither knows.
    """
    common = {name: settings.get(name, default) for name, (default, _) in SETTINGS.items()}
    for name, (_, check) in SETTINGS.items():
        check(name, common[name])
    own = {name: value for name, value in settings.items() if name not in SETTINGS}
    try:
        _balanced(common, own) if objective == "began" else objectives.get(objective, **own)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{error}; set of every objective can be: {', '.join(SETTINGS)}") from None
    return common, own


# Games


BALANCE = {"diversity": 0.5, "gain": 1e-3}  # of BEGAN, as in its paper


def _balanced(common: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Check what is set of BEGAN."""
    if unknown := set(own) - set(BALANCE):
        raise ValueError(f"objective 'began' has no setting {', '.join(sorted(unknown))}; it has: {sorted(BALANCE)}")
    number("diversity", own.get("diversity", BALANCE["diversity"]), most=1)
    number("gain", own.get("gain", BALANCE["gain"]))
    if common["discriminator_steps"] != 1:
        raise ValueError(
            f"discriminator_steps={common['discriminator_steps']} was given for began, whose players move at once; "
            "it must be 1"
        )


def build(cell: Cell, sample: tuple[int, ...]) -> games.GAN:
    """The game of a cell for samples of that shape; its weights are drawn from the cell's seed."""
    common, own = complete(cell.objective, cell.settings)
    seed_everything(cell.seed)
    generator, judge = _pictorial(common, sample) if len(sample) > 1 else _planar(common, sample)
    optimizer = OPTIMIZERS[common["optimizer"]]
    betas = {"betas": (common["beta1"], common["beta2"])} if common["optimizer"] == "adam" else {}
    learning = {
        "latent_size": common["latent_size"],
        "optimizer": optimizer(common["learning_rate"], **betas),
        "rate": DECAYS[common["decay"]],
        "average": common["average"] or None,
    }
    if cell.objective == "began":
        return games.BEGAN(
            generator, _reconstruction(common, sample, "mean absolute"), **{**BALANCE, **own}, **learning
        )
    if cell.objective == "ebgan":
        judge = _reconstruction(common, sample)
    return games.GAN(
        generator,
        judge,
        objective=objectives.get(cell.objective, **own),
        discriminator_steps=common["discriminator_steps"],
        **learning,
    )


def _planar(common: Mapping[str, Any], sample: tuple[int]) -> tuple[nn.Module, nn.Module]:
    hidden, inputs = [common["width"]] * common["depth"], sample[0] * (1 + 2 * common["fourier"])
    features = networks.Fourier(common["fourier"]) if common["fourier"] else nn.Identity()
    judge = nn.Sequential(features, networks.mlp(inputs, hidden, activation=_leaky))
    return networks.mlp(common["latent_size"], hidden, sample[0]), judge


def _pictorial(common: Mapping[str, Any], sample: tuple[int, int, int]) -> tuple[nn.Module, nn.Module]:
    channels, width = max(1, common["width"] // 4), common["width"]
    return networks.dcgan(sample[1], sample[0], common["latent_size"], channels, common["normalise"], hidden=width)


def _reconstruction(common: Mapping[str, Any], sample: tuple[int, ...], error: str = "norm") -> nn.Module:
    half, final = [common["width"]] * -(-common["depth"] // 2), nn.Sigmoid if len(sample) > 1 else None
    encoder = networks.mlp(math.prod(sample), half, common["code_size"], activation=_leaky)
    return networks.Reconstruction(
        encoder, networks.mlp(common["code_size"], half, sample, activation=_leaky, final=final), error
    )


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.2)


# Data and judgement


@dataclass(frozen=True)
class Data:
    """A data set of a study.

    Attributes:
        train: makes what is learned from.
        judge: numbers by metric for samples.
        decides: the metric by which settings are chosen; less is better.
    """

    train: Callable[[], Tensor]
    judge: Callable[[Tensor], dict[str, float]]
    decides: str


def _points(name: str) -> Data:
    draw, centers = getattr(data.toy, name), getattr(data.toy, f"{name}_centers")

    @functools.cache
    def reference() -> Tensor:
        """Each mode as often as every other, so that chance in the numbers is the samples' alone."""
        modes = centers()
        noise = torch.randn(REFERENCE, 2, generator=torch.Generator().manual_seed(1))
        return modes.repeat(REFERENCE // len(modes), 1) + STD * noise

    def judge(samples: Tensor) -> dict[str, float]:
        found = metrics.mode_coverage(samples, centers(), STD)
        distance = metrics.wasserstein(samples, reference())
        return {"modes": float(found.modes), "quality": found.quality, "wasserstein": distance}

    return Data(functools.cache(lambda: draw(POINTS, std=STD, seed=0)), judge, "wasserstein")


def as_mnist(images: Tensor) -> Tensor:
    """Digits of any size as those of MNIST are: 20 pixels high, in a frame of 28; what is of that size stays.

    The LeNet of the metrics, which has seen MNIST only, names 94 % of the test images of `digits` rightly when they are
    so framed, and 85 % when they fill the frame.
    """
    if images.shape[-1] == 28:
        return images
    scaled = nn.functional.interpolate(images, (20, 20), mode="bilinear")
    return nn.functional.pad(scaled, (4, 4, 4, 4))


def _digits(name: str) -> Data:
    @functools.cache
    def test() -> tuple[Tensor, Tensor, Tensor]:
        images = as_mnist(data.load(name, "test").images)
        return images, metrics.digit_features(images), metrics.class_histogram(images)

    def judge(samples: Tensor) -> dict[str, float]:
        images, (real, features, classes) = as_mnist(samples.clamp(0, 1)), test()
        n = min(len(images), len(real))
        found = metrics.precision_recall(features[:n], metrics.digit_features(images[:n]))
        return {
            "frechet": metrics.frechet_digits(images, real),
            "precision": found.precision,
            "recall": found.recall,
            "class_variation": float(metrics.total_variation(metrics.class_histogram(images), classes)),
        }

    return Data(functools.cache(lambda: data.load(name).images), judge, "frechet")


DATA = {"ring": _points("ring"), "grid": _points("grid"), "digits": _digits("digits"), "mnist": _digits("mnist")}
METRICS = ("modes", "quality", "wasserstein", "frechet", "precision", "recall", "class_variation")


# Playing

_ALONE = threading.Lock()  # the global random numbers and the number of threads are a process's, not a thread's


def play(cell: Cell, device: str = "cpu", steps: int | None = None) -> dict[str, Any]:
    """Train and judge a cell: the row of the table, without what a cell is identified by.

    On the CPU with one thread, so that the same machine gives the same numbers, however many cells it plays at once.

    Args:
        cell: what to play.
        device: as in `fit`.
        steps: in place of the cell's.

    Raises:
        Exception: whatever goes wrong, but for divergence, which is a result.
    """
    settings = {**cell.settings, **({} if steps is None else {"steps": steps})}
    common, _ = complete(cell.objective, settings)
    kind = DATA[cell.data]
    with _ALONE, _one_thread():
        real, begun = kind.train(), time.monotonic()
        game = build(cell, tuple(real.shape[1:]))
        found: dict[str, Any] = {"outcome": DONE, "error": ""}
        try:
            training.fit(
                game,
                real,
                rounds=max(1, common["steps"] // (1 + common["discriminator_steps"])),
                batch_size=common["batch_size"],
                seed=cell.seed,
                device=device,
            )
            torch.manual_seed(cell.seed)
            samples = game.sample(common["samples"])
            if not samples.isfinite().all():
                raise Diverged("samples are no finite numbers: training has diverged in its last rounds")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a game that has collapsed: its covariance is singular
                found |= kind.judge(samples)
        except Diverged as error:
            found |= {"outcome": DIVERGED, "error": str(error)}
        return {**found, "seconds": round(time.monotonic() - begun, 2), **circumstances(device)}


def attempt(cell: Cell, device: str = "cpu") -> dict[str, Any]:
    """As `play`, but whatever goes wrong is a row that says so."""
    begun = time.monotonic()
    try:
        return play(cell, device)
    except Exception as error:
        return failure(error, time.monotonic() - begun) | circumstances(None)


def failure(error: BaseException, seconds: float = 0.0) -> dict[str, Any]:
    """The row of a cell that could not be played."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return {"outcome": FAILED, "error": text, "seconds": round(seconds, 2)}


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def circumstances(device: str | None) -> dict[str, str]:
    """The device in words, torch's version and the code's hash."""
    words = ""
    if device is not None:
        place = training.training_device(device)
        words = torch.cuda.get_device_name(place) if place.type == "cuda" else f"{place.type.upper()}, 1 thread"
    return {"device": words, "torch": torch.__version__.split("+")[0], "code": code()}


@functools.cache
def code() -> str:
    """A hash of what decides about a cell's numbers: this module, and those of the package that it imports."""
    source = Path(__file__).read_text(encoding="utf-8")
    modules = provenance.module_hashes({"cells": [{"cell_type": "code", "source": source}]})
    modules.pop("gan_course.provenance", None)  # it only makes the hash
    return hashlib.sha256((source + provenance.package_hash(modules)).encode()).hexdigest()[:16]

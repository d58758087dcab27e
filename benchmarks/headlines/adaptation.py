"""Unsupervised domain adaptation between MNIST and USPS: labels in one domain, answers wanted in the other.

The protocol of Liu & Tuzel (2016): 2,000 images of MNIST and 1,800 of USPS, drawn anew from the training sets for each
seed; the labels of the target's are never used. USPS's 16 × 16 pixels get a border of 3 and are resized to 28 × 28. Two
accuracies are reported, on the drawn target images, as the paper's code does for MNIST to USPS in this small setting,
and on the target's whole test set, which no game has seen; the published figure stands beside both.

Four games have the same discriminator layers and rounds: the paper's CoGAN with a classifier on the last hidden
layer; the same with the term of its code that the paper does not mention, which makes the features of generated pairs
alike (weight 0.01); the classifier alone, trained on the labelled domain; and that with a domain classifier behind
reversed gradients (Ganin & Lempitsky, 2015), whose weight rises from 0 to 1. The first layers of CoGAN's discriminators
begin with the same weights and then part; the paper does not say how they begin. The narrow layers normalise their
batches; for answers they are given the moments of the domain's drawn images (Li et al., 2017), in all games alike.

`adaptation-trials` and `adaptation-back-trials` compare settings on the draw of seed 100, which is not among the five.
A fifth of its labelled images is held out; a setting is judged by its answers on these, and by reverse validation: a
classifier that is trained on the target's images with the game's answers for labels is asked about them. No label of
the target takes part. Of each game the setting with the best reverse validation is played.

The moments are given to the classifier alone too: where layers normalise, as the narrow ones do, it has seen target
images, though no label of theirs. The paper's discriminators normalise nothing.

`adaptation` and `adaptation-back` play the paper's networks for 10,000 rounds, with the weight that its code gives the
classes (10), for a GPU; `adaptation-narrow` and `adaptation-back-narrow` are for two cores. Where USPS's training file
is a reconstruction, `data.load` announces it.
"""

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gan_course import data, fit, games, networks
from gan_course.games import Turn
from gan_course.games.base import Game, OptimizerFactory, evaluating
from gan_course.headlines import Experiment, Play

DRAWN = {"mnist": 2_000, "usps": 1_800}
MATCHING = 0.01
BATCH, BACKWARDS = 64, 500  # rounds of the classifier of reverse validation


# --- The domains ---------------------------------------------------------------------------------------------------


@functools.cache
def domain(name: str, split: str) -> tuple[Tensor, Tensor]:
    """Images of 28 × 28 pixels and labels."""
    x = data.load(name, split=split)
    images = x.images
    if name == "usps":
        images = nn.functional.interpolate(nn.functional.pad(images, (3, 3, 3, 3)), 28, mode="bilinear")
    return images, x.labels


@functools.lru_cache(maxsize=2)
def draw(name: str, seed: int) -> tuple[Tensor, Tensor]:
    """The seed's images of a domain, with their labels."""
    images, labels = domain(name, "train")
    rows = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[: DRAWN[name]]
    return images[rows], labels[rows]


def source(labelled: str, other: str, seed: int) -> data.Unpaired:
    """Labelled images of one domain and images of the other."""
    return data.Unpaired(data.Paired(*draw(labelled, seed)), draw(other, seed)[0])


# --- The games -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """The networks, the length, and what trials choose for a game: its step size and the weights of its terms."""

    players: Callable = networks.cogan_narrow
    rate: float = 2e-3
    classification: float = 1.0
    domains: float = 1.0
    rounds: int = 1_200
    same_start: bool = True

    @property
    def optimizer(self) -> OptimizerFactory:
        """Adam with a first moment of 0.5."""
        return games.adam(self.rate, betas=(0.5, 0.999))


def width(discriminators: networks.Coupled) -> int:
    """How many features the last hidden layer has."""
    return discriminators.shared[-1][0].in_features


def cogan(settings: Settings, matching: float = 0.0) -> games.CoGAN:
    """The classifier learns in the discriminators' turn."""
    generators, discriminators = settings.players()
    if settings.same_start:
        discriminators.own[1].load_state_dict(discriminators.own[0].state_dict())
    return games.CoGAN(
        generators,
        discriminators,
        optimizer=settings.optimizer,
        rate=games.linear_decay,
        classifier=nn.Linear(width(discriminators), 10),
        classification=settings.classification,
        matching=matching,
    )


class SourceOnly(Game):
    """The layers of one discriminator and the classifier, trained on the labelled domain alone."""

    def __init__(self, settings: Settings):
        super().__init__()
        _, discriminators = settings.players()
        self.layers = nn.Sequential(*discriminators.blocks(0)[:-1])
        self.classifier = nn.Linear(width(discriminators), 10)
        self.settings = settings

    def loss(self, batch: tuple) -> dict[str, Tensor]:
        """Cross entropy."""
        (x, y), _ = batch
        return {"classification": nn.functional.cross_entropy(self.classifier(self.layers(x)), y)}

    def turns(self) -> list[Turn]:
        """One player."""
        return [Turn("classifier", [self], self.loss, optimizer=self.settings.optimizer, rate=games.linear_decay)]

    def features(self, x: Tensor, domain: int) -> Tensor:
        """What the classifier is given; both domains go through the same layers."""
        return self.layers(x)

    def predict(self, x: Tensor, domain: int) -> Tensor:
        """The classes."""
        with evaluating(self):
            return torch.cat([self.classifier(self.features(part, domain)).argmax(1) for part in x.split(1_000)])


class Adversarial(SourceOnly):
    """Layers that help to tell the class, and hinder a classifier from telling the domain (ganin2015unsupervised)."""

    def __init__(self, settings: Settings):
        super().__init__(settings)
        features = self.classifier.in_features
        self.domains = nn.Sequential(nn.Linear(features, 100), nn.ReLU(), nn.Linear(100, 1), nn.Flatten(0))

    def loss(self, batch: tuple) -> dict[str, Tensor]:
        """Cross entropy of the classes and of the domains, the latter with its gradient reversed for the layers."""
        (x, y), other = batch
        h = torch.cat([self.layers(x), self.layers(other)])  # apart, so that each is normalised by itself
        weight = 2 / (1 + torch.exp(-10 * self.progress)) - 1  # from 0 to 1
        back = (1 + weight) * h.detach() - weight * h  # h itself, but its gradient comes back reversed
        first = torch.cat([torch.ones(len(x)), torch.zeros(len(other))]).to(h)
        return {
            "classification": nn.functional.cross_entropy(self.classifier(h[: len(x)]), y),
            "domains": self.settings.domains
            * nn.functional.binary_cross_entropy_with_logits(self.domains(back), first),
        }


# --- The experiments -----------------------------------------------------------------------------------------------

TEST, DRAW = "accuracy on the target's test set", "accuracy on the drawn target images"
PUBLISHED = {"mnist": "0.912", "usps": "0.891"}  # by the labelled domain


@contextlib.contextmanager
def at_home(game: Game, images: Tensor, domain: int) -> Iterator[None]:
    """Inside, batch normalisation has the moments of a domain's own images, not those of all batches of training."""
    judges = game.discriminators if isinstance(game, games.CoGAN) else game.layers
    kept = copy.deepcopy(judges.state_dict())
    norms = [part for part in judges.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    training, momenta = judges.training, [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean
    judges.train()
    try:
        with torch.no_grad():
            game.features(images.to(game.device), domain)
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        judges.load_state_dict(kept)
        judges.train(training)


def accuracy(game: Game, images: Tensor, labels: Tensor, domain: int, home: Tensor) -> float:
    """The share of right answers; `home`: images of the domain that were trained on."""
    with at_home(game, home, domain):
        return float((game.predict(images.to(game.device), domain).cpu() == labels).float().mean())


def measure(game: Game, labelled: str, other: str, seed: int) -> dict[str, float]:
    """Accuracies in both domains."""
    homes = [draw(name, seed)[0] for name in (labelled, other)]
    return {
        TEST: accuracy(game, *domain(other, "test"), 1, homes[1]),
        DRAW: accuracy(game, *draw(other, seed), 1, homes[1]),
        "accuracy on the labelled domain's test set": accuracy(game, *domain(labelled, "test"), 0, homes[0]),
    }


def plays(settings: Settings, chosen: dict[str, dict]) -> dict[str, Play]:
    """The four games; `chosen`: what trials have found for one of them."""
    makers = {
        "CoGAN": cogan,
        "CoGAN with matching": functools.partial(cogan, matching=MATCHING),
        "source only": SourceOnly,
        "domain-adversarial": Adversarial,
    }
    return {
        name: Play(functools.partial(make, replace(settings, **chosen.get(name, {}))), settings.rounds, BATCH)
        for name, make in makers.items()
    }


NAMES = {"mnist": "MNIST", "usps": "USPS"}


def experiment(
    labelled: str, other: str, settings: Settings, title: str, chosen: dict[str, dict] | None = None
) -> Experiment:
    """One direction."""
    return Experiment(
        title=f"Domain adaptation {NAMES[labelled]} → {NAMES[other]}, {title}",
        chapter="22_cogan",
        seeds=range(5),
        games=plays(settings, chosen or {}),
        data=lambda seed: source(labelled, other, seed),
        measure=lambda game, seed: measure(game, labelled, other, seed),
        published={
            f"CoGAN: {quantity}": {"value": PUBLISHED[labelled], "source": "liu2016cogan"} for quantity in (TEST, DRAW)
        },
    )


def held_out(labelled: str, seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The seed's labelled images in two parts: four fifths to learn from, one fifth to be asked about."""
    images, labels = draw(labelled, seed)
    most = len(images) * 4 // 5
    return (images[:most], labels[:most]), (images[most:], labels[most:])


def validate(game: Game, labelled: str, other: str, seed: int) -> dict[str, float]:
    """What settings are judged by and, for information, what they come to."""
    images, _ = draw(other, seed)
    (seen, _), asked = held_out(labelled, seed)
    with at_home(game, images, 1):
        answers = game.predict(images.to(game.device), 1).cpu()
    backwards = SourceOnly(NARROW)
    learned = data.Unpaired(data.Paired(images, answers), images)
    fit(backwards, learned, rounds=BACKWARDS, batch_size=BATCH, seed=seed, device="cpu")
    return {
        "accuracy on held-out labelled images": accuracy(game, *asked, 0, seen),
        "reverse validation": accuracy(backwards, *asked, 0, seen),
        TEST: accuracy(game, *domain(other, "test"), 1, images),
    }


def trials(labelled: str, other: str, tried: dict[str, Play]) -> Experiment:
    """Settings side by side on one draw."""

    def training(seed: int) -> data.Unpaired:
        return data.Unpaired(data.Paired(*held_out(labelled, seed)[0]), draw(other, seed)[0])

    return Experiment(
        title=f"Domain adaptation {NAMES[labelled]} → {NAMES[other]}, trials with narrow networks",
        chapter="22_cogan",
        seeds=[100],
        games=tried,
        data=training,
        measure=lambda game, seed: validate(game, labelled, other, seed),
    )


PAPER = Settings(networks.cogan_digits, rate=2e-4, rounds=10_000, classification=10.0)  # as the authors' code
NARROW = Settings()
CHOSEN = {  # by reverse validation in the trials of either way, by the labelled domain
    "mnist": {
        "CoGAN": {"rate": 1e-3, "classification": 10.0},
        "CoGAN with matching": {"rate": 2e-3},
        "domain-adversarial": {"rate": 2e-3, "domains": 1.0},
    },
    "usps": {
        "CoGAN": {"rate": 2e-3, "classification": 10.0},
        "CoGAN with matching": {"rate": 1e-3},
        "domain-adversarial": {"rate": 2e-3, "domains": 1.0},
    },
}
TRIED = {
    f"CoGAN, rate {rate:g}, classes × {weight:g}": functools.partial(
        cogan, replace(NARROW, rate=rate, classification=weight)
    )
    for rate in (1e-3, 2e-3)
    for weight in (1.0, 10.0)
}
TRIED |= {
    f"CoGAN with matching × {matching:g}, rate {rate:g}": functools.partial(cogan, replace(NARROW, rate=rate), matching)
    for rate in (1e-3, 2e-3)
    for matching in (0.01, 0.1)
}
TRIED |= {
    f"domain-adversarial, rate {rate:g}, domains × {weight:g}": functools.partial(
        Adversarial, replace(NARROW, rate=rate, domains=weight)
    )
    for rate in (1e-3, 2e-3)
    for weight in (0.3, 1.0)
}
TRIED["source only"] = functools.partial(SourceOnly, NARROW)
TRIED = {name: Play(make, 600, BATCH) for name, make in TRIED.items()}
EXPERIMENT = experiment("mnist", "usps", PAPER, "the paper's networks")
VARIANTS = {
    "back": experiment("usps", "mnist", PAPER, "the paper's networks"),
    "narrow": experiment("mnist", "usps", NARROW, "narrow networks", CHOSEN["mnist"]),
    "back-narrow": experiment("usps", "mnist", NARROW, "narrow networks", CHOSEN["usps"]),
    "trials": trials("mnist", "usps", TRIED),
    "back-trials": trials("usps", "mnist", TRIED),
}

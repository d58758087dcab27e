"""Coupled GANs on faces: the same face with and without an attribute, though no such pair was ever shown.

For whoever has CelebA: `<folder>/celeba/celeba/` holds the unpacked folder `img_align_celeba` and torchvision's five
lists, and `GAN_COURSE_DATA` names `<folder>`; `data.celeba` says what is missing. Then

    gan-course headline faces --device cuda --minutes 60     # a slice; the same command goes on

for `Smiling` at 64 pixels; `faces-blond` and `faces-glasses` for two other attributes, `faces-128` for the size of the
paper, where images are resized to 132 pixels and a window of 128 is cut out anew each time. The paper shows pictures
and no figures; what is measured here, on 1,000 draws of either domain:

* the Fréchet distance to test images of the domain, in the features of a judge: a small network, trained to tell the
  two domains apart on the training images;
* the share of draws that the judge takes for what they are to be;
* the mean difference of the two images of a pair, from 0 to 1, beside that of images of different rows: an attribute
  changes part of a face, and another face changes all of it.

The marks are the judge's accuracy on test images, and the distances of training images from test images.
"""

import functools
import os
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan_course import data, games, metrics, networks
from gan_course.headlines import Experiment, Play

BATCH, ROUNDS = 128, 50_000
JUDGED, STEPS, SIDE = 1_000, 2_000, 64  # the judge: images that it looks at, its training, its size in pixels
WORKERS = min(4, os.cpu_count() or 1)  # processes for each domain that read images
SIDES = ("with", "without")


@dataclass(frozen=True)
class Task:
    """An attribute, at a size in pixels; `jitter` as in `data.celeba`."""

    attribute: str
    size: int = 64
    jitter: int = 0

    def loaders(self, split: str, batch_size: int = BATCH) -> tuple:
        """Batches of either domain."""
        return data.celeba(self.attribute, self.size, split, jitter=self.jitter, batch_size=batch_size, workers=WORKERS)

    def some(self, split: str) -> list[Tensor]:
        """The same 1,000 images of either domain at each call, or all where there are fewer."""
        found = []
        for loader in self.loaders(split, 1):
            rows = torch.randperm(len(loader.dataset), generator=torch.Generator().manual_seed(0))[:JUDGED]
            found.append(torch.stack([loader.dataset[row] for row in rows.tolist()]))
        return found


class Judge(nn.Module):
    """Tells the domains apart: 0 is with the attribute, 1 without."""

    def __init__(self):
        super().__init__()
        self.encoder = networks.encoder(SIDE, 3, 2, width=32, hidden=128)

    def features(self, x: Tensor) -> Tensor:
        """The 128 numbers before the last layer."""
        return self.encoder.features_and_scores(self.resized(x))[0]

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the two domains."""
        return self.encoder(self.resized(x))

    def resized(self, x: Tensor) -> Tensor:
        """At the judge's own size."""
        return nn.functional.interpolate(x, SIDE, mode="bilinear", antialias=True) if x.shape[-1] != SIDE else x


@functools.cache
def judge(task: Task) -> Judge:
    """Trained from the same seed at each call, and on the CPU afterwards."""
    place = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Judge().to(place)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        stream = data.Unpaired(*task.loaders("train")).stream(BATCH, torch.device(place), 0)
        for _ in range(STEPS):
            batch = next(stream)
            domains = torch.arange(2, device=place).repeat_interleave(BATCH)
            loss = nn.functional.cross_entropy(network(torch.cat(batch)), domains)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval().cpu()


def taken(network: Judge, images: Tensor, domain: int) -> float:
    """The percentage that the judge takes for images of the domain."""
    return 100 * float((metrics.class_probabilities(images, network).argmax(1) == domain).double().mean())


def cogan(size: int) -> games.CoGAN:
    """The paper's networks and step size; the generators are averaged, which is ours."""
    return games.CoGAN(*networks.cogan_faces(size), average=0.999)


def measure(game: games.CoGAN, task: Task) -> dict[str, float]:
    """How near either domain is, and how near the images of a pair are to one another."""
    pairs = [part.cpu() for part in game.sample(JUDGED)]
    network, figures = judge(task), {}
    for domain, (drawn, real) in enumerate(zip(pairs, task.some("test"), strict=True)):
        figures[f"Fréchet distance, {SIDES[domain]} (the judge's features)"] = metrics.fid(drawn, real, network)
        figures[f"taken for faces {SIDES[domain]} by the judge, %"] = taken(network, drawn, domain)
    first, second = pairs
    figures["mean difference of the images of a pair"] = float((first - second).abs().mean())
    figures["mean difference of images of different rows"] = float((first - second.roll(1, 0)).abs().mean())
    return figures


def marks(task: Task) -> dict[str, float]:
    """What real images come to."""
    network, figures = judge(task), {}
    for domain, (train, test) in enumerate(zip(task.some("train"), task.some("test"), strict=True)):
        distance = metrics.fid(train, test, network)
        figures[f"real against real: Fréchet distance, {SIDES[domain]} (the judge's features)"] = distance
        figures[f"test images taken for faces {SIDES[domain]} by the judge, %"] = taken(network, test, domain)
    return figures


def experiment(task: Task, words: str, rounds: int = ROUNDS) -> Experiment:
    """One attribute at one size."""
    return Experiment(
        title=f"CelebA with and without {words}, {task.size} pixels",
        chapter="22_cogan",
        seeds=range(1),
        games={"CoGAN": Play(lambda: cogan(task.size), rounds, BATCH)},
        data=lambda: data.Unpaired(*task.loaders("train")),
        measure=lambda game: measure(game, task),
        marks=lambda: marks(task),
    )


EXPERIMENT = experiment(Task("Smiling"), "a smile")
VARIANTS = {
    "blond": experiment(Task("Blond_Hair"), "blond hair"),
    "glasses": experiment(Task("Eyeglasses"), "glasses"),
    "128": experiment(Task("Smiling", size=128, jitter=4), "a smile"),
}

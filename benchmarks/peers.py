"""A race: the loops of other projects against `fit`, on the same networks, batches, optimiser settings and threads.

    python -m benchmarks.peers --pairs 30 --out benchmarks/races/peers.json --resume
    python -m benchmarks.peers --device cuda --rounds 400 --out peers.cuda.json

Both run in one process, alternating, the first of a pair being now the one and now the other; each stretch begins with
fresh networks from one seed. Reported is the ratio of the times, rival over ours, within each pair: its median, and an
interval that covers the median in 95 of 100 repetitions (bootstrap). `loading`: `memory`, both get batches that lie in
memory; `own`, the rival reads MNIST as its script does. Beside the times stand the operations of one round, counted by
torch's profiler, so that one can see what the rival's loop does that ours does not.
"""

import argparse
import contextlib
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

from benchmarks import rivals
from gan_course import data, fit, games, seed_everything
from gan_course.headlines import circumstances, store

BATCH = rivals.BATCH
COUNTED = {
    "matrix products": ("aten::addmm", "aten::mm", "aten::bmm"),
    "convolutions": ("aten::convolution",),
    "convolutions backward": ("aten::convolution_backward",),
    "optimiser steps": ("Optimizer.step#Adam.step",),
}


def wgan_gp(pair: rivals.Pair) -> games.GAN:
    """The game of the script `wgan_gp`."""
    adam = games.adam(2e-4, (0.5, 0.999))
    return games.GAN(*pair, objective="wgan-gp", latent_size=100, discriminator_steps=5, optimizer=adam)


def dcgan(pair: rivals.Pair) -> games.GAN:
    """The game of the script `dcgan`, in which both players move on the same fakes."""
    return games.GAN(*pair, latent_size=100, optimizer=games.adam(2e-4, (0.5, 0.999)), reuse_fakes=True)


def torchgan_dcgan(pair: rivals.Pair) -> games.GAN:
    """The game of torchgan's introduction to MNIST."""
    rates = zip(("generator", "discriminator"), rivals.TORCHGAN_RATES, strict=True)
    optimizer = {player: games.adam(rate, (0.5, 0.999)) for player, rate in rates}
    return games.GAN(*pair, latent_size=100, optimizer=optimizer)


def play(game: games.GAN, images: Tensor, rounds: int, device: str = "cpu") -> None:
    """Our side of a race."""
    fit(game, images, rounds=rounds, batch_size=BATCH, device=device)


class Race(NamedTuple):
    """A rival's loop and what both sides train."""

    rival: Callable[[rivals.Pair, Iterator[Tensor], int], None]
    networks: Callable[[], rivals.Pair]
    game: Callable[[rivals.Pair], games.GAN]
    size: int  # of the images
    rounds: int  # in a stretch
    target: float  # the ratio to reach with the rival's own loading on two cores
    on_a_gpu: float | None  # the same on a GPU


RACES = {
    "PyTorch-GAN wgan_gp": Race(rivals.wgan_gp, rivals.wgan_gp_networks, wgan_gp, 28, 15, 1.8, 5.0),
    "PyTorch-GAN dcgan": Race(rivals.dcgan, rivals.dcgan_networks, dcgan, 32, 3, 1.4, 2.0),
    "torchgan DCGAN": Race(rivals.torchgan_dcgan, rivals.torchgan_networks, torchgan_dcgan, 32, 6, 1.5, None),
}
LOADINGS = ("memory", "own")


def load(size: int) -> Tensor:
    """MNIST in [-1, 1], padded to the size."""
    images = data.load("mnist").images * 2 - 1
    margin = (size - images.shape[-1]) // 2
    return torch.nn.functional.pad(images, (margin,) * 4, value=-1.0)


def from_memory(images: Tensor) -> Iterator[Tensor]:
    """Shuffled batches of a tensor, for the rival."""
    while True:
        for index in torch.randperm(len(images)).split(BATCH):
            yield images[index]


class Pictures(torch.utils.data.Dataset):
    """MNIST as torchvision's data set gives it: each image is made a PIL picture, then transformed."""

    def __init__(self, size: int):
        """`size`: of the images asked for."""
        self.pixels = (data.load("mnist").images[:, 0] * 255).round().byte().numpy()
        self.transform = transforms.Compose(
            [transforms.Resize(size), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), 0


def from_pictures(size: int) -> Iterator[Tensor]:
    """The batches of the rival's script: picture by picture, through a `DataLoader`."""
    pictures = Pictures(size)
    while True:
        for images, _ in torch.utils.data.DataLoader(pictures, batch_size=BATCH, shuffle=True):
            yield images


def stretch(run: Callable[[rivals.Pair], None], networks: Callable[[], rivals.Pair]) -> tuple[float, float]:
    """Wall and CPU seconds of one stretch with fresh networks, until the device has done what was asked of it."""
    seed_everything(0)
    pair = networks()
    wait = torch.cuda.synchronize if rivals.place(pair).type == "cuda" else lambda: None
    wait()
    wall, cpu = time.perf_counter(), time.process_time()
    run(pair)
    wait()
    return time.perf_counter() - wall, time.process_time() - cpu


def alternate(
    runs: dict[str, Callable[[rivals.Pair], None]], networks: Callable[[], rivals.Pair], pairs: int
) -> dict[str, np.ndarray]:
    """Wall and CPU seconds `(pairs, 2)` of either run, the order turning from pair to pair."""
    times: dict[str, list] = {name: [] for name in runs}
    order = list(runs)
    for _ in range(pairs):
        order.reverse()
        for name in order:
            times[name].append(stretch(runs[name], networks))
    return {name: np.array(seconds) for name, seconds in times.items()}


def operations(run: Callable[[rivals.Pair], None], networks: Callable[[], rivals.Pair]) -> dict[str, int]:
    """How often the counted operations are called."""
    pair = networks()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run(pair)
    calls = {event.key: event.count for event in profile.key_averages()}
    return {name: sum(calls.get(key, 0) for key in keys) for name, keys in COUNTED.items()}


def interval(ratios: np.ndarray, repetitions: int = 10_000) -> tuple[float, float]:
    """The 95 % interval of the median, by bootstrap over the pairs."""
    draws = np.random.default_rng(0).choice(ratios, (repetitions, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return float(low), float(high)


def race(name: str, loading: str, pairs: int, device: str = "cpu", rounds: int | None = None) -> dict:
    """Run the pairs of one race, in stretches of so many rounds (by default, what suits two cores)."""
    one = RACES[name]
    rival, game, size, rounds = one.rival, one.game, one.size, rounds or one.rounds
    target = one.target if torch.device(device).type == "cpu" else one.on_a_gpu
    images = load(size)
    if loading == "memory":
        images = images.to(device)

    def networks() -> rivals.Pair:
        generator, discriminator = one.networks()
        return generator.to(device), discriminator.to(device)

    batches = from_memory(images) if loading == "memory" else from_pictures(size)

    def theirs(pair: rivals.Pair, rounds: int = rounds) -> None:
        rival(pair, batches, rounds)

    def mine(pair: rivals.Pair, rounds: int = rounds) -> None:
        play(game(pair), images, rounds, device)

    counts = {}
    for who, run in (("rival", theirs), ("ours", mine)):
        stretch(run, networks)  # warm up
        one, two = (operations(lambda pair, run=run, n=n: run(pair, n), networks) for n in (1, 2))
        counts[who] = {name: two[name] - one[name] for name in one}  # of one round, without beginning and end
    times = alternate({"rival": theirs, "ours": mine}, networks, pairs)
    ratios = times["rival"] / times["ours"]
    result = {
        "race": name,
        "loading": loading,
        "target": target if loading == "own" else None,
        "pairs": pairs,
        "rounds": rounds,
        **circumstances(device),
        "operations of a round": counts,
    }
    for column, clock in enumerate(("wall", "CPU")):
        low, high = interval(ratios[:, column])
        result[clock] = {
            "ratio": float(np.median(ratios[:, column])),
            "interval": [low, high],
            **{f"{who}, ms a round": 1e3 * np.median(times[who][:, column]) / rounds for who in times},
        }
        print(f"{name}, {loading}: {clock} time {result[clock]['ratio']:.2f} ({low:.2f} to {high:.2f})", flush=True)
    return result


Key = tuple[str, str]  # a race's name and its loading


def finished(path: Path | None) -> dict[Key, dict]:
    """The races that a file holds; none where there is no file."""
    if path is None or not path.exists():
        return {}
    return {(race["race"], race["loading"]): race for race in json.loads(path.read_text(encoding="utf-8"))["races"]}


def run(keys: list[Key], pairs: int, out: Path | None = None, resume: bool = False, **where) -> None:
    """Run these races and store each at once; with `resume`, only those that are not there as they would be run now."""
    races, now = finished(out), {"pairs": pairs, **circumstances(where.get("device", "cpu"))}
    for key in keys:
        if resume and key in races and now.items() <= races[key].items():
            print(f"{', '.join(key)}: there already", flush=True)
            continue
        races[key] = race(*key, pairs, **where)
        store(out, {"races": list(races.values())})


def main() -> None:
    """Parse and race."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--races", nargs="+", choices=list(RACES), default=list(RACES))
    parser.add_argument("--loading", nargs="+", choices=LOADINGS, default=LOADINGS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--rounds", type=int, help="in a stretch; a GPU needs more than two cores")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--resume", action="store_true", help="pass over the races that --out holds already")
    arguments = parser.parse_args()
    if arguments.pairs < 1:
        parser.error(f"--pairs {arguments.pairs}: a race needs at least one pair")
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: a stretch needs at least one round")
    if arguments.resume and arguments.out is None:
        parser.error("--resume goes on with a file: name it with --out")
    torch.set_num_threads(arguments.threads)
    with contextlib.redirect_stderr(io.StringIO()):  # the bars are drawn as always, but not shown
        keys = [(name, loading) for name in arguments.races for loading in arguments.loading]
        where = {"device": arguments.device, "rounds": arguments.rounds}
        run(keys, arguments.pairs, arguments.out, arguments.resume, **where)


if __name__ == "__main__":
    main()

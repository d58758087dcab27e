"""Where the time of `fit` goes: the arithmetic of a round, the time it would take at full speed, the time it takes.

    python -m benchmarks.floor --out benchmarks/races/floor.json

Full speed is the best rate of a large matrix product on this machine with as many threads. The arithmetic (additions
and multiplications of matrix products and convolutions) is counted with torch's formulas. What lies between the two
times is memory traffic, small operations, the calls themselves, and `fit`. The share of `fit` is measured apart, for
the smallest game: the same arithmetic in the barest loop one can write, alternating with `fit`, in CPU time. And so are
the convolutions at the ends of image networks, PyTorch's way and the way they go in `fit`.
"""

import argparse
import contextlib
import io
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import softplus
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks import peers, rivals
from benchmarks.headlines import mnist, ring
from gan_course import data, fit, games, networks
from gan_course.convolutions import faster
from gan_course.data.sources import as_source
from gan_course.headlines import circumstances, store


def full_speed(size: int = 2048, repetitions: int = 10) -> float:
    """Operations a second of the fastest of several large matrix products."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def entries() -> dict[str, tuple]:
    """Game, data, batch size and rounds to time, by name."""
    images = data.load("mnist").images
    wgan, dcgan = peers.wgan_gp(rivals.wgan_gp_networks()), peers.dcgan(rivals.dcgan_networks())
    return {
        "ring of eight": (ring.gan(), data.toy.ring(10_000), 256, 300),
        "MNIST, GAN of chapter 02": (mnist.gan(), images, 64, 40),
        "MNIST, WGAN-GP of perceptrons": (wgan, images * 2 - 1, peers.BATCH, 30),
        "MNIST 32×32, DCGAN": (dcgan, peers.load(32), peers.BATCH, 6),
    }


class Operations(TorchDispatchMode):
    """Counts additions and multiplications, also in gradients of gradients, where torch's own counter gives up."""

    def __init__(self):
        """Begins at 0."""
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Count, and do what was to be done."""
        out = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def arithmetic(game: games.GAN, source: torch.Tensor, batch_size: int) -> int:
    """Operations of one round."""
    totals = []
    for rounds in (1, 2):
        with Operations() as operations:
            fit(game, source, rounds=rounds, batch_size=batch_size, device="cpu")
        totals.append(operations.total)
    return totals[1] - totals[0]


def overhead(pairs: int = 30, rounds: int = 300, width: int = 128, batch_size: int = 256) -> dict:
    """CPU time of `fit` over that of the barest loop with the same arithmetic: the median ratio of pairs."""
    points = data.toy.ring(10_000)

    def players() -> rivals.Pair:
        return networks.mlp(2, [width] * 3, 2), networks.mlp(2, [width] * 3)

    def bare(pair: rivals.Pair) -> None:
        G, D = pair
        optimizers = [torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.999), fused=True) for net in (D, G)]
        batches = as_source(points).stream(batch_size, torch.device("cpu"), 0)
        for _ in range(rounds):
            D.requires_grad_(True)
            real = next(batches)
            with torch.no_grad():
                fake = G(torch.randn(len(real), 2))
            optimizers[0].zero_grad()
            (softplus(-D(real)).mean() + softplus(D(fake)).mean()).backward()
            optimizers[0].step()
            D.requires_grad_(False)
            optimizers[1].zero_grad()
            softplus(-D(G(torch.randn(batch_size, 2)))).mean().backward()
            optimizers[1].step()

    def ours(pair: rivals.Pair) -> None:
        game = games.GAN(*pair, latent_size=2, optimizer=games.adam(1e-3))
        fit(game, points, rounds=rounds, batch_size=batch_size, device="cpu")

    times = peers.alternate({"bare": bare, "ours": ours}, players, pairs + 1)
    ratios = (times["ours"] / times["bare"])[1:, 1]  # CPU seconds; the first pair warms up
    return {"pairs": pairs, "ratio": float(np.median(ratios)), "interval": list(peers.interval(ratios))}


ENDS = {
    "ConvTranspose2d(32, 1, 4, stride 2), 16×16": (lambda: nn.ConvTranspose2d(32, 1, 4, 2, 1), 16),
    "ConvTranspose2d(64, 3, 4, stride 2), 32×32": (lambda: nn.ConvTranspose2d(64, 3, 4, 2, 1), 32),
    "Conv2d(64, 1, 3), 32×32": (lambda: nn.Conv2d(64, 1, 3, padding=1), 32),
    "Conv2d(1, 32, 4, stride 2), 32×32": (lambda: nn.Conv2d(1, 32, 4, 2, 1), 32),
    "Conv2d(3, 64, 4, stride 2), 64×64": (lambda: nn.Conv2d(3, 64, 4, 2, 1), 64),
    "ConvTranspose2d(100, 128, 4), 1×1": (lambda: nn.ConvTranspose2d(100, 128, 4), 1),
    "Conv2d(128, 1, 4), 4×4": (lambda: nn.Conv2d(128, 1, 4), 4),
}


def ends(repetitions: int = 30, batch_size: int = 64) -> dict[str, dict[str, float]]:
    """Milliseconds of a convolution forward and backward to its input, PyTorch's way and `faster`'s: medians."""
    rows = {}
    for name, (make, size) in ENDS.items():
        module = make().requires_grad_(False)
        module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        x = torch.randn(batch_size, module.in_channels, size, size).contiguous(memory_format=torch.channels_last)
        x.requires_grad_()
        times: dict[str, list[float]] = {}
        for _ in range(repetitions + 1):
            for way, context in (("PyTorch's", contextlib.nullcontext()), ("faster", faster(module))):
                with context:
                    start = time.perf_counter()
                    y = module(x)
                    middle = time.perf_counter()
                    torch.autograd.grad(y, x, y.detach())
                    times.setdefault(f"forward, {way}", []).append(middle - start)
                    times.setdefault(f"backward, {way}", []).append(time.perf_counter() - middle)
        rows[name] = {what: 1e3 * float(np.median(seconds[1:])) for what, seconds in times.items()}  # one warms up
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    speed, rows = full_speed(), {}
    print(f"full speed: {speed / 1e9:.0f} billion operations a second")
    with contextlib.redirect_stderr(io.StringIO()):
        for name, (game, source, batch_size, rounds) in entries().items():
            operations = arithmetic(game, source, batch_size)
            seconds = []
            for _ in range(5):
                start = time.perf_counter()
                fit(game, source, rounds=rounds, batch_size=batch_size, device="cpu")
                seconds.append((time.perf_counter() - start) / rounds)
            row = {
                "million operations": operations / 1e6,
                "floor, ms": 1e3 * operations / speed,
                "measured, ms": 1e3 * float(np.median(seconds)),
            }
            rows[name] = row | {"share of the floor": row["floor, ms"] / row["measured, ms"]}
            print(name, {key: round(value, 3) for key, value in rows[name].items()}, flush=True)
        share = overhead(arguments.pairs)
    print("fit over the barest loop, CPU time:", share)
    convolutions = ends()
    for name, row in convolutions.items():
        print(name, {what: round(milliseconds, 2) for what, milliseconds in row.items()})
    result = {
        "full speed, billion operations a second": speed / 1e9,
        "rounds": rows,
        "fit over the barest loop": share,
        "convolutions at the ends, ms": convolutions,
        **circumstances("cpu"),
    }
    store(arguments.out, result)


if __name__ == "__main__":
    main()

"""The picture that opens the README and the book: the ring of eight being learned, and digits from the MNIST run.

gan-course headline mnist --seeds 0
python -m benchmarks.opening --mnist runs/headlines/mnist.try/seed-0-gan.safetensors --out book/images/opening.png
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from benchmarks.headlines import mnist, ring
from gan_course import checkpoint, data, fit, plotting, seed_everything
from gan_course.checkpoint import replacing

MOMENTS = (0, 150, 600, 3000)


def main() -> None:
    """Train the ring in four stretches, drawing after each; then draw digits of the stored game."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, required=True, help="a checkpoint of the headline mnist")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    plotting.style()
    figure = plt.figure(figsize=(12, 5.4), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(3, 2))
    axes = top.subplots(1, len(MOMENTS))
    seed_everything(0)
    game, points, history = ring.gan(), data.toy.ring(10_000, std=ring.STD, seed=0), None
    for ax, moment in zip(axes, MOMENTS, strict=True):
        if moment:
            history = fit(game, points, rounds=MOMENTS[-1], until=moment, batch_size=256, history=history, device="cpu")
        torch.manual_seed(0)
        plotting.plane(game, points[:500], fake=500, ax=ax, title=f"round {moment:,}")
        ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
        if moment != MOMENTS[-1]:
            ax.images[0].colorbar.remove()
        if ax.get_legend():
            ax.get_legend().remove()

    painter = mnist.gan()
    checkpoint.load(arguments.mnist, painter)
    torch.manual_seed(0)
    plotting.image_grid(painter.sample(88), columns=22, ax=bottom.subplots())
    with replacing(arguments.out) as temporary:
        figure.savefig(temporary, dpi=100, format="png")


if __name__ == "__main__":
    main()

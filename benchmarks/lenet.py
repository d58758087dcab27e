"""Train the LeNet that judges digits and store it in the package: ``python -m benchmarks.lenet``.

MNIST's training part, slightly turned, scaled and shifted anew in each epoch; Adam with a learning rate that falls
linearly to 0. The weights are rounded to half precision *before* the accuracy on the test part is taken, so that the
number in the file belongs to the file. One thread: the same machine and versions give the same file, bit for bit.
"""

import argparse
import json
import math
import platform
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_course import data
from gan_course.metrics.digits import WEIGHTS, LeNet


def disturbed(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image turned by up to 10°, scaled by up to 10 % and shifted by up to 2 pixels, as a new draw."""
    n = len(images)
    turn, grow, *shift = (torch.rand(4, n, generator=generator) * 2 - 1).unbind()
    angle, scale = turn * math.radians(10), 1 + 0.1 * grow
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    x, y = (s * 2 * 2 / 28 for s in shift)  # grid coordinates run from -1 to 1 over 28 pixels
    affine = torch.stack([torch.stack([cos, -sin, x], 1), torch.stack([sin, cos, y], 1)], 1)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


@torch.no_grad()
def accuracy(network: LeNet, images: Tensor, labels: Tensor) -> float:
    """Share of images whose largest logit is the label's."""
    found = torch.cat([network(batch).argmax(1) for batch in images.split(1000)])
    return float((found == labels).double().mean())


def train(images: Tensor, labels: Tensor, seed: int, epochs: int, batch_size: int = 128) -> LeNet:
    """A LeNet after so many passes over the images, its weights rounded to half precision."""
    torch.manual_seed(seed)
    network = LeNet()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    batches = len(images) // batch_size
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=epochs * batches)
    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=generator)[: batches * batch_size]
        total = 0.0
        for rows in order.split(batch_size):
            loss = F.cross_entropy(network(disturbed(images[rows], generator)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1:2d} of {epochs}: mean loss {total / batches:.4f}", flush=True)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(weight.half().float())
    return network


def main() -> None:
    """Train, measure, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given = parser.parse_args()

    from safetensors.torch import save

    torch.set_num_threads(1)
    seen, unseen = data.load("mnist", split="train"), data.load("mnist", split="test")
    network = train(seen.images, seen.labels, given.seed, given.epochs)
    score = accuracy(network, unseen.images, unseen.labels)
    print(f"accuracy on the {len(unseen.labels)} test images: {100 * score:.2f} %")
    metadata = {
        "command": f"python -m benchmarks.lenet --seed {given.seed} --epochs {given.epochs}",
        "data": "MNIST, training part",
        "test_accuracy": round(score, 4),
        "seed": given.seed,
        "epochs": given.epochs,
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "licence": "MIT",
    }
    weights = {name: weight.half() for name, weight in network.state_dict().items()}
    unfinished = given.out.with_suffix(".unfinished")
    # One entry: safetensors keeps several in no fixed order, and the file would differ from run to run.
    unfinished.write_bytes(save(weights, {"training": json.dumps(metadata)}))
    unfinished.replace(given.out)  # the old file stays whole until the new one is
    print(f"{given.out}: {given.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

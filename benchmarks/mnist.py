"""MNIST in two minutes on two cores: a GAN beside a VAE and three marks on one Fréchet scale.

    python -m benchmarks.mnist --out benchmarks/results/mnist.json

Fréchet distances are taken in the 84 features of the shipped LeNet, 10,000 samples against the 10,000 test images.
The marks: 10,000 training images (real against real), and the ten class means, each repeated 1,000 times.
"""

import argparse
import time
from pathlib import Path

import torch

from benchmarks.store import circumstances, store
from gan_course import checkpoint, data, fit, games, metrics, networks, seed_everything

LATENT, CODE, WIDE, N = 64, 16, 512, 10_000


def gan(width: int, rate: float) -> games.GAN:
    """Convolutions for strokes, and in both players a wide layer for the whole digit, batch-normalised like the rest.

    Without that layer the same time bought a distance twice as large and hardly any ones; without its normalisation the
    game collapsed at this learning rate.
    """
    return games.GAN(
        *networks.dcgan(28, latent_size=LATENT, width=width, hidden=WIDE),
        latent_size=LATENT,
        optimizer=games.adam(rate, betas=(0.5, 0.99)),
        rate=games.linear_decay,
        average=0.99,
    )


def vae(width: int) -> games.VAE:
    """The model of chapter 01 with the same networks as the GAN: what differs is the objective alone."""
    encoder = networks.encoder(28, 1, 2 * CODE, width, hidden=WIDE)
    return games.VAE(encoder, networks.decoder(28, 1, CODE, width, hidden=WIDE), CODE, rate=games.linear_decay)


def judge(samples: torch.Tensor, train: torch.Tensor, test: torch.Tensor) -> dict[str, float]:
    """The numbers that are reported of 10,000 samples."""
    uniform = torch.full((10,), 0.1)
    copies = metrics.memorisation(samples[:2000], train, test, seed=0)
    print(copies)
    return {
        "Fréchet distance (LeNet features, test images)": metrics.frechet_digits(samples, test),
        "class histogram, total variation from uniform": float(
            metrics.total_variation(metrics.class_histogram(samples), uniform)
        ),
        "nearest neighbours, distance to train / to test": copies.ratio,
        "nearest neighbours, as near to train as copies, %": 100 * copies.copies,
    }


def run(arguments: argparse.Namespace) -> dict:
    """Train both models and judge them; the result as `benchmarks/results.py` reads it."""
    train, test = data.load("mnist"), data.load("mnist", split="test")
    measured: dict[str, list[float]] = {}
    seconds = []
    for seed in arguments.seeds:
        seed_everything(seed)
        game = gan(arguments.width, arguments.rate)
        clock = time.perf_counter()
        history = fit(game, train.images, rounds=arguments.rounds, batch_size=arguments.batch_size, seed=seed)
        seconds.append(time.perf_counter() - clock)
        print(f"GAN, seed {seed}: {history.rounds} rounds in {seconds[-1]:.0f} s", flush=True)
        torch.manual_seed(seed)
        samples = game.sample(N)
        for name, value in judge(samples, train.images, test.images).items():
            measured.setdefault(f"GAN: {name}", []).append(value)
            print(f"  {name}: {value:.4g}", flush=True)
        if arguments.checkpoint and seed == arguments.seeds[0]:
            checkpoint.save(arguments.checkpoint, game, history, {"width": arguments.width, "rate": arguments.rate})
        if arguments.vae_rounds:
            seed_everything(seed)
            model = vae(arguments.width)
            clock = time.perf_counter()
            fit(model, train.images, rounds=arguments.vae_rounds, batch_size=128, seed=seed)
            print(f"VAE, seed {seed}: {arguments.vae_rounds} rounds in {time.perf_counter() - clock:.0f} s", flush=True)
            torch.manual_seed(seed)
            for name, value in judge(model.sample(N), train.images, test.images).items():
                measured.setdefault(f"VAE, {arguments.vae_rounds:,} rounds: {name}", []).append(value)
                print(f"  {name}: {value:.4g}", flush=True)
    means = torch.stack([train.images[train.labels == c].mean(0) for c in range(10)]).repeat(N // 10, 1, 1, 1)
    marks = {"real against real": train.images[:N], "class means": means}
    for name, images in marks.items():
        value = metrics.frechet_digits(images, test.images)
        measured[f"{name}: Fréchet distance (LeNet features, test images)"] = [value] * len(arguments.seeds)
        print(f"{name}: {value:.4g}")
    return {
        "experiment": "MNIST, non-saturating convolutional GAN, two minutes",
        "chapter": "02_minimax_gan",
        "measured": measured,
        "published": {},
        **circumstances(),
        "seeds": arguments.seeds,
        "rounds": arguments.rounds,
        "seconds": [round(s, 1) for s in seconds],
    }


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--vae-rounds", type=int, default=1500)
    parser.add_argument("--checkpoint", type=Path, help="where to keep the first seed's game")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    result = run(arguments)
    store(arguments.out, result)


if __name__ == "__main__":
    main()

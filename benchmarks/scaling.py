"""How `fit` scales: rounds a second against batch, width and number of processes; memory against rounds.

    python -m benchmarks.scaling --out benchmarks/races/scaling.json

The timed game is the ring of eight between perceptrons of three hidden layers, on one thread. Processes are compared
with one thread each, and each with a full batch: N processes see N times the samples, and the efficiency is the share
of N times the speed of one. Speeds are the median of several runs after a warm-up. Memory is the resident set of a
fresh process after every 1,000 rounds of the smallest game: one layer on either side, batches of two. Each part that is
measured replaces that part of the file; the others stay.
"""

import argparse
import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import distributed, multiprocessing, nn

from benchmarks.rivals import Scores
from gan_course import data, fit, games, networks, seed_everything
from gan_course.headlines import circumstances, store
from gan_course.training import every

BATCH, WIDTH = 256, 128  # where they do not vary
BATCHES, WIDTHS = (16, 64, 256, 1024), (32, 128, 512)
MEGABYTE = 1e6


def speed(batch_size: int, width: int, rounds: int, repetitions: int = 3) -> float:
    """Rounds a second."""
    points, speeds = data.toy.ring(10_000), []
    for _ in range(repetitions + 1):
        seed_everything(0)
        game = games.GAN(networks.mlp(2, [width] * 3, 2), networks.mlp(2, [width] * 3), latent_size=2)
        with contextlib.redirect_stderr(io.StringIO()):  # the bars are drawn as always, but not shown
            speeds.append(rounds / fit(game, points, rounds=rounds, batch_size=batch_size, device="cpu").seconds)
    return float(np.median(speeds[1:]))  # the first warms up


def alone(rounds: int, batches: Sequence[int] = (BATCH,), widths: Sequence[int] = (WIDTH,)) -> list[dict]:
    """One process: a row for every batch size with every width."""
    rows = []
    for batch_size in batches:
        for width in widths:
            found = speed(batch_size, width, rounds)
            rows.append({"batch": batch_size, "width": width, "rounds a second": found})
            print(rows[-1], flush=True)
    return rows


def _member(rank: int, processes: int, folder: str, rounds: int) -> None:
    torch.set_num_threads(1)
    meeting = (Path(folder) / "meeting").as_uri()
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=processes)
    try:
        found = speed(BATCH, WIDTH, rounds)
    finally:
        distributed.destroy_process_group()
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")


def together(rounds: int, numbers: Sequence[int]) -> list[dict]:
    """Several processes that train one game: a row for every number of them; the first is what others are held to."""
    rows: list[dict] = []
    for processes in numbers:
        with tempfile.TemporaryDirectory() as folder:
            multiprocessing.spawn(_member, (processes, folder, rounds), nprocs=processes)
            found = min(json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).glob("*.json"))
        efficiency = found / rows[0]["rounds a second"] if rows else 1.0
        rows.append({"processes": processes, "rounds a second": found, "efficiency": efficiency})
        print(rows[-1], flush=True)
    return rows


def smallest_game() -> games.GAN:
    """A line against a line."""
    return games.GAN(nn.Linear(1, 1), Scores(nn.Linear(1, 1)), latent_size=1)


def _resident(game: Callable[[], games.GAN], rounds: int, step: int) -> list[dict]:
    torch.set_num_threads(1)
    process, rows = psutil.Process(), []

    def look(game: games.GAN, history) -> None:
        rows.append({"rounds": history.rounds, "MB": process.memory_info().rss / MEGABYTE})

    with contextlib.redirect_stderr(io.StringIO()):
        fit(game(), torch.randn(64, 1), rounds=rounds, batch_size=2, callbacks=[every(step, look)], device="cpu")
    return rows


def memory(rounds: int = 20_000, step: int = 1_000, game: Callable[[], games.GAN] = smallest_game) -> list[dict]:
    """Megabytes that a fresh process holds before the first round of a game and after every so many."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_resident, (game, rounds, step))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ["batch", "width", "processes", "memory"]
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--rounds", type=int, default=300, help="of a timed run")
    parser.add_argument(
        "--processes", nargs="+", type=int, default=[1, 2], help="beginning with the one to compare with"
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.rounds < 1 or min(arguments.processes) < 1:
        parser.error("--rounds and --processes take whole numbers of at least 1")
    torch.set_num_threads(1)
    measure = {
        "batch": lambda: alone(arguments.rounds, batches=BATCHES),
        "width": lambda: alone(arguments.rounds, widths=WIDTHS),
        "processes": lambda: together(arguments.rounds, arguments.processes),
        "memory": memory,
    }
    out = arguments.out
    result = json.loads(out.read_text(encoding="utf-8")) if out is not None and out.exists() else {}
    for part in arguments.parts:
        result[part] = {"rows": measure[part](), **circumstances("cpu")}
        store(out, result)
    if "memory" in arguments.parts:
        rows = result["memory"]["rows"]
        print(f"memory: {rows[1]['MB']:.1f} MB after {rows[1]['rounds']:,} rounds, {rows[-1]['MB']:.1f} at the end")


if __name__ == "__main__":
    main()

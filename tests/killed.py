"""Trains in a folder, killed again and again and resumed, until it is done: `python killed.py FOLDER KILLS SEED`.
Without kills it trains in one go, with one checkpoint at the end.

Each life is a fork of this process, which has imported everything, so that a life is all training and writing.
Prints as JSON from which round each killed life had gone on, and how many kills left a file half-written.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path

import torch

from gan_course import runs

ASKED = runs.Configuration(
    "gan", data="ring", rounds=900, batch_size=16, width=8, device="cpu", checkpoint_every=2, sample_every=300
)


def picture(game, x, path):
    path.write_text(str(game.sample(2).tolist()))


def live(folder, tell):
    """Begin or go on, as a user would, and tell from which round."""
    resume = (folder / "configuration.json").exists()
    prepared = runs.prepare(folder, ASKED, set(), resume, overwrite=not resume)
    os.write(tell, str(prepared[3].rounds if prepared[3] else 0).encode())
    runs.train(*prepared, picture, resume)


def fork(folder):
    """A life in a process of its own: its number, and the round it began with once it begins to train."""
    told, tell = os.pipe()
    if child := os.fork():
        os.close(tell)
        begun = os.read(told, 16)
        os.close(told)
        return child, int(begun or -1)
    try:
        live(folder, tell)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def main():
    """Kill until there were enough kills, then let it finish."""
    folder, kills, chance = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as warm:
        for name, rounds in (("a", 2), ("b", 60)):  # first what is imported late is imported, then the pace is taken
            began = time.perf_counter()
            asked = runs.prepare(Path(warm) / name, replace(ASKED, rounds=rounds), set(), False, False)
            runs.train(*asked, picture)
        round_seconds = (time.perf_counter() - began) / 60
    if not kills:
        runs.train(*runs.prepare(folder, replace(ASKED, checkpoint_every=900), set(), False, False), picture)
    beginnings, writing = [], 0
    while kills:
        child, begun = fork(folder)
        if len(beginnings) < kills:
            time.sleep(chance.uniform(0, 20 * round_seconds))  # 10 rounds on average: 50 lives are not enough for 900
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "a life ended with an error"
            break
        beginnings.append(begun)
        writing += bool(runs.Run(folder).half_written())
    print(json.dumps({"beginnings": beginnings, "writing": writing}))


if __name__ == "__main__":
    main()

"""How much faster sequences are drawn together than one by one: ``python -m benchmarks.sequences --out FILE``.

The sizes of SeqGAN: 64 sentences of 20 words, 16 continuations of every beginning. The slow way is a loop over the
sentences, beginnings and continuations, as a first program has it; of that only a part is run, and its time multiplied.
Both ways are timed in turn, again and again: what a busy machine takes away, it takes from both.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from gan_course.checks import whole
from gan_course.headlines import circumstances, store
from gan_course.networks import RecurrentGenerator
from gan_course.networks.recurrent import categorical


@torch.no_grad()
def one_by_one(generator: RecurrentGenerator, given: Tensor, kept: int) -> Tensor:
    """One sentence of which the first words are kept, a word at a time."""
    state, word, written = generator.begin(1), torch.tensor([generator.start]), []
    for t in range(generator.length):
        features, state = generator.advance(word, state)
        word = given[None, t] if t < kept else categorical(generator.readout(features))
        written.append(word)
    return torch.cat(written)


def seconds(call: Callable[[], object]) -> float:
    """The time of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(vocabulary: int, batch: int, length: int, rollouts: int, parts: int, times: int) -> dict[str, dict]:
    """Seconds of both ways, and how many times faster the one is: medians, and the ratio's range."""
    torch.manual_seed(0)
    generator = RecurrentGenerator(vocabulary, length)
    tokens = generator.sample(batch)
    middle = length // 2  # the time of a continuation does not depend on how much of it is kept: all words are read
    ways = {
        "sampling": (lambda: generator.sample(batch), 0, batch),
        "rollouts": (lambda: generator.rollouts(tokens, rollouts), middle, batch * (length - 1) * rollouts),
    }
    found = {}
    for name, (together, kept, many) in ways.items():
        pairs = []
        for _ in range(times):
            alone = seconds(lambda kept=kept: [one_by_one(generator, tokens[0], kept) for _ in range(parts)])
            pairs.append((seconds(together), alone * many / parts))
        ratios = sorted(slow / fast for fast, slow in pairs)
        found[name] = {
            "seconds": statistics.median(fast for fast, _ in pairs),
            "seconds one by one": statistics.median(slow for _, slow in pairs),
            "times faster": statistics.median(ratios),
            "from": ratios[0],
            "to": ratios[-1],
        }
    return found


def main() -> None:
    """Measure, print as JSON, and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocabulary", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--length", type=int, default=20)
    parser.add_argument("--rollouts", type=int, default=16)
    parser.add_argument("--parts", type=int, default=16, help="sentences of the slow way that are really run")
    parser.add_argument("--times", type=int, default=7, help="pairs of measurements")
    parser.add_argument("--out", type=Path)
    settings = vars(parser.parse_args())
    out = settings.pop("out")
    try:
        for name, value in settings.items():
            whole(name, value, least=2 if name in ("vocabulary", "length") else 1)
    except ValueError as error:
        parser.error(str(error))
    torch.set_num_threads(1)
    result = {"settings": settings, **measure(**settings), **circumstances("cpu")}
    print(json.dumps(result, indent=1))
    store(out, result)


if __name__ == "__main__":
    main()

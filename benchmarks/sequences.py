"""How much faster sequences are drawn together than one by one: ``python -m benchmarks.sequences``.

The sizes of SeqGAN: 64 sentences of 20 words, 16 continuations of every beginning. The slow way is a loop over the
sentences, beginnings and continuations, as a first program has it; of that only a part is run, and its time multiplied.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable

import torch
from torch import Tensor

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


def seconds(call: Callable[[], object], times: int) -> float:
    """The shortest time of a call."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def measure(vocabulary: int, batch: int, length: int, rollouts: int, parts: int, times: int) -> dict[str, float]:
    """Seconds of both ways, and how many times faster the one is."""
    torch.manual_seed(0)
    generator = RecurrentGenerator(vocabulary, length)
    tokens = generator.sample(batch)
    together = seconds(lambda: generator.sample(batch), times)
    alone = seconds(lambda: [one_by_one(generator, tokens[0], 0) for _ in range(parts)], times) * batch / parts
    rolled = seconds(lambda: generator.rollouts(tokens, rollouts), times)
    middle = length // 2  # the time of a continuation does not depend on how much of it is kept: all words are read
    each = seconds(lambda: [one_by_one(generator, tokens[0], middle) for _ in range(parts)], times) / parts
    looped = each * batch * (length - 1) * rollouts
    return {
        "sampling, seconds": together,
        "sampling one by one, seconds": alone,
        "sampling, times faster": alone / together,
        "rollouts, seconds": rolled,
        "rollouts one by one, seconds": looped,
        "rollouts, times faster": looped / rolled,
    }


def main() -> None:
    """Measure and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocabulary", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--length", type=int, default=20)
    parser.add_argument("--rollouts", type=int, default=16)
    parser.add_argument("--parts", type=int, default=8, help="sentences of the slow way that are really run")
    parser.add_argument("--times", type=int, default=3, help="repetitions, of which the shortest counts")
    settings = vars(parser.parse_args())
    found = {**settings, "processor": platform.processor(), "threads": torch.get_num_threads(), **measure(**settings)}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

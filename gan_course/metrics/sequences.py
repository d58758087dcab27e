"""Judgements on sequences of words: likelihood both ways, overlap with real text, variety, and grammar."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from gan_course.checks import instance, whole

Texts = Sequence[str] | Int64[Tensor, "_ _"]
"""Lines, of words with blanks between them; or words as numbers, one line a row, of which all count."""

SMOOTHING = 0.1  # stands for no match at all beyond single words, as in NLTK's first method, which Texygen takes


@dataclass(frozen=True)
class WordLikelihood:
    """What `word_nll` found.

    Attributes:
        nll: nats per word.
        error: its standard error over the sequences.
        sequences: how many there were.
    """

    nll: float
    error: float
    sequences: int

    def __str__(self) -> str:
        return f"{self.nll:.3f} ± {self.error:.3f} nats per word ({self.sequences:,} sequences)"


@dataclass(frozen=True)
class SequenceLikelihood:
    """Likelihood both ways; neither says anything without the other.

    Attributes:
        oracle: what the generator writes, under the oracle (NLL-oracle): quality. Below the oracle's own entropy it
            tells of a generator that repeats the likeliest, not of a good one.
        test: what the oracle writes, under the generator (NLL-test): whatever it misses is dear.
    """

    oracle: WordLikelihood
    test: WordLikelihood

    def __str__(self) -> str:
        return f"NLL-oracle: {self.oracle}; NLL-test: {self.test}"


def word_nll(
    network: nn.Module, tokens: Int64[Tensor, "n t"], condition: Tensor | None = None, batch_size: int = 500
) -> WordLikelihood:
    r"""How unlikely a network finds given sequences, per word:

    $$-\frac{\sum_i\sum_t\log G(y^i_t\mid Y^i_{1:t-1})}{\sum_i T_i}$$

    in nats, where $T_i$ counts a sequence's words up to and with its first padding. Formulas in papers sum over the
    words of a sequence; their numbers are per word (yu2017seqgan).

    Args:
        network: with `log_probabilities(tokens)`, such as `networks.RecurrentGenerator`.
        tokens: the sequences.
        condition: what they answer to, for a conditional network.
        batch_size: sequences scored at once.

    Raises:
        ValueError: for another network, or tokens that are none of its words.
    """
    _scorer("network", network)
    batch_size = whole("batch_size", batch_size)
    samples = _tokens("tokens", tokens, network)
    if condition is not None and not (
        isinstance(condition, Tensor) and condition.dtype == torch.int64 and condition.shape[:1] == samples.shape[:1]
    ):
        given = tuple(condition.shape) if isinstance(condition, Tensor) else f"a {type(condition).__name__}"
        raise ValueError(f"condition must be words, int64 of shape ({len(samples)}, s), or None, not {given}")
    sums, counts = [], []
    with torch.no_grad():
        for start in range(0, len(samples), batch_size):
            rows = slice(start, start + batch_size)
            given = () if condition is None else (condition[rows].to(network.fingerprint.device),)
            batch = samples[rows].to(network.fingerprint.device)
            sums.append(-network.log_probabilities(batch, *given).double().sum(1).cpu())
            counts.append(network.counted(batch).double().sum(1).cpu())
    total, words = torch.cat(sums), torch.cat(counts)
    nll = total.sum() / words.sum()
    error = ((total - nll * words).square().sum() / max(len(total) - 1, 1) / len(total)).sqrt() / words.mean()
    return WordLikelihood(float(nll), float(error), len(total))


def sequence_nll(
    generator: nn.Module,
    oracle: nn.Module,
    test: Int64[Tensor, "n t"],
    samples: int = 5_000,
    batch_size: int = 500,
    seed: int = 0,
) -> SequenceLikelihood:
    """NLL-oracle of the generator's samples beside NLL-test of the oracle's, per word, as `word_nll` counts.

    The one falls when a generator gives up variety, the other rises: report both. What the oracle itself writes has an
    NLL-oracle equal to its entropy, 5.74 nats for the published one; other oracles have other numbers.

    Args:
        generator: what is judged, such as `networks.RecurrentGenerator`.
        oracle: the known law, such as `networks.oracle()`.
        test: sequences that the oracle wrote and the generator has not seen.
        samples: sequences that the generator writes.
        batch_size: sequences at once.
        seed: of what is written; PyTorch's global random state is left alone.

    Raises:
        ValueError: for networks of different vocabularies, or tokens that are none of their words.
    """
    _scorer("generator", generator)
    _scorer("oracle", oracle)
    if (generator.vocabulary, generator.length) != (oracle.vocabulary, oracle.length):
        raise ValueError(
            f"generator writes {generator.length} of {generator.vocabulary} words and oracle {oracle.length} of "
            f"{oracle.vocabulary}; both must have one vocabulary and one length"
        )
    samples, batch_size = whole("samples", samples), whole("batch_size", batch_size)
    seed, device = whole("seed", seed, least=0), generator.fingerprint.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        written = [generator.sample(min(batch_size, samples - start)).cpu() for start in range(0, samples, batch_size)]
    return SequenceLikelihood(
        word_nll(oracle, torch.cat(written), batch_size=batch_size),
        word_nll(generator, _tokens("test", test, generator), batch_size=batch_size),
    )


def bleu(samples: Texts, references: Texts, order: int = 4) -> float:
    r"""BLEU against all references at once, averaged over the samples, as texts without a source are judged.

    For each sample $s$ of length $c$, with $r$ the length of a reference nearest to it,

    $$\min(1, e^{1 - r/c})\,\Big(\prod_{k=1}^N p_k\Big)^{1/N}, \qquad
      p_k = \frac{\sum_{g\in s}\min\big(\#_s(g), \max_\text{references}\#(g)\big)}{\sum_{g\in s}\#_s(g)}$$

    over its $k$-grams $g$. Where no $k$-gram matches, 0.1 stands above; without a single known word it is 0.
    Every reference is common to all samples, so their largest counts are taken once. It sees quality, not variety: set
    `self_bleu` beside it.

    Args:
        samples: what was generated.
        references: real texts, the more the higher the score: compare only what was measured against the same ones.
        order: $N$, the longest $k$.

    Raises:
        ValueError: for what are no texts.
    Sources: papineni2002bleu, zhu2018texygen.
    """
    found, real = _texts("samples", samples), _texts("references", references)
    order = whole("order", order, most=100)
    most = [_most(real, k) for k in range(1, order + 1)]
    lengths = sorted({len(text) for text in real})
    scores = [
        _bleu(text, _nearest(len(text), lengths), lambda k, gram: most[k - 1].get(gram, (0, -1, 0))[0], order)
        for text in found
    ]
    return sum(scores) / len(scores)


def self_bleu(samples: Texts, order: int = 4) -> float:
    """`bleu` of each sample against all the others: high where a generator repeats itself. At least two samples.

    Raises `ValueError` for what are no texts. Source: zhu2018texygen.
    """
    found = _texts("samples", samples)
    order = whole("order", order, most=100)
    if len(found) < 2:
        raise ValueError("samples holds one text; at least two are needed, to compare each with the others")
    most = [_most(found, k) for k in range(1, order + 1)]
    sizes = Counter(len(text) for text in found)
    scores = []
    for i, text in enumerate(found):

        def others(k: int, gram: tuple, i: int = i) -> int:
            first, holder, second = most[k - 1][gram]
            return second if holder == i else first

        left = sorted(size for size, n in sizes.items() if n > (size == len(text)))
        scores.append(_bleu(text, _nearest(len(text), left), others, order))
    return sum(scores) / len(scores)


@dataclass(frozen=True)
class Coverage:
    """Which n-grams two sets of texts share, each counted once.

    Attributes:
        covered: share of the reference's that the samples have: variety.
        known: share of the samples' that the reference has: quality.
        distinct: share of different ones among all of the samples'.
    """

    covered: float
    known: float
    distinct: float


def ngram_coverage(samples: Texts, reference: Texts, order: int = 2) -> Coverage:
    """How many of the reference's n-grams occur in the samples, and the other way round; larger sets cover more.

    Raises:
        ValueError: for what are no texts, or where none is as long as `order`.
    """
    order = whole("order", order)
    sets = {}
    for name, given in (("samples", samples), ("reference", reference)):
        grams = [gram for text in _texts(name, given) for gram in _grams(text, order)]
        if not grams:
            raise ValueError(f"{name} has no text of order={order} words or more; take shorter n-grams")
        sets[name] = (set(grams), len(grams))
    (mine, written), (real, _) = sets["samples"], sets["reference"]
    both = len(mine & real)
    return Coverage(both / len(real), both / len(mine), len(mine) / written)


@dataclass(frozen=True)
class Validity:
    """What a grammar says of texts.

    Attributes:
        valid: share of texts that are right.
        distinct: how many different right texts there are.
        unique: that number divided by the number of texts.
    """

    valid: float
    distinct: int
    unique: float


def grammar_validity(samples: Sequence[str], accepts: Callable[[str], bool]) -> Validity:
    """Share of lines that a grammar accepts, and how many different ones: one right line said for ever is no success.

    Args:
        samples: lines.
        accepts: says whether a line is right, such as `data.text.is_arithmetic`.

    Raises:
        ValueError: for what are no lines, or no function.
    """
    _texts("samples", samples)
    instance("samples", samples, (list, tuple), "a list of strings: vocabulary.decode makes them of numbers")
    instance("accepts", accepts, Callable, "a function of a line, such as data.text.is_arithmetic")
    right = [line for line in samples if accepts(line)]
    return Validity(len(right) / len(samples), len(set(right)), len(set(right)) / len(samples))


def _scorer(name: str, network: object) -> None:
    wanted = ("log_probabilities", "counted", "sample", "vocabulary", "length", "fingerprint")
    if not isinstance(network, nn.Module) or any(not hasattr(network, attribute) for attribute in wanted):
        raise ValueError(
            f"{name} must be a generator of sequences with log_probabilities(), such as networks.RecurrentGenerator, "
            f"not a {type(network).__name__}"
        )


def _tokens(name: str, tokens: object, network: nn.Module) -> Tensor:
    """Words that a network knows; looked at on the CPU."""
    allowed = f"int64 of shape (n, {network.length}), from 0 to {network.vocabulary - 1}"
    if not isinstance(tokens, Tensor) or tokens.dtype != torch.int64 or tokens.ndim != 2 or not len(tokens):
        given = f"{tokens.dtype} {tuple(tokens.shape)}" if isinstance(tokens, Tensor) else f"a {type(tokens).__name__}"
        raise ValueError(f"{name} must be words, {allowed}, not {given}")
    tokens = tokens.cpu()
    if tokens.shape[1] != network.length or int(tokens.min()) < 0 or int(tokens.max()) >= network.vocabulary:
        held = f"{tuple(tokens.shape)}" + (f" from {tokens.min()} to {tokens.max()}" if tokens.numel() else "")
        raise ValueError(f"{name} must be words, {allowed}, not {held}: encode them with the network's vocabulary")
    return tokens


def _texts(name: str, texts: object) -> list[tuple]:
    """Each text as a tuple of its words."""
    if isinstance(texts, Tensor) and texts.dtype == torch.int64 and texts.ndim == 2 and len(texts):
        return [tuple(row) for row in texts.tolist()]
    if not isinstance(texts, (list, tuple)) or not texts or not all(isinstance(text, str) for text in texts):
        given = f"{texts.dtype} {tuple(texts.shape)}" if isinstance(texts, Tensor) else f"a {type(texts).__name__}"
        raise ValueError(f"{name} must be a list of strings, at least one, or int64 of shape (n, t), not {given}")
    return [tuple(text.split()) for text in texts]


def _grams(text: tuple, k: int) -> list[tuple]:
    return [text[i : i + k] for i in range(len(text) - k + 1)]


def _most(texts: list[tuple], k: int) -> dict[tuple, tuple[int, int, int]]:
    """Of each k-gram the largest count in one text, which text that is, and the largest count in any other."""
    found: dict[tuple, tuple[int, int, int]] = {}
    for i, text in enumerate(texts):
        for gram, n in Counter(_grams(text, k)).items():
            first, holder, second = found.get(gram, (0, -1, 0))
            found[gram] = (n, i, first) if n > first else (first, holder, max(second, n))
    return found


def _nearest(length: int, lengths: list[int]) -> int:
    """The entry of a sorted list nearest to a length; of two the smaller."""
    place = bisect_left(lengths, length)
    return min(lengths[max(place - 1, 0) : place + 1], key=lambda other: (abs(other - length), other))


def _bleu(text: tuple, nearest: int, most: Callable[[int, tuple], int], order: int) -> float:
    logarithms = []
    for k in range(1, order + 1):
        counts = Counter(_grams(text, k))
        matched = sum(min(n, most(k, gram)) for gram, n in counts.items())
        if not matched and k == 1:
            return 0.0
        logarithms.append(math.log((matched or SMOOTHING) / max(sum(counts.values()), 1)))
    return math.exp(min(0.0, 1 - nearest / len(text)) + sum(logarithms) / order)

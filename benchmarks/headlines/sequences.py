r"""Games of words: an oracle's sequences, sums, captions of photographs, and replies to questions.

Every game begins with the same rounds of maximum likelihood, whose step size falls to zero; then the judge learns
alone; then the game is played. On an oracle two numbers stand together, nats per word: what a generator writes, under
the oracle (NLL-oracle), and what the oracle writes, under the generator (NLL-test). The first one falls by a lower
temperature alone. Hence the frontier: the pretrained generator with its logits divided by temperatures. The last row
of each game is its NLL-test less that of the frontier at the same NLL-oracle: below 0 it has learned something that no
temperature gives.

`sequences` has the paper's oracle and sizes, for a GPU, and fewer steps of the judge: 50 a round, on fresh fakes. The
paper has 2,355, in 15 passes over as many fakes as there are real sequences, with new ones after every third. In 200
rounds these are 471,000, too many for the twenty minutes of a run; `sequences-paper` takes them, for who has the hours.
`sequences-narrow` has an oracle of 500 words, sequences of 10, for two cores: two processes take seven minutes. Its
games move by a tenth of the paper's step size and take the mean of the batch as a baseline, which the paper has not;
beside them stands SeqGAN with its step size and no baseline. Sums (`-grammar`) and replies (`-answers`) can be judged
right or wrong; beside the games stands maximum likelihood that goes on for as many rounds. Captions (`-coco`,
`-coco-narrow`) are judged by BLEU against the 10,000 captions of the test file and by self-BLEU, each of 10,000
samples, as in Texygen. REGS has no teacher's term and the mean of the batch in place of a learned baseline, MaliGAN no
mixed start.
"""

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from gan_course import data, games, metrics, networks
from gan_course.data import text
from gan_course.games.base import Turn, follow, lagged
from gan_course.headlines import Experiment, Play

SAMPLES, REAL, TEST = 5_000, 10_000, 5_000
TEMPERATURES = (1.2, 1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
BATCH = 64


def fast(rate: float = 0.01) -> games.base.OptimizerFactory:
    """The paper's optimiser of the generator."""
    return games.clipped(games.adam(rate, betas=(0.9, 0.999)), 5.0)


class Taught(games.base.Game):
    """A game of words after maximum likelihood, in one run that can be cut into slices.

    Attributes:
        play: the game.
        before: the generator as maximum likelihood left it.
    """

    def __init__(self, play: games.SeqGAN, rounds: tuple[int, int, int], rate: float = 0.01):
        """`play`: the game; `rounds`: of maximum likelihood, of the judge alone, of the game; `rate`: of the first."""
        super().__init__()
        self.play, self.before = play, lagged(play.generator)
        self.rounds, self.teacher = rounds, fast(rate)

    @property
    def generator(self) -> nn.Module:
        """Who writes."""
        return self.play.generator

    def lesson(self, batch: object) -> dict[str, Tensor]:
        """Nats per word of the data."""
        return {"nll": self.play.nll(*self.play.parted(batch))}

    def hand_over(self) -> None:
        """What maximum likelihood has reached is where the others begin."""
        follow(self.before, self.generator, 0.0)
        self.play.catch_up()

    def turns(self) -> list[Turn]:
        """The teacher's turn, then those of the game."""
        judge, writer = self.play.turns()
        teaching, judging, _ = self.rounds
        begin = teaching + judging

        def falling(progress: float) -> float:
            return max(0.0, 1 - progress * sum(self.rounds) / teaching)

        return [
            Turn(
                *("teacher", [self.generator], self.lesson, lambda round: int(round < teaching), self.teacher, falling),
                after_step=self.hand_over,
            ),
            replace(judge, steps=lambda round: judge.steps if round >= teaching else 0),
            replace(writer, steps=lambda round: writer.steps if round >= begin else 0),
        ]


def likelihood(writer: Callable[[], nn.Module], rate: float = 0.01) -> games.MaximumLikelihood:
    """The first rounds alone; the step size falls to zero."""
    return games.MaximumLikelihood(writer(), fast(rate), games.linear_decay)


@dataclass(frozen=True)
class Settings:
    """Sizes and rounds.

    Attributes:
        vocabulary: words of the language.
        length: words of a sequence.
        teaching: rounds of maximum likelihood.
        judging: rounds of the judge alone.
        playing: rounds of the game.
        judge_steps: steps of the judge in each of these.
        padding: the word that ends a sequence.
        start: the word before the first.
        rollouts: continuations of each beginning.
        rate: of the generator in the game.
        embedding: coordinates of a word.
        hidden: coordinates of the generator's state.
        filters: of each width of the judge; None for the paper's judge.
    """

    vocabulary: int
    length: int
    teaching: int
    judging: int
    playing: int
    judge_steps: int = 5
    padding: int | None = None
    start: int = 0
    rollouts: int = 16
    rate: float = 0.01
    embedding: int = 32
    hidden: int = 32
    filters: int | None = 64

    @property
    def parts(self) -> tuple[int, int, int]:
        """The rounds of each part."""
        return self.teaching, self.judging, self.playing

    @property
    def rounds(self) -> int:
        """All of them."""
        return sum(self.parts)

    def writer(self) -> networks.RecurrentGenerator:
        """The generator."""
        return networks.RecurrentGenerator(
            *(self.vocabulary, self.length, self.embedding, self.hidden), start=self.start, padding=self.padding
        )

    def judge(self) -> networks.SequenceCNN:
        """The judge of whole sequences."""
        if self.filters is None:
            return networks.seqgan(self.vocabulary, self.length)[1]
        return networks.SequenceCNN(self.vocabulary, self.length, 32, filters=self.filters)

    def learning(self, judge_rate: float) -> dict[str, games.base.OptimizerFactory]:
        """The optimisers."""
        return {"generator": fast(self.rate), "discriminator": games.adam(judge_rate, betas=(0.9, 0.999))}


def seqgan(s: Settings, judge_rate: float = 1e-3, **changes) -> Taught:
    """Rewards by rollouts."""
    changes = {"rollouts": s.rollouts, "discriminator_steps": s.judge_steps, **changes}
    play = games.SeqGAN(s.writer(), s.judge(), optimizer=s.learning(judge_rate), **changes)
    return Taught(play, s.parts)


def regs(s: Settings, judge_rate: float = 1e-3) -> Taught:
    """A judge of beginnings, and the mean of the batch as the baseline."""
    writer, judge = s.writer(), networks.PrefixDiscriminator(s.vocabulary, s.length)
    play = games.SeqGAN(
        *(writer, judge),
        values="beginnings",
        baseline="mean",
        discriminator_steps=s.judge_steps,
        optimizer=s.learning(judge_rate),
    )
    return Taught(play, s.parts)


def maligan(s: Settings, judge_rate: float = 1e-3) -> Taught:
    """Weighted likelihood."""
    play = games.MaliGAN(s.writer(), s.judge(), discriminator_steps=s.judge_steps, optimizer=s.learning(judge_rate))
    return Taught(play, s.parts)


def rankgan(s: Settings, judge_rate: float = 1e-3, **changes) -> Taught:
    """A ranker."""
    changes = {"rollouts": s.rollouts, "discriminator_steps": s.judge_steps, **changes}
    play = games.RankGAN(s.writer(), s.judge(), optimizer=s.learning(judge_rate), **changes)
    return Taught(play, s.parts)


# --- An oracle -----------------------------------------------------------------------------------------------------

NLL_ORACLE, NLL_TEST, MARGIN = "NLL-oracle", "NLL-test", "NLL-test less that of the frontier"


@functools.cache
def oracle(size: int) -> networks.RecurrentGenerator:
    """The published one of 5,000 words, or one of our own with sequences of 10."""
    if size == 5_000:
        return networks.oracle(text.oracle_parameters(), length=20)
    return networks.oracle(vocabulary=size, length=10, seed=0)


@functools.cache
def drawn(size: int, n: int, seed: int) -> Tensor:
    """What the oracle wrote."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return oracle(size).sample(n)


def both(generator: nn.Module, size: int) -> tuple[float, float]:
    """NLL-oracle and NLL-test."""
    found = metrics.sequence_nll(generator, oracle(size), drawn(size, TEST, 1), samples=SAMPLES)
    return found.oracle.nll, found.test.nll


def margin(point: tuple[float, float], frontier: list[tuple[float, float]]) -> float:
    """How far a pair lies above the frontier, which is a line from pair to pair; beyond its ends it goes on level."""
    at, values = zip(*sorted(frontier), strict=True)
    return float(point[1] - np.interp(point[0], at, values))


def measure_oracle(game: games.base.Game, size: int) -> dict[str, float]:
    """The pair; of maximum likelihood at every temperature, of the others beside this frontier."""
    judge = oracle(size).to(game.device)
    try:
        pair = both(game.generator, size)
        figures = dict(zip((NLL_ORACLE, NLL_TEST), pair, strict=True))
        frontier = {t: both(networks.tempered(getattr(game, "before", game.generator), t), size) for t in TEMPERATURES}
    finally:
        judge.cpu()
    if isinstance(game, Taught):
        return figures | {MARGIN: margin(pair, list(frontier.values()))}
    return figures | {
        f"{name} at temperature {t:g}": value
        for t, cooled in frontier.items()
        for name, value in zip((NLL_ORACLE, NLL_TEST), cooled, strict=True)
    }


def marks_oracle(size: int) -> dict[str, float]:
    """What the oracle's own sequences come to: both numbers are its entropy."""
    found = metrics.word_nll(oracle(size), drawn(size, TEST, 1))
    return {f"the oracle's own sequences: {NLL_ORACLE}": found.nll, "the oracle's own sequences: error": found.error}


def on_oracle(s: Settings, plays: Mapping[str, Callable[[], Taught]], title: str, seeds: range) -> Experiment:
    """Maximum likelihood and games."""
    one = Experiment(
        title=title,
        chapter="27_seqgan",
        seeds=seeds,
        games={
            "maximum likelihood": Play(lambda: likelihood(s.writer), s.teaching, BATCH),
            **{name: Play(play, s.rounds, BATCH) for name, play in plays.items()},
        },
        data=lambda seed: drawn(s.vocabulary, REAL, 1_000 + seed),
        measure=lambda game: measure_oracle(game, s.vocabulary),
        marks=lambda: marks_oracle(s.vocabulary),
    )
    if s.vocabulary != 5_000:
        return one
    values = dict(zip(one.labels().values(), ("9.038", "8.736"), strict=True))
    cited = {f"{label}{NLL_ORACLE}": {"value": value, "source": "yu2017seqgan"} for label, value in values.items()}
    return replace(one, published=cited)


# --- Sums ----------------------------------------------------------------------------------------------------------

SUMS = text.Vocabulary(["x", *text.OPERATORS])
WORDS = 12  # of the longest sum, and its end


@functools.cache
def sums(n: int, seed: int) -> Tensor:
    """Sums as numbers."""
    return SUMS.encode(text.arithmetic(n, seed=seed), WORDS).tokens


def mean_words(lines: list[str]) -> float:
    """How long lines are."""
    return sum(len(line.split()) for line in lines) / len(lines)


def measure_sums(game: games.base.Game) -> dict[str, float]:
    """Share of right sums, how many kinds there are, how long they are, and the likelihood of the data."""
    with torch.random.fork_rng(devices=[]):
        lines = SUMS.decode(game.generator.sample(SAMPLES).cpu())
    found = metrics.grammar_validity(lines, text.is_arithmetic)
    return {
        "right sums, %": 100 * found.valid,
        f"different right sums of {SAMPLES:,}": found.distinct,
        "words of a sum": mean_words(lines),
        NLL_TEST: metrics.word_nll(game.generator, sums(TEST, 1)).nll,
    }


def marks_sums() -> dict[str, float]:
    """The grammar's own."""
    lines = text.arithmetic(SAMPLES, seed=2)
    return {
        f"the grammar: different right sums of {SAMPLES:,}": len(set(lines)),
        "the grammar: words of a sum": mean_words(lines),
    }


# --- Captions ------------------------------------------------------------------------------------------------------

ORDERS = (2, 3, 4, 5)
COOLER = (1.0, 0.9, 0.8, 0.7)
PUBLISHED = {  # BLEU-2 to 5 and self-BLEU-2 to 5 on the test file
    "maximum likelihood": ((".731", ".497", ".305", ".189"), (".916", ".769", ".583", ".408")),
    "SeqGAN": ((".745", ".498", ".294", ".180"), (".950", ".840", ".670", ".489")),
    "MaliGAN": ((".673", ".432", ".257", ".159"), (".918", ".781", ".606", ".437")),
    "RankGAN": ((".743", ".467", ".264", ".156"), (".959", ".882", ".762", ".618")),
    "REGS": ((), ()),
    "training captions": ((".740", ".520", ".337", ".218"), (".892", ".747", ".573", ".415")),
}


@functools.cache
def captions(split: str) -> list[str]:
    """Captions in words, marks of punctuation by themselves."""
    return text.captions(split)


@functools.cache
def language() -> text.Vocabulary:
    """The words of the training file."""
    return text.Vocabulary.learn(captions("train"))


def overlaps(generator: nn.Module) -> dict[str, float]:
    """BLEU and self-BLEU of what it writes."""
    written = torch.cat([generator.sample(500).cpu() for _ in range(REAL // 500)])
    lines = [line for line in language().decode(written) if line]
    found = {f"BLEU-{n}": metrics.bleu(lines, captions("test"), n) for n in ORDERS}
    return found | {f"self-BLEU-{n}": metrics.self_bleu(lines, n) for n in ORDERS}


def measure_captions(game: games.base.Game, length: int) -> dict[str, float]:
    """The overlaps, of maximum likelihood at lower temperatures too, and nats per word of the test file."""
    encoded = language().encode(captions("test"), length).tokens
    known = encoded[(encoded != language().unknown).all(1)]
    figures = overlaps(game.generator)
    figures["nats per word, test captions of known words"] = metrics.word_nll(game.generator, known, None, 100).nll
    if isinstance(game, games.MaximumLikelihood):
        for t in COOLER[1:]:
            found = overlaps(networks.tempered(game.generator, t))
            figures |= {f"{name} at temperature {t:g}": value for name, value in found.items()}
    return figures


def marks_captions() -> dict[str, float]:
    """Of the training file itself: what a perfect generator comes to."""
    train, test = captions("train"), captions("test")
    found = {f"training captions: BLEU-{n}": metrics.bleu(train, test, n) for n in ORDERS}
    return found | {f"training captions: self-BLEU-{n}": metrics.self_bleu(train, n) for n in ORDERS}


def on_captions(full: bool) -> Experiment:
    """Captions; the narrow version gives each word the reward of the whole sentence, without rollouts."""
    length, rounds = (38, (12_500, 500, 200)) if full else (20, ROUNDS)
    teaching, total = rounds[0], sum(rounds)

    def settings() -> Settings:
        more = {"padding": language().padding, "start": language().start}
        if full:
            return Settings(len(language()), length, *rounds, judge_steps=50, filters=None, **more)
        return Settings(len(language()), length, *rounds, rate=1e-3, hidden=64, **more)

    judge_rate = 1e-4 if full else 1e-3
    ways = {
        "SeqGAN": lambda: seqgan(
            settings(), judge_rate, **({} if full else {"values": "sentence", "baseline": "mean"})
        ),
        "REGS": lambda: regs(settings(), judge_rate),
        "MaliGAN": lambda: maligan(settings(), judge_rate),
        "RankGAN": lambda: rankgan(settings(), judge_rate, **({} if full else {"values": "sentence"})),
    }
    plays = {"maximum likelihood": Play(lambda: likelihood(settings().writer), teaching, BATCH)}
    plays |= {name: Play(way, total, BATCH) for name, way in ways.items()}
    one = Experiment(
        title="Captions of photographs, " + ("as in Texygen" if full else "one core"),
        chapter="27_seqgan",
        seeds=range(1),
        games=plays,
        data=lambda: language().encode(captions("train"), length).tokens,
        measure=lambda game: measure_captions(game, length),
        marks=marks_captions,
    )
    cited = {}
    for name, label in (one.labels() | {"training captions": "training captions: "}).items():
        for kind, values in zip(("BLEU", "self-BLEU"), PUBLISHED[name], strict=True):
            numbers = zip(ORDERS, values, strict=bool(values))
            cited |= {f"{label}{kind}-{n}": {"value": v, "source": "zhu2018texygen"} for n, v in numbers}
    return replace(one, published=cited)


ROUNDS = (2_000, 50, 300)  # of the narrow version: teaching, judging, playing

# --- Replies -------------------------------------------------------------------------------------------------------

REPLY = 10
TAUGHT, JUDGED, PLAYED = 200, 40, 200


@functools.cache
def talk() -> text.Vocabulary:
    """The words of questions and answers."""
    return text.Vocabulary.learn([line for pair in text.dialogues(5_000) for line in pair])


@functools.cache
def dialogues(n: int, seed: int) -> tuple[Tensor, Tensor, list[str]]:
    """Questions and replies as numbers, and the questions as lines."""
    questions, replies = map(list, zip(*text.dialogues(n, seed=seed), strict=True))
    return talk().encode(questions, REPLY).tokens, talk().encode(replies, REPLY).tokens, questions


def answerer() -> networks.EncoderDecoder:
    """Who answers."""
    return networks.EncoderDecoder(len(talk()), REPLY)


def asked(mismatched: bool) -> Taught:
    """The conditional game."""
    writer, judge = answerer(), networks.ReplyDiscriminator(len(talk()), REPLY)
    optimizer = {"generator": fast(2e-3), "discriminator": games.adam(2e-3, betas=(0.9, 0.999))}
    play = games.ConditionalSeqGAN(writer, judge, mismatched, rollouts=4, optimizer=optimizer)
    return Taught(play, (TAUGHT, JUDGED, PLAYED), 3e-3)


def commonest(said: list[str]) -> float:
    """Per cent of the reply that is said most often."""
    return 100 * Counter(said).most_common(1)[0][1] / len(said)


def measure_replies(game: games.base.Game) -> dict[str, float]:
    """Of one reply to each of 5,000 questions."""
    questions, replies, lines = dialogues(TEST, 1)
    with torch.random.fork_rng(devices=[]):
        said = talk().decode(game.generator.sample(len(questions), questions.to(game.device)).cpu())
    return {
        "right replies, %": 100 * sum(map(text.is_answer, lines, said)) / len(said),
        "the commonest reply, %": commonest(said),
        "different replies": len(set(said)),
        "different right replies": len(
            {reply for q, reply in zip(lines, said, strict=True) if text.is_answer(q, reply)}
        ),
        "nats per word, test replies": metrics.word_nll(game.generator, replies, questions).nll,
    }


def marks_replies() -> dict[str, float]:
    """The data's own replies."""
    said = [reply for _, reply in text.dialogues(TEST, seed=1)]
    return {
        "the data: the commonest reply, %": commonest(said),
        "the data: different replies": len(set(said)),
    }


# --- The experiments -----------------------------------------------------------------------------------------------

PAPER = Settings(5_000, 20, teaching=18_840, judging=60, playing=200, judge_steps=50, filters=None)
NARROW = Settings(500, 10, teaching=1_200, judging=80, playing=120, rollouts=4, rate=1e-3)
GRAMMAR = Settings(
    *(len(SUMS), WORDS, 60, 100, 100), padding=SUMS.padding, start=SUMS.start, rollouts=8, rate=2e-3, filters=32
)

EXPERIMENT = on_oracle(
    PAPER, {"SeqGAN": lambda: seqgan(PAPER, 1e-4, decay=0.2)}, "The oracle of SeqGAN, the paper's sizes", range(3)
)
FULL = replace(PAPER, judging=10, judge_steps=15 * 157)  # 15 passes over 10,000 sequences a round
VARIANTS = {
    "paper": on_oracle(
        FULL,
        {"SeqGAN": lambda: seqgan(FULL, 1e-4, decay=0.2, pool=REAL, passes=3)},
        "The oracle of SeqGAN, the paper's sizes and schedule",
        range(3),
    ),
    "narrow": on_oracle(
        NARROW,
        {
            "SeqGAN": lambda: seqgan(NARROW, baseline="mean"),
            "SeqGAN, rate 0.01": lambda: seqgan(replace(NARROW, rate=0.01)),
            "REGS": lambda: regs(NARROW),
            "MaliGAN": lambda: maligan(NARROW),
            "RankGAN": lambda: rankgan(NARROW),
        },
        "An oracle of 500 words, sequences of 10",
        range(5),
    ),
    "grammar": Experiment(
        title="Sums of a grammar",
        chapter="27_seqgan",
        seeds=range(5),
        games={
            "maximum likelihood": Play(lambda: likelihood(GRAMMAR.writer), GRAMMAR.teaching, BATCH),
            "maximum likelihood, on": Play(lambda: likelihood(GRAMMAR.writer), GRAMMAR.rounds, BATCH),
            "SeqGAN": Play(lambda: seqgan(GRAMMAR, 5e-3, baseline="mean"), GRAMMAR.rounds, BATCH),
            "REGS": Play(lambda: regs(GRAMMAR, 5e-3), GRAMMAR.rounds, BATCH),
            "MaliGAN": Play(lambda: maligan(GRAMMAR, 5e-3), GRAMMAR.rounds, BATCH),
            "RankGAN": Play(lambda: rankgan(GRAMMAR, 5e-3), GRAMMAR.rounds, BATCH),
        },
        data=lambda seed: sums(REAL, 1_000 + seed),
        measure=measure_sums,
        marks=marks_sums,
    ),
    "coco": on_captions(full=True),
    "coco-narrow": on_captions(full=False),
    "answers": Experiment(
        title="Replies to questions",
        chapter="27_seqgan",
        seeds=range(5),
        games={
            "maximum likelihood": Play(lambda: likelihood(answerer, 3e-3), TAUGHT, BATCH),
            "maximum likelihood, on": Play(lambda: likelihood(answerer, 3e-3), TAUGHT + JUDGED + PLAYED, BATCH),
            "GAN, matching-aware": Play(lambda: asked(True), TAUGHT + JUDGED + PLAYED, BATCH),
            "GAN, without": Play(lambda: asked(False), TAUGHT + JUDGED + PLAYED, BATCH),
        },
        data=lambda seed: data.Paired(*dialogues(REAL, 1_000 + seed)[:2]),
        measure=measure_replies,
        marks=marks_replies,
    ),
}

"""Text as words with numbers: vocabularies, captions, the published oracle, and corpora from grammars of our own.

A corpus is a list of lines. `tokenise(line)` parts a line into words, marks of punctuation by themselves.
`Vocabulary.learn(lines)` gives the words numbers, `.encode(lines, length)` makes a tensor of them, `.decode(tokens)`
lines again, with blanks between the words. Behind all three stands the library tokenizers (moi2023tokenizers).

The corpora from grammars need no download, and whether a line is right can be decided: `arithmetic`, sums of x with
operators in between; `styles`, reviews of two tempers without pairs; `dialogues`, questions with their answers.
"""

import gzip
import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from torch import Tensor, nn

from gan_course.checks import instance, whole
from gan_course.data import store
from gan_course.errors import DataCorrupt, DataUnavailable

PADDING, START, UNKNOWN = "<pad>", "<start>", "<unknown>"
SPECIAL = (PADDING, START, UNKNOWN)
SPLITS = ("train", "test")
WORD = "|".join(SPECIAL) + r"|\w[\w-]*|'\w+|[^\w\s]"
_SPLIT = Split(Regex(WORD), behavior="removed", invert=True)  # what the pattern does not match is what goes


def tokenise(line: str) -> list[str]:
    """The words of a line: letters, digits and hyphens; `'s`, `'t` and their like; every other mark by itself.

    Blanks part words and are left out; what was parted once is not parted again. The three special words are words too.

    Raises:
        ValueError: for what is no string, or one that cannot be written as UTF-8.
    """
    instance("line", line, str, "a string")
    try:
        return [word for word, _ in _SPLIT.pre_tokenize_str(line)]
    except UnicodeError as error:
        raise ValueError(f"line cannot be written as UTF-8: {error}; read it with errors='replace'") from error


@dataclass(frozen=True, eq=False)
class Encoded:
    """Lines as numbers.

    Attributes:
        tokens: int64 of shape (lines, length), padded at the end.
        truncated: how many lines had more words than fit, and lost those at their end.
        unknown: how many words were not in the vocabulary.
    """

    tokens: Int64[Tensor, "n t"]
    truncated: int
    unknown: int

    def __len__(self) -> int:
        return len(self.tokens)


class Vocabulary:
    """Words and their numbers: 0 is the padding that ends a line, 1 stands before its first word, 2 is any other word.

    `vocabulary.padding` and `vocabulary.start` are what a generator of sequences asks for under these names.
    """

    padding, start, unknown = 0, 1, 2

    def __init__(self, words: Sequence[str]):
        """`words`: those beside the three special ones, each once, at least one.

        Raises:
            ValueError: for words that are empty, stand twice, or that `tokenise` would part.
        """
        instance("words", words, (list, tuple), "a list of words")
        for word in words:
            if not isinstance(word, str) or tokenise(word) != [word]:
                raise ValueError(
                    f"words hold {word!r}; each must be one word for tokenise(): not empty, without blanks, and marks "
                    "of punctuation by themselves"
                )
        self.words = (*SPECIAL, *words)
        self.numbers = {word: i for i, word in enumerate(self.words)}
        if not words or len(self.numbers) != len(self.words):
            twice = [word for word, n in Counter(self.words).items() if n > 1]
            raise ValueError(
                f"words must be at least one, and each once; twice there are: {', '.join(twice) or 'none'}"
            )
        self._library = Tokenizer(WordLevel(self.numbers, unk_token=UNKNOWN))
        self._library.pre_tokenizer = _SPLIT

    @classmethod
    def learn(cls, lines: Iterable[str], least: int = 1, most: int | None = None) -> "Vocabulary":
        """The vocabulary of a corpus, frequent words first, equal ones in the order of the alphabet.

        Args:
            lines: text; `tokenise` parts it into words.
            least: how often a word must occur.
            most: how many words there may be, the special ones included; the rarest are left out.

        Raises:
            ValueError: for empty lines, or if no word is left.
        """
        least = whole("least", least)
        counts = Counter(word for _, words in _checked(lines) for word in words if word not in SPECIAL)
        found = sorted((word for word, n in counts.items() if n >= least), key=lambda word: (-counts[word], word))
        if most is not None:
            found = found[: whole("most", most, least=len(SPECIAL) + 1) - len(SPECIAL)]
        if not found:
            raise ValueError(f"least={least} was given; no word of the lines occurs so often: take a smaller number")
        return cls(found)

    def encode(self, lines: Iterable[str], length: int) -> Encoded:
        """The lines as numbers, padded to a length; longer ones lose what does not fit, and are counted.

        Raises:
            ValueError: for an empty line: an answer to nothing is no example. Leave such lines out.
        """
        length = whole("length", length)
        self._library.enable_truncation(length)
        self._library.enable_padding(length=length, pad_id=self.padding, pad_token=PADDING)
        found = [self._library.encode(line) for line, _ in _checked(lines)]
        tokens = torch.tensor([line.ids for line in found])
        truncated = sum(bool(line.overflowing) for line in found)
        return Encoded(tokens, truncated, int((tokens == self.unknown).sum()))

    def decode(self, tokens: Int64[Tensor, "n t"]) -> list[str]:
        """The lines that numbers stand for, up to the first padding.

        Raises:
            ValueError: for numbers that no word has.
        """
        if not isinstance(tokens, Tensor) or tokens.dtype != torch.int64 or tokens.ndim != 2:
            given = f"{tokens.dtype} {tuple(tokens.shape)}" if isinstance(tokens, Tensor) else type(tokens).__name__
            raise ValueError(f"tokens must be numbers of words, int64 of shape (n, t), not {given}")
        rows = tokens.tolist()
        if any(not 0 <= number < len(self) for row in rows for number in row):
            raise ValueError(
                f"tokens hold numbers from {tokens.min()} to {tokens.max()}; the vocabulary has {len(self)} words, "
                f"from 0 to {len(self) - 1}: decode with the vocabulary that encoded"
            )
        ends = (row.index(self.padding) if self.padding in row else len(row) for row in rows)
        return [self._library.decode(row[:end]) for row, end in zip(rows, ends, strict=True)]

    def save(self, path: str | os.PathLike) -> None:
        """Write the words to a JSON file."""
        instance("path", path, (str, os.PathLike), "the name of a file")
        Path(path).write_text(json.dumps({"words": self.words[len(SPECIAL) :]}, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Vocabulary":
        """Read what `save` wrote.

        Raises:
            DataUnavailable: if there is no such file.
            DataCorrupt: if it holds no words.
        """
        instance("path", path, (str, os.PathLike), "the name of a file")
        try:
            return cls(json.loads(Path(path).read_text(encoding="utf-8"))["words"])
        except OSError as error:
            raise DataUnavailable(
                f"path names {path}, which cannot be read: {error}; save a vocabulary there"
            ) from error
        except (ValueError, TypeError, LookupError) as error:
            raise DataCorrupt(
                f"path names {path}, which is no vocabulary that was saved: {error}; learn it anew"
            ) from error

    @property
    def fingerprint(self) -> int:
        """A number above 0 that another vocabulary, or another order of the same words, does not have."""
        joined = "\n".join(self.words).encode()
        return 1 + int.from_bytes(hashlib.sha256(joined).digest()[:7], "big")

    def mark(self, network: nn.Module) -> None:
        """Note in a network, in its buffer `fingerprint`, that its words are these; checkpoints keep it.

        Raises:
            ValueError: if the network was made for another number of words, or for another vocabulary.
        """
        self.check(network)
        network.fingerprint.fill_(self.fingerprint)

    def check(self, network: nn.Module) -> None:
        """Refuse a network, such as one whose weights come from a checkpoint, that knows other words.

        Raises:
            ValueError: if it was made for another number of words, or marked by another vocabulary.
        """
        instance("network", network, nn.Module, "a network with a vocabulary, such as networks.RecurrentGenerator")
        size, mark = getattr(network, "vocabulary", None), getattr(network, "fingerprint", None)
        if not isinstance(size, int) or not isinstance(mark, Tensor):
            raise ValueError("network has no vocabulary and fingerprint; give a generator such as RecurrentGenerator")
        if size != len(self):
            raise ValueError(
                f"network was made for {size} words and this vocabulary has {len(self)}: load the vocabulary that was "
                "saved beside the checkpoint, or train anew"
            )
        if int(mark) not in (0, self.fingerprint):
            raise ValueError(
                f"network was trained with another vocabulary of {size} words (its mark is {int(mark)}, this one's "
                f"{self.fingerprint}): load the one that was saved beside the checkpoint, or train anew"
            )

    def __len__(self) -> int:
        return len(self.words)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} words: {', '.join(self.words[3:8])}, …)"


def _checked(lines: Iterable[str]) -> list[tuple[str, list[str]]]:
    """The lines, each with its words, if there is one in each."""
    if isinstance(lines, (str, Tensor)) or not isinstance(lines, Iterable):
        raise ValueError(f"lines must be a list of strings, one for each line, not a {type(lines).__name__}")
    found = []
    for number, line in enumerate(lines):
        words = tokenise(line) if isinstance(line, str) else []
        if not words:
            given = "is empty" if isinstance(line, str) else f"is a {type(line).__name__}"
            raise ValueError(f"lines[{number}] {given}; each line must hold at least one word: leave empty lines out")
        found.append((line, words))
    if not found:
        raise ValueError("lines are empty; at least one line is needed")
    return found


# --- Files ---------------------------------------------------------------------------------------------------------


def lines(path: str | os.PathLike) -> list[str]:
    """The lines of a text file, or of one packed with gzip (`.gz`), without those that are empty.

    Raises:
        DataUnavailable: if it cannot be opened.
        DataCorrupt: if it is no text in UTF-8, or holds none.
    """
    instance("path", path, (str, os.PathLike), "the name of a file")
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise DataUnavailable(f"path names {path}, which cannot be read: {error}; name a text file") from error
    try:
        text = (gzip.decompress(content) if str(path).endswith(".gz") else content).decode("utf-8")
    except (OSError, EOFError, ValueError) as error:
        raise DataCorrupt(f"path names {path}, which cannot be read as text: {error}; fetch it anew") from error
    found = [line.strip() for line in text.split("\n") if line.strip()]
    if not found:
        raise DataCorrupt(f"path names {path}, which holds no words; fetch it anew")
    return found


CAPTIONS = {
    "train": ("image_coco.txt", "27f47dad3680fa10ba91c9cf124f08e2"),
    "test": ("test_coco.txt", "9a46b8d935dba43413846672cd27ca20"),
}


def captions(split: str = "train", root: str | os.PathLike | None = None) -> list[str]:
    """Return 10,000 captions of photographs, lower case, one line each (lin2014microsoft, as in zhu2018texygen).

    The files of Texygen, `image_coco.txt` and `test_coco.txt`, packed with gzip or not, are read from the folder
    `text-coco` in `root`, else in `$GAN_COURSE_DATA`. They are not downloaded. Words and marks of punctuation have
    blanks between them, as `tokenise` parts them: 11.4 a line on the mean.

    Raises `ValueError` for an unknown split, `DataUnavailable` where the file is not there, `DataCorrupt` where its
    text is not the published one.
    """
    if not isinstance(split, str) or split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; choose one of: {', '.join(SPLITS)}")
    name, expected = CAPTIONS[split]
    found = lines(_file(root, "text-coco", (f"{name}.gz", name), "Texygen's data folder has it"))
    given = hashlib.md5("\n".join(found).encode(), usedforsecurity=False).hexdigest()
    if given != expected:
        raise DataCorrupt(
            f"{name} holds other lines than the published ones (MD5 {given}, not {expected}); fetch it anew"
        )
    return [" ".join(tokenise(line)) for line in found]


def oracle_parameters(root: str | os.PathLike | None = None) -> dict[str, Tensor]:
    """Return the parameters of the oracle that was published with SeqGAN, by name (yu2017seqgan).

    They are 333,320 draws of N(0, 1), in `text-seqgan-oracle/target_params.npz` in `root`, else in `$GAN_COURSE_DATA`.
    They are not downloaded. `networks.oracle(parameters)` is the oracle; without parameters it draws its own.

    Raises `DataUnavailable` where the file is not there, `DataCorrupt` where it holds something else.
    """
    path = _file(root, "text-seqgan-oracle", ("target_params.npz",), "networks.oracle() draws an oracle of its own")
    try:
        with np.load(path, allow_pickle=False) as stored:
            found = {name: torch.as_tensor(stored[name]).float() for name in stored.files}
    except (OSError, ValueError, EOFError, TypeError, KeyError) as error:
        raise DataCorrupt(f"{path} cannot be read as the oracle's parameters: {error}; fetch it anew") from error
    if sum(value.numel() for value in found.values()) != 333_320 or "g_embeddings" not in found:
        raise DataCorrupt(f"{path} holds other arrays than the published oracle's 333,320 numbers; fetch it anew")
    return found


def _file(root, folder: str, names: Sequence[str], way_out: str) -> Path:
    place = store.data_folder(root)
    found = [place / folder / name for name in names if place and (place / folder / name).is_file()]
    if not found:
        where = place or "any data folder, as none is named"
        raise DataUnavailable(
            f"{folder}/{names[-1]} is not in {where}; set root or GAN_COURSE_DATA to a folder that holds it ({way_out})"
        )
    return found[0]


# --- Grammars ------------------------------------------------------------------------------------------------------

OPERATORS = ("+", "-", "*", "/")


def arithmetic(n: int = 10_000, *, most: int = 11, seed: int = 0) -> list[str]:
    r"""Draw sums of the grammar $S \to x \mid S + S \mid S - S \mid S * S \mid S / S$ (kusner2016gans).

    Args:
        n: how many lines.
        most: words of a line at most; the number of operators is uniform from 0 to (most − 1) / 2.
        seed: of the draw.
    """
    n, random = _drawing(n, seed)
    operators = (whole("most", most, most=10_000) - 1) // 2
    found = []
    for _ in range(n):
        line = ["x"]
        for _ in range(random.randint(0, operators)):
            line += [random.choice(OPERATORS), "x"]
        found.append(" ".join(line))
    return found


def is_arithmetic(line: str) -> bool:
    """Whether a line is of the grammar of `arithmetic`: x and operators in turn, x first and last."""
    words = line.split() if isinstance(line, str) else []
    right = all(word == "x" if i % 2 == 0 else word in OPERATORS for i, word in enumerate(words))
    return len(words) % 2 == 1 and right


# Subjects with what can be said of them in good and in bad temper, so that a sentence has a content and a style.
_REVIEWS = {
    "soup": (("hot", "rich"), ("cold", "thin")),
    "bread": (("fresh", "crisp"), ("stale", "burnt")),
    "coffee": (("strong", "smooth"), ("weak", "bitter")),
    "waiter": (("kind", "quick"), ("rude", "slow")),
    "room": (("clean", "quiet"), ("dirty", "loud")),
    "bill": (("fair", "small"), ("unfair", "huge")),
}
_FEELINGS = (("love", "enjoyed", "recommend"), ("hate", "regretted", "avoid"))
_DEGREES = ("", "very", "really", "quite")
STYLES = ("pleased", "angry")


def styles(n: int = 10_000, *, seed: int = 0) -> tuple[list[str], list[str]]:
    """Draw reviews of two tempers, pleased and angry: `n` of each, about the same things, without pairs.

    `style_of` says of a line which it is.
    """
    n, random = _drawing(n, seed)
    return tuple([_review(random, style) for _ in range(n)] for style in range(2))


def _review(random: random.Random, style: int) -> str:
    subject = random.choice(sorted(_REVIEWS))
    judged = [random.choice(_DEGREES), random.choice(_REVIEWS[subject][style])]
    sentence = ["the", subject, random.choice(("was", "is")), *filter(None, judged)]
    if random.random() < 0.5:
        sentence += ["and", "i", random.choice(_FEELINGS[style]), "it"]
    return " ".join([*sentence, "."])


def style_of(line: str) -> str | None:
    """`pleased` or `angry`, by the words that only one of the two uses; None for lines of neither or of both."""
    words = set(line.split()) if isinstance(line, str) else set()
    marks = [{word for good_bad in _REVIEWS.values() for word in good_bad[style]} for style in range(2)]
    found = [bool(words & (marks[style] | set(_FEELINGS[style]))) for style in range(2)]
    return STYLES[found.index(True)] if sum(found) == 1 else None


_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COLOURS = {"grass": "green", "snow": "white", "coal": "black", "blood": "red", "sky": "blue", "lemon": "yellow"}
_YOUNG = {"cow": "calf", "dog": "puppy", "cat": "kitten", "horse": "foal", "sheep": "lamb", "hen": "chick"}


def dialogues(n: int = 10_000, *, seed: int = 0) -> list[tuple[str, str]]:
    """Draw questions with right answers: sums up to ten, colours, the young of animals; each in several wordings.

    `is_answer` says whether a line answers a question.
    """
    n, random = _drawing(n, seed)
    found = []
    for _ in range(n):
        question, answers = random.choice(_questions(random))
        found.append((question, random.choice(answers)))
    return found


def is_answer(question: str, line: str) -> bool:
    """Whether a line is one of the right answers to a question of `dialogues`."""
    return line in _ANSWERS.get(question, ())


def _asked(kind: str, first: str, second: str = "") -> tuple[str, tuple[str, ...]]:
    """A question with all its right answers."""
    if kind == "sum":
        total = _NUMBERS[_NUMBERS.index(first) + _NUMBERS.index(second)]
        return f"what is {first} and {second} ?", (f"it is {total} .", f"{first} and {second} is {total} .")
    if kind == "colour":
        return f"which colour has {first} ?", (f"{first} is {_COLOURS[first]} .", f"{_COLOURS[first]} , of course .")
    return f"what is the child of a {first} ?", (
        f"a {_YOUNG[first]} .",
        f"the child of a {first} is a {_YOUNG[first]} .",
    )


def _questions(random: random.Random) -> list[tuple[str, tuple[str, ...]]]:
    """One question of each kind."""
    a = random.randint(0, 10)
    b = random.randint(0, 10 - a)
    return [
        _asked("sum", _NUMBERS[a], _NUMBERS[b]),
        _asked("colour", random.choice(sorted(_COLOURS))),
        _asked("young", random.choice(sorted(_YOUNG))),
    ]


_ANSWERS = dict(
    [
        *(_asked("sum", _NUMBERS[a], _NUMBERS[b]) for a in range(11) for b in range(11 - a)),
        *(_asked("colour", thing) for thing in _COLOURS),
        *(_asked("young", animal) for animal in _YOUNG),
    ]
)


def _drawing(n, seed) -> tuple[int, random.Random]:
    return whole("n", n), random.Random(whole("seed", seed, least=0))

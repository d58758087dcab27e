"""Networks that judge sequences of words: whole ones, every beginning, and replies to a history."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from gan_course.checks import instance, number, whole
from gan_course.networks.recurrent import RecurrentGenerator, check_tokens, recurrent_cell

SEQGAN_WIDTHS = (*range(1, 11), 15, 20)
SEQGAN_FILTERS = (100, 200, 200, 200, 200, 100, 100, 100, 100, 100, 160, 160)


class Highway(nn.Module):
    r"""A layer that lets pass: $\tau\odot\mathrm{relu}(Hx) + (1-\tau)\odot x$ with $\tau = \sigma(Tx)$.

    Source: srivastava2015highway.
    """

    samplewise = True

    def __init__(self, size: int):
        """`size`: coordinates, of input and output alike. At first it lets most of its input pass."""
        super().__init__()
        size = whole("size", size)
        self.change, self.gate = nn.Linear(size, size), nn.Linear(size, size)
        nn.init.constant_(self.gate.bias, -2.0)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The mixture."""
        share = self.gate(x).sigmoid()
        return share * self.change(x).relu() + (1 - share) * x


class SequenceCNN(nn.Module):
    r"""Scores of sequences by convolutions over their words, the largest answer of each filter, and a highway.

    $$d(Y) = w^\top\mathrm{highway}\big(\max_t\mathrm{relu}(F_k * e(Y))_t\big)_k + b$$

    with filters $F_k$ of several widths. Sources: kim2014convolutional, yu2017seqgan, whose two logits are one score
    here. Words can be numbers, or weights of all words, (n, t, vocabulary), through which gradients pass.

    Attributes:
        head: the last layer; the decay of `games.SeqGAN` is of its weights.
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        embedding: int = 64,
        widths: Sequence[int] | None = None,
        filters: int | Sequence[int] = 100,
        highway: int = 1,
        dropout: float = 0.25,
    ):
        """A judge of sequences.

        Args:
            vocabulary: how many words there are.
            length: words of a sequence.
            embedding: coordinates of a word.
            widths: words that the filters see, at most `length`; by default 1 to 5, those that fit.
            filters: how many of each width: one number, or one for each width.
            highway: layers of that kind.
            dropout: share of the features that are left out in training.
        """
        super().__init__()
        self.vocabulary, self.length = whole("vocabulary", vocabulary, least=2), whole("length", length)
        embedding = whole("embedding", embedding)
        widths = range(1, min(5, self.length) + 1) if widths is None else widths
        instance("widths", widths, (tuple, list, range), "a list of widths, such as (1, 2, 3)")
        widths = [whole("widths", width, most=self.length) for width in widths]
        counts = list(filters) if isinstance(filters, (tuple, list)) else [filters] * len(widths)
        counts = [whole("filters", count) for count in counts]
        if not widths or len(counts) != len(widths):
            raise ValueError(
                f"filters={filters!r} was given for widths={tuple(widths)}; give at least one width, and one number of "
                "filters for each, or one for all"
            )
        highway = whole("highway", highway, least=0, most=100)
        if number("dropout", dropout, most=1) == 1:
            raise ValueError("dropout=1 was given; it must be below 1, or nothing is left to judge by")
        self.embedding = nn.Embedding(self.vocabulary, embedding)
        self.filters = nn.ModuleList(
            nn.Conv1d(embedding, count, width) for width, count in zip(widths, counts, strict=True)
        )
        self.highway = nn.Sequential(*(Highway(sum(counts)) for _ in range(highway)))
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(sum(counts), 1)

    def features(self, tokens: Tensor) -> Float[Tensor, "n d"]:
        """What it sees in a sequence: the layer before the score."""
        x = embedded(self.embedding, tokens, self.length).transpose(1, 2)
        pooled = torch.cat([convolution(x).relu().amax(2) for convolution in self.filters], 1)
        return self.dropout(self.highway(pooled))

    def forward(self, tokens: Tensor) -> Float[Tensor, " n"]:
        """The score of each sequence."""
        return self.head(self.features(tokens))[:, 0]


class PrefixDiscriminator(nn.Module):
    r"""A score of every beginning: $d(Y_{1:t}) = w^\top h_t + b$, with $h_t$ an LSTM's or GRU's state after $t$ words.

    `forward` gives the score of the whole sequence, `beginnings` those of all. Source: li2017adversarial (REGS).
    """

    def __init__(self, vocabulary: int, length: int, embedding: int = 32, hidden: int = 64, cell: str = "gru"):
        """`vocabulary`, `length`: as the generator's; `embedding`, `hidden`: sizes; `cell`: `lstm` or `gru`."""
        super().__init__()
        self.vocabulary, self.length = whole("vocabulary", vocabulary, least=2), whole("length", length)
        embedding, hidden = whole("embedding", embedding), whole("hidden", hidden)
        self.embedding, self.cell = nn.Embedding(self.vocabulary, embedding), recurrent_cell(cell, embedding, hidden)
        self.head = nn.Linear(hidden, 1)

    def beginnings(self, tokens: Tensor) -> Float[Tensor, "n t"]:
        """The score of each beginning, of 1 to T words."""
        return self.head(self.cell(embedded(self.embedding, tokens, self.length))[0])[..., 0]

    def forward(self, tokens: Tensor) -> Float[Tensor, " n"]:
        """The score of each whole sequence."""
        return self.beginnings(tokens)[:, -1]


class ReplyDiscriminator(nn.Module):
    r"""Scores of a reply beside its history: $d(c, x) = h\big(g(c), f(x)\big)$.

    Both are read by bidirectional GRUs; the head sees the two last states and their product, in which a match shows.
    """

    def __init__(self, vocabulary: int, length: int, embedding: int = 32, hidden: int = 64, padding: int | None = 0):
        """`vocabulary`, `length`: as the generator's; `hidden`: even; `padding`: kept out of what is read, if any."""
        super().__init__()
        self.vocabulary, self.length = whole("vocabulary", vocabulary, least=2), whole("length", length)
        embedding, hidden = whole("embedding", embedding), whole("hidden", hidden, least=2)
        if hidden % 2:
            raise ValueError(f"hidden={hidden} was given; it must be even: half of it for each direction of reading")
        self.padding = None if padding is None else whole("padding", padding, least=0, most=self.vocabulary - 1)
        self.embedding = nn.Embedding(self.vocabulary, embedding)
        self.history, self.reply = (
            nn.GRU(embedding, hidden // 2, batch_first=True, bidirectional=True) for _ in range(2)
        )
        self.head = nn.Sequential(nn.Linear(3 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, history: Int64[Tensor, "n s"], reply: Int64[Tensor, "n t"]) -> Float[Tensor, " n"]:
        """The score of each pair. Raises ValueError if there are not as many replies as histories."""
        if len(history) != len(reply):
            raise ValueError(f"{len(history)} histories and {len(reply)} replies were given; each needs its own")
        check_tokens("history", history, self.vocabulary)
        check_tokens("reply", reply, self.vocabulary, self.length)
        c, x = self._read(self.history, history), self._read(self.reply, reply)
        return self.head(torch.cat([c, x, c * x], 1))[:, 0]

    def _read(self, reader: nn.GRU, tokens: Tensor) -> Tensor:
        """The mean of the states at all words that are no padding; of a line of padding only, 0."""
        states = reader(self.embedding(tokens))[0]
        if self.padding is None:
            return states.mean(1)
        read = (tokens != self.padding).float()[..., None]
        return (read * states).sum(1) / read.sum(1).clamp(min=1)


def embedded(embedding: nn.Embedding, tokens: object, length: int) -> Float[Tensor, "n t e"]:
    """The vectors of words that are numbers, or the mixtures of vectors where words have weights (n, t, vocabulary).

    Raises:
        ValueError: for what is neither.
    """
    if isinstance(tokens, Tensor) and tokens.is_floating_point():
        if tokens.ndim != 3 or tuple(tokens.shape[1:]) != (length, embedding.num_embeddings):
            raise ValueError(
                f"tokens have weights of shape {tuple(tokens.shape)}; weights of words are of shape "
                f"(n, {length}, {embedding.num_embeddings})"
            )
        return tokens @ embedding.weight
    check_tokens("tokens", tokens, embedding.num_embeddings, length)
    return embedding(tokens)


def seqgan(vocabulary: int = 5000, length: int = 20) -> tuple[RecurrentGenerator, SequenceCNN]:
    """Generator and discriminator with the sizes of yu2017seqgan.

    The generator is an LSTM of 32 coordinates, drawn from N(0, 0.1²), that starts from word 0. The discriminator's
    filters are 1 to 10, 15 and 20 words wide, those that fit; embedding 64, one highway layer, a quarter left out.
    """
    length = whole("length", length)
    kept = [(width, count) for width, count in zip(SEQGAN_WIDTHS, SEQGAN_FILTERS, strict=True) if width <= length]
    judge = SequenceCNN(vocabulary, length, 64, [width for width, _ in kept], [count for _, count in kept])
    return RecurrentGenerator(vocabulary, length), judge

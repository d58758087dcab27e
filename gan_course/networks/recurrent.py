"""Networks that write: generators of sequences of words, one word after the other, each with its probability."""

import copy
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from gan_course.checks import instance, number, one_of, whole

State = tuple[Tensor, ...]
"""What a generator remembers of the words so far: tensors whose first axis counts the sequences."""

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
# Rollouts are drawn in parts with so many logits: on a CPU those that its cache holds, elsewhere what the memory holds.
MOST_LOGITS, MOST_LOGITS_ELSEWHERE = 2**20, 2**26
BLOCK = 64  # words of a block, of which `categorical` draws one first


class SequenceGenerator(nn.Module):
    r"""A law of sequences of $T$ words, $G(Y_{1:T}) = \prod_{t=1}^T G(y_t\mid Y_{1:t-1})$, one factor at a time.

    A word is a whole number from 0 to `vocabulary` − 1. A subclass defines `begin`, `advance` and `readout`; drawing,
    completing, rolling out and scoring are here, each for all sequences at once. With a `padding` word, a sequence ends
    at the first one: after it only padding follows, with probability 1.

    Attributes:
        vocabulary: how many words there are.
        length: $T$.
        start: the word that stands before the first.
        padding: the word that ends a sequence, or None where all are of length $T$.
        conditional: whether it writes in answer to something.
    """

    conditional = False

    def __init__(self, vocabulary: int, length: int, start: int = 0, padding: int | None = None):
        """`vocabulary`, `length`: sizes; `start`, `padding`: words, not the same one."""
        super().__init__()
        self.vocabulary = whole("vocabulary", vocabulary, least=2)
        self.length = whole("length", length)
        self.start = whole("start", start, least=0, most=self.vocabulary - 1)
        self.padding = None if padding is None else whole("padding", padding, least=0, most=self.vocabulary - 1)
        if self.padding == self.start:
            raise ValueError(f"padding={padding} was given, which is the start word too; a sequence would end at once")
        # Which vocabulary the words belong to, 0 if nobody has said: data.text.Vocabulary writes and compares it.
        self.register_buffer("fingerprint", torch.zeros((), dtype=torch.int64))

    def begin(self, n: int, condition: Tensor | None = None) -> State:
        """The state before the first word of `n` sequences."""
        raise TypeError(f"{type(self).__name__} defines no begin(); a generator of sequences needs one")

    def advance(self, words: Int64[Tensor, " n"], state: State) -> tuple[Float[Tensor, "n h"], State]:
        """Read one more word of each sequence: features of what comes next, and the new state."""
        raise TypeError(f"{type(self).__name__} defines no advance(); a generator of sequences needs one")

    def readout(self, features: Float[Tensor, "*n h"]) -> Float[Tensor, "*n vocabulary"]:
        """The logits of the next word."""
        raise TypeError(f"{type(self).__name__} defines no readout(); a generator of sequences needs one")

    def features(self, tokens: Int64[Tensor, "n t"], condition: Tensor | None = None) -> Float[Tensor, "n t h"]:
        """The features before each word of given sequences; here word by word, in subclasses at one go."""
        state, found = self.begin(len(tokens), condition), []
        for words in self.shifted(tokens).unbind(1):
            features, state = self.advance(words, state)
            found.append(features)
        return torch.stack(found, 1)

    def shifted(self, tokens: Int64[Tensor, "n t"]) -> Int64[Tensor, "n t"]:
        """What is read before each word: the start word, then all words but the last."""
        return torch.cat([self._starts(len(tokens))[:, None], tokens[:, :-1]], 1)

    def logits(self, tokens: Int64[Tensor, "n t"], condition: Tensor | None = None) -> Float[Tensor, "n t vocabulary"]:
        """The logits of each word given those before it in the sequence itself (teacher forcing).

        Raises:
            ValueError: for what is no batch of sequences of this vocabulary.
        """
        check_tokens("tokens", tokens, self.vocabulary, self.length, self.padding)
        self._check_condition(len(tokens), condition)
        return self.readout(self.features(tokens, condition))

    def log_probabilities(self, tokens: Int64[Tensor, "n t"], condition: Tensor | None = None) -> Float[Tensor, "n t"]:
        r"""$\log G(y_t\mid Y_{1:t-1})$ of each word, with its gradient; 0 for what follows the first padding.

        Raises:
            ValueError: for what is no batch of sequences of this vocabulary.
        """
        found = self.logits(tokens, condition).log_softmax(2).gather(2, tokens[..., None])[..., 0]
        return found if self.padding is None else found * self.counted(tokens)

    def counted(self, tokens: Int64[Tensor, "n t"]) -> Float[Tensor, "n t"]:
        """1 for each word that is drawn, the first padding included, and 0 after it."""
        if self.padding is None:
            return torch.ones(tokens.shape, device=tokens.device)
        return (self.shifted(tokens) != self.padding).float()

    @torch.no_grad()
    def sample(self, n: int, condition: Tensor | None = None) -> Int64[Tensor, "n t"]:
        """`n` sequences drawn, all at once: one pass for each of the T words."""
        return self._write(whole("n", n), condition)

    @torch.no_grad()
    def greedy(self, n: int, condition: Tensor | None = None) -> Int64[Tensor, "n t"]:
        """`n` sequences of the likeliest word each time; without a condition all are the same."""
        return self._write(whole("n", n), condition, greedy=True)

    @torch.no_grad()
    def complete(
        self, tokens: Int64[Tensor, "n t"], kept: int | Tensor, condition: Tensor | None = None
    ) -> Int64[Tensor, "n t"]:
        """The sequences with all but their first words drawn anew.

        Args:
            tokens: sequences, of which the beginnings are kept.
            kept: how many words stay: one number, or a tensor of one number or of one for each sequence.
            condition: what the sequences answer to, where the generator is conditional.
        """
        check_tokens("tokens", tokens, self.vocabulary, self.length, self.padding)
        if not isinstance(kept, Tensor):
            whole("kept", kept, least=0, most=self.length)
        return self._write(len(tokens), condition, tokens, kept)

    @torch.no_grad()
    def rollouts(
        self, tokens: Int64[Tensor, "n t"], rollouts: int = 16, condition: Tensor | None = None
    ) -> Int64[Tensor, "n before k t"]:
        r"""Continuations of every beginning: $Y^k\sim\mathrm{MC}^G(Y_{1:p})$ for $p = 1, \dots, T - 1$.

        All of them grow together, one pass for each word: T − 1 passes, not one for each word of each continuation.

        Args:
            tokens: the sequences.
            rollouts: $K$, continuations of each beginning.
            condition: as in `sample`.

        Returns:
            Whole sequences; entry `[i, p - 1, k]` begins with the first p words of sequence i.

        Raises:
            ValueError: for rollouts below 1, or tokens that are none of this vocabulary.
        """
        k = whole("rollouts", rollouts)
        check_tokens("tokens", tokens, self.vocabulary, self.length, self.padding)
        self._check_condition(len(tokens), condition)
        n, length = tokens.shape
        given = self.shifted(tokens)
        out = tokens[:, None, None].repeat(1, length - 1, k, 1)
        _, state = self.advance(given[:, 0], self.begin(n, condition))
        words, states = tokens[:0, 0], tuple(part[:0] for part in state)  # nothing is under way before the first word
        for t in range(1, length):  # beginnings of 1 to t words get word t; rows are ordered (beginning, sequence, k)
            words = torch.cat([words, given[:, t].repeat_interleave(k, 0)])
            fresh = (part.repeat_interleave(k, 0) for part in state)
            states = tuple(torch.cat(pair) for pair in zip(states, fresh, strict=True))
            words, states = self._draw_in_parts(words, states)
            out[:, :t, :, t] = words.view(t, n, k).transpose(0, 1)
            if t + 1 < length:
                _, state = self.advance(given[:, t], state)
        return out

    def _draw_in_parts(self, words: Tensor, states: State) -> tuple[Tensor, State]:
        most = MOST_LOGITS if words.device.type == "cpu" else MOST_LOGITS_ELSEWHERE
        size = max(1, most // self.vocabulary)
        parts = zip(words.split(size), *(part.split(size) for part in states), strict=True)
        drawn = [self._draw(some, tuple(state)) for some, *state in parts]
        return torch.cat([some for some, _ in drawn]), tuple(
            torch.cat(pieces) for pieces in zip(*(state for _, state in drawn), strict=True)
        )

    def _draw(self, words: Tensor, state: State, greedy: bool = False) -> tuple[Tensor, State]:
        """The next word of each sequence."""
        features, state = self.advance(words, state)
        logits = self.readout(features)
        found = logits.argmax(1) if greedy else categorical(logits)
        return (found if self.padding is None else torch.where(words == self.padding, words, found)), state

    def _write(self, n, condition, tokens=None, kept=0, greedy=False) -> Tensor:
        self._check_condition(n, condition)
        state, words, written = self.begin(n, condition), self._starts(n), []
        for t in range(self.length):
            words, state = self._draw(words, state, greedy)
            if isinstance(kept, Tensor):
                words = torch.where(kept > t, tokens[:, t], words)
            elif kept > t:
                words = tokens[:, t]
            written.append(words)
        return torch.stack(written, 1)

    def _starts(self, n: int) -> Tensor:
        return torch.full((n,), self.start, device=self.fingerprint.device)

    def _check_condition(self, n: int, condition: Tensor | None) -> None:
        if self.conditional != (condition is not None):
            asked = "needs a condition" if self.conditional else "takes no condition"
            raise ValueError(f"{type(self).__name__} {asked}: the sequences that it answers to")
        if condition is not None and len(condition) != n:
            raise ValueError(f"condition has {len(condition)} rows for {n} sequences; give each sequence its own")


class RecurrentGenerator(SequenceGenerator):
    r"""An LSTM or GRU that writes.

    $$h_t = f(h_{t-1}, e(y_{t-1})), \qquad G(\cdot\mid Y_{1:t-1}) = \mathrm{softmax}(Wh_t + b).$$

    The state before the first word is zero. Source: yu2017seqgan.
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        embedding: int = 32,
        hidden: int = 32,
        cell: str = "lstm",
        start: int = 0,
        padding: int | None = None,
        std: float | None = 0.1,
    ):
        """A generator of sequences.

        Args:
            vocabulary: how many words there are.
            length: words of a sequence.
            embedding: coordinates of a word.
            hidden: coordinates of the state.
            cell: `lstm` or `gru`.
            start: the word that stands before the first.
            padding: the word that ends a sequence, if one does.
            std: all parameters are drawn from N(0, std²), as in the paper; None keeps PyTorch's own start. The second
                of the cell's two biases, which stands beside the first without need, is 0.
        """
        super().__init__(vocabulary, length, start, padding)
        embedding, hidden = whole("embedding", embedding), whole("hidden", hidden)
        self.embedding = nn.Embedding(self.vocabulary, embedding)
        self.cell = recurrent_cell(cell, embedding, hidden)
        self.output = nn.Linear(hidden, self.vocabulary)
        if std is not None:
            for parameter in self.parameters():
                nn.init.normal_(parameter, std=number("std", std, positive=True))
            nn.init.zeros_(self.cell.bias_hh_l0)

    def begin(self, n: int, condition: Tensor | None = None) -> State:
        """Zeros."""
        zeros = self.output.weight.new_zeros(n, self.cell.hidden_size)
        return (zeros, zeros) if isinstance(self.cell, nn.LSTM) else (zeros,)

    def advance(self, words: Int64[Tensor, " n"], state: State) -> tuple[Float[Tensor, "n h"], State]:
        """One step of the cell."""
        return _step(self.cell, self.embedding(words), state)

    def readout(self, features: Float[Tensor, "*n h"]) -> Float[Tensor, "*n vocabulary"]:
        r"""$Wh + b$."""
        return self.output(features)

    def features(self, tokens: Int64[Tensor, "n t"], condition: Tensor | None = None) -> Float[Tensor, "n t h"]:
        """The states before each word."""
        return self.cell(self.embedding(self.shifted(tokens)))[0]


class EncoderDecoder(SequenceGenerator):
    r"""A generator that answers: it reads a history $c$ and writes $x\sim G(\cdot\mid c)$, looking back at every step.

    A bidirectional GRU makes a memory $m_s$ of the history's words; the decoder's state $h_t$ attends to it,

    $$a_{ts} \propto \exp(h_t^\top A m_s), \qquad
      G(\cdot\mid c, X_{1:t-1}) = \mathrm{softmax}\Big(W\tanh\big(V[h_t; \textstyle\sum_s a_{ts}m_s]\big) + b\Big).$$

    Padding in the history is not read. Sources: sutskever2014sequence, luong2015effective.
    """

    conditional = True

    def __init__(
        self,
        vocabulary: int,
        length: int,
        embedding: int = 32,
        hidden: int = 64,
        start: int = 1,
        padding: int | None = 0,
    ):
        """A generator of replies; history and reply have one vocabulary.

        Args:
            vocabulary: how many words there are.
            length: words of a reply; histories can have any number.
            embedding: coordinates of a word.
            hidden: coordinates of the decoder's state; even, half of it for each direction of the encoder.
            start: the word that stands before the first.
            padding: the word that ends a sequence, if one does.
        """
        super().__init__(vocabulary, length, start, padding)
        embedding, hidden = whole("embedding", embedding), whole("hidden", hidden, least=2)
        if hidden % 2:
            raise ValueError(f"hidden={hidden} was given; it must be even: half of it for each direction of reading")
        self.embedding = nn.Embedding(self.vocabulary, embedding)
        self.encoder = nn.GRU(embedding, hidden // 2, batch_first=True, bidirectional=True)
        self.cell = nn.GRU(embedding, hidden, batch_first=True)
        self.attention = nn.Linear(hidden, hidden, bias=False)
        self.joint = nn.Linear(2 * hidden, hidden)
        self.output = nn.Linear(hidden, self.vocabulary)

    def begin(self, n: int, condition: Tensor | None = None) -> State:
        """The encoder's last states, the memory, and which words of it are read."""
        self._check_condition(n, condition)
        check_tokens("condition", condition, self.vocabulary)
        memory, last = self.encoder(self.embedding(condition))
        read = torch.ones_like(condition, dtype=torch.bool)
        if self.padding is not None:
            read = condition != self.padding
            read[:, 0] = True  # of an empty history the padding itself is read, or there were nothing to attend to
        return last.transpose(0, 1).flatten(1), self.attention(memory), memory, read

    def advance(self, words: Int64[Tensor, " n"], state: State) -> tuple[Float[Tensor, "n h"], State]:
        """One step of the decoder, and a look at the memory."""
        hidden, (hidden,) = _step(self.cell, self.embedding(words), state[:1])
        return self._attend(hidden[:, None], *state[1:])[:, 0], (hidden, *state[1:])

    def readout(self, features: Float[Tensor, "*n h"]) -> Float[Tensor, "*n vocabulary"]:
        """Logits of the next word."""
        return self.output(features)

    def features(self, tokens: Int64[Tensor, "n t"], condition: Tensor | None = None) -> Float[Tensor, "n t h"]:
        """The features before each word of given replies."""
        first, *memory = self.begin(len(tokens), condition)
        hidden = self.cell(self.embedding(self.shifted(tokens)), first[None].contiguous())[0]
        return self._attend(hidden, *memory)

    def _attend(self, hidden: Tensor, keys: Tensor, memory: Tensor, read: Tensor) -> Tensor:
        scores = (hidden @ keys.transpose(1, 2)).masked_fill(~read[:, None], -torch.inf)
        return torch.tanh(self.joint(torch.cat([hidden, scores.softmax(2) @ memory], 2)))


def oracle(
    parameters: Mapping[str, Tensor] | None = None,
    *,
    vocabulary: int = 5000,
    length: int = 20,
    size: int = 32,
    seed: int = 0,
) -> RecurrentGenerator:
    r"""An LSTM with random parameters that stands for reality: a law that is as odd as language, and known.

    All parameters are N(0, 1), the start word is 0. What another generator writes can be scored by it exactly. Numbers
    depend on the oracle: compare only what was measured on the same one. Source: yu2017seqgan.

    Args:
        parameters: those of a given oracle under the names of the paper's formulas, as `data.text.oracle_parameters`
            reads them: `g_embeddings`, `Wi Ui bi` and so on of the gates, `Wo bo`. By default they are drawn.
        vocabulary: how many words there are.
        length: words of a sequence.
        size: coordinates of words and states.
        seed: of the parameters drawn; PyTorch's global random state is left alone.

    Raises:
        ValueError: for parameters that are missing or do not fit each other.
    """
    seed, length = whole("seed", seed, least=0), whole("length", length)
    sizes = {"vocabulary": whole("vocabulary", vocabulary, least=2), "size": whole("size", size)}
    if parameters is not None:
        parameters = _oracle_parameters(parameters)
        sizes = dict(zip(sizes, parameters["g_embeddings"].shape, strict=True))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = RecurrentGenerator(sizes["vocabulary"], length, sizes["size"], sizes["size"], std=1.0)
    if parameters is not None:
        p = parameters
        made.load_state_dict(
            {
                "fingerprint": made.fingerprint,
                "embedding.weight": p["g_embeddings"],
                "cell.weight_ih_l0": torch.cat([p[name].T for name in ("Wi", "Wf", "Wc", "Wog")]),
                "cell.weight_hh_l0": torch.cat([p[name].T for name in ("Ui", "Uf", "Uc", "Uog")]),
                "cell.bias_ih_l0": torch.cat([p[name] for name in ("bi", "bf", "bc", "bog")]),
                "cell.bias_hh_l0": torch.zeros(4 * sizes["size"]),
                "output.weight": p["Wo"].T,
                "output.bias": p["bo"],
            }
        )
    return made.requires_grad_(False).eval()


ORACLE = ("g_embeddings", *(f"{kind}{gate}" for gate in ("i", "f", "og", "c") for kind in ("W", "U", "b")), "Wo", "bo")
"""The names of an oracle's parameters: embedding, then input, forget, output and cell gate, then the output layer."""


def tempered(generator: SequenceGenerator, temperature: float) -> SequenceGenerator:
    r"""A copy that writes at another temperature: $\mathrm{softmax}(\ell/\tau)$ in place of $\mathrm{softmax}(\ell)$.

    Below 1 it writes the likely more often and the unlikely less, at 0 it would be greedy. Its `log_probabilities` are
    those of what it then writes. The copy shares nothing with the generator and does not learn.

    Args:
        generator: with a last layer `output`, such as `RecurrentGenerator` or `EncoderDecoder`.
        temperature: $\tau$.

    Raises:
        ValueError: for another network, or a temperature that is not above 0.
    """
    allowed = "a generator with a last layer called output, such as networks.RecurrentGenerator"
    instance("generator", generator, SequenceGenerator, allowed)
    instance("generator", getattr(generator, "output", None), nn.Linear, allowed)
    temperature, cooled = number("temperature", temperature, positive=True), copy.deepcopy(generator)
    with torch.no_grad():
        for parameter in cooled.output.parameters():
            parameter.div_(temperature)
    return cooled.requires_grad_(False)


def categorical(logits: Float[Tensor, "n k"]) -> Int64[Tensor, " n"]:
    r"""One draw from $\mathrm{softmax}(\ell)$ of each row: of many words first a block of them, then a word in it.

    Each by one uniform number and the inverse of the summed law. That takes few random numbers, where Gumbel's way and
    `torch.multinomial` take one for each word, and sums up few probabilities one after the other, which is slow.
    """
    law = logits.float().softmax(1)
    k = law.shape[1]
    if k <= 2 * BLOCK:
        return _inverse(law)
    full = k - k % BLOCK
    blocks = law[:, :full].unflatten(1, (-1, BLOCK)).sum(2)
    rest = law[:, full:].sum(1, keepdim=True)  # a shorter block, or one of no words, which has probability 0
    first = BLOCK * _inverse(torch.cat([blocks, rest], 1))[:, None]
    words = first + torch.arange(BLOCK, device=law.device)
    inside = law.gather(1, words.clamp(max=k - 1)) * (words < k)
    return first[:, 0] + _inverse(inside)


def _inverse(weights: Float[Tensor, "n k"]) -> Int64[Tensor, " n"]:
    """One draw of each row by its weights, which need not sum to 1; never of a weight of 0."""
    summed = weights.cumsum(1)
    place = torch.rand(len(weights), 1, device=weights.device) * summed[:, -1:]  # below the sum, even when rounded
    return torch.searchsorted(summed, place, right=True)[:, 0].clamp(max=weights.shape[1] - 1)


def check_tokens(
    name: str,
    tokens: object,
    vocabulary: int,
    length: int | None = None,
    padding: int | None = None,
    look: bool = False,
) -> None:
    """Refuse what is no batch of sequences of a vocabulary's words.

    Of what lies on an accelerator only shape and type are looked at, unless it is told to `look`: to see the words it
    has to be waited for.

    Raises:
        ValueError: for another type or shape, words outside the vocabulary, words after the padding.
    """
    if not isinstance(tokens, Tensor) or tokens.dtype != torch.int64 or tokens.ndim != 2 or not tokens.numel():
        given = f"{tokens.dtype} {tuple(tokens.shape)}" if isinstance(tokens, Tensor) else f"a {type(tokens).__name__}"
        raise ValueError(f"{name} must be words, int64 of shape (n, {length or 't'}), at least one, not {given}")
    if length is not None and tokens.shape[1] != length:
        raise ValueError(
            f"{name} has sequences of {tokens.shape[1]} words; {length} are allowed here: cut or pad them, as "
            "data.text.Vocabulary.encode does"
        )
    if torch.compiler.is_compiling() or (tokens.device.type != "cpu" and not look):
        return
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= vocabulary:
        raise ValueError(
            f"{name} holds words from {low} to {high}; the vocabulary has {vocabulary}, from 0 to {vocabulary - 1}: "
            "encode the text with the vocabulary that the network was made for"
        )
    if padding is not None and bool(((tokens[:, :-1] == padding) & (tokens[:, 1:] != padding)).any()):
        raise ValueError(f"{name} has words after the padding {padding}, which ends a sequence: put padding at the end")


def _oracle_parameters(parameters: object) -> dict[str, Tensor]:
    instance("parameters", parameters, Mapping, "a dict of tensors by name, or None")
    missing = [name for name in ORACLE if not isinstance(parameters.get(name), Tensor)]
    if missing:
        raise ValueError(f"parameters lack {', '.join(missing)}; an oracle has {', '.join(ORACLE)}")
    found = {name: parameters[name].detach().float() for name in ORACLE}
    vocabulary, size = found["g_embeddings"].shape if found["g_embeddings"].ndim == 2 else (0, 0)
    for name, value in found.items():
        shape = {"g_embeddings": (vocabulary, size), "Wo": (size, vocabulary), "bo": (vocabulary,)}.get(
            name, (size,) if name.startswith("b") else (size, size)
        )
        if tuple(value.shape) != shape or not value.numel():
            raise ValueError(
                f"parameters[{name!r}] has shape {tuple(value.shape)}; beside g_embeddings of shape "
                f"{tuple(found['g_embeddings'].shape)} it must be {shape}"
            )
    return found


def recurrent_cell(cell: object, inputs: int, hidden: int) -> nn.Module:
    """An LSTM or GRU of one layer by its name. Raises ValueError for another name."""
    one_of("cell", cell, CELLS)
    return CELLS[cell](inputs, hidden, batch_first=True)


def _step(cell: nn.Module, x: Tensor, state: State) -> tuple[Tensor, State]:
    """One step of a cell of PyTorch's, whose states have an axis of layers in front."""
    states = tuple(part[None].contiguous() for part in state)
    out, after = cell(x[:, None], states if isinstance(cell, nn.LSTM) else states[0])
    after = after if isinstance(cell, nn.LSTM) else (after,)
    return out[:, 0], tuple(part[0] for part in after)

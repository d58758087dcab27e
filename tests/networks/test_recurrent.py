"""Networks that write: their law against enumeration, their draws against their law, all at once against one by one."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from gan_course import networks
from gan_course.networks import EncoderDecoder, RecurrentGenerator, SequenceGenerator, recurrent

CELLS = ["lstm", "gru"]
HISTORY = torch.tensor([[2, 3, 0], [3, 2, 3]])


def small(cell="lstm", vocabulary=3, length=4, seed=0, **settings):
    torch.manual_seed(seed)
    return RecurrentGenerator(vocabulary, length, 2, 3, cell, **{"std": 1.0, **settings})


def answering(seed=0, **settings):
    torch.manual_seed(seed)
    return EncoderDecoder(4, 3, 3, 4, **settings)


def every(vocabulary=3, length=4):
    """All sequences."""
    return torch.tensor(list(itertools.product(range(vocabulary), repeat=length)))


def made(kind):
    """A generator with the condition for two sequences of it."""
    return (answering(), HISTORY) if kind == "encoder-decoder" else (small(kind), None)


@pytest.mark.parametrize("cell", CELLS)
def test_probabilities_of_all_sequences_sum_to_one(cell):
    assert_close(small(cell).log_probabilities(every()).sum(1).exp().sum(), torch.tensor(1.0))


@pytest.mark.parametrize("padding", [1, 2])
def test_with_padding_those_of_all_sequences_that_may_be_written_do(padding):
    generator = small(padding=padding)
    tokens = [y for y in every().tolist() if all(b == padding for a, b in itertools.pairwise(y) if a == padding)]
    found = generator.log_probabilities(torch.tensor(tokens))
    assert_close(found.sum(1).exp().sum(), torch.tensor(1.0))
    ended = torch.tensor([[padding] * 4])
    assert_close(generator.counted(ended), torch.tensor([[1.0, 0, 0, 0]]))
    assert (generator.log_probabilities(ended)[0, 1:] == 0).all()
    drawn = generator.sample(200)
    assert not ((drawn[:, :-1] == padding) & (drawn[:, 1:] != padding)).any()
    assert (drawn == padding).any()


def test_an_answers_probabilities_sum_to_one_whatever_the_history():
    generator = answering(padding=None, start=0)
    tokens = every(4, 3)
    for history in HISTORY:
        found = generator.log_probabilities(tokens, history.expand(64, -1))
        assert_close(found.sum(1).exp().sum(), torch.tensor(1.0))


@pytest.mark.parametrize("kind", [*CELLS, "encoder-decoder"])
def test_all_words_at_one_go_are_the_words_one_by_one(kind):
    generator, condition = made(kind)
    tokens = torch.tensor([[1, 2, 1, 0], [2, 2, 0, 1]]) if condition is None else torch.tensor([[2, 1, 0], [3, 2, 3]])
    assert_close(generator.features(tokens, condition), SequenceGenerator.features(generator, tokens, condition))


def test_the_lstm_is_the_papers_formula():
    """The oracle's step written out in NumPy, under the names of its parameters."""
    random, size, vocabulary = np.random.default_rng(0), 3, 5
    shapes = {"g_embeddings": (vocabulary, size), "Wo": (size, vocabulary), "bo": (vocabulary,)}
    p = {
        name: random.normal(size=shapes.get(name, (size,) if name[0] == "b" else (size, size)))
        for name in recurrent.ORACLE
    }
    generator = networks.oracle({name: torch.tensor(value) for name, value in p.items()}, length=4)
    tokens = torch.tensor([[4, 0, 2, 1]])

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    h, c, word, expected = np.zeros(size), np.zeros(size), 0, []
    for following in tokens[0].tolist():
        x = p["g_embeddings"][word]
        i, f, o = (sigmoid(x @ p["W" + g] + h @ p["U" + g] + p["b" + g]) for g in ("i", "f", "og"))
        c = f * c + i * np.tanh(x @ p["Wc"] + h @ p["Uc"] + p["bc"])
        h = o * np.tanh(c)
        logits = h @ p["Wo"] + p["bo"]
        expected.append(logits[following] - np.log(np.exp(logits).sum()))
        word = following
    assert_close(generator.log_probabilities(tokens)[0], torch.tensor(expected).float())


@pytest.mark.parametrize("kind", [*CELLS, "encoder-decoder"])
def test_draws_follow_the_law(kind):
    """All sequences that there are, by a χ² test of 20,000 draws."""
    generator, condition = made(kind)
    n = 20_000
    condition = None if condition is None else condition[:1].expand(n, -1)
    tokens = every() if condition is None else every(4, 3)
    ended = (tokens[:, :-1] == generator.padding) & (tokens[:, 1:] != generator.padding) if condition is not None else 0
    tokens = tokens if condition is None else tokens[~ended.any(1)]
    law = generator.log_probabilities(tokens, None if condition is None else condition[: len(tokens)]).sum(1).exp()
    place = {tuple(y): i for i, y in enumerate(tokens.tolist())}
    drawn = torch.bincount(torch.tensor([place[tuple(y)] for y in generator.sample(n, condition).tolist()]))
    drawn = torch.nn.functional.pad(drawn, (0, len(tokens) - len(drawn)))
    law = law.detach().double().numpy()
    assert stats.chisquare(drawn.numpy(), n * law / law.sum()).pvalue > 1e-3


def test_categorical_draws_follow_their_law_and_never_the_impossible():
    logits = torch.tensor([0.0, -torch.inf, 1.0, 2.0]).expand(50_000, -1)
    drawn = torch.bincount(recurrent.categorical(logits), minlength=4)
    law = logits[0, [0, 2, 3]].double().softmax(0).numpy()
    assert drawn[1] == 0
    assert stats.chisquare(drawn[[0, 2, 3]].numpy(), 50_000 * law).pvalue > 1e-3


@pytest.mark.parametrize("words", [128, 129, 192, 300])
def test_draws_by_blocks_follow_their_law_and_never_the_impossible(words):
    """Up to 128 words at one go, then by blocks of 64: the last one short, or full."""
    n, impossible = 100_000, [0, 1, words - 1, *range(64, 70)]
    logits = torch.randn(words, generator=torch.Generator().manual_seed(words))
    logits[impossible] = -torch.inf
    drawn = torch.bincount(recurrent.categorical(logits.expand(n, -1)), minlength=words)
    law = logits.double().softmax(0)
    assert len(drawn) == words
    assert not drawn[impossible].any()
    possible = law > 0
    assert stats.chisquare(drawn[possible].numpy(), n * law[possible].numpy()).pvalue > 1e-3


def test_the_last_word_of_a_short_block_is_drawn():
    logits = torch.full((5, 129), -torch.inf)
    logits[:, 128] = 0.0
    assert recurrent.categorical(logits).tolist() == [128] * 5


# Rollouts


@pytest.mark.parametrize("kind", [*CELLS, "encoder-decoder"])
def test_rollouts_keep_their_beginnings(kind):
    generator, condition = made(kind)
    tokens = generator.sample(2, condition)
    length = tokens.shape[1]
    found = generator.rollouts(tokens, 5, condition)
    assert found.shape == (2, length - 1, 5, length)
    for p in range(1, length):
        assert (found[:, p - 1, :, :p] == tokens[:, None, :p]).all()


@pytest.mark.parametrize("kind", [*CELLS, "encoder-decoder"])
@pytest.mark.parametrize("most", [1, 30, 2**25])
def test_all_rollouts_at_once_are_those_made_one_by_one(kind, most, monkeypatch):
    """With a rule in place of chance: each draw takes the word of least probability."""
    monkeypatch.setattr(recurrent, "categorical", lambda logits: logits.argmin(1))
    monkeypatch.setattr(recurrent, "MOST_LOGITS", most)
    generator, condition = made(kind)
    tokens = torch.tensor([[1, 2, 1, 0], [2, 2, 0, 1]]) if condition is None else torch.tensor([[2, 1, 0], [3, 2, 3]])
    found = generator.rollouts(tokens, 2, condition)
    for i, p in itertools.product(range(2), range(1, tokens.shape[1])):
        history = None if condition is None else condition[i : i + 1]
        state, written = generator.begin(1, history), []
        for t, read in enumerate([generator.start, *tokens[i].tolist()][: tokens.shape[1]]):
            read = read if t <= p else written[-1]
            features, state = generator.advance(torch.tensor([read]), state)
            drawn = int(generator.readout(features).argmin(1))
            drawn = read if read == generator.padding else drawn
            written.append(int(tokens[i, t]) if t < p else drawn)
        assert found[i, p - 1].tolist() == [written] * 2
        assert generator.complete(tokens[i : i + 1], p, history)[0].tolist() == written


def test_rollouts_follow_the_law_of_what_is_left():
    """The continuations of one word: three words, 27 ways."""
    generator = small(seed=3)
    tokens = torch.tensor([[2, 0, 0, 0]])
    found = generator.rollouts(tokens, 30_000)[0, 0]
    ways = every()[54:]
    law = generator.log_probabilities(ways)[:, 1:].sum(1).exp().detach().double().numpy()
    drawn = np.bincount((found[:, 1:] @ torch.tensor([9, 3, 1])).numpy(), minlength=27)
    assert stats.chisquare(drawn, 30_000 * law / law.sum()).pvalue > 1e-3


def test_beginnings_of_several_lengths_are_completed():
    generator, tokens = small(), torch.tensor([[1, 2, 1, 0], [2, 2, 0, 1], [0, 1, 2, 2]])
    kept = torch.tensor([0, 4, 2])
    drawn = torch.stack([generator.complete(tokens, kept) for _ in range(50)])
    assert (drawn[:, 1] == tokens[1]).all()
    assert (drawn[:, 2, :2] == tokens[2, :2]).all()
    assert len(drawn[:, 0].unique(dim=0)) > 5
    assert len(drawn[:, 2].unique(dim=0)) > 2


@pytest.mark.parametrize("kind", [*CELLS, "encoder-decoder"])
def test_greedy_takes_the_likeliest_word(kind):
    generator, condition = made(kind)
    found = generator.greedy(2, condition)
    logits = generator.logits(found, condition)
    expected = logits.argmax(2)
    if generator.padding is not None:
        expected = torch.where(generator.counted(found) > 0, expected, generator.padding)
    assert torch.equal(found, expected)


def test_an_answer_depends_on_its_history_and_not_on_padding_in_it():
    generator = answering()
    reply = torch.tensor([[2, 3, 2]])
    found = [generator.log_probabilities(reply, torch.tensor([h])).detach() for h in ([2, 3], [3, 2])]
    assert not torch.allclose(*found)
    keys = generator.begin(1, torch.tensor([[2, 3, 0]]))
    moved = [part.clone() for part in keys]
    moved[1][0, 2], moved[2][0, 2] = 9.0, 9.0  # what the padding left in the memory
    words = torch.tensor([2])
    assert_close(generator.advance(words, keys)[0], generator.advance(words, tuple(moved))[0])
    empty = generator.log_probabilities(reply, torch.tensor([[0, 0]]))
    assert empty.isfinite().all()


# Temperature


def test_a_temperature_divides_the_logits():
    for generator, condition in (
        (RecurrentGenerator(5, 3, 4, 4, std=1.0), None),
        (EncoderDecoder(5, 3, 4, 4), torch.tensor([[2, 3], [4, 4]])),
    ):
        tokens, before = torch.tensor([[2, 3, 4], [4, 0, 0]]), copy.deepcopy(generator.state_dict())
        cold = networks.tempered(generator, 0.5)
        assert_close(cold.logits(tokens, condition), 2 * generator.logits(tokens, condition))
        assert_close(
            networks.tempered(generator, 1).log_probabilities(tokens, condition),
            generator.log_probabilities(tokens, condition),
        )
        assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
        assert not any(p.requires_grad for p in cold.parameters())
        assert all(p.requires_grad for p in generator.parameters())


def test_near_zero_it_writes_greedily_and_at_infinity_anything():
    torch.manual_seed(0)
    generator = RecurrentGenerator(5, 6, 4, 4, std=1.0)
    assert torch.equal(networks.tempered(generator, 1e-3).sample(4), generator.greedy(4))
    hot = networks.tempered(generator, 1e6)
    assert_close(-hot.log_probabilities(generator.sample(2)), torch.full((2, 6), math.log(5)), atol=1e-4, rtol=0)


def test_only_what_has_logits_to_divide_has_a_temperature():
    with pytest.raises(ValueError, match="a generator with a last layer called output"):
        networks.tempered(SequenceGenerator(5, 3), 0.5)
    with pytest.raises(ValueError, match="temperature=0 was given"):
        networks.tempered(RecurrentGenerator(5, 3), 0)


# The oracle


def test_oracles_are_made_of_their_seed_and_leave_chance_alone():
    before = torch.get_rng_state()
    one, same, other = (networks.oracle(vocabulary=50, length=6, size=4, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.output.weight, other.output.weight)
    assert not any(p.requires_grad for p in one.parameters())
    drawn = torch.cat([p.flatten() for name, p in networks.oracle().named_parameters() if "bias_hh" not in name])
    assert drawn.std().item() == pytest.approx(1, abs=0.01)
    assert len(drawn) == 333_320  # as many numbers as the published one has


def test_a_uniform_generator_has_the_entropy_of_uniform_words():
    generator = RecurrentGenerator(50, 6, std=1e-9)
    assert_close(-generator.log_probabilities(generator.sample(3)), torch.full((3, 6), math.log(50)))


# Refusals


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(cell="rnn"), "cell='rnn' was given; choose one of lstm, gru"),
        (dict(padding=0), "padding=0 was given, which is the start word too"),
        (dict(start=3), "start=3 was given; it must be a whole number of at least 0 and at most 2"),
        (dict(vocabulary=1), "vocabulary=1 was given"),
        (dict(std=-1.0), "std=-1.0 was given"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message, unchecked):
    good = dict(vocabulary=3, length=4)
    with pytest.raises(ValueError, match=message):
        RecurrentGenerator(**{**good, **settings})


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (torch.tensor([[0, 1, 3, 0]]), "holds words from 0 to 3; the vocabulary has 3, from 0 to 2: encode the text"),
        (torch.tensor([[0, -1, 1, 0]]), "holds words from -1 to 1"),
        (torch.tensor([[0, 1, 1]]), "has sequences of 3 words; 4 are allowed here: cut or pad them"),
        (torch.zeros(0, 4, dtype=torch.int64), "at least one"),
        (torch.tensor([[1, 2, 1, 2]]), "has words after the padding 2, which ends a sequence"),
    ],
)
def test_tokens_that_are_none_are_refused(tokens, message, unchecked):
    generator = small(padding=2)
    for method in ("log_probabilities", "rollouts"):
        with pytest.raises(ValueError, match=message):
            unchecked(getattr(type(generator), method))(generator, tokens)


@pytest.mark.parametrize("tokens", [torch.zeros(2, 4), "a word", torch.zeros(4, dtype=torch.int64)])
def test_what_are_no_tokens_at_all_is_refused(tokens):
    with pytest.raises(ValueError, match=r"x must be words, int64 of shape \(n, 4\), at least one, not"):
        recurrent.check_tokens("x", tokens, 3, 4)


@pytest.mark.parametrize("rollouts", [0, -3, 1.5])
def test_rollouts_that_are_no_number_of_them_are_refused(rollouts, unchecked):
    with pytest.raises(ValueError, match=f"rollouts={rollouts} was given; it must be a whole number of at least 1"):
        unchecked(SequenceGenerator.rollouts)(small(), every()[:2], rollouts)


def test_a_condition_is_asked_for_where_there_is_a_use_for_it():
    with pytest.raises(ValueError, match="RecurrentGenerator takes no condition"):
        small().sample(2, HISTORY)
    with pytest.raises(ValueError, match="EncoderDecoder needs a condition"):
        answering().sample(2)
    with pytest.raises(ValueError, match="condition has 2 rows for 3 sequences"):
        answering().sample(3, HISTORY)
    with pytest.raises(ValueError, match="condition holds words from 0 to 7; the vocabulary has 4"):
        answering().sample(2, HISTORY + 4 * (HISTORY > 2))
    with pytest.raises(ValueError, match="hidden=5 was given; it must be even"):
        EncoderDecoder(4, 3, 3, 5)


def test_an_oracles_parameters_must_fit():
    generator = networks.oracle(vocabulary=5, length=2, size=2)
    names = {name: torch.zeros(2) if name[0] == "b" else torch.zeros(2, 2) for name in recurrent.ORACLE}
    names |= {"g_embeddings": torch.zeros(5, 2), "Wo": torch.zeros(2, 5), "bo": torch.zeros(5)}
    assert networks.oracle(names, length=2).vocabulary == generator.vocabulary
    with pytest.raises(ValueError, match=r"parameters\['Wo'\] has shape \(5, 2\); .* it must be \(2, 5\)"):
        networks.oracle({**names, "Wo": torch.zeros(5, 2)})
    lacking = copy.copy(names)
    del lacking["bog"], lacking["Ui"]
    with pytest.raises(ValueError, match="parameters lack Ui, bog"):
        networks.oracle(lacking)


@pytest.mark.parametrize("method", ["begin", "advance", "readout"])
def test_a_generator_needs_its_three_parts(method):
    generator, arguments = SequenceGenerator(3, 4), {"begin": (2,), "advance": (torch.tensor([0]), ())}
    with pytest.raises(TypeError, match=rf"SequenceGenerator defines no {method}\(\)"):
        getattr(generator, method)(*arguments.get(method, (torch.zeros(2, 3),)))

"""Judgements on sequences: closed forms, other libraries, and what each must reject."""

import itertools
import math

import pytest
import torch
from torch.testing import assert_close

from gan_course import metrics, networks

REFERENCES = ["the cat is on the mat", "there is a cat on the mat", "a dog sat on the log"]


def writer(std=0.5, vocabulary=4, length=3, seed=0, **settings):
    torch.manual_seed(seed)
    return networks.RecurrentGenerator(vocabulary, length, 2, 2, std=std, **settings)


def every(vocabulary=4, length=3):
    return torch.tensor(list(itertools.product(range(vocabulary), repeat=length)))


def entropy(generator):
    """In nats per word, by all sequences."""
    found = generator.log_probabilities(every()).detach().double().sum(1)
    return float(-(found.exp() * found).sum() / 3)


# Likelihood


def test_what_an_oracle_writes_costs_its_entropy():
    oracle = writer(2.0)
    found = metrics.sequence_nll(oracle, oracle, oracle.sample(4_000), samples=4_000)
    for one in (found.oracle, found.test):
        assert one.nll == pytest.approx(entropy(oracle), abs=4 * one.error)
        assert 0 < one.error < 0.02
        assert one.sequences == 4_000


def test_the_error_is_the_one_of_repetitions():
    oracle = writer(2.0)
    found = [metrics.word_nll(oracle, oracle.sample(200)) for _ in range(200)]
    spread = torch.tensor([one.nll for one in found]).std().item()
    assert spread == pytest.approx(sum(one.error for one in found) / 200, rel=0.2)


def test_one_side_alone_can_be_fooled():
    """A generator that says one likely sentence for ever beats the oracle by the one, and loses by the other."""
    oracle, parrot = writer(2.0), writer()
    best = every()[oracle.log_probabilities(every()).sum(1).argmax()]
    optimizer = torch.optim.Adam(parrot.parameters(), 0.1)
    for _ in range(60):
        optimizer.zero_grad()
        (-parrot.log_probabilities(best[None]).sum()).backward()
        optimizer.step()
    found = metrics.sequence_nll(parrot, oracle, oracle.sample(500), samples=500)
    assert found.oracle.nll < 0.8 * entropy(oracle)
    assert found.test.nll > 2 * entropy(oracle)


def test_words_are_counted_up_to_the_first_padding():
    generator = writer(padding=3)
    tokens = torch.tensor([[1, 2, 3], [0, 3, 3], [3, 3, 3]])
    total = -generator.log_probabilities(tokens).detach().double().sum()
    assert_close(metrics.word_nll(generator, tokens).nll, float(total / (3 + 2 + 1)))
    assert metrics.word_nll(generator, tokens, batch_size=1).nll == pytest.approx(float(total / 6))


def test_answers_are_scored_by_their_histories():
    torch.manual_seed(0)
    generator = networks.EncoderDecoder(4, 2, 3, 4)
    histories, replies = torch.tensor([[2, 3], [3, 2], [2, 2]]), torch.tensor([[2, 0], [3, 2], [0, 0]])
    total = -generator.log_probabilities(replies, histories).detach().double().sum()
    with pytest.raises(ValueError, match=r"condition must be words, int64 of shape \(3, s\), or None, not \(2, 2\)"):
        metrics.word_nll(generator, replies, histories[:2])
    assert metrics.word_nll(generator, replies, histories, 2).nll == pytest.approx(float(total / 5))


def test_writing_leaves_chance_alone_and_is_of_its_seed():
    generator, oracle = writer(), writer(2.0)
    before = torch.get_rng_state()
    found = [metrics.sequence_nll(generator, oracle, every(), 50, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1] != found[2]


def test_networks_that_do_not_fit_are_refused(unchecked):
    with pytest.raises(ValueError, match="generator writes 3 of 4 words and oracle 3 of 5; both must have one"):
        metrics.sequence_nll(writer(), writer(vocabulary=5), every())
    with pytest.raises(ValueError, match=r"oracle must be a generator of sequences .* not a Linear"):
        metrics.sequence_nll(writer(), torch.nn.Linear(2, 2), every())
    with pytest.raises(ValueError, match=r"test must be words, int64 of shape \(n, 3\), from 0 to 3, not .* 0 to 4"):
        metrics.sequence_nll(writer(), writer(), every() + (every() == 3))


# Overlap


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("sample", ["the cat sat on the mat", "the the the cat is on the mat", "a cat is on the mat"])
def test_bleu_is_that_of_torchmetrics(sample, order):
    from torchmetrics.functional.text import bleu_score

    expected = bleu_score([sample], [REFERENCES], n_gram=order).item()
    if order < 4 or expected:  # where nothing matches theirs is 0, ours as in Texygen
        assert metrics.bleu([sample], REFERENCES, order) == pytest.approx(expected, abs=1e-6)


def test_bleu_by_hand():
    """Two of three words known, one of two pairs; as long as the nearest reference."""
    assert metrics.bleu(["a b x"], ["a b c", "d"], 2) == pytest.approx(math.sqrt(2 / 3 * 1 / 2))
    assert metrics.bleu(["a x"], ["a b c d"], 1) == pytest.approx(0.5 * math.exp(1 - 4 / 2))
    assert metrics.bleu(["a a a"], ["a b", "a a"], 1) == pytest.approx(2 / 3)  # clipped at the largest count
    assert metrics.bleu(["a c"], ["a b", "c a"], 2) == pytest.approx(math.sqrt(0.1))  # no pair matches
    assert metrics.bleu(["x y", ""], ["a b"], 2) == 0
    assert metrics.bleu(["a b", "x y"], ["a b"], 2) == pytest.approx(0.5)  # the mean over samples
    assert metrics.bleu(torch.tensor([[1, 2]]), torch.tensor([[1, 2]]), 2) == pytest.approx(1)


def test_self_bleu_is_bleu_against_the_others():
    texts = [*REFERENCES, "the cat sat on a log", "the cat is on the mat", "on"]
    for order in (1, 2, 3):
        each = [metrics.bleu([text], texts[:i] + texts[i + 1 :], order) for i, text in enumerate(texts)]
        assert metrics.self_bleu(texts, order) == pytest.approx(sum(each) / len(each))
    assert metrics.self_bleu(["a b c"] * 5, 3) == pytest.approx(1)
    assert metrics.self_bleu(["a b", "c d"], 2) == 0


def test_coverage_counts_each_pair_once():
    found = metrics.ngram_coverage(["a b", "a b", "b c"], ["a b c d"], 2)
    assert (found.covered, found.known, found.distinct) == (2 / 3, 1.0, 2 / 3)
    assert metrics.ngram_coverage(["x y"], ["a b"], 1).covered == 0
    assert metrics.ngram_coverage(torch.tensor([[1, 2, 1]]), torch.tensor([[2, 1]]), 2).known == 0.5


def test_a_grammar_counts_right_lines_and_different_ones():
    found = metrics.grammar_validity(["x", "x", "x +", "x + x"], lambda line: not line.endswith("+"))
    assert (found.valid, found.distinct, found.unique) == (0.75, 2, 0.5)


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        ("bleu", ([], REFERENCES), "samples must be a list of strings, at least one"),
        ("bleu", ("the cat", REFERENCES), "samples must be a list of strings"),
        ("bleu", (REFERENCES, torch.zeros(2, 2)), r"references must be a list .* not torch.float32 \(2, 2\)"),
        ("bleu", (REFERENCES, REFERENCES, 0), "order=0 was given"),
        ("self_bleu", (["a"],), "samples holds one text; at least two"),
        ("ngram_coverage", (["a"], REFERENCES, 2), "samples has no text of order=2 words or more"),
        ("grammar_validity", (["a"], "grammar"), "accepts must be a function of a line"),
    ],
)
def test_what_cannot_be_judged_is_refused(call, arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        unchecked(getattr(metrics, call))(*arguments)

"""Vocabularies, captions, the published oracle and the corpora from grammars."""

import copy
import gzip
import itertools
import json
import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gan_course import metrics, networks
from gan_course.data import text
from gan_course.data.text import Vocabulary
from gan_course.errors import DataCorrupt, DataUnavailable

LINES = ["the cat sat", "the dog", "a cat sat down here"]


# Vocabulary


def test_words_come_by_frequency_and_then_by_the_alphabet():
    vocabulary = Vocabulary.learn(LINES)
    assert vocabulary.words == ("<pad>", "<start>", "<unknown>", "cat", "sat", "the", "a", "dog", "down", "here")
    assert len(vocabulary) == 10
    assert Vocabulary.learn(LINES, least=2).words[3:] == ("cat", "sat", "the")
    assert Vocabulary.learn(LINES, most=5).words[3:] == ("cat", "sat")


def test_a_line_is_parted_into_words_and_marks():
    assert text.tokenise("a man's well-worn bike, by the wheel.") == (
        ["a", "man", "'s", "well-worn", "bike", ",", "by", "the", "wheel", "."]
    )
    assert text.tokenise("x + x*x") == ["x", "+", "x", "*", "x"]
    assert text.tokenise(" \n\t") == []
    assert text.tokenise("für élise") == ["für", "élise"]


@given(line=st.text(st.characters(exclude_categories=["Cs"])))
def test_what_was_parted_once_is_not_parted_again(line):
    words = text.tokenise(line)
    assert text.tokenise(" ".join(words)) == words
    if set(words) - set(text.SPECIAL):
        vocabulary = Vocabulary.learn([line])
        assert vocabulary.decode(vocabulary.encode([line], len(words)).tokens) == (
            [" ".join(itertools.takewhile(lambda word: word != text.PADDING, words))]
        )


def test_marks_are_words_for_a_vocabulary_too():
    vocabulary = Vocabulary.learn(["a wheel.", "a wheel, a bike."])
    assert vocabulary.words[3:] == ("a", ".", "wheel", ",", "bike")
    assert vocabulary.decode(vocabulary.encode(["a bike, a <start> car."], 9).tokens) == (
        ["a bike , a <start> <unknown> ."]
    )
    assert vocabulary.encode(["a <unknown> bike"], 3).unknown == 1


def test_a_vocabulary_is_copied_and_pickled_whole():
    vocabulary = Vocabulary.learn(LINES)
    for again in (copy.deepcopy(vocabulary), pickle.loads(pickle.dumps(vocabulary))):
        assert torch.equal(again.encode(LINES, 5).tokens, vocabulary.encode(LINES, 5).tokens)


def test_lines_become_numbers_and_lines_again():
    vocabulary = Vocabulary.learn(LINES)
    encoded = vocabulary.encode(LINES, 5)
    assert encoded.tokens.tolist() == [[5, 3, 4, 0, 0], [5, 7, 0, 0, 0], [6, 3, 4, 8, 9]]
    assert (encoded.truncated, encoded.unknown, len(encoded)) == (0, 0, 3)
    assert vocabulary.decode(encoded.tokens) == LINES
    assert vocabulary.decode(torch.tensor([[0, 3]])) == [""]


def test_what_is_too_long_is_cut_and_counted_and_strangers_too():
    found = Vocabulary.learn(LINES).encode(["the cat sat down", "a mouse sat", "owl"], 3)
    assert found.tokens.tolist() == [[5, 3, 4], [6, 2, 4], [2, 0, 0]]
    assert (found.truncated, found.unknown) == (1, 2)


def test_it_is_saved_and_loaded(tmp_path):
    vocabulary = Vocabulary.learn([*LINES, "für élise"])
    vocabulary.save(tmp_path / "words.json")
    again = Vocabulary.load(tmp_path / "words.json")
    assert again.words == vocabulary.words
    assert again.fingerprint == vocabulary.fingerprint
    with pytest.raises(DataUnavailable, match="cannot be read"):
        Vocabulary.load(tmp_path / "none.json")
    for wrong in ("{}", "[", '{"words": [1]}', '{"words": ["a", "a"]}'):
        (tmp_path / "wrong.json").write_text(wrong)
        with pytest.raises(DataCorrupt, match="is no vocabulary that was saved"):
            Vocabulary.load(tmp_path / "wrong.json")


def test_a_vocabulary_that_does_not_match_the_weights_is_refused():
    vocabulary, other = Vocabulary(["a", "b"]), Vocabulary(["b", "a"])
    trained, fresh = (networks.RecurrentGenerator(5, 4, start=1, padding=0) for _ in range(2))
    other.check(trained)  # nobody has said yet whose words they are
    vocabulary.mark(trained)
    fresh.load_state_dict(trained.state_dict())  # as from a checkpoint
    vocabulary.check(fresh)
    with pytest.raises(ValueError, match=r"network was trained with another vocabulary of 5 words .* load the one"):
        other.check(fresh)
    with pytest.raises(ValueError, match="network was made for 5 words and this vocabulary has 6: load the vocabulary"):
        Vocabulary(["a", "b", "c"]).mark(trained)
    with pytest.raises(ValueError, match="network has no vocabulary"):
        vocabulary.check(torch.nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: v.encode(["the cat", " "], 3), r"lines\[1\] is empty; each line must hold at least one word"),
        (lambda v: v.encode([], 3), "lines are empty; at least one line"),
        (lambda v: v.encode("the cat", 3), "lines must be a list of strings, one for each line, not a str"),
        (lambda v: v.encode(["the"], 0), "length=0 was given"),
        (lambda v: v.decode(torch.tensor([[99]])), "tokens hold numbers from 99 to 99; the vocabulary has 10 words"),
        (lambda v: Vocabulary(["a", "a"]), "twice there are: a"),
        (lambda v: Vocabulary(["a b"]), "words hold 'a b'"),
        (lambda v: Vocabulary(["a", "wheel."]), r"words hold 'wheel.'; each must be one word for tokenise\(\)"),
        (lambda v: Vocabulary([""]), "words hold ''"),
        (lambda v: v.encode(["\ud800"], 3), "line cannot be written as UTF-8"),
        (lambda v: Vocabulary([]), "words must be at least one"),
        (lambda v: Vocabulary.learn(LINES, least=9), "least=9 was given; no word"),
        (lambda v: Vocabulary.learn(LINES, most=3), "most=3 was given"),
    ],
)
def test_what_is_no_text_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(Vocabulary.learn(LINES))


# Files


def test_a_file_of_lines_packed_or_not(tmp_path):
    (tmp_path / "a.txt").write_text("one two\n\n three \n", encoding="utf-8")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"one two\nthree"))
    assert text.lines(tmp_path / "a.txt") == text.lines(tmp_path / "a.txt.gz") == ["one two", "three"]
    for name, content in (("b.txt", b"\xff\xfe\xff"), ("b.txt.gz", b"no gzip"), ("c.txt", b" \n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataCorrupt, match=name):
            text.lines(tmp_path / name)
    with pytest.raises(DataUnavailable, match="name a text file"):
        text.lines(tmp_path / "none.txt")


def test_captions_are_looked_for_and_checked(tmp_path):
    with pytest.raises(DataUnavailable, match=r"text-coco/image_coco.txt is not in .*; set root or GAN_COURSE_DATA"):
        text.captions(root=tmp_path)
    with pytest.raises(ValueError, match="unknown split 'valid'; choose one of: train, test"):
        text.captions("valid", tmp_path)
    (tmp_path / "text-coco").mkdir()
    (tmp_path / "text-coco" / "test_coco.txt").write_text("a photo of a cat\n")
    with pytest.raises(DataCorrupt, match=r"test_coco.txt holds other lines than the published ones"):
        text.captions("test", tmp_path)


@pytest.mark.parametrize(("split", "distinct", "cut"), [("train", 4_645, 105), ("test", 4_226, 73)])
def test_published_captions(split, distinct, cut, published):
    """Where they are at hand; elsewhere the refusal is what there is to test."""
    if not published or not (published / "text-coco").is_dir():
        with pytest.raises(DataUnavailable):
            text.captions(split, published)
        return
    found = text.captions(split, published)
    assert len(found) == 10_000
    vocabulary = Vocabulary.learn(found)
    assert len(vocabulary) == distinct + 3
    assert all(" ".join(text.tokenise(line)) == line for line in found)
    encoded = vocabulary.encode(found, 20)  # as in the narrow headline, of which chapter 27 says how many it cuts
    assert (encoded.truncated, encoded.unknown) == (cut, 0)
    assert sum(len(line.split()) > 20 for line in found) == cut
    assert vocabulary.decode(vocabulary.encode(found, 60).tokens) == found


# The oracle


def stored(folder, **arrays):
    (folder / "text-seqgan-oracle").mkdir(exist_ok=True)
    np.savez(folder / "text-seqgan-oracle" / "target_params.npz", **arrays)
    return folder


def test_the_oracles_file_is_looked_for_and_checked(tmp_path):
    with pytest.raises(DataUnavailable, match=r"target_params.npz is not in .*networks.oracle\(\) draws an oracle"):
        text.oracle_parameters(tmp_path)
    with pytest.raises(DataCorrupt, match="333,320 numbers"):
        text.oracle_parameters(stored(tmp_path, g_embeddings=np.zeros((5000, 32))))
    (tmp_path / "text-seqgan-oracle" / "target_params.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataCorrupt, match="cannot be read as the oracle's parameters"):
        text.oracle_parameters(tmp_path)
    with pytest.raises(DataCorrupt, match="cannot be read"):  # nothing is unpickled
        text.oracle_parameters(stored(tmp_path, g_embeddings=np.array([{}])))


def test_an_oracle_from_a_file_or_of_its_own(published, tmp_path):
    """The published one's samples cost 5.74 nats a word (measured); without it, one of ours, stored and read."""
    if published and (published / "text-seqgan-oracle").is_dir():
        oracle = networks.oracle(text.oracle_parameters(published))
        torch.manual_seed(0)
        found = metrics.word_nll(oracle, oracle.sample(3_000))
        assert found.nll == pytest.approx(5.74, abs=0.02)
        return
    arrays = {"g_embeddings": np.ones((5000, 32)), "Wo": np.ones((32, 5000)), "bo": np.ones(5000)}
    names = [f"{kind}{gate}" for gate in ("i", "f", "og", "c") for kind in ("W", "U", "b")]
    arrays |= {name: np.ones(32) if name[0] == "b" else np.ones((32, 32)) for name in names}
    oracle = networks.oracle(text.oracle_parameters(stored(tmp_path, **arrays)))
    assert metrics.word_nll(oracle, oracle.sample(3)).nll == pytest.approx(np.log(5000), rel=1e-4)


# Grammars


def test_arithmetic_is_of_its_grammar_and_of_its_seed():
    found = text.arithmetic(2_000, most=11, seed=0)
    assert all(map(text.is_arithmetic, found))
    lengths = Counter(len(line.split()) for line in found)
    assert set(lengths) == {1, 3, 5, 7, 9, 11}
    assert min(lengths.values()) > 250  # uniform: 333 each
    assert found == text.arithmetic(2_000, most=11, seed=0) != text.arithmetic(2_000, most=11, seed=1)
    for wrong in ("", "x x", "x +", "+ x", "x + + x", "y", "x + x -", "x+x"):
        assert not text.is_arithmetic(wrong)


def test_styles_are_about_the_same_in_two_tempers():
    pleased, angry = text.styles(1_000, seed=0)
    assert {text.style_of(line) for line in pleased} == {"pleased"}
    assert {text.style_of(line) for line in angry} == {"angry"}
    subjects = [{line.split()[1] for line in lines} for lines in (pleased, angry)]
    assert subjects[0] == subjects[1]
    assert text.style_of("the soup was hot but i hate it") is None
    assert text.style_of("the soup was") is None


def test_dialogues_hold_right_answers_and_wrong_ones_are_known():
    found = text.dialogues(1_000, seed=0)
    assert all(text.is_answer(*pair) for pair in found)
    questions = [question for question, _ in found]
    shuffled = [text.is_answer(q, answer) for q, (_, answer) in zip(questions[1:] + questions[:1], found, strict=True)]
    assert sum(shuffled) < 100
    assert text.is_answer("what is two and three ?", "it is five .")
    assert not text.is_answer("what is two and three ?", "it is six .")
    assert not text.is_answer("how are you ?", "it is five .")
    assert len({answer for question, answer in found if question == "which colour has grass ?"}) == 2


@pytest.mark.parametrize("corpus", [text.arithmetic, text.styles, text.dialogues])
def test_corpora_of_no_lines_are_refused(corpus):
    with pytest.raises(ValueError, match="n=0 was given"):
        corpus(0)
    with pytest.raises(ValueError, match="seed=-1 was given"):
        corpus(3, seed=-1)


def test_a_saved_file_is_plain_json(tmp_path):
    Vocabulary(["a"]).save(tmp_path / "words.json")
    assert json.loads((tmp_path / "words.json").read_text()) == {"words": ["a"]}

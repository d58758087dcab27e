"""Networks that judge sequences of words."""

import pytest
import torch
from torch.testing import assert_close

from gan_course import networks
from gan_course.networks import Highway, PrefixDiscriminator, ReplyDiscriminator, SequenceCNN

TOKENS = torch.tensor([[1, 2, 3, 0], [3, 3, 1, 2]])


def judge(**settings):
    torch.manual_seed(0)
    return SequenceCNN(4, 4, 3, (1, 2), 5, **settings).eval()


def test_a_highway_is_its_formula_and_lets_pass_what_its_gate_says():
    layer, x = Highway(3), torch.randn(5, 3)
    share = torch.sigmoid(x @ layer.gate.weight.T + layer.gate.bias)
    expected = share * torch.relu(x @ layer.change.weight.T + layer.change.bias) + (1 - share) * x
    assert_close(layer(x), expected)
    torch.nn.init.constant_(layer.gate.bias, -100.0)
    assert_close(layer(x), x)


def test_convolutions_are_windows_and_their_largest_answer():
    network = judge(highway=0)
    words = network.embedding(TOKENS)
    expected = []
    for convolution, width in zip(network.filters, (1, 2), strict=True):
        windows = [words[:, t : t + width].transpose(1, 2) for t in range(5 - width)]
        answers = [torch.einsum("nei,fei->nf", w, convolution.weight) + convolution.bias for w in windows]
        expected.append(torch.stack(answers).amax(0).relu())
    assert_close(network.features(TOKENS), torch.cat(expected, 1))
    assert_close(network(TOKENS), network.head(torch.cat(expected, 1))[:, 0])


@pytest.mark.parametrize("kind", [SequenceCNN, PrefixDiscriminator])
def test_words_and_weights_that_are_all_on_one_word_get_the_same_score(kind):
    torch.manual_seed(0)
    network = kind(4, 4).eval()
    weights = torch.nn.functional.one_hot(TOKENS, 4).float().requires_grad_()
    assert_close(network(weights), network(TOKENS))
    network(weights).sum().backward()
    assert weights.grad.abs().sum() > 0


def test_a_beginning_is_scored_without_what_follows():
    torch.manual_seed(0)
    network = PrefixDiscriminator(4, 4, cell="lstm")
    found = network.beginnings(TOKENS)
    assert found.shape == (2, 4)
    changed = TOKENS.clone()
    changed[:, 2:] = 1
    assert_close(network.beginnings(changed)[:, :2], found[:, :2])
    assert not torch.allclose(network.beginnings(changed)[:, 2], found[:, 2])
    assert_close(network(TOKENS), found[:, -1])


def test_a_reply_is_judged_beside_its_history_and_padding_is_not_read():
    torch.manual_seed(0)
    network = ReplyDiscriminator(4, 4, 3, 4)
    history = torch.tensor([[1, 2, 0], [3, 0, 0]])
    found = network(history, TOKENS)
    assert not torch.allclose(network(history.flip(0), TOKENS), found)
    assert network(torch.zeros(2, 3, dtype=torch.int64), TOKENS).isfinite().all()
    states = network.history(network.embedding(history))[0]
    mean = torch.stack([states[0, :2].mean(0), states[1, :1].mean(0)])
    assert_close(network._read(network.history, history), mean)


def test_the_sizes_of_the_paper():
    generator, network = networks.seqgan()
    assert [convolution.kernel_size[0] for convolution in network.filters] == [*range(1, 11), 15, 20]
    assert network.head.in_features == 1720
    assert generator.cell.hidden_size == generator.embedding.embedding_dim == 32
    short = networks.seqgan(10, 9)[1]
    assert len(short.filters) == 9
    assert short(torch.zeros(2, 9, dtype=torch.int64)).shape == (2,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SequenceCNN(4, 4, widths=(5,)), "widths=5 was given; it must be .* at most 4"),
        (lambda: SequenceCNN(4, 4, widths=(1, 2), filters=(3,)), "one number of filters for each"),
        (lambda: SequenceCNN(4, 4, widths=()), "give at least one width"),
        (lambda: SequenceCNN(4, 4, dropout=1.0), "dropout=1 was given"),
        (lambda: ReplyDiscriminator(4, 4, 3, 3), "hidden=3 was given; it must be even"),
        (lambda: PrefixDiscriminator(4, 4, cell="tree"), "cell='tree' was given; choose one of lstm, gru"),
        (lambda: judge()(TOKENS + 1), "tokens holds words from 1 to 4; the vocabulary has 4"),
        (lambda: judge()(TOKENS[:, :3]), "tokens has sequences of 3 words; 4 are allowed"),
        (lambda: judge()(torch.zeros(2, 4, 3)), r"weights of words are of shape \(n, 4, 4\)"),
    ],
)
def test_what_cannot_be_judged_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()

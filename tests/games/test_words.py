"""Games of words: their losses by hand, who learns from what, rewards that are found, and what is refused."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import checkpoint, data, fit, games, networks, objectives
from gan_course.data import text
from gan_course.games.words import Negatives
from gan_course.objectives import policy_gradient

WORDS, LENGTH = 4, 5
REAL = torch.randint(0, WORDS, (12, LENGTH), generator=torch.Generator().manual_seed(0))


def writer(seed=0, **settings):
    torch.manual_seed(seed)
    return networks.RecurrentGenerator(WORDS, LENGTH, 3, 4, **settings)


def judge(**settings):
    torch.manual_seed(1)
    return networks.SequenceCNN(WORDS, LENGTH, 3, (1, 2), 4, **settings)


def answering(seed=0):
    torch.manual_seed(seed)
    return networks.EncoderDecoder(WORDS, LENGTH, 3, 4)


def seqgan(**settings):
    return games.SeqGAN(writer(), judge(), **{"rollouts": 2, **settings})


class Share(nn.Module):
    """A judge for whom a sequence is as good as it has words of one kind; the logit of that share."""

    def __init__(self, word=2):
        super().__init__()
        self.word, self.weight = word, nn.Parameter(torch.ones(()))

    def forward(self, tokens):
        return self.weight * torch.logit((tokens == self.word).float().mean(1).clamp(0.01, 0.99))

    def beginnings(self, tokens):
        return self.weight * (tokens == self.word).float()


def twos(tokens):
    return (tokens == 2).float().mean(1)


# Maximum likelihood


def test_maximum_likelihood_is_nats_per_word():
    game = games.MaximumLikelihood(writer())
    expected = -game.generator.log_probabilities(REAL).mean()
    assert_close(game.loss(REAL)["nll"], expected)
    padded = games.MaximumLikelihood(writer(padding=3))
    tokens = torch.tensor([[1, 3, 3, 3, 3], [1, 2, 0, 1, 3]])
    assert_close(padded.loss(tokens)["nll"], -padded.generator.log_probabilities(tokens).sum() / 7)


def test_maximum_likelihood_finds_a_law_that_it_can_hold():
    """Always the same sentence: the loss goes to 0, from log 4."""
    game = games.MaximumLikelihood(writer(), games.adam(0.05, (0.9, 0.999)))
    history = fit(game, REAL[:1].expand(8, -1), rounds=60, batch_size=8, device="cpu")
    losses = history.frame["generator/nll"]
    assert losses.iloc[0] == pytest.approx(math.log(WORDS), abs=0.05)
    assert losses.iloc[-1] < 0.1
    assert (game.sample(5) == REAL[0]).float().mean() > 0.9


def test_answers_are_learned_from_pairs():
    game = games.MaximumLikelihood(answering())
    replies = torch.tensor([[2, 3, 0, 0, 0], [3, 2, 2, 0, 0]])
    histories = torch.tensor([[2, 3], [3, 2]])
    history = fit(game, data.Paired(histories, replies), rounds=2, batch_size=2, device="cpu")
    assert history.frame["generator/nll"].notna().all()
    assert game.sample(2, histories).shape == (2, LENGTH)
    with pytest.raises(ValueError, match=r"learns from data.Paired\(histories, replies\)"):
        game.loss(replies)
    with pytest.raises(ValueError, match="learns from a tensor of words"):
        games.MaximumLikelihood(writer()).loss((histories, replies))


# A reward that somebody wrote


@pytest.mark.parametrize("baseline", ["mean", "greedy", None])
def test_a_reward_is_found(baseline):
    """Twice as many of the words that are asked for, after 40 rounds."""
    game = games.PolicyGradient(writer(), twos, baseline, games.adam(0.03, (0.9, 0.999)))
    history = fit(game, torch.zeros(64, LENGTH, dtype=torch.int64), rounds=40, device="cpu")
    rewards = history.frame["reward"]
    assert rewards.iloc[:3].mean() < 0.35
    assert rewards.iloc[-3:].mean() > 0.6


def test_the_policy_gradient_of_a_game_is_that_of_the_objective():
    game = games.PolicyGradient(writer(), twos)
    torch.manual_seed(3)
    found = game.loss(REAL)["policy"]
    torch.manual_seed(3)
    tokens = game.generator.sample(len(REAL))
    rewards = twos(tokens)[:, None].expand(-1, LENGTH)
    baseline = policy_gradient.leave_one_out(rewards)
    assert_close(found, policy_gradient.reinforce(game.generator.log_probabilities(tokens), rewards, baseline))
    assert_close(game.reward, twos(tokens).mean())


def test_two_agents_talk_and_both_learn():
    def polite(lines):
        return (lines[:, 1:] == 2).float().mean((1, 2))

    first, second = answering(0), answering(1)
    game = games.TwoAgents(first, second, polite, 2, games.adam(0.01, (0.9, 0.999)))
    openings = torch.tensor([[2, 3, 1, 0, 0], [3, 3, 0, 0, 0]])
    lines = game.talk(openings)
    assert lines.shape == (2, 5, LENGTH)
    assert torch.equal(lines[:, 0], openings)
    before = [next(iter(agent.output.parameters())).clone() for agent in (first, second)]
    history = fit(game, openings.repeat(8, 1), rounds=3, batch_size=16, device="cpu")
    assert history.frame["reward"].between(0, 1).all()
    assert all(not torch.equal(b, a.output.weight) for a, b in zip((first, second), before, strict=True))
    with pytest.raises(ValueError, match="first takes no condition, so it cannot answer"):
        games.TwoAgents(writer(), second, polite)


# SeqGAN


def test_values_are_mean_rewards_of_continuations_by_the_lagged_copy(monkeypatch):
    game = seqgan(rollouts=3)
    tokens = REAL[:4]
    continued = game.lagged.rollouts(tokens, 3)
    monkeypatch.setattr(game.lagged, "rollouts", lambda *_: continued)
    found = game.values_of(tokens)
    game.discriminator.eval()
    for i in range(4):
        for p in range(1, LENGTH):
            assert_close(found[i, p - 1], torch.sigmoid(game.discriminator(continued[i, p - 1])).mean())
    assert_close(found[:, -1], torch.sigmoid(game.discriminator(tokens)))
    assert not found.requires_grad


def test_rewards_are_given_without_dropout_and_the_mode_is_put_back():
    game = seqgan().train()
    assert_close(game.rewards(REAL), game.rewards(REAL))
    assert game.discriminator.training
    assert_close(seqgan(reward="score").rewards(REAL).sigmoid(), game.rewards(REAL))


def test_one_reward_for_the_whole_sentence_and_one_for_every_beginning():
    game = seqgan(values="sentence")
    assert_close(game.values_of(REAL), game.rewards(REAL)[:, None].expand(-1, LENGTH))
    torch.manual_seed(1)
    step = games.SeqGAN(writer(), networks.PrefixDiscriminator(WORDS, LENGTH), values="beginnings")
    assert_close(step.values_of(REAL), step.discriminator.beginnings(REAL).sigmoid())
    torch.manual_seed(2)
    found = step.discriminator_loss(REAL)["adversarial"]
    torch.manual_seed(2)
    fake = step.generator.sample(len(REAL))
    lengths = torch.randint(1, LENGTH + 1, (len(REAL),))
    scores = [step.discriminator.beginnings(y).gather(1, lengths[:, None] - 1)[:, 0] for y in (REAL, fake)]
    assert_close(found, objectives.get("minimax").discriminator_loss(*scores))


def test_the_lagged_copy_follows_and_takes_the_words_vectors_over():
    game = seqgan(keep=0.8)
    before = game.lagged.output.weight.clone()
    with torch.no_grad():
        for p in game.generator.parameters():
            p.add_(1.0)
    game.turns()[1].after_step()
    assert_close(game.lagged.output.weight, before + 0.2)
    assert_close(game.lagged.embedding.weight, game.generator.embedding.weight)
    game.catch_up()
    assert_close(game.lagged.output.weight, before + 1.0)


@pytest.mark.parametrize("baseline", [None, "mean", "greedy", "critic"])
@pytest.mark.parametrize("values", ["rollouts", "sentence", "beginnings"])
def test_every_way_to_play(values, baseline):
    """Every parameter of a turn gets a gradient, and only the turn's own move."""
    torch.manual_seed(0)
    critic = networks.PrefixDiscriminator(WORDS, LENGTH, 3, 4) if baseline == "critic" else baseline
    player = networks.PrefixDiscriminator(WORDS, LENGTH, 3, 4) if values == "beginnings" else judge(dropout=0.0)
    game = games.SeqGAN(writer(), player, values=values, rollouts=2, baseline=critic, teacher=0.5, decay=0.2)
    for turn in game.turns():
        for p in game.parameters():
            p.requires_grad_(False)
        for p in turn.parameters():
            p.requires_grad_(True)
        terms = turn.loss(REAL)
        sum(terms.values()).backward()
        assert all(p.grad is not None for p in turn.parameters()), turn.player
    names = {"policy", "teacher"} | ({"baseline"} if baseline == "critic" else set())
    assert set(terms) == names


def test_it_learns_what_its_judge_likes():
    """Against a judge that stands still, by rollouts: twice the words that it likes."""
    game = games.SeqGAN(writer(), Share(), rollouts=4, baseline="mean", optimizer=games.adam(0.03, (0.9, 0.999)))
    history = fit(game, REAL.repeat(3, 1), rounds=40, batch_size=32, players=["generator"], device="cpu")
    assert history.frame["reward"].iloc[:3].mean() < 0.35
    assert history.frame["reward"].iloc[-3:].mean() > 0.6


def test_negatives_are_kept_for_some_passes():
    """Ten of them in batches of four, so three batches a pass, of which the last begins again: two passes, then new."""
    drawn, pool = [], Negatives(10, LENGTH, passes=2)

    def draw(n):
        drawn.append(n)
        return torch.arange(10 * len(drawn), 10 * len(drawn) + n)[:, None].expand(n, LENGTH)

    torch.manual_seed(0)
    batches = [pool(4, draw)[:, 0] for _ in range(9)]
    assert drawn == [10, 10]
    for first, wanted in ((0, 10), (3, 10), (6, 20)):
        one = torch.cat(batches[first : first + 3])
        assert sorted(one[:10].tolist()) == list(range(wanted, wanted + 10))
        assert one[10:].tolist() == one[:2].tolist()
    assert not torch.equal(torch.cat(batches[:3]), torch.cat(batches[3:6]))  # in another order
    with pytest.raises(ValueError, match="pool=10 was given for batches of 11"):
        pool(11, draw)


def test_the_judge_learns_from_the_pool():
    """As the paper does: a generator that moves on is not seen until the pool is drawn anew."""
    game = seqgan(pool=4, passes=2).eval()  # no dropout
    asked = []
    sample = game.generator.sample
    game.generator.sample = lambda n, condition=None: asked.append(n) or sample(n, condition)
    terms = [game.discriminator_loss(REAL[:4]) for _ in range(4)]
    assert asked == [4, 4]
    kept = game.negatives.kept
    assert_close(terms[-1], game.judged(REAL[:4], kept, None))
    fit(game, REAL, rounds=3, batch_size=4, device="cpu")
    assert len(asked) == 2 + 8 + 3  # for 4 steps of the judge, then for 15, and one batch in each turn of the writer


@pytest.mark.parametrize("settings", [{}, {"pool": 6, "passes": 1}])
def test_a_broken_training_goes_on_bit_for_bit(tmp_path, settings):
    through, broken = seqgan(**settings), seqgan(**settings)
    fit(through, REAL, rounds=4, batch_size=4, device="cpu")
    done = fit(broken, REAL, rounds=4, until=2, batch_size=4, device="cpu")
    checkpoint.save(tmp_path / "a.safetensors", broken, done)
    again = games.SeqGAN(writer(7), judge(), rollouts=2, **settings)
    fit(again, REAL, rounds=4, batch_size=4, device="cpu", history=checkpoint.load(tmp_path / "a.safetensors", again))
    for name, value in through.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_vocabulary_file_that_does_not_match_a_checkpoint_is_refused(tmp_path):
    words, other = text.Vocabulary(["a"]), text.Vocabulary(["b"])
    game = seqgan()
    words.mark(game.generator)
    checkpoint.save(tmp_path / "a.safetensors", game, fit(game, REAL, rounds=1, batch_size=4, device="cpu"))
    other.save(tmp_path / "other.json")
    words.save(tmp_path / "words.json")
    again = seqgan()
    checkpoint.load(tmp_path / "a.safetensors", again)
    text.Vocabulary.load(tmp_path / "words.json").check(again.generator)
    with pytest.raises(ValueError, match="network was trained with another vocabulary of 4 words"):
        text.Vocabulary.load(tmp_path / "other.json").check(again.generator)


@pytest.mark.parametrize("kind", ["sequences", "replies", "openings"])
def test_on_an_accelerator_the_first_batch_is_looked_at_and_no_other(kind):
    """A tensor without memory stands for the accelerator's: to look at its words raises there."""
    if kind == "sequences":
        game = games.MaximumLikelihood(writer())
        look = game.parted
    elif kind == "replies":
        game = games.MaximumLikelihood(answering())

        def look(tokens):
            return game.parted((tokens, tokens))

    else:
        game = games.TwoAgents(answering(), answering(), lambda lines: twos(lines[:, -1]))
        look = game.talk
    tokens = 1 + REAL % 3  # without padding
    for _ in range(2):  # what was refused has not been looked at
        with pytest.raises(RuntimeError, match="meta"):
            look(tokens.to("meta"))
    look(tokens)
    with pytest.raises(ValueError, match="holds words from 2 to 4"):  # on the CPU every batch
        look(tokens + 1)
    game.to("meta")
    look(tokens.to("meta"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: seqgan(rollouts=0), "rollouts=0 was given; it must be a whole number of at least 1"),
        (lambda: seqgan(values="guess"), "values='guess' was given; choose one of rollouts, sentence, beginnings"),
        (lambda: seqgan(values="beginnings"), r"values='beginnings' needs a discriminator with beginnings\(\)"),
        (lambda: seqgan(baseline="best"), "baseline='best' was given; choose one of mean, greedy, or None"),
        (lambda: seqgan(baseline=nn.Linear(2, 2)), r"baseline is a network without beginnings\(\)"),
        (lambda: seqgan(reward="money"), "reward='money' was given; choose one of probability, score"),
        (lambda: seqgan(objective="wgan-gp"), "objective 'wgan-gp' takes slopes in samples"),
        (lambda: seqgan(keep=1.5), "keep=1.5 was given"),
        (lambda: seqgan(pool=-1), "pool=-1 was given"),
        (lambda: seqgan(pool=8, passes=0), "passes=0 was given"),
        (lambda: seqgan(pool=2).discriminator_loss(REAL), "pool=2 was given for batches of"),
        (lambda: games.SeqGAN(answering(), judge(), pool=8), "replies belong to the histories of their batch"),
        (lambda: games.SeqGAN(writer(), Share(), decay=0.2), "decay=0.2 needs a discriminator with a last layer"),
        (
            lambda: games.SeqGAN(writer(), networks.SequenceCNN(9, LENGTH)),
            "generator has 4 words and discriminator 9; both must be made for the same vocabulary",
        ),
        (lambda: games.SeqGAN(writer(), networks.SequenceCNN(WORDS, 6)), "made for the same length"),
        (lambda: seqgan().discriminator_loss(REAL + 1), "the batch holds words from 1 to 4; the vocabulary has 4"),
        (lambda: seqgan().generator_loss(REAL[:, :3]), "the batch has sequences of 3 words; 5 are allowed"),
        (lambda: games.PolicyGradient(writer(), lambda y: y).loss(REAL), "reward returned torch.int64"),
    ],
)
def test_what_cannot_be_played_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# The others


def ranked(**settings):
    return games.RankGAN(writer(), judge(dropout=0.0), **{"rollouts": 2, **settings})


def test_ranks_are_those_of_the_objective():
    game = ranked(sharpness=2.0)
    torch.manual_seed(3)
    found = game.discriminator_loss(REAL)["ranking"]
    torch.manual_seed(3)
    fake = game.generator.sample(len(REAL))
    u, s, g = (game.discriminator.features(y) for y in (REAL[:6], REAL[6:], fake[:6]))
    real, false = policy_gradient.ranking_score(s, u, g, 2.0), policy_gradient.ranking_score(g, u, s, 2.0)
    assert_close(found, policy_gradient.ranking_loss(real, false))
    assert_close(
        game.rewards(fake, real=REAL), policy_gradient.ranking_score(game.discriminator.features(fake), u, s, 2.0).exp()
    )
    history = fit(game, REAL, rounds=2, batch_size=6, device="cpu")
    assert history.frame["reward"].between(0, 1).all()


def maligan(**settings):
    return games.MaliGAN(writer(), judge(dropout=0.0), **settings)


def test_maligan_is_the_objective_on_a_batch_of_its_own_samples():
    game = maligan()
    torch.manual_seed(3)
    found = game.generator_loss(REAL)
    torch.manual_seed(3)
    tokens = game.generator.sample(len(REAL))
    log_p = game.generator.log_probabilities(tokens).sum(1)
    assert_close(found["policy"], policy_gradient.maligan(log_p, game.discriminator(tokens)))
    assert list(found) == ["policy"]


def test_mixed_it_begins_as_maximum_likelihood_and_ends_without_a_teacher():
    game = maligan(mixed=0.5, samples=3)
    first = game.generator_loss(REAL)
    expected = -game.generator.log_probabilities(REAL).sum(1).mean()
    assert_close(first["teacher"], expected)
    assert_close(first["policy"], torch.tensor(0.0))  # nothing is drawn
    game.progress.fill_(0.25)  # three of five words are kept
    half = game.generator_loss(REAL)
    assert_close(half["teacher"], -game.generator.log_probabilities(REAL)[:, :3].sum(1).mean())
    game.progress.fill_(0.5)
    assert game.generator_loss(REAL)["teacher"] == 0


def talking(reward=lambda lines: lines.float().mean((1, 2)), **settings):
    return games.TwoAgents(answering(0), answering(1), reward, **settings)


def replying(**settings):
    torch.manual_seed(1)
    reader = networks.ReplyDiscriminator(WORDS, LENGTH, 3, 4)
    return games.ConditionalSeqGAN(answering(), reader, **{"rollouts": 2, **settings})


PAIRS = torch.tensor([[2, 3], [3, 2], [1, 2]]), torch.tensor([[2, 3, 0, 0, 0], [3, 2, 2, 0, 0], [2, 0, 0, 0, 0]])


@pytest.mark.parametrize("mismatched", [True, False])
def test_replies_are_judged_beside_their_histories(mismatched):
    game = replying(mismatched=mismatched)
    torch.manual_seed(3)
    found = game.discriminator_loss(PAIRS)["adversarial"]
    torch.manual_seed(3)
    histories, replies = PAIRS
    fake = game.generator.sample(3, histories)
    d = game.discriminator
    scores = [d(histories, replies), d(histories, fake), d(histories, replies[[2, 0, 1]])]
    if mismatched:
        assert_close(found, policy_gradient.matching_aware(*scores))
    else:
        assert_close(found, objectives.get("minimax").discriminator_loss(*scores[:2]))


def test_a_conditional_game_is_played():
    game = replying(teacher=0.5)
    history = fit(game, data.Paired(*PAIRS), rounds=2, batch_size=3, device="cpu")
    assert history.frame.notna().all(axis=None)
    assert game.sample(3, PAIRS[0]).shape == (3, LENGTH)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ranked(values="beginnings"), "values='beginnings' was given; choose one of rollouts, sentence"),
        (lambda: ranked().generator_loss(REAL[:1]), "the batch holds one sequence"),
        (lambda: games.RankGAN(writer(), Share()), r"discriminator has no features\(\)"),
        (lambda: games.MaliGAN(answering(), judge()), "generator needs a condition, of which this game has none"),
        (lambda: maligan(samples=1), "samples=1 was given"),
        (lambda: games.ConditionalSeqGAN(writer(), judge()), "generator takes no condition, so it cannot answer"),
        (lambda: replying(baseline="best"), "baseline='best' was given"),
        (lambda: replying(rollouts=0), "rollouts=0 was given; it must be a whole number of at least 1"),
        (
            lambda: games.ConditionalSeqGAN(answering(), networks.ReplyDiscriminator(9, LENGTH)),
            "generator has 4 words and discriminator 9; both must be made for the same vocabulary",
        ),
        (lambda: replying().generator_loss((PAIRS[0] + 1, PAIRS[1])), "condition holds words from 2 to 4"),
        (lambda: replying().generator_loss((PAIRS[0], PAIRS[1] + 4)), "the batch holds words from 4 to 7"),
        (lambda: replying().generator_loss(PAIRS[1]), "learns from data.Paired"),
        (
            lambda: games.TwoAgents(answering(), networks.EncoderDecoder(9, LENGTH), twos),
            "first has 4 words and second 9; both must be made for the same vocabulary",
        ),
        (lambda: talking().loss(REAL + 1), "openings holds words from 1 to 4; the vocabulary has 4"),
        (lambda: talking(lambda lines: lines[:, :1, :1, None].float()).loss(PAIRS[1]), "reward returned torch.float32"),
        (lambda: talking(lambda lines: 1.0).loss(PAIRS[1]), r"reward returned a float; .* of shape \(3,\)"),
        (lambda: talking(exchanges=0), "exchanges=0 was given"),
    ],
)
def test_what_the_others_cannot_play_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()

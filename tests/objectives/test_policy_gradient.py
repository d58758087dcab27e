"""Policy gradients against enumeration: three words, four places, 81 sequences, each with a reward of its own."""

import itertools
import math

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from gan_course import networks
from gan_course.objectives import policy_gradient

WORDS, LENGTH, N = 3, 4, 200_000
EVERY = torch.tensor(list(itertools.product(range(WORDS), repeat=LENGTH)))
PLACE = torch.tensor([27, 9, 3, 1])
REWARDS = torch.rand(len(EVERY), generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def policy(seed):
    torch.manual_seed(seed)
    return networks.RecurrentGenerator(WORDS, LENGTH, 2, 2, std=1.0)


def slopes(generator):
    """Of the logarithm of each word's probability in every sequence: (81, 4, parameters)."""
    parameters = list(generator.parameters())
    found = generator.log_probabilities(EVERY)
    rows = [torch.autograd.grad(word, parameters, retain_graph=True) for word in found.flatten()]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows]).view(81, LENGTH, -1).double()


def law(generator):
    return generator.log_probabilities(EVERY).detach().double().sum(1).exp()


def values(generator):
    """The expected reward of every beginning, when the generator goes on: (81, 4)."""
    shares = (law(generator) * REWARDS).view(3, 3, 3, 3), law(generator).view(3, 3, 3, 3)
    beginnings = [
        (shares[0].flatten(t).sum(t) / shares[1].flatten(t).sum(t))[(..., *[None] * (LENGTH - t))].expand(3, 3, 3, 3)
        for t in range(1, LENGTH)
    ]
    return torch.stack([*(b.flatten() for b in beginnings), REWARDS], 1)


@pytest.fixture(scope="module")
def game():
    """A policy, a lagged one, the slopes and the exact gradient of the expected reward."""
    generator, other = policy(0), policy(1)
    score = slopes(generator)
    exact = (law(generator) * REWARDS) @ score.sum(1)
    return generator, other, score, exact


def drawn(generator):
    torch.manual_seed(7)
    return generator.sample(N)


def estimates(score, tokens, found):
    """Each sample's own estimate of the gradient."""
    place, score, found = tokens @ PLACE, score.float(), found.float()
    return sum(found[:, t, None] * score[place, t] for t in range(LENGTH))


def rolled_out(generator, tokens, k):
    continued = generator.rollouts(tokens, k) @ PLACE
    return policy_gradient.rollout_values(REWARDS[continued], REWARDS[tokens @ PLACE])


def p_value(each, exact):
    """Of all components together: a χ² test with as many degrees of freedom as the estimates have directions."""
    each = each.double()
    mean, covariance = each.mean(0) - exact, torch.cov(each.T)
    size, directions = torch.linalg.eigh(covariance)
    kept = size > 1e-9 * size.max()
    along = (mean @ directions)[kept]
    assert not (mean @ directions)[~kept].abs().gt(1e-5).any()
    return stats.chi2.sf(float((along.square() / size[kept]).sum() * len(each)), int(kept.sum()))


def test_the_exact_gradient_is_that_of_the_expected_reward(game):
    generator, _, _, exact = game
    expected = (generator.log_probabilities(EVERY).sum(1).exp() * REWARDS.float()).sum()
    found = torch.cat([g.flatten() for g in torch.autograd.grad(expected, list(generator.parameters()))])
    assert_close(found.double(), exact, atol=1e-6, rtol=1e-4)


def test_reinforce_is_unbiased(game):
    """One reward per sentence, 200,000 sentences."""
    generator, _, score, exact = game
    tokens = drawn(generator)
    rewards = REWARDS[tokens @ PLACE][:, None].expand(-1, LENGTH)
    assert p_value(estimates(score, tokens, rewards), exact) > 1e-3


def test_rollouts_by_the_current_policy_are_unbiased_and_by_a_lagged_one_not(game):
    """The same test accepts the one and rejects the other, whose mean is the one computed for it."""
    generator, other, score, exact = game
    tokens = drawn(generator)
    assert p_value(estimates(score, tokens, rolled_out(generator, tokens, 2)), exact) > 1e-3
    lagged = estimates(score, tokens, rolled_out(other, tokens, 2))
    expected = torch.einsum("s,st,stp->p", law(generator), values(other), score)
    assert p_value(lagged, exact) < 1e-12
    assert p_value(lagged, expected) > 1e-3
    bias = (expected - exact).norm() / exact.norm()
    assert bias.item() == pytest.approx(2.537, rel=0.01)  # of this other policy, in lengths of the gradient itself


def test_values_of_a_policy_are_the_right_ones(game):
    """Whoever knows the values of all beginnings has the gradient: the policy-gradient theorem."""
    generator, _, score, exact = game
    assert_close(torch.einsum("s,st,stp->p", law(generator), values(generator), score), exact)


def test_a_baseline_leaves_the_mean_and_takes_variance(game):
    generator, _, score, exact = game
    tokens = drawn(generator)
    rewards = REWARDS[tokens @ PLACE][:, None].expand(-1, LENGTH) + 5.0  # rewards that are all good
    baseline = (law(generator) * REWARDS).sum() + 5.0
    plain, better = estimates(score, tokens, rewards), estimates(score, tokens, rewards - baseline)
    assert p_value(better, exact) > 1e-3
    ratio = plain.var(0).sum() / better.var(0).sum()
    assert ratio > 50  # (5.5 / 0.29)² is 360, for a reward that has nothing to do with the slopes
    critical = estimates(score, tokens, rolled_out(generator, tokens, 8) - baseline + 5.0)
    assert critical.var(0).sum() < better.var(0).sum()  # rollouts take out the chance of what follows


def test_the_loss_has_these_slopes(game):
    """Autograd of `reinforce` on a batch is minus the mean of the estimates."""
    generator, _, score, _ = game
    tokens = EVERY[[3, 70, 44, 44, 9]]
    found = torch.rand(5, LENGTH, generator=torch.Generator().manual_seed(1))
    baseline = torch.tensor([0.1, 0.2, 0.3, 0.4])
    loss = policy_gradient.reinforce(generator.log_probabilities(tokens), found, baseline)
    mine = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(generator.parameters()))])
    assert_close(mine.double(), -estimates(score, tokens, found - baseline).mean(0).double(), atol=1e-6, rtol=1e-4)


def test_a_reward_that_is_always_the_same_teaches_nothing_on_the_mean(game):
    generator, _, score, _ = game
    mean = 3.0 * torch.einsum("s,stp->p", law(generator), score)
    assert_close(mean, torch.zeros_like(mean), atol=1e-6, rtol=0)


def test_no_gradient_goes_through_values_and_baselines():
    log_probabilities, found, baseline = (torch.rand(3, 2).requires_grad_() for _ in range(3))
    policy_gradient.reinforce(log_probabilities, found, baseline).backward()
    assert found.grad is None
    assert baseline.grad is None
    scores = torch.rand(3).requires_grad_()
    policy_gradient.maligan(torch.rand(3).requires_grad_(), scores).backward()
    assert scores.grad is None


# Formulas


def test_reward_to_go():
    rewards = torch.tensor([[1.0, 2.0, 4.0]])
    assert_close(policy_gradient.reward_to_go(rewards), torch.tensor([[7.0, 6.0, 4.0]]))
    assert_close(policy_gradient.reward_to_go(rewards, 0.5), torch.tensor([[3.0, 4.0, 4.0]]))
    assert_close(policy_gradient.reward_to_go(rewards, 0.0), rewards)


def test_rollout_values_are_means_and_at_the_end_the_reward():
    found = policy_gradient.rollout_values(torch.tensor([[[1.0, 3.0], [0.0, 1.0]]]), torch.tensor([7.0]))
    assert_close(found, torch.tensor([[2.0, 0.5, 7.0]]))


def test_leave_one_out():
    assert_close(policy_gradient.leave_one_out(torch.tensor([1.0, 2.0, 6.0])), torch.tensor([4.0, 3.5, 1.5]))
    assert_close(policy_gradient.leave_one_out(torch.tensor([[5.0, 1.0]])), torch.zeros(1, 2))


def test_self_critical_is_a_difference():
    rewards = torch.tensor([1.0, 2.0]).requires_grad_()
    found = policy_gradient.self_critical(rewards, torch.tensor([3.0, 1.0]))
    assert_close(found, torch.tensor([-2.0, 1.0]))
    assert not found.requires_grad


def test_the_best_critic_is_the_mean():
    """The loss is smallest, over constants, at the mean of the values; weights choose the words."""
    found = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    losses = [policy_gradient.critic_loss(torch.full((2, 2), b), found).item() for b in (2.9, 3.0, 3.1)]
    assert losses[1] == min(losses) == pytest.approx(3.5)
    weights = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert policy_gradient.critic_loss(torch.full((2, 2), 2.0), found, weights).item() == pytest.approx(1.0)


def test_one_beginning_of_each():
    scores = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert_close(policy_gradient.at_positions(scores, torch.tensor([1, 3])), torch.tensor([1.0, 6.0]))


# MaliGAN and RankGAN


def test_malligan_weights_are_normalised_ratios():
    scores = torch.tensor([[0.3, -1.2, 2.0]])
    d = scores.sigmoid()
    ratios = d / (1 - d)
    assert_close(policy_gradient.importance_weights(scores), ratios / ratios.sum())


def test_against_the_best_judge_maligan_is_maximum_likelihood(game):
    """With d = log p/q the slope, over all samples weighted by q, is that of -E_p log q."""
    generator, other, score, _ = game
    p, q = law(other), law(generator)
    weights = q * (p / q)  # what softmax gives in the limit of many samples: ratios, normalised
    many = EVERY[torch.multinomial(q, 20_000, True, generator=torch.Generator().manual_seed(0))] @ PLACE
    softmax = policy_gradient.importance_weights((p / q).log()[many])
    estimate = torch.einsum("n,np->p", softmax, score.sum(1)[many])
    exact = torch.einsum("s,sp->p", weights, score.sum(1))
    assert (estimate - exact).norm() / exact.norm() < 0.1


def test_maligans_baseline_changes_nothing_on_the_mean_and_equal_scores_teach_nothing():
    log_probabilities = torch.rand(2, 5)
    assert_close(policy_gradient.maligan(log_probabilities, torch.zeros(2, 5)), torch.tensor(0.0))
    without = policy_gradient.maligan(log_probabilities, torch.zeros(2, 5), baseline=0.0)
    assert_close(without, -log_probabilities.mean(1).mean())


def test_ranks_of_equal_features_are_shares():
    same = torch.ones(3, 2)
    found = policy_gradient.ranking_score(same, torch.ones(4, 2), torch.ones(7, 2), sharpness=3.0)
    assert_close(found, torch.full((3,), -math.log(8)))


def test_ranks_are_the_formula():
    torch.manual_seed(0)
    y, u, c = torch.randn(3, 4), torch.randn(2, 4), torch.randn(5, 4)

    def cosine(a, b):
        return (a @ b) / (a.norm() * b.norm())

    expected = []
    for s in y:
        votes = []
        for reference in u:
            rivals = [torch.exp(2.0 * cosine(other, reference)) for other in [*c, s]]
            votes.append(rivals[-1] / sum(rivals))
        expected.append(torch.stack(votes).mean().log())
    assert_close(policy_gradient.ranking_score(y, u, c, 2.0), torch.stack(expected))


def test_the_ranking_loss_is_the_logistic_one_of_ranks():
    real, fake = torch.tensor([-0.5, -1.0]), torch.tensor([-2.0])
    expected = 0.75 - math.log(1 - math.exp(-2.0))
    assert_close(policy_gradient.ranking_loss(real, fake).item(), expected)
    assert policy_gradient.ranking_loss(real, torch.tensor([0.0])).isfinite()


def test_the_matching_aware_loss():
    zero = torch.zeros(3)
    assert_close(policy_gradient.matching_aware(zero, zero, zero).item(), math.log(4))
    real, fake, wrong = torch.tensor([0.4]), torch.tensor([-0.3]), torch.tensor([1.1])
    d = [torch.sigmoid(x) for x in (real, fake, wrong)]
    expected = -d[0].log() - 0.5 * ((1 - d[1]).log() + (1 - d[2]).log())
    assert_close(policy_gradient.matching_aware(real, fake, wrong), expected[0])

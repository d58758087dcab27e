r"""Gradients through words that were drawn: rewards in place of slopes.

A generator $G_\theta(y_t\mid Y_{1:t-1})$ writes a sequence $Y_{1:T}$, and somebody says how good it is, $R(Y_{1:T})$.
Words are no numbers: no slope leads from the reward back to the generator. But the slope of the *expected* reward is an
expectation itself (williams1992simple),

$$\nabla_\theta\,\mathbb E_{Y\sim G_\theta} R(Y) = \mathbb E_{Y\sim G_\theta}
  \sum_{t=1}^T Q(Y_{1:t})\,\nabla_\theta\log G_\theta(y_t\mid Y_{1:t-1}),
  \qquad Q(Y_{1:t}) = \mathbb E_{G_\theta}[R(Y_{1:T})\mid Y_{1:t}],$$

and stays what it is when a number $b(Y_{1:t-1})$ that does not depend on $y_t$ is taken from $Q$.

Shapes: `n` sequences of `t` words; `k` rollouts, continuations of one beginning. Values and rewards carry no gradient:
each loss here detaches them.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize

Numbers = Float[Tensor, "..."] | float


def reinforce(
    log_probabilities: Float[Tensor, "n t"], values: Float[Tensor, "n t"], baseline: Numbers = 0.0
) -> Float[Tensor, ""]:
    r"""The loss whose slope is minus the estimate of the policy gradient.

    $$\mathcal L = -\frac1n\sum_{i=1}^n\sum_{t=1}^T\big(Q^i_t - b_t\big)\log G_\theta(y^i_t\mid Y^i_{1:t-1}).$$

    The sum over the words is the paper's (yu2017seqgan); the number itself says nothing, only its slope does. For one
    reward per sentence give it to every word: `reward[:, None].expand(-1, t)`.

    Args:
        log_probabilities: $\log G_\theta(y_t\mid Y_{1:t-1})$ of words that the generator drew.
        values: $Q_t$, what each word led to.
        baseline: $b$, of any shape that broadcasts; the estimate is unbiased if $b_t$ does not depend on $y_t$.

    Source: williams1992simple, sutton2000policy.
    """
    advantages = (values - baseline).detach()
    return -(advantages * log_probabilities).sum(1).mean()


def reward_to_go(rewards: Float[Tensor, "n t"], discount: float = 1.0) -> Float[Tensor, "n t"]:
    r"""$Q_t = \sum_{s\ge t}\gamma^{s-t}r_s$: a word is answerable for what comes after it, not for what came before.

    With $\gamma = 1$, and a reward for the last word only, it is that reward at every word: plain REINFORCE. Less than
    1 trades variance for bias. Source: sutton2000policy.
    """
    values, following = [], torch.zeros_like(rewards[:, 0])
    for reward in rewards.flip(1).unbind(1):
        following = reward + discount * following
        values.append(following)
    return torch.stack(values[::-1], 1)


def rollout_values(
    rollout_rewards: Float[Tensor, "n before k"], final_rewards: Float[Tensor, " n"]
) -> Float[Tensor, "n t"]:
    r"""Monte Carlo search: each beginning is worth what its continuations get on the mean.

    $$Q(Y_{1:t}) = \begin{cases}\frac1K\sum_{k=1}^K R(Y^k_{1:T}),\ Y^k\sim\mathrm{MC}^{G_\beta}(Y_{1:t}) & t < T,\\
      R(Y_{1:T}) & t = T.\end{cases}$$

    Unbiased if the continuations come from the current policy, $G_\beta = G_\theta$. A lagged one, as in the paper, is
    steadier and biased. `rollout_rewards` has an entry for each beginning of 1 to T − 1 words.
    Source: yu2017seqgan.
    """
    return torch.cat([rollout_rewards.mean(2), final_rewards[:, None]], 1)


def leave_one_out(values: Float[Tensor, "n *t"]) -> Float[Tensor, "n *t"]:
    r"""A baseline from the other samples: $b_i = \frac1{n-1}\sum_{j\ne i} Q_j$.

    It is independent of sample $i$, so the estimate stays unbiased. The mean of all samples would shrink it by
    $\frac{n-1}n$. Of at least two samples; a single one gets the baseline 0. Source: kool2019buy.
    """
    n = len(values)
    return (values.sum(0, keepdim=True) - values) / max(n - 1, 1)


def self_critical(rewards: Float[Tensor, " n"], greedy_rewards: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    r"""The advantage over what the generator says when it takes its likeliest word each time.

    $$A(Y) = R(Y) - R(\hat Y), \qquad \hat y_t = \arg\max_w G_\theta(w\mid\hat Y_{1:t-1}).$$

    The baseline $R(\hat Y)$ does not depend on what was drawn, and needs no network. Source: rennie2017self.
    """
    return (rewards - greedy_rewards).detach()


def critic_loss(
    predicted: Float[Tensor, "n t"], values: Float[Tensor, "n t"], weights: Float[Tensor, "n t"] | None = None
) -> Float[Tensor, ""]:
    r"""What a learned baseline minimises: $\frac1{n T}\sum_{i, t}\big(b(Y^i_{1:t-1}) - Q^i_t\big)^2$.

    The best $b$ is $\mathbb E[Q_t\mid Y_{1:t-1}]$. With weights $w_t$, the weighted mean. Source: li2017adversarial.
    """
    errors = (predicted - values.detach()).square()
    return errors.mean() if weights is None else (weights * errors).sum() / weights.sum().clamp(min=1)


def at_positions(per_word: Float[Tensor, "n t"], lengths: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
    r"""Of each sequence's scores of beginnings the one at a given length, 1 to T: $d(Y_{1:\ell})$.

    A judge of beginnings trained on all of them sees the same first words over and over; one beginning of random length
    from each sequence is enough (REGS, reward for every generation step). Source: li2017adversarial.
    """
    return per_word.gather(1, lengths[:, None] - 1)[:, 0]


def importance_weights(scores: Float[Tensor, "*n m"]) -> Float[Tensor, "*n m"]:
    r"""MaliGAN's weights of $m$ samples, from raw scores $d = \log\frac D{1-D}$:

    $$w_i = \frac{r_D(x_i)}{\sum_{j=1}^m r_D(x_j)}, \qquad r_D = \frac D{1-D} = e^d,$$

    which is the softmax of the scores. For the best discriminator $r_D = p/q$. Source: che2017maximum.
    """
    return scores.softmax(-1)


def maligan(
    log_probabilities: Float[Tensor, "*n m"], scores: Float[Tensor, "*n m"], baseline: float | None = None
) -> Float[Tensor, ""]:
    r"""Maximum likelihood on re-weighted samples of the generator itself.

    $$\mathcal L = -\sum_{i=1}^m\Big(\frac{r_D(x_i)}{\sum_j r_D(x_j)} - b\Big)\log p_\theta(x_i),
      \qquad b = \tfrac1m \text{ by default},$$

    averaged over what stands before the last axis. Against $D^*$ and for many samples its slope is that of maximum
    likelihood, $-\mathbb E_p\nabla\log p_\theta$: weights $p/q$ turn draws of $q$ into draws of $p$.

    Args:
        log_probabilities: $\log p_\theta(x_i)$ of whole samples, or of continuations of one beginning.
        scores: $d(x_i)$.
        baseline: $b$.

    Source: che2017maximum.
    """
    m = scores.shape[-1]
    weights = importance_weights(scores) - (1 / m if baseline is None else baseline)
    return -(weights.detach() * log_probabilities).sum(-1).mean()


def ranking_score(
    features: Float[Tensor, "n d"],
    references: Float[Tensor, "u d"],
    comparisons: Float[Tensor, "c d"],
    sharpness: float = 1.0,
) -> Float[Tensor, " n"]:
    r"""The logarithm of the share of the vote that a sample wins in a set of rivals.

    $$R(s\mid U, C) = \frac1{|U|}\sum_{u\in U} P(s\mid u, C), \qquad
      P(s\mid u, C) = \frac{\exp(\gamma\cos(y_s, y_u))}{\sum_{s'\in C\cup\{s\}}\exp(\gamma\cos(y_{s'}, y_u))}.$$

    With equal features everywhere it is $-\log(|C| + 1)$.

    Args:
        features: $y_s$ of the samples.
        references: $y_u$ of the references $U$, real sentences.
        comparisons: $y_{s'}$ of the comparison set $C$: fakes where the sample is real, real ones where it is a fake.
        sharpness: $\gamma$.

    Returns:
        $\log R(s\mid U, C)$, at most 0.

    Source: lin2017adversarial.
    """
    own = sharpness * normalize(features) @ normalize(references).T  # (n, u)
    rivals = sharpness * normalize(comparisons) @ normalize(references).T  # (c, u)
    votes = own - torch.logaddexp(own, rivals.logsumexp(0))
    return votes.logsumexp(1) - math.log(len(references))


def ranking_loss(real_log_ranks: Float[Tensor, " n"], fake_log_ranks: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    r"""The ranker's loss, from what `ranking_score` returns.

    $$-\mathbb E_{s\sim P_h}\log R(s\mid U, C^-) - \mathbb E_{s\sim G_\theta}\log\big(1 - R(s\mid U, C^+)\big).$$

    $\log(1 - e^a)$ is computed as $\log(-\mathrm{expm1}(a))$; ranks are held $10^{-6}$ from 1. Source:
    lin2017adversarial.
    """
    below = (-torch.expm1(fake_log_ranks)).clamp(min=1e-6)
    return -real_log_ranks.mean() - below.log().mean()


def matching_aware(
    real_scores: Float[Tensor, " n"], fake_scores: Float[Tensor, " m"], mismatched_scores: Float[Tensor, " k"]
) -> Float[Tensor, ""]:
    r"""A judge of pairs (history, reply) that also sees real replies to something else.

    $$-\mathbb E\log D(c, x) - \tfrac12\big[\mathbb E\log(1 - D(c, \tilde x)) + \mathbb E\log(1 - D(c, \hat x))\big]$$

    for generated $\tilde x$ and mismatched real $\hat x$. Without the last term a generator may ignore $c$: fluent
    replies to nothing are punished by nobody. Source: reed2016generative.
    """
    false = logsigmoid(-fake_scores).mean() + logsigmoid(-mismatched_scores).mean()
    return -logsigmoid(real_scores).mean() - 0.5 * false

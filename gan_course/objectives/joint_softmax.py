r"""One critic for many joint laws: which of $K$ made this draw? The game of JointGAN (pu2018jointgan).

Of joint laws $p_1, \dots, p_K$ of $(x, y)$ there are draws. A critic gives a draw $K$ logits, whose softmax
$g(x, y)\in\Delta^{K-1}$ says how likely each law is to have made it, and whoever makes the laws wants to leave it
clueless:

$$\min_{p}\max_{g}\ \mathcal L = \sum_{k=1}^K\mathbb E_{p_k(x, y)}\log g(x, y)[k].$$

The best critic is $g^*[k] = p_k / \sum_j p_j$, and with it

$$\mathcal L = -K\log K + \sum_{k=1}^K\mathrm{KL}\big(p_k\,\|\,\bar p\big),\qquad \bar p = \tfrac1K\sum_j p_j,$$

which is smallest, $-K\log K$, where all the laws are one, and at most 0, where no two of them overlap. For $K = 2$
it is the game of goodfellow2014generative.

The losses take one tensor of logits `(n_k, K)` for each law, in the order of the classes: the k-th holds the critic's
logits at draws of the k-th law. They are sums over the laws of means over the draws, as in the paper: a mean over the
laws would have $-\log K$ for its value. They are no `Objective`, which has two sides only.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Logits = Sequence[Float[Tensor, "_ classes"]]
"""The critic's logits at draws of each law, in the order of the classes."""


def log_probabilities(logits: Float[Tensor, "n classes"]) -> Float[Tensor, "n classes"]:
    r"""$\log g[k] = a_k - \log\sum_j e^{a_j}$ of logits $a$: where no law is favoured, $-\log K$ each."""
    return logits.log_softmax(1)


def value(logits: Logits) -> Float[Tensor, ""]:
    r"""$\mathcal L = \sum_k\mathbb E_{p_k}\log g[k]$, over the laws whose logits are given."""
    _check(logits)
    return sum(log_probabilities(a)[:, k].mean() for k, a in enumerate(logits))


def critic_loss(logits: Logits) -> Float[Tensor, ""]:
    r"""$-\mathcal L$, the cross entropy of the critic's answers, summed over the laws; all $K$ are needed.

    Without an idea it is $K\log K$.
    """
    _check(logits)
    if len(logits) != logits[0].shape[1]:
        raise ValueError(
            f"logits of {len(logits)} laws were given, and each has {logits[0].shape[1]} classes; the critic learns "
            "from draws of every law that it tells apart: give as many as there are classes"
        )
    return -value(logits)


def saturating_loss(logits: Logits) -> Float[Tensor, ""]:
    r"""$\sum_k\mathbb E_{p_k}\log g[k]$: the generators' side of the zero-sum game.

    The laws that generators make stand first; what no generator makes (true pairs) may be left out, as it has no
    gradient. Where the critic is sure, $g[k]\to1$, the gradient in its logits, $1 - g[k]$, vanishes.
    """
    return value(logits)


def non_saturating_loss(logits: Logits) -> Float[Tensor, ""]:
    r"""$-\sum_k\mathbb E_{p_k}\log(1 - g[k])$: let the critic name any law but the right one.

    A surrogate of ours with the same fixed point, in which the gradient in the k-th logit is $g[k]$: largest where the
    critic is sure. For $K = 2$ it is the loss of goodfellow2014generative with both labels flipped. The laws as in
    `saturating_loss`.
    """
    _check(logits)
    terms = []
    for k, a in enumerate(logits):
        own = torch.arange(a.shape[1], device=a.device) == k
        terms.append((a.logsumexp(1) - a.masked_fill(own, -math.inf).logsumexp(1)).mean())  # -log(1 - g[k])
    return sum(terms)


LOSSES = {"saturating": saturating_loss, "non-saturating": non_saturating_loss}
"""The generators' losses by name."""


# On finite tables, where expectations are sums


def optimal_critic(laws: Float[Tensor, "classes *cells"]) -> Float[Tensor, "classes *cells"]:
    r"""$g^*[k] = p_k / \sum_j p_j$ in every cell of tables of probabilities; 0 in cells that no law reaches."""
    _check_laws(laws)
    return laws / laws.sum(0).clamp_min(torch.finfo(laws.dtype).tiny)


def optimal_value(laws: Float[Tensor, "classes *cells"]) -> Float[Tensor, ""]:
    r"""$\max_g\mathcal L = -K\log K + \sum_k\mathrm{KL}(p_k\,\|\,\bar p)$, from $-K\log K$ to 0, of tables."""
    _check_laws(laws)
    return torch.special.xlogy(laws, laws).sum() - torch.special.xlogy(laws.sum(0), laws.sum(0)).sum()


def _check(logits: object) -> None:
    if not isinstance(logits, (list, tuple)) or not logits:
        raise ValueError(
            f"logits must be a list with a tensor (n, classes) for each law, not a {type(logits).__name__}"
        )
    for k, a in enumerate(logits):
        if not isinstance(a, Tensor) or not a.is_floating_point() or a.ndim != 2 or not len(a):
            given = f"{a.dtype} of shape {tuple(a.shape)}" if isinstance(a, Tensor) else f"a {type(a).__name__}"
            raise ValueError(f"logits[{k}] must be floating-point numbers of shape (n, classes), not {given}")
        if a.shape[1] != logits[0].shape[1] or a.shape[1] < max(2, len(logits)):
            raise ValueError(
                f"logits[{k}] has {a.shape[1]} classes, for {len(logits)} laws, and logits[0] has "
                f"{logits[0].shape[1]}; they must have the same, at least 2 and one for each law"
            )


def _check_laws(laws: object) -> None:
    if not isinstance(laws, Tensor) or not laws.is_floating_point() or laws.ndim < 2 or len(laws) < 2:
        given = f"{laws.dtype} of shape {tuple(laws.shape)}" if isinstance(laws, Tensor) else f"a {type(laws).__name__}"
        raise ValueError(f"laws must be floating-point tables of shape (classes, cells, ...), at least 2, not {given}")
    totals = laws.flatten(1).sum(1)
    if not bool((laws >= 0).all()) or not torch.allclose(totals, torch.ones_like(totals), atol=1e-3):
        raise ValueError("laws must be tables of probabilities: no cell below 0, and each table sums to 1")

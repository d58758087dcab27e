r"""How two laws differ, said in one quantity: the logarithm of the ratio of their densities.

Of two laws $p$ and $q$ there are samples only, and a network $f$ is to become

$$f^*(x) = \log\frac{p(x)}{q(x)}.$$

The formulas come in two kinds, which must not be mixed up:

* **variational losses**, `..._loss`, train the network. Each is smallest, over all functions, at $f^*$ and nowhere
  else, and its minimum is minus a divergence (up to a constant): whatever the network, minus the loss is a lower bound.
* **plug-in losses**, named after a divergence, are minimised by whoever makes the samples, with $f$ in place of $f^*$:
  through the samples while the network stands still. They are right as far as $f$ is, and no bound: nothing is learned
  by training the network on them.

All take the outputs of the network, for any number of samples of $p$ and of $q$. They are plain functions, no
`Objective`: which of the two laws is a generator's, or whether both are, is the game's affair. The variational losses
are the f-GAN bound (nowozin2016fgan, nguyen2010estimating) written in log ratios,

$$\mathcal L = -\mathbb E_p\,f'(e^{f(x)}) + \mathbb E_q\,\big[u f'(u) - f(u)\big]_{u = e^{f(x)}} \ge -D_f(p\,\|\,q),$$

with the divergence's own convex function $f$ beside $f'$ here: one network serves any of them. sugiyama2012density
tells of them all.
"""

import functools
import inspect
import math
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus


def _checked(formula: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The formula for log ratios that are such: one number for each of at least one sample."""

    names = list(inspect.signature(formula).parameters)

    @functools.wraps(formula)
    def refusing(*arguments, **named) -> Tensor:
        for name, ratios in (*zip(names, arguments, strict=False), *named.items()):
            if not isinstance(ratios, Tensor) or not ratios.is_floating_point() or ratios.ndim != 1 or not len(ratios):
                about = f"{ratios.dtype} of shape {tuple(ratios.shape)}" if isinstance(ratios, Tensor) else ""
                raise ValueError(
                    f"{name} must be a tensor of floating-point numbers of shape (n,), the log ratios at n samples, "
                    f"at least one, not {about or f'a {type(ratios).__name__}'}"
                )
        return formula(*arguments, **named)

    return refusing


# Variational losses: what the network of the ratio minimises


@_checked
def logistic_loss(at_p: Float[Tensor, " n"], at_q: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    r"""Logistic regression of which law a sample is from.

    $$\mathcal L = -\mathbb E_p\log\sigma(f) - \mathbb E_q\log(1 - \sigma(f))
      = \mathbb E_p\,\mathrm{sp}(-f) + \mathbb E_q\,\mathrm{sp}(f) \ge \log 4 - 2\,\mathrm{JS}(p, q).$$

    The discriminator's loss of goodfellow2014generative: a discriminator's score is a log ratio.
    """
    return softplus(-at_p).mean() + softplus(at_q).mean()


@_checked
def kl_loss(at_p: Float[Tensor, " n"], at_q: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    r"""$\mathcal L = -\mathbb E_p f + \mathbb E_q e^f - 1 \ge -\mathrm{KL}(p\,\|\,q)$.

    Source: nguyen2010estimating.
    """
    return -at_p.mean() + at_q.exp().mean() - 1


@_checked
def reverse_kl_loss(at_p: Float[Tensor, " n"], at_q: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    r"""$\mathcal L = \mathbb E_p e^{-f} + \mathbb E_q f - 1 \ge -\mathrm{KL}(q\,\|\,p)$: `kl_loss`, turned round."""
    return (-at_p).exp().mean() + at_q.mean() - 1


@_checked
def pearson_loss(at_p: Float[Tensor, " n"], at_q: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    r"""Least squares between ratios.

    $$\mathcal L = -2\,\mathbb E_p e^f + \mathbb E_q e^{2f} + 1 =
      \mathbb E_q\big(e^f - \tfrac pq\big)^2 - \chi^2(p\,\|\,q) \ge -\chi^2(p\,\|\,q).$$

    $\chi^2(p\,\|\,q) = \mathbb E_q(p/q - 1)^2$ is Pearson's. Source: kanamori2009least.
    """
    return -2 * at_p.exp().mean() + (2 * at_q).exp().mean() + 1


# Plug-in losses: what whoever makes the samples minimises, with a trained network


@_checked
def kl(at_p: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    r"""$\mathrm{KL}(p\,\|\,q) \approx \mathbb E_p f$."""
    return at_p.mean()


@_checked
def reverse_kl(at_q: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    r"""$\mathrm{KL}(q\,\|\,p) \approx -\mathbb E_q f$."""
    return -at_q.mean()


@_checked
def symmetric_kl(at_p: Float[Tensor, " n"], at_q: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    r"""$\mathrm{KL}(p\,\|\,q) + \mathrm{KL}(q\,\|\,p) \approx \mathbb E_p f - \mathbb E_q f$.

    A constant that $f$ is wrong by cancels.
    """
    return at_p.mean() - at_q.mean()


@_checked
def jensen_shannon(at_p: Float[Tensor, " n"], at_q: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    r"""$\mathrm{JS}(p, q) \approx \log 2 - \tfrac12\mathbb E_p\,\mathrm{sp}(-f) - \tfrac12\mathbb E_q\,\mathrm{sp}(f)$.

    With one and the same samples it is $\log 2$ less half the `logistic_loss`: that is the minimax game.
    """
    return math.log(2) - 0.5 * (softplus(-at_p).mean() + softplus(at_q).mean())


@_checked
def pearson(at_q: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    r"""$\chi^2(p\,\|\,q) \approx \mathbb E_q(e^f - 1)^2$."""
    return (at_q.exp() - 1).square().mean()

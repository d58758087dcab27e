r"""The formulas of VAE-GAN (Larsen et al., 2016) [larsen2016autoencoding]: a distance that a discriminator has learned.

$f_l(x)$ are what layer $l$ of the discriminator makes of a sample. Its scores are of three kinds: of data, of draws
$\mathrm{dec}(z)$ with $z\sim p(z)$, and of reconstructions $\mathrm{dec}(\mathrm{enc}(x))$.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus


def feature_error(
    features: Float[Tensor, "n *feature"], reconstructed_features: Float[Tensor, "n *feature"], std: float = 1.0
) -> Float[Tensor, " n"]:
    r"""The error of a reconstruction in the features, per sample.

    $$\frac1{2s^2}\|f_l(x) - f_l(\tilde x)\|^2 = -\log N(f_l(x); f_l(\tilde x), s^2I) + \text{a constant}.$$

    The paper has $s = 1$. Features have no unit, though: the next layer can undo any factor, and $s$ says what is much.
    """
    return (features - reconstructed_features).square().flatten(1).sum(1) / (2 * std**2)


def discriminator_loss(
    real_scores: Float[Tensor, "*n"],
    drawn_scores: Float[Tensor, "*m"],
    reconstructed_scores: Float[Tensor, "*k"] | None = None,
) -> Float[Tensor, ""]:
    r"""The discriminator's loss against two kinds of fakes.

    $$-\mathbb E\log D(x) - \mathbb E\log(1 - D(\mathrm{dec}(z)))
      - \mathbb E\log(1 - D(\mathrm{dec}(\mathrm{enc}(x)))).$$

    For densities $p$ of the data, $q$ of the draws and $r$ of the reconstructions the best discriminator is
    $D^* = p/(p + q + r)$. Against it the loss is at most $\log\frac{27}4$, where $p = \frac{q + r}2$. Without
    reconstructions it is the loss of the minimax game.
    """
    loss = softplus(-real_scores).mean() + softplus(drawn_scores).mean()  # -log D = sp(-d), -log(1 - D) = sp(d)
    return loss if reconstructed_scores is None else loss + softplus(reconstructed_scores).mean()


def decoder_loss(
    drawn_scores: Float[Tensor, "*m"],
    reconstructed_scores: Float[Tensor, "*k"] | None = None,
    saturating: bool = False,
) -> Float[Tensor, ""]:
    r"""$-\mathbb E\log D(\mathrm{dec}(z)) - \mathbb E\log D(\mathrm{dec}(\mathrm{enc}(x)))$.

    `saturating`: as printed in the paper, $\mathbb E\log(1 - D(\mathrm{dec}(z))) + \dots$, whose gradient vanishes
    where the discriminator wins. Without reconstructions only the first term.
    """
    fakes = [drawn_scores] if reconstructed_scores is None else [drawn_scores, reconstructed_scores]
    return sum(-softplus(scores).mean() if saturating else softplus(-scores).mean() for scores in fakes)

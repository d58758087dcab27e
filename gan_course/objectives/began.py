r"""The formulas of BEGAN (Berthelot et al., 2017) [berthelot2017began]: a discriminator in balance.

$\mathcal L(v)$ is the error with which the discriminator, an auto-encoder, reconstructs $v$. They are no `Objective`:
the weight $k$ is neither a score nor a setting, but a state of the game, `games.BEGAN`.
"""

from jaxtyping import Float
from torch import Tensor


def discriminator_loss(
    real_errors: Float[Tensor, "*n"], fake_errors: Float[Tensor, "*m"], k: Tensor | float
) -> Float[Tensor, ""]:
    r"""$\mathcal L_D = \mathbb E_p\mathcal L(x) - k\,\mathbb E_z\mathcal L(G(z))$."""
    return real_errors.mean() - k * fake_errors.mean()


def generator_loss(fake_errors: Float[Tensor, "*m"]) -> Float[Tensor, ""]:
    r"""$\mathcal L_G = \mathbb E_z\mathcal L(G(z))$."""
    return fake_errors.mean()


def controlled(
    k: Tensor, real_error: Tensor, fake_error: Tensor, diversity: float = 0.5, gain: float = 1e-3
) -> Float[Tensor, ""]:
    r"""The weight of the next step, without a gradient: a proportional controller of the fakes' error.

    $$k_{t+1} = \mathrm{clip}_{[0,1]}\big(k_t +
      \lambda_k\,(\gamma\,\mathbb E\mathcal L(x) - \mathbb E\mathcal L(G(z)))\big).$$

    It stands still where $\mathbb E\mathcal L(G(z)) = \gamma\,\mathbb E\mathcal L(x)$.

    Args:
        k: $k_t$.
        real_error: $\mathbb E\mathcal L(x)$ of the step before.
        fake_error: $\mathbb E\mathcal L(G(z))$ of the step before.
        diversity: $\gamma$, the ratio of the fakes' error to the data's that it steers to.
        gain: $\lambda_k$.
    """
    return (k + gain * (diversity * real_error - fake_error)).clamp(0, 1).detach()


def convergence(real_error: Tensor, fake_error: Tensor, diversity: float = 0.5) -> Float[Tensor, ""]:
    r"""How far the game has come.

    $$M = \mathbb E\mathcal L(x) + |\gamma\,\mathbb E\mathcal L(x) - \mathbb E\mathcal L(G(z))|.$$

    Small only if the data are reconstructed well and the fakes' error is where the controller wants it.
    """
    return (real_error + (diversity * real_error - fake_error).abs()).detach()

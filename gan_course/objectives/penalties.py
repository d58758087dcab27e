"""Penalties: terms of the discriminator's loss that need the discriminator as a function, for its gradient."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import number


def gradient_norms(scorer: Callable[[Tensor], Tensor], points: Float[Tensor, "n *sample"]) -> Float[Tensor, " n"]:
    r"""The slope $\|\nabla_x d(x)\|_2$ of the scores at each point, one norm over all coordinates of a sample.

    The norm of a zero gradient is 0, and so is its own gradient there; nothing is added inside the root, so that the
    norm of a linear critic $d(x) = w\cdot x$ is $\|w\|_2$ exactly. At least in single precision.

    Raises:
        ValueError: if the scores have no gradient with respect to the points.
    """
    points = points.detach()
    if torch.compiler.is_compiling():  # compiles where autograd.grad does not, but refuses batch normalisation
        gradient = torch.func.grad(lambda x: scorer(x).sum())(points)
    else:
        keep = torch.is_grad_enabled()
        with torch.enable_grad():
            scores = scorer(points.requires_grad_(True)).sum()
            gradient = None
            if scores.requires_grad:
                (gradient,) = torch.autograd.grad(scores, points, create_graph=keep, allow_unused=True)
        if gradient is None:
            raise ValueError(
                "the scores have no gradient with respect to the samples: the scorer must compute them from what it "
                "is given, without detach() and outside torch.no_grad()"
            )
    precision = torch.promote_types(gradient.dtype, torch.float32)
    return torch.linalg.vector_norm(gradient[..., None].flatten(1), dim=1, dtype=precision)


class GradientPenalty:
    r"""The two-sided gradient penalty of Gulrajani et al. (2017) [gulrajani2017improved].

    $$\lambda\,\mathbb E_{\hat x}\big(\|\nabla_{\hat x} d(\hat x)\|_2 - 1\big)^2, \qquad
      \hat x = \alpha x + (1-\alpha)\tilde x, \quad \alpha\sim U[0,1] \text{ one per sample.}$$
    """

    name = "gradient penalty"

    def __init__(self, weight: float = 10.0):
        r"""`weight`: $\lambda$, not negative."""
        self.weight = number("weight", weight)

    def __call__(
        self, scorer: Callable[[Tensor], Tensor], real: Float[Tensor, "n *sample"], fake: Float[Tensor, "m *shape"]
    ) -> Float[Tensor, ""]:
        """The penalty for a batch of as many real as fake samples."""
        for name, x in (("real", real), ("fake", fake)):
            if not x.is_floating_point():
                raise ValueError(f"{name} samples of {x.dtype} have no gradient, which the penalty needs; use .float()")
        if real.shape != fake.shape:
            raise ValueError(
                f"the gradient penalty mixes each real sample with a fake one: got {tuple(real.shape)} real and "
                f"{tuple(fake.shape)} fake; make both batches of one shape"
            )
        alpha = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device, dtype=real.dtype)
        between = alpha * real + (1 - alpha) * fake
        return self.weight * (gradient_norms(scorer, between) - 1).square().mean()

    def __repr__(self) -> str:
        return f"GradientPenalty({self.weight})"

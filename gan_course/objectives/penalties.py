"""Penalties: terms of the discriminator's loss that need the discriminator as a function, for its gradient."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.checks import instance, number


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


def _smooth(**named: Tensor) -> None:
    """Refuse samples that have no gradient."""
    for name, x in named.items():
        if not x.is_floating_point():
            raise ValueError(f"{name} samples of {x.dtype} have no gradient, which the penalty needs; use .float()")


def _uniform(x: Tensor) -> Tensor:
    """A number between 0 and 1 for each sample."""
    return torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device, dtype=x.dtype)


class GradientPenalty:
    r"""The gradient penalty of Gulrajani et al. (2017) [gulrajani2017improved], between real and fake samples.

    $$\lambda\,\mathbb E_{\hat x}\big(\|\nabla_{\hat x} d(\hat x)\|_2 - 1\big)^2, \qquad
      \hat x = \alpha x + (1-\alpha)\tilde x, \quad \alpha\sim U[0,1] \text{ one per sample.}$$

    One-sided, only slopes above 1 cost something: $\max(0, \|\nabla d\|_2 - 1)^2$, squared as well.
    """

    name = "gradient penalty"

    def __init__(self, weight: float = 10.0, one_sided: bool = False):
        r"""`weight`: $\lambda$, not negative; `one_sided`: whether slopes below 1 are free."""
        self.weight = number("weight", weight)
        instance("one_sided", one_sided, bool, "True or False")
        self.one_sided = one_sided

    def __call__(
        self, scorer: Callable[[Tensor], Tensor], real: Float[Tensor, "n *sample"], fake: Float[Tensor, "m *shape"]
    ) -> Float[Tensor, ""]:
        """The penalty for a batch of as many real as fake samples."""
        _smooth(real=real, fake=fake)
        if real.shape != fake.shape:
            raise ValueError(
                f"the gradient penalty mixes each real sample with a fake one: got {tuple(real.shape)} real and "
                f"{tuple(fake.shape)} fake; make both batches of one shape"
            )
        alpha = _uniform(real)
        excess = gradient_norms(scorer, alpha * real + (1 - alpha) * fake) - 1
        return self.weight * (excess.clamp(min=0) if self.one_sided else excess).square().mean()

    def __repr__(self) -> str:
        return f"GradientPenalty({self.weight}{', one_sided=True' if self.one_sided else ''})"


class DraganPenalty:
    r"""The penalty of Kodali et al. (2017) [kodali2017convergence], around real samples; fakes play no part.

    $$\lambda\,\mathbb E_{x\sim p,\,\delta,\,\alpha}\big(\|\nabla d(x + \alpha\delta)\|_2 - 1\big)^2, \qquad
      \delta = \tfrac12\,s\,\epsilon, \quad \epsilon\sim U[0,1] \text{ per coordinate}, \quad
      \alpha\sim U[0,1] \text{ per sample,}$$

    with $s$ the standard deviation of all numbers of the batch. This is how the authors' code draws the noise; the
    paper writes a Gaussian.
    """

    name = "DRAGAN penalty"

    def __init__(self, weight: float = 10.0):
        r"""`weight`: $\lambda$, not negative."""
        self.weight = number("weight", weight)

    def __call__(
        self, scorer: Callable[[Tensor], Tensor], real: Float[Tensor, "n *sample"], fake: Tensor | None = None
    ) -> Float[Tensor, ""]:
        """The penalty for a batch of real samples."""
        _smooth(real=real)
        delta = real.std(correction=0) / 2 * torch.rand_like(real)
        return self.weight * (gradient_norms(scorer, real + _uniform(real) * delta) - 1).square().mean()

    def __repr__(self) -> str:
        return f"DraganPenalty({self.weight})"


class ZeroCentredPenalty:
    r"""$R_1$ of Mescheder et al. (2018) [mescheder2018which]: $\frac\gamma2\,\mathbb E_p\|\nabla d(x)\|_2^2$.

    At real samples only, where the slope of the best discriminator of equal laws is 0.
    """

    name = "R1"

    def __init__(self, weight: float = 10.0):
        r"""`weight`: $\gamma$, not negative."""
        self.weight = number("weight", weight)

    def __call__(
        self, scorer: Callable[[Tensor], Tensor], real: Float[Tensor, "n *sample"], fake: Tensor | None = None
    ) -> Float[Tensor, ""]:
        """The penalty for a batch of real samples."""
        _smooth(real=real)
        return self.weight / 2 * gradient_norms(scorer, real).square().mean()

    def __repr__(self) -> str:
        return f"ZeroCentredPenalty({self.weight})"

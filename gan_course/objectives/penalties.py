"""Penalties: terms of the discriminator's loss that need the discriminator as a function, not only its scores."""

import warnings
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from gan_course.checks import instance, number, samples
from gan_course.errors import ConstraintWarning
from gan_course.objectives.base import checked


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


def _wide(x: Tensor) -> Tensor:
    """The same numbers, at least in single precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _uniform(x: Tensor) -> Tensor:
    """A number between 0 and 1 for each sample."""
    return torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device, dtype=x.dtype)


class SlopePenalty:
    """What penalties on gradients share: each sample's slope must be its own."""

    name: str

    def check(self, discriminator: nn.Module) -> None:
        """Warn of batch normalisation, by which the score of one sample depends on all the others of the batch."""
        coupling = [name or "itself" for name, part in discriminator.named_modules() if isinstance(part, _BatchNorm)]
        if coupling:
            _warn(
                f"the {self.name} takes the slope of each sample's score, but batch normalisation makes that score "
                f"depend on the whole batch, and mixes the slopes. It is in the discriminator's {', '.join(coupling)}: "
                "take layer or group normalisation or none (networks.dcgan(..., normalise=False))"
            )


def _warn(text: str) -> None:
    warnings.warn(text, ConstraintWarning, stacklevel=5)  # past check() of penalty and objective and the game: its user


class GradientPenalty(SlopePenalty):
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


class DraganPenalty(SlopePenalty):
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


class ZeroCentredPenalty(SlopePenalty):
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


class ConsistencyPenalty:
    r"""The consistency term of Wei et al. (2018) [wei2018improving]: dropout must not change the score of real data.

    $$\lambda_2\,\mathbb E_{x\sim p}\max\Big(0,\ \big(d(x') - d(x'')\big)^2
      + \tfrac{0.1}{m}\big\|h(x') - h(x'')\big\|_2^2 - M'\Big)$$

    with $x', x''$ two passes of the *same* sample through the critic, each with random units of its own dropped, and
    $h\in\mathbb R^m$ what its last layer is given. It bounds the slope where a penalty between real and fake samples
    seldom looks: on the data themselves. The squares, and the mean over the $m$ units, are those of the authors' code
    (which subtracts $M'$ after the weighting by $\lambda_2$; at $M'=0$ that is the same).

    The features count where the scorer has a method `features_and_scores`, as the networks of this course have.
    """

    name = "consistency"

    def __init__(self, weight: float = 2.0, margin: float = 0.0, features: float = 0.1):
        r"""`weight`: $\lambda_2$; `margin`: $M'$; `features`: the weight of the features' distance. None negative."""
        self.weight, self.margin = number("weight", weight), number("margin", margin)
        self.features = number("features", features)

    def __call__(
        self, scorer: Callable[[Tensor], Tensor], real: Float[Tensor, "n *sample"], fake: Tensor | None = None
    ) -> Float[Tensor, ""]:
        """The term for a batch of real samples, from two passes."""
        samples(real=real)
        (h1, d1), (h2, d2) = self._passed(scorer, real), self._passed(scorer, real)
        distance = (d1 - d2).square().flatten(1).mean(1) if d1.ndim > 1 else (d1 - d2).square()
        if h1 is not None:
            distance = distance + self.features * (h1 - h2).square().flatten(1).mean(1)
        return self.weight * (distance - self.margin).clamp(min=0).mean()

    def _passed(self, scorer: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor | None, Tensor]:
        """Features, if there are any, and scores of one pass, at least in single precision."""
        both = getattr(scorer, "features_and_scores", None) if self.features else None
        features, scores = both(x) if both is not None else (None, scorer(x))
        return features if features is None else _wide(features), checked(scores, len(x))

    def check(self, discriminator: nn.Module) -> None:
        """Warn of a discriminator without dropout, whose two passes are the same."""
        if not any(isinstance(part, _DropoutNd) and part.p > 0 for part in discriminator.modules()):
            _warn(
                "the consistency term compares two passes with dropout, but the discriminator has no dropout: unless "
                "it draws random numbers of its own the term is always 0. Put nn.Dropout after its hidden layers, for "
                "instance networks.mlp(..., activation=lambda: nn.Sequential(nn.ReLU(), nn.Dropout(0.2)))"
            )

    def __repr__(self) -> str:
        return f"ConsistencyPenalty({self.weight}, margin={self.margin}, features={self.features})"

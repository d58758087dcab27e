r"""Fréchet distance of Gaussians, and of features through the Gaussians fitted to them."""

import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from gan_course.metrics._checks import at_least, finite, points, same_dimension


def _root(name: str, covariance: object) -> Tensor:
    """The symmetric square root of a covariance matrix."""
    allowed = "a symmetric matrix of shape (d, d) without negative eigenvalues"
    covariance = finite(name, covariance, allowed).cpu().double()
    if covariance.dim() != 2 or covariance.shape[0] != covariance.shape[1]:
        raise ValueError(f"{name} has shape {tuple(covariance.shape)}; allowed: {allowed}. One number is [[variance]].")
    size = float(covariance.abs().max())
    gap = float((covariance - covariance.T).abs().max())
    if gap > 1e-6 * size:
        raise ValueError(f"{name} differs from its transpose by up to {gap:.3g}; allowed: {allowed}.")
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    if float(values[0]) < -1e-6 * size:  # smaller ones are rounding in single precision
        raise ValueError(
            f"{name} has the eigenvalue {float(values[0]):.3g}; allowed: {allowed}. "
            "Was a correlation, or a matrix that was edited by hand, given?"
        )
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def frechet_gaussians(
    mean_a: Float[Tensor, " d"],
    covariance_a: Float[Tensor, "d d"],
    mean_b: Float[Tensor, " d"],
    covariance_b: Float[Tensor, "d d"],
) -> float:
    r"""Fréchet distance of two Gaussians, which is their squared Wasserstein distance of order 2:

    $$\mathrm{FD} = \|\mu_a - \mu_b\|^2 + \operatorname{tr}\big(\Sigma_a + \Sigma_b
        - 2\,(\Sigma_a^{1/2}\Sigma_b\Sigma_a^{1/2})^{1/2}\big)$$

    In the square of the coordinates' unit. Covariances may be singular: the trace of the root is computed as the sum
    of the singular values of $\Sigma_a^{1/2}\Sigma_b^{1/2}$, which never takes the root of a product of rounding
    errors and is never complex.

    Raises `ValueError` for shapes that do not fit together, NaN, a matrix that is not symmetric, and a negative
    eigenvalue. Source: dowson1982frechet.
    """
    mean_a, mean_b = (
        finite(name, mean, "a vector of shape (d,)").cpu().double()
        for name, mean in (("mean_a", mean_a), ("mean_b", mean_b))
    )
    root_a, root_b = _root("covariance_a", covariance_a), _root("covariance_b", covariance_b)
    d = len(root_a)
    if mean_a.shape != (d,) or mean_b.shape != (d,) or len(root_b) != d:
        raise ValueError(
            f"shapes {tuple(mean_a.shape)}, {tuple(root_a.shape)}, {tuple(mean_b.shape)}, {tuple(root_b.shape)} of "
            "mean_a, covariance_a, mean_b, covariance_b; allowed: (d,), (d, d), (d,), (d, d) with the same d."
        )
    shift = (mean_a - mean_b).square().sum()
    overlap = torch.linalg.svdvals(root_a @ root_b).sum()
    spread = root_a.square().sum() + root_b.square().sum() - 2 * overlap  # tr Σ = ‖Σ^{1/2}‖_F²
    return max(0.0, float(shift + spread))  # equal Gaussians leave a rounding error of either sign


def frechet_distance(features_a: Float[Tensor, "n d"], features_b: Float[Tensor, "m d"]) -> float:
    r"""Fréchet distance of the Gaussians with the means and the covariances (divided by n − 1) of two sets of features.

    With Inception features this is the FID. It sees two moments only, and the estimate is biased upwards: in 32
    dimensions two Gaussians at distance 4 seem to lie at about 13 with 64 samples each and at 4.07 with 8,192. So
    compare only distances taken with the same number of samples, on both sides; a set with no more samples than
    features has a singular covariance, which is warned of.

    Raises `ValueError` for fewer than two samples, different numbers of features, NaN. Source: heusel2017ttur.
    """
    return between_sets("features_a", features_a, "features_b", features_b)


def between_sets(name_a: str, features_a: Tensor, name_b: str, features_b: Tensor) -> float:
    """`frechet_distance`, its messages with the names that the caller of the caller knows."""
    a, b = points(name_a, features_a), points(name_b, features_b)
    same_dimension(name_a, a, name_b, b)
    for name, x in ((name_a, a), (name_b, b)):
        enough(name, x, stacklevel=4)
    return frechet_gaussians(a.mean(0), _covariance(a), b.mean(0), _covariance(b))


def enough(name: str, x: Tensor, stacklevel: int) -> None:
    """Refuse a set that has no covariance, and warn of one whose covariance is singular."""
    at_least(name, x, 2, "for a covariance")
    if len(x) <= x.shape[1]:
        warnings.warn(
            f"{name} holds {len(x)} samples of {x.shape[1]} features: the covariance is singular and the distance "
            "is far too large; use more samples than features, better ten times as many.",
            stacklevel=stacklevel,
        )


def _covariance(x: Tensor) -> Tensor:
    centred = x - x.mean(0)
    return centred.T @ centred / (len(x) - 1)

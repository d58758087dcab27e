"""Whether generated samples of two domains belong together: the relevance score of a ranking model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from gan_course.checks import instance, number, whole
from gan_course.metrics._checks import finite

ALLOWED = "floating-point samples of shape (n, ...)"


@dataclass(frozen=True)
class Relevance:
    """The relevance of pairs, beside marks above and below it.

    Attributes:
        score: mean cosine of the pairs, in [−1, 1].
        error: its standard error over the pairs.
        shuffled: mean cosine of all pairs of different rows: the same samples, as if they did not belong together.
        true: mean cosine of true pairs that the model has not seen: a mark above.
        random: mean cosine of those samples paired at random: a mark below.
        pairs: how many pairs.
    """

    score: float
    error: float
    shuffled: float
    true: float
    random: float
    pairs: int


class RelevanceModel(nn.Module):
    r"""Two towers $f$ and $g$ whose features have a large cosine for samples that belong together; `relevance_model`.

    Attributes:
        gamma: the factor on the cosines that was chosen.
        accuracies: for each factor tried, how often the right candidate came first among the validation pairs.
        candidates: among how many; by chance it is first in one of so many.
        true: mean cosine of the test pairs.
        random: mean cosine of the test pairs' samples paired otherwise.
        sizes: how many pairs were for training, validation and test.
    """

    def __init__(self, first: nn.Module, second: nn.Module):
        """`first`: $f$, from samples of the first domain to `(n, features)`; `second`: $g$."""
        super().__init__()
        self.first, self.second = first, second
        self.gamma, self.true, self.random = math.nan, math.nan, math.nan
        self.accuracies: dict[float, float] = {}
        self.candidates, self.sizes = 0, (0, 0, 0)

    def features(self, x: Tensor, y: Tensor) -> tuple[Float[Tensor, "n k"], Float[Tensor, "m k"]]:
        """Features of both, of length 1."""
        return F.normalize(self.first(x).flatten(1), dim=1), F.normalize(self.second(y).flatten(1), dim=1)

    def forward(self, x: Float[Tensor, "_ ..."], y: Float[Tensor, "_ ..."]) -> Float[Tensor, "n m"]:
        r"""Cosines of every $x_i$ with every $y_j$, $R(x, y) = \frac{f(x)^\top g(y)}{\|f(x)\|\,\|g(y)\|}$."""
        f, g = self.features(x, y)
        return f @ g.T

    @torch.no_grad()
    def scores(self, x: Float[Tensor, "_ ..."], y: Float[Tensor, "_ ..."]) -> Float[Tensor, " n"]:
        """The cosine of each pair, row by row."""
        parts = (self.features(a, b) for a, b in zip(x.split(1_000), y.split(1_000), strict=True))
        return torch.cat([(f * g).sum(1) for f, g in parts])


def ranking_loss(cosines: Float[Tensor, "n n"], gamma: float) -> Float[Tensor, ""]:
    r"""How unlikely the right candidates are, asked for from both sides, on the mean over the pairs.

    $$-\tfrac1n\sum_i\Big[\log\frac{e^{\gamma R(x_i, y_i)}}{\sum_j e^{\gamma R(x_i, y_j)}}
      + \log\frac{e^{\gamma R(x_i, y_i)}}{\sum_j e^{\gamma R(x_j, y_i)}}\Big].$$

    The right candidates stand on the diagonal; the others of a row or a column are the wrong ones. Where all cosines
    are equal it is $2\log n$. Source: huang2013dssm, pu2018jointgan (appendix B).
    """
    right = torch.arange(len(cosines), device=cosines.device)
    return F.cross_entropy(gamma * cosines, right) + F.cross_entropy(gamma * cosines.T, right)


def relevance_model(
    first: Float[Tensor, "_ ..."],
    second: Float[Tensor, "_ ..."],
    negatives: int = 31,
    gammas: Sequence[float] = (5.0, 10.0, 20.0),
    epochs: int = 10,
    features: int = 32,
    shares: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
) -> RelevanceModel:
    r"""Train the model that `relevance` asks, on true pairs (pu2018jointgan, appendix B).

    The pairs must not be those that a generator is trained on. They are divided at random into three: the towers
    are trained on the first part, by Adam with a rate of 1e-3, for each $\gamma$ anew; $\gamma$ is chosen by how often
    the right candidate comes first on the second; the marks are taken on the third. The wrong candidates are the other
    pairs of a batch, drawn at random in each epoch. Where many samples fit (all images of a digit), some of them are
    right ones too; the marks say what can be reached.

    Args:
        first: samples of one domain.
        second: their counterparts, row by row.
        negatives: $J$, wrong candidates beside the right one.
        gammas: factors to choose from.
        epochs: passes through the training pairs.
        features: coordinates of the common space.
        shares: of the pairs that are for training, validation and test; their sum is 1.
        seed: of the division, the weights and the order; the random state outside is left alone.

    Raises:
        ValueError: for domains of different length, and too few pairs for the parts and the candidates.
    """
    first, second = _samples("first", first), _samples("second", second)
    if len(first) != len(second):
        raise ValueError(f"first has {len(first)} samples and second {len(second)}; they must be pairs, row by row")
    negatives, epochs = whole("negatives", negatives, most=10**4), whole("epochs", epochs, most=10**4)
    features, seed = whole("features", features, most=10**4), whole("seed", seed, least=0, most=2**63 - 1)
    instance("gammas", gammas, (list, tuple), "a list of factors, such as [5.0, 10.0]")
    if not gammas:
        raise ValueError("gammas=() was given; give at least one factor")
    gammas = [number("gammas", gamma, positive=True, most=1e4) for gamma in gammas]
    instance("shares", shares, (list, tuple), "three shares, such as (0.6, 0.2, 0.2)")
    shares = [number("shares", share, positive=True, most=1) for share in shares]
    if len(shares) != 3 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"shares={shares} was given; there must be three, for training, validation and test: sum 1")
    sizes = [int(shares[0] * len(first)), int(shares[1] * len(first))]
    sizes.append(len(first) - sum(sizes))
    if min(sizes) < negatives + 1:
        raise ValueError(
            f"negatives={negatives} was given, and the {len(first)} pairs are divided into {sizes}; each part needs at "
            f"least {negatives + 1}: give fewer negatives, or more pairs"
        )
    with torch.random.fork_rng(devices=[first.device] if first.is_cuda else []), torch.enable_grad():
        torch.manual_seed(seed)
        order = torch.randperm(len(first)).to(first.device)
        parts = [(first[rows], second[rows]) for rows in order.split(sizes)]
        best, accuracies = None, {}
        for gamma in gammas:
            model = _trained(*parts[0], gamma, negatives + 1, epochs, features)
            accuracies[gamma] = _accuracy(model, *parts[1], negatives + 1)
            if best is None or accuracies[gamma] > accuracies[best.gamma]:
                best, best.gamma = model, gamma
    best.accuracies, best.candidates, best.sizes = accuracies, negatives + 1, tuple(sizes)
    best.true, _, best.random = _marks(best, *parts[2])
    return best


def relevance(first: Float[Tensor, "_ ..."], second: Float[Tensor, "_ ..."], model: RelevanceModel) -> Relevance:
    """How well samples of two domains belong together, by a model of true pairs (pu2018jointgan).

    Args:
        first: samples of the first domain, at least two.
        second: what is to belong to them, row by row.
        model: by `relevance_model`, of pairs that no generator has seen.

    Raises:
        ValueError: for samples that the model cannot read, or another number of one than of the other.
    """
    instance("model", model, RelevanceModel, "a RelevanceModel, made by relevance_model(first, second)")
    first, second = _samples("first", first), _samples("second", second)
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(
            f"first has {len(first)} samples and second {len(second)}; they must be pairs, row by row, at least two"
        )
    try:
        score, error, shuffled = _marks(model, first, second)
    except RuntimeError as why:
        raise ValueError(
            f"the model cannot read first of shape {tuple(first.shape)} and second of shape {tuple(second.shape)}: "
            f"{str(why).partition(chr(10))[0] or type(why).__name__}. It reads samples like those it was trained on"
        ) from why
    return Relevance(score, error, shuffled, model.true, model.random, len(first))


def _samples(name: str, x: object) -> Tensor:
    x = finite(name, x, ALLOWED)
    if x.ndim < 2:
        raise ValueError(f"{name} has shape {tuple(x.shape)}; allowed: {ALLOWED}.")
    return x.float()


@torch.no_grad()
def _marks(model: RelevanceModel, x: Tensor, y: Tensor) -> tuple[float, float, float]:
    """Mean cosine of the pairs, its standard error, and the mean over all pairs of different rows."""
    model.eval()
    parts = [model.features(a, b) for a, b in zip(x.split(1_000), y.split(1_000), strict=True)]
    f, g = (torch.cat(part).double() for part in zip(*parts, strict=True))
    own, n = (f * g).sum(1), len(f)
    every = f.sum(0) @ g.sum(0)  # the sum of all cosines, of n² pairs
    return float(own.mean()), float(own.std() / math.sqrt(n)), float((every - own.sum()) / (n * (n - 1)))


def _trained(x: Tensor, y: Tensor, gamma: float, size: int, epochs: int, features: int) -> RelevanceModel:
    model = RelevanceModel(_tower(x.shape[1:], features), _tower(y.shape[1:], features)).to(x.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).to(x.device).split(size):
            if len(rows) < size:  # the last ones would have fewer wrong candidates
                continue
            optimizer.zero_grad()
            ranking_loss(model(x[rows], y[rows]), gamma).backward()
            optimizer.step()
    return model.eval().requires_grad_(False)


@torch.no_grad()
def _accuracy(model: RelevanceModel, x: Tensor, y: Tensor, size: int) -> float:
    """How often the right candidate comes first, from both sides, among batches of candidates."""
    found = []
    for a, b in zip(x.split(size), y.split(size), strict=True):
        if len(a) == size:
            cosines = model(a, b)
            right = torch.arange(size, device=a.device)
            found += [(cosines.argmax(side) == right).float() for side in (0, 1)]
    return float(torch.cat(found).mean())


def _tower(shape: Sequence[int], features: int) -> nn.Sequential:
    """A few convolutions for images, a perceptron for everything else."""
    if len(shape) != 3 or min(shape[1:]) < 4:
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 64), nn.ReLU(), nn.Linear(64, features))
    channels, height, width = shape
    layers: list[nn.Module] = []
    for wide in (16, 32, 64, 64, 64):
        if min(height, width) < 4:
            break
        layers += [nn.Conv2d(channels, wide, 4, stride=2, padding=1), nn.ReLU()]
        channels, height, width = wide, height // 2, width // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, features))

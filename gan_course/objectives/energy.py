"""Games of energies: low where the data are (Zhao et al., 2017), or lower than the fakes' by a margin (Qi, 2017).

A score is a negative energy, so that higher means more real here as everywhere.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import leaky_relu, normalize, relu

from gan_course.checks import number, samples
from gan_course.objectives.base import Objective, Scorer, paired, scores_of


def pulling_away(codes: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    r"""How much the codes of a batch point the same way: the mean squared cosine of two of them.

    $$f_{PT}(S) = \frac1{N(N-1)}\sum_i\sum_{j\ne i}\left(\frac{S_i^\top S_j}{\|S_i\|\,\|S_j\|}\right)^2.$$

    0 for orthogonal codes, 1 for equal or opposite ones. Source: zhao2017energy.

    Raises:
        ValueError: for fewer than two codes.
    """
    n = len(codes)
    if codes.ndim != 2 or n < 2:
        raise ValueError(f"codes of shape {tuple(codes.shape)} were given; it takes (n, d) with n of at least 2")
    directions = normalize(codes, dim=1)
    cosines = directions @ directions.T
    return cosines.fill_diagonal_(0).square().sum() / (n * (n - 1))


class EnergyBased(Objective):
    r"""EBGAN (zhao2017energy): energies $E = -d$ of real samples are pressed down, of fakes up to a margin $m$.

    $$\min_E \mathbb E_p E + \mathbb E_q \max(0, m - E), \qquad \min_G \mathbb E_q E + \lambda f_{PT}.$$

    With energies of at least 0, as those of an auto-encoder (`networks.Reconstruction`), the best are 0 where
    $p\ge q$ and $m$ elsewhere, and the discriminator's loss is $m\,(1 - \mathrm{TV}(p, q))$.
    """

    name = "ebgan"
    source = "zhao2017energy"

    def __init__(self, margin: float = 10.0, pulling_away: float = 0.0, penalties: Sequence = ()):
        r"""An energy-based game.

        Args:
            margin: $m$, above 0; it is in the units of the energy and must suit the data.
            pulling_away: $\lambda$ of the generator's term `pulling_away`; 0.1 in the paper. Above 0 the discriminator
                must have a method `codes`, from samples to `(n, d)`.
            penalties: as in `Objective`.
        """
        super().__init__(penalties)
        self.margin, self.pulling_away = number("margin", margin, positive=True), number("pulling_away", pulling_away)

    def discriminator_loss(
        self, real_scores: Float[Tensor, "*n"], fake_scores: Float[Tensor, "*m"]
    ) -> Float[Tensor, ""]:
        r"""$\mathcal L_D = \mathbb E_p E + \mathbb E_q\max(0, m - E)$ with $E = -d$."""
        return -real_scores.mean() + relu(self.margin + fake_scores).mean()

    def generator_loss(self, fake_scores: Float[Tensor, "*m"], real_scores: Tensor | None = None) -> Float[Tensor, ""]:
        r"""$\mathcal L_G = \mathbb E_q E$, without the pulling-away term."""
        return -fake_scores.mean()

    def for_generator(self, scorer: Scorer, real: Tensor | None, fake: Tensor) -> dict[str, Tensor]:
        """The terms that the generator minimises: `adversarial`, and `pulling away` where it has a weight."""
        terms = super().for_generator(scorer, real, fake)
        if self.pulling_away:
            if not callable(getattr(scorer, "codes", None)):
                raise ValueError(
                    "the scorer has no method codes, from which pulling_away is computed; take an auto-encoder such as "
                    "networks.Reconstruction, or pulling_away=0"
                )
            terms["pulling away"] = self.pulling_away * pulling_away(scorer.codes(fake))
        return terms


class LossSensitive(Objective):
    r"""The loss-sensitive GAN of Qi (2017) [qi2017loss] and its generalisation, with the loss $L = -d$.

    $$\min_L \gamma\,\mathbb E_p L + \mathbb E\,C_\nu\big(\Delta(x,\tilde x) + L(x) - L(\tilde x)\big), \qquad
      \min_G \mathbb E_q L, \qquad C_\nu(a) = \max(a, \nu a).$$

    Real samples need a smaller loss than fakes by a margin that grows with their distance,
    $\Delta(x, \tilde x) = \mu\,\|x-\tilde x\|_1$: fakes that lie close are left alone. $\nu = 0$ is the loss-sensitive
    GAN; $\nu = 1$ is the Wasserstein game, but for a constant.
    """

    name = "loss-sensitive"
    source = "qi2017loss"

    def __init__(self, distance: float = 2e-4, slope: float = 0.0, data: float = 0.0, penalties: Sequence = ()):
        r"""A loss-sensitive game.

        Args:
            distance: $\mu$, the margin per unit of distance; 2e-4 in the author's code for images.
            slope: $\nu$, from 0 to 1.
            data: $\gamma$; 0 in the author's code. Above 0, $L$ must be bounded from below.
            penalties: as in `Objective`.
        """
        super().__init__(penalties)
        self.distance, self.data = number("distance", distance), number("data", data)
        self.slope = number("slope", slope, most=1)

    def discriminator_loss(
        self,
        real_scores: Float[Tensor, "*n"],
        fake_scores: Float[Tensor, "*m"],
        margin: Tensor | float = 1.0,
    ) -> Float[Tensor, ""]:
        r"""$\mathcal L_D = \gamma\,\mathbb E_p L + \mathbb E\,C_\nu(\Delta + L(x) - L(\tilde x))$ with $L = -d$.

        `margin`: $\Delta$, one for all or one for each pair.

        Raises:
            ValueError: if there are not as many fakes as real samples.
        """
        paired(real_scores, fake_scores)
        excess = margin - real_scores + fake_scores
        return leaky_relu(excess, self.slope).mean() - self.data * real_scores.mean()

    def generator_loss(self, fake_scores: Float[Tensor, "*m"], real_scores: Tensor | None = None) -> Float[Tensor, ""]:
        r"""$\mathcal L_G = \mathbb E_q L$."""
        return -fake_scores.mean()

    def for_discriminator(self, scorer: Scorer, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """The terms that the discriminator minimises; margins are distances of the samples, pair by pair."""
        samples(real=real, fake=fake)
        real_scores, fake_scores = scores_of(scorer, real, fake)
        if real.shape != fake.shape:
            raise ValueError(f"real {tuple(real.shape)} and fake {tuple(fake.shape)} have no distance: make them alike")
        apart = (real.detach() - fake.detach()).to(real_scores).abs().reshape(len(real), -1).sum(1)
        margin = self.distance * apart.view(-1, *[1] * (real_scores.ndim - 1))
        adversarial = self.discriminator_loss(real_scores, fake_scores, margin)
        return {"adversarial": adversarial, **self.penalised(scorer, real, fake)}

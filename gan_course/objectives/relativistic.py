"""Relativistic games (Jolicoeur-Martineau, 2019): how much more real than a fake, instead of how real."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from gan_course.checks import instance, samples
from gan_course.objectives.base import Objective, Scorer, paired, scores_of


class Relativistic(Objective):
    r"""Scores are compared: $\sigma(d(x) - d(\tilde x))$ is the probability that $x$ is more real than $\tilde x$.

    $$\min_d \mathbb E\,\mathrm{sp}\big(d(\tilde x) - d(x)\big), \qquad
      \min_G \mathbb E\,\mathrm{sp}\big(d(x) - d(\tilde x)\big), \qquad x\sim p,\ \tilde x\sim q.$$

    The generator's loss sees real samples too: a fake wins only by overtaking them. A shift of all scores changes
    nothing. With equal scores both losses are $\log 2$, on average twice that.
    """

    name = "relativistic"
    source = "jolicoeur2019relativistic"

    def __init__(self, average: bool = False, penalties: Sequence = ()):
        """`average`: compare each score with the mean of the other side's (RaGAN), instead of pair by pair."""
        super().__init__(penalties)
        instance("average", average, bool, "True or False")
        self.average = average

    def discriminator_loss(
        self, real_scores: Float[Tensor, "*n"], fake_scores: Float[Tensor, "*m"]
    ) -> Float[Tensor, ""]:
        r"""$\mathcal L_D = \mathbb E\,\mathrm{sp}(\tilde d - d)$.

        On average,
        $\mathbb E_p\,\mathrm{sp}(\mathbb E_q\tilde d - d) + \mathbb E_q\,\mathrm{sp}(\tilde d - \mathbb E_p d)$.

        Raises:
            ValueError: if there are not as many fakes as real samples, and they are compared pair by pair.
        """
        if self.average:
            return softplus(fake_scores.mean() - real_scores).mean() + softplus(fake_scores - real_scores.mean()).mean()
        paired(real_scores, fake_scores)
        return softplus(fake_scores - real_scores).mean()

    def generator_loss(self, fake_scores: Float[Tensor, "*m"], real_scores: Tensor | None = None) -> Float[Tensor, ""]:
        r"""$\mathcal L_G$ is $\mathcal L_D$ with real and fake in each other's place.

        Raises:
            ValueError: without real scores.
        """
        if real_scores is None:
            raise ValueError("real_scores is None; the relativistic generator compares its fakes' scores with them")
        return self.discriminator_loss(fake_scores, real_scores)

    def for_generator(self, scorer: Scorer, real: Tensor | None, fake: Tensor) -> dict[str, Tensor]:
        """The terms that the generator minimises; the scores of real samples are part of them."""
        samples(real=real, fake=fake)
        real_scores, fake_scores = scores_of(scorer, real, fake)
        return {"adversarial": self.generator_loss(fake_scores, real_scores)}

"""The game of least squares (Mao et al., 2017): distances to codes instead of logarithms."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from gan_course.checks import instance
from gan_course.objectives.base import Objective


class LeastSquares(Objective):
    r"""Scores are pulled to the code $a$ for fakes and $b$ for real samples; the generator pulls to $c$.

    $$\min_d \tfrac12\mathbb E_p(d-b)^2 + \tfrac12\mathbb E_q(d-a)^2, \qquad \min_G \tfrac12\mathbb E_q(d-c)^2.$$

    Scores are the raw ones, without a sigmoid. The best are $d^* = \frac{bp + aq}{p + q}$. With $b - c = 1$ and
    $b - a = 2$, as in $(-1, 1, 0)$, the generator's loss, with the same term for real samples, is half of
    $\int\frac{(p-q)^2}{p+q}$; with $(0, 1, 1)$, the default, that theorem does not hold.
    """

    name = "least-squares"
    source = "mao2017least"

    def __init__(self, a: float = 0.0, b: float = 1.0, c: float = 1.0, penalties: Sequence = ()):
        """`a`: the code of fakes; `b`: of real samples; `c`: what the generator wants its fakes' scores to be."""
        super().__init__(penalties)
        for name, code in (("a", a), ("b", b), ("c", c)):
            instance(name, code, (int, float), "a number")
            if isinstance(code, bool) or not abs(code) <= 1e6:
                raise ValueError(f"{name}={code!r} was given; a code is a number from -1e6 to 1e6")
        if not b > a or not c > a:
            raise ValueError(
                f"a={a}, b={b}, c={c} were given; b and c must lie above a, or real and fake change places"
            )
        self.a, self.b, self.c = float(a), float(b), float(c)

    def discriminator_loss(
        self, real_scores: Float[Tensor, "*n"], fake_scores: Float[Tensor, "*m"]
    ) -> Float[Tensor, ""]:
        r"""$\mathcal L_D = \tfrac12\mathbb E_p(d-b)^2 + \tfrac12\mathbb E_q(d-a)^2$."""
        return (real_scores - self.b).square().mean() / 2 + (fake_scores - self.a).square().mean() / 2

    def generator_loss(self, fake_scores: Float[Tensor, "*m"], real_scores: Tensor | None = None) -> Float[Tensor, ""]:
        r"""$\mathcal L_G = \tfrac12\mathbb E_q(d-c)^2$."""
        return (fake_scores - self.c).square().mean() / 2

"""A discriminator that generates by itself: what it scores highest, found by a walk uphill, is its own opponent."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course import objectives
from gan_course.checks import LARGEST, instance, number, samples, whole
from gan_course.errors import Diverged
from gan_course.games.base import (
    Game,
    OptimizerFactory,
    Turn,
    adam,
    check_learning,
    check_parts,
    constant,
    evaluating,
    still,
)
from gan_course.objectives import Objective
from gan_course.objectives.base import checked


class DiscriminatorAlone(Game):
    r"""An energy-based model: samples come from $\pi(x)\propto e^{d(x)/T}$, by a walk in the score $d$.

    A step of the walk goes up the score and shakes:

    $$x \leftarrow x + \eta\,\nabla d(x) + \tau\sqrt{2\eta}\,\varepsilon, \qquad \varepsilon\sim N(0, I).$$

    With $\tau=0$ it is gradient ascent and ends at a peak, $\arg\max_x d(x)$ of its neighbourhood (lee2018slides). With
    $\tau=1$ it is Langevin's, whose law tends to $\pi$ with temperature $T=\tau^2$, up to an error of order $\eta$: on
    $d(x)=-x^2/2s^2$ its variance is $\tau^2s^2/(1-\eta/2s^2)$.

    Learning is maximum likelihood by samples: the gradient of the log-likelihood at $T=1$ is
    $\mathbb E_p\nabla_\theta d - \mathbb E_\pi\nabla_\theta d$, so the loss is $\mathbb E_\pi d - \mathbb E_p d$ with
    the samples held. The walks do not start anew in every round: a pool of negatives keeps where they came to
    (du2019implicit), in a buffer, so that a checkpoint holds it.
    """

    negatives: Tensor

    def __init__(
        self,
        discriminator: nn.Module,
        shape: Sequence[int],
        steps: int = 20,
        step_size: float = 0.01,
        noise: float = 1.0,
        restarted: float = 0.05,
        pool: int = 1_000,
        limits: tuple[float, float] | None = None,
        magnitude: float = 0.0,
        objective: str | Objective | None = None,
        sampling_steps: int | None = None,
        optimizer: OptimizerFactory | None = None,
        rate: Callable[[float], float] = constant,
    ):
        r"""A game of one.

        Args:
            discriminator: from samples to scores `(n,)`.
            shape: of one sample, such as `(2,)` or `(1, 8, 8)`.
            steps: steps of the walk in each step of learning.
            step_size: $\eta$.
            noise: $\tau$; 0 for ascent, 1 for Langevin's walk at temperature 1.
            restarted: the share of walks, in [0, 1], that begin anew in each step of learning instead of going on.
            pool: how many negatives are kept.
            limits: of every coordinate, such as `(0, 1)` for images: walks start uniformly between them and are kept
                there. By default walks start from N(0, I) and go where they like.
            magnitude: weight of the mean square of all scores, added to the loss to keep scores from drifting.
            objective: learn by its discriminator's loss (a name or an objective) instead of by likelihood: the slides'
                "tell real from negative" is `"minimax"`.
            sampling_steps: the steps of `sample`; by default `steps`.
            optimizer: makes the optimiser; Adam with 1e-3 by default.
            rate: factor on the learning rate as a function of progress.
        """
        super().__init__()
        check_parts(discriminator=discriminator)
        check_learning(optimizer, rate)
        self.shape = _shape(shape)
        self.steps, self.step_size = whole("steps", steps), number("step_size", step_size, positive=True)
        self.noise_level, self.restarted = number("noise", noise), number("restarted", restarted, most=1)
        pool = whole("pool", pool, most=10**8 // math.prod(self.shape))
        self.limits, self.magnitude = _limits(limits), number("magnitude", magnitude)
        instance("objective", objective, (str, Objective, type(None)), "a name that objectives.get knows, or None")
        self.objective = objectives.get(objective) if isinstance(objective, str) else objective
        self.sampling_steps = whole("sampling_steps", self.steps if sampling_steps is None else sampling_steps)
        self.discriminator = discriminator
        self.optimizer, self.rate = optimizer or adam(1e-3, (0.9, 0.999)), rate
        self.register_buffer("negatives", self.start(pool))

    def start(self, n: int) -> Float[Tensor, "n *sample"]:
        """Where `n` walks begin: uniform between the limits, or normal where there are none."""
        size = (whole("n", n), *self.shape)
        if self.limits is None:
            return torch.randn(size, device=self.device)
        low, high = self.limits
        return low + (high - low) * torch.rand(size, device=self.device)

    def walk(self, x: Float[Tensor, "n *sample"], steps: int | None = None) -> Float[Tensor, "n *sample"]:
        """Where walks from `x` come to after so many steps (by default `steps`); parameters stand still."""
        samples(x=x)
        steps = self.steps if steps is None else whole("steps", steps, least=0)
        x, spread = x.detach(), self.noise_level * math.sqrt(2 * self.step_size)
        with evaluating(self.discriminator), still(self.discriminator), torch.enable_grad():
            for _ in range(steps):
                x.requires_grad_()
                scores = checked(self.discriminator(x), len(x))
                (slope,) = torch.autograd.grad(scores.sum(), x)
                x = x.detach() + self.step_size * slope
                if spread:
                    x = x + spread * torch.randn_like(x)
                if self.limits is not None:
                    x = x.clamp(*self.limits)
        return x.detach()

    def opponents(self, n: int) -> Float[Tensor, "n *sample"]:
        """`n` negatives: walks from the pool, some of them anew, that go on for `steps`; the pool keeps their ends."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            raise ValueError("the discriminator alone plays in one process: each would need negatives of its own")
        places = torch.randperm(len(self.negatives), device=self.device)[:n]
        anew = torch.rand(len(places), device=self.device) < self.restarted
        begin = torch.where(anew.view(-1, *[1] * len(self.shape)), self.start(len(places)), self.negatives[places])
        ends = self.walk(begin)
        self.negatives[places] = ends
        return ends

    def loss(self, real: Float[Tensor, "n *sample"]) -> dict[str, Tensor]:
        r"""$\mathbb E_\pi d-\mathbb E_p d$, or the objective's terms; and the mean square of scores, weighed."""
        samples(real=real)
        if tuple(real.shape[1:]) != self.shape:
            raise ValueError(f"real samples have the shape {tuple(real.shape[1:])}, the game's shape is {self.shape}")
        fake = self.opponents(len(real))
        if self.objective is not None:
            terms = self.objective.for_discriminator(self.discriminator, real, fake)
            if not self.magnitude:
                return terms
        on_real = checked(self.discriminator(real), len(real))
        on_fake = checked(self.discriminator(fake), len(fake))
        if self.objective is None:
            terms = {"likelihood": on_fake.mean() - on_real.mean()}
        if self.magnitude:
            terms["magnitude"] = self.magnitude * (on_real.square().mean() + on_fake.square().mean())
        return terms

    def turns(self) -> list[Turn]:
        """One player."""
        return [
            Turn(
                "discriminator",
                [self.discriminator],
                self.loss,
                optimizer=self.optimizer,
                rate=self.rate,
                after_step=self._constrain,
            )
        ]

    def _constrain(self) -> None:
        if self.objective is not None:
            self.objective.constrain(self.discriminator)

    def sample(self, n: int) -> Float[Tensor, "n *sample"]:
        """The ends of `n` new walks of `sampling_steps`.

        Raises:
            Diverged: when a walk ran away to infinity: the score has no maximum, or the steps are too long for it.
        """
        ends = self.walk(self.start(n), self.sampling_steps)
        if not bool(ends.isfinite().all()):
            raise Diverged(
                f"walks of {self.sampling_steps} steps ran away to infinity; lower step_size={self.step_size:g}, "
                "give limits, or add a magnitude to the loss"
            )
        return ends


def _shape(shape: object) -> tuple[int, ...]:
    instance("shape", shape, (tuple, list, torch.Size), "the shape of one sample, such as (2,)")
    if not shape:
        raise ValueError("shape=() was given; it must name at least one size, such as (2,)")
    sizes = tuple(whole("shape", size) for size in shape)
    if math.prod(sizes) > 10**8:
        raise ValueError(f"shape={sizes} was given; a sample has at most 10^8 coordinates")
    return sizes


def _limits(limits: object) -> tuple[float, float] | None:
    if limits is None:
        return None
    instance("limits", limits, (tuple, list), "a pair of numbers, such as (0, 1), or None")
    right = len(limits) == 2 and all(
        isinstance(limit, (int, float)) and not isinstance(limit, bool) and abs(limit) <= LARGEST for limit in limits
    )
    if not right or not limits[0] < limits[1]:
        raise ValueError(f"limits={limits!r} was given; it must be a pair of finite numbers, the lower one first")
    return float(limits[0]), float(limits[1])

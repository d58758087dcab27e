"""What every adversarial objective is: a pair of formulas of scores, and the two methods that may call a network."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gan_course.checks import samples

Scorer = Callable[[Tensor], Tensor]
"""Anything that turns samples into scores: a discriminator, or a lambda that closes over a condition."""


class Objective:
    r"""A discriminator's loss and a generator's loss, both to be minimised.

    Scores are raw and unbounded, higher means more real: $d(x)\in\mathbb R$, of shape `(n,)`, or `(n, 1, h, w)` for
    patches. The formulas `discriminator_loss` and `generator_loss` are pure; only `for_discriminator` and
    `for_generator` call a network. Any penalty composes with any objective.
    """

    name: str
    source: str
    """The bib key of the paper."""

    def __init__(self, penalties: Sequence = (), *own: Callable):
        """`penalties`: added to the discriminator's loss, each under its own name (see `objectives.penalties`).

        `own`: those that are part of the objective itself.
        """
        self.penalties = _penalties(own, penalties)

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """The discriminator's loss, a scalar."""
        raise TypeError(f"{type(self).__name__} defines no discriminator_loss; an objective needs one")

    def generator_loss(self, fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:
        """The generator's loss, a scalar. Objectives that compare with real scores use the second argument."""
        raise TypeError(f"{type(self).__name__} defines no generator_loss; an objective needs one")

    def for_discriminator(self, scorer: Scorer, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """The terms that the discriminator minimises the sum of: `adversarial`, and each penalty by its name."""
        samples(real=real, fake=fake)
        real_scores, fake_scores = scores_of(scorer, real, fake)
        adversarial = self.discriminator_loss(real_scores, fake_scores)
        return {"adversarial": adversarial, **self.penalised(scorer, real, fake)}

    def penalised(self, scorer: Scorer, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Each penalty by its name."""
        return {penalty.name: penalty(scorer, real, fake) for penalty in self.penalties}

    def for_generator(self, scorer: Scorer, real: Tensor | None, fake: Tensor) -> dict[str, Tensor]:
        """The terms that the generator minimises the sum of. `real` is for objectives that compare with it."""
        samples(fake=fake)
        return {"adversarial": self.generator_loss(checked(scorer(fake), len(fake)))}

    def check(self, discriminator: nn.Module) -> None:
        """Called when a game is made: refuse or warn of a discriminator for which this objective is not meant."""
        for penalty in self.penalties:
            if hasattr(penalty, "check"):
                penalty.check(discriminator)

    def constrain(self, discriminator: nn.Module) -> None:
        """Called after each of the discriminator's steps (weight clipping does its work here); by default nothing."""

    def __repr__(self) -> str:
        extra = "".join(f", {penalty!r}" for penalty in self.penalties)
        return f"<objective {self.name}{extra}>"


def _penalties(own: tuple, given: Sequence) -> tuple:
    """All penalties, if they are such: each can be called and has a name of its own, under which its term is kept."""
    if not isinstance(given, (list, tuple)) or any(
        not callable(p) or isinstance(p, type) or not isinstance(getattr(p, "name", None), str) for p in given
    ):
        raise ValueError(f"penalties={given!r} was given; it must be a list of penalties, such as [GradientPenalty()]")
    names = ["adversarial", *(penalty.name for penalty in (*own, *given))]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"with these penalties, {', '.join(twice)} stands twice: a term is kept under its name, once")
    return (*own, *given)


_BY_ITSELF = {
    *(nn.Sequential, nn.Identity, nn.Flatten, nn.Unflatten, nn.Linear, nn.LayerNorm, nn.GroupNorm),
    *(nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Upsample, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.MaxPool2d),
    *(nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid, nn.Softplus),
}


def samplewise(scorer: Scorer) -> bool:
    """Whether each sample is known to be scored by itself, whatever else is in the batch.

    Known are PyTorch's layers of that kind, and modules whose class says `samplewise = True` (of itself: subclasses do
    not inherit it). Batch normalisation is not of that kind, and dropout would draw other random numbers.
    """
    return isinstance(scorer, nn.Module) and all(
        (type(part) in _BY_ITSELF or vars(type(part)).get("samplewise", False))
        and not (part._forward_hooks or part._forward_pre_hooks)
        for part in scorer.modules()
    )


def scores_of(scorer: Scorer, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """The scores of both, by one call where that makes no difference: see `samplewise`."""
    if real.shape[1:] == fake.shape[1:] and real.dtype == fake.dtype and samplewise(scorer):
        sizes = [len(real), len(fake)]
        real_scores, fake_scores = checked(scorer(torch.cat([real, fake])), sum(sizes)).split(sizes)
        return real_scores, fake_scores
    return checked(scorer(real), len(real)), checked(scorer(fake), len(fake))


def paired(real_scores: Tensor, fake_scores: Tensor) -> None:
    """Refuse scores that are to be compared one by one and are not as many on either side."""
    if real_scores.shape != fake_scores.shape:
        raise ValueError(
            f"real and fake samples are compared pair by pair: got scores of shape {tuple(real_scores.shape)} and "
            f"{tuple(fake_scores.shape)}; make both batches of one size"
        )


def checked(scores: Tensor, n: int) -> Tensor:
    """The scores, at least in float32, when their shape is one that cannot broadcast silently.

    Raises:
        ValueError: unless they are floating-point numbers of shape `(n,)` or `(n, 1, h, w)` for the `n` samples that
            were scored.
    """
    if not isinstance(scores, Tensor) or not scores.is_floating_point():
        given = f"a tensor of {scores.dtype}" if isinstance(scores, Tensor) else f"a {type(scores).__name__}"
        raise ValueError(f"the discriminator returned {given}; scores are a tensor of floating-point numbers")
    if tuple(scores.shape) == (n,) or (scores.ndim == 4 and scores.shape[:2] == (n, 1) and scores.numel()):
        return scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores
    hint = "add a final .squeeze(-1) or nn.Flatten(0)" if tuple(scores.shape) == (n, 1) else "give one score per sample"
    raise ValueError(
        f"the discriminator returned scores of shape {tuple(scores.shape)} for {n} samples; "
        f"allowed are ({n},), or ({n}, 1, height, width) for patches: {hint}"
    )

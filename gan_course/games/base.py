"""What a game is: networks, an objective, state, and the turns in which its players move."""

import contextlib
import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gan_course.checks import instance, number

Batch = Any
"""What a source yields: a tensor, a tuple of tensors (`Paired`), or a dict of batches (`Unpaired`)."""

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


def adam(rate: float = 2e-4, betas: tuple[float, float] = (0.5, 0.999), **settings) -> OptimizerFactory:
    """Makes Adam (kingma2015adam) with the step size and momenta that Radford et al. (2016) made usual for GANs."""
    rate = number("rate", rate, positive=True)
    instance("betas", betas, (tuple, list), "a pair of numbers in [0, 1)")
    betas = tuple(number("betas", beta, most=1) for beta in betas)  # torch takes no integer 0
    if len(betas) != 2 or max(betas) == 1:
        raise ValueError(f"betas={betas} was given; it must be a pair of numbers in [0, 1)")
    return lambda parameters: torch.optim.Adam(parameters, lr=rate, betas=betas, fused=True, **settings)


def rmsprop(rate: float = 5e-5, **settings) -> OptimizerFactory:
    """Makes RMSProp with the step size of Arjovsky et al. (2017)."""
    rate = number("rate", rate, positive=True)
    return lambda parameters: torch.optim.RMSprop(parameters, lr=rate, foreach=True, **settings)


def sgd(rate: float = 0.1, momentum: float = 0.0) -> OptimizerFactory:
    """Makes stochastic gradient descent."""
    rate, momentum = number("rate", rate, positive=True), number("momentum", momentum)
    return lambda parameters: torch.optim.SGD(parameters, lr=rate, momentum=momentum, foreach=True)


def clipped(factory: OptimizerFactory, norm: float) -> OptimizerFactory:
    """Makes the same optimiser, with the joint norm of the gradients cut to `norm` before each step."""
    instance("factory", factory, Callable, "something that makes an optimiser, such as adam()")
    norm = number("norm", norm, positive=True)

    def make(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        parameters = list(parameters)
        optimizer = factory(parameters)

        def cut(*_) -> None:
            torch.nn.utils.clip_grad_norm_(parameters, norm)

        optimizer.register_step_pre_hook(cut)
        return optimizer

    return make


def constant(progress: float) -> float:
    """The learning rate stays what it is."""
    return 1.0


def linear_decay(progress: float) -> float:
    """The learning rate falls in a straight line to zero at the end of training."""
    return 1.0 - progress


def cosine_decay(progress: float) -> float:
    """The learning rate falls to zero along half a cosine: slowly at both ends."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Turn:
    """One player's move in a round.

    Args:
        player: a unique name, the key in history and checkpoint.
        networks: what moves; their parameters are gathered once each. Everything else in the game stands still.
        loss: from a batch to a scalar, or to a dict of terms whose sum is minimised and each of which is recorded.
        steps: steps per round, each on a fresh batch; or a function of the round, counted from 0. Zero is allowed.
        optimizer: makes the optimiser from the parameters.
        rate: factor on the learning rate as a function of progress in [0, 1].
        after_step: called after each step (weight clipping, averaging, a lagged copy, a controller).
    """

    player: str
    networks: Sequence[nn.Module]
    loss: Callable[[Batch], Tensor | dict[str, Tensor]]
    steps: int | Callable[[int], int] = 1
    optimizer: OptimizerFactory = field(default_factory=adam)
    rate: Callable[[float], float] = constant
    after_step: Callable[[], None] | None = None

    def parameters(self) -> list[nn.Parameter]:
        """The parameters of its networks, each once, however many networks share it."""
        return list(dict.fromkeys(p for network in self.networks for p in network.parameters()))


class Game(nn.Module):
    """Who plays, in which turns. Every network is a submodule, every state a buffer.

    A subclass defines `turns`, and `sample` where it makes sense. `progress` in [0, 1] is filled by `fit`.
    """

    progress: Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("progress", torch.zeros(()))
        self._looked_at: set[str] = set()

    def turns(self) -> list[Turn]:
        """The turns of one round, in order."""
        raise TypeError(f"{type(self).__name__} defines no turns(); a game needs at least one")

    def sample(self, n: int) -> Tensor:
        """`n` samples of the model, in evaluation mode and without gradient."""
        raise TypeError(f"{type(self).__name__} cannot be sampled from: it defines no sample()")

    @property
    def device(self) -> torch.device:
        """The device that the game stands on."""
        return self.progress.device

    def to_look(self, x: object, name: str = "batch") -> bool:
        """Whether a batch's values are to be checked: on an accelerator only until some were `looked_at`.

        Each look makes an accelerator wait. Compiled code does not look at all.
        """
        if torch.compiler.is_compiling():
            return False
        return name not in self._looked_at or not isinstance(x, Tensor) or x.device.type == "cpu"

    def looked_at(self, name: str = "batch") -> None:
        """Values under this name were checked, and found right."""
        self._looked_at.add(name)


def lagged(module: nn.Module) -> nn.Module:
    """A copy of a module that never learns by gradients; `follow` moves it."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow(twin: nn.Module, module: nn.Module, keep: float) -> None:
    r"""Move a lagged copy towards its module: $\theta' \leftarrow k\,\theta' + (1-k)\,\theta$; buffers are copied.

    Args:
        twin: made by `lagged(module)`.
        module: what it follows.
        keep: $k$ in [0, 1], the share of itself that the twin keeps.
    """
    mine, theirs = list(twin.parameters()), [p.detach() for p in module.parameters()]
    if mine:
        torch._foreach_lerp_(mine, theirs, 1.0 - keep)
    for own, other in zip(twin.buffers(), module.buffers(), strict=True):
        own.copy_(other)


@contextlib.contextmanager
def still(*networks: nn.Module) -> Iterator[None]:
    """Inside, the networks' parameters receive no gradient, while gradients still flow through them to their inputs.

    For turns of several players at once. Frozen means parameters: buffers, such as the running statistics of batch
    normalisation, do move when the network is called in training mode.
    """
    free = [p for network in networks for p in network.parameters() if p.requires_grad]
    for p in free:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in free:
            p.requires_grad_(True)


@contextlib.contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Inside, the networks are in evaluation mode and no gradient is recorded; their modes are restored after."""
    modes = {module: module.training for network in networks for module in network.modules()}
    for network in networks:
        network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def zeros(network: nn.Module, *shape: int) -> Tensor:
    """Zeros to try a network with, of the kind of numbers and on the device of its weights."""
    about = next((p for p in network.parameters() if p.is_floating_point()), torch.zeros(()))
    return torch.zeros(shape, dtype=about.dtype, device=about.device)


@contextlib.contextmanager
def trying(*networks: nn.Module) -> Iterator[None]:
    """Inside, networks are in evaluation mode, without gradient, and what they draw changes no random state."""
    places = {p.device for network in networks for p in network.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=sorted(places, key=str)), evaluating(*networks):
        yield


def check_parts(**networks: object) -> None:
    """Refuse what is no network."""
    for name, network in networks.items():
        instance(name, network, nn.Module, "a torch.nn.Module")


def check_learning(optimizer: object, rate: object) -> None:
    """Refuse what makes no optimiser (or no dict of them), and what is no function of progress."""
    factories = list(optimizer.values()) if isinstance(optimizer, Mapping) else [optimizer]
    for factory in factories:
        if factory is not None:
            instance("optimizer", factory, Callable, "something that makes an optimiser, such as adam()")
    instance("rate", rate, Callable, "a function of progress, such as linear_decay (step sizes belong to adam(...))")


def check_average(average: object) -> float | None:
    """The share of itself that an average keeps at each step, in [0, 1), or None; raises ValueError for another."""
    if average is not None and number("average", average, most=1) == 1:
        raise ValueError(f"average={average} was given; the share kept must be in [0, 1), such as 0.999")
    return average


def chosen(optimizer: OptimizerFactory | Mapping[str, OptimizerFactory], player: str) -> OptimizerFactory:
    """One factory for all players, or the one that a dict holds under the player's name."""
    if not isinstance(optimizer, Mapping):
        return optimizer
    if player not in optimizer:
        raise ValueError(f"optimizer names {sorted(optimizer)}, but the game's player {player!r} is not among them")
    return optimizer[player]

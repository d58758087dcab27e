"""One loop for every game. Nothing in it knows what a GAN is."""

import contextlib
import math
import signal
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from gan_course.checks import instance, whole
from gan_course.data.sources import as_source, derived_seed
from gan_course.errors import Diverged
from gan_course.games.base import Game, Turn

Callback = Callable[[Game, "History"], None]

_READ_EVERY = 0.5  # seconds between two looks at the losses: each look waits for the device
_READ_AT_MOST = 1000  # rounds between two looks, however fast they are


class History:
    """What a game went through: every term of every round, and all it takes to go on.

    Attributes:
        rounds: the rounds played.
        seconds: the wall time spent on them.
        columns: by name (`player/term`, or a scalar buffer's name) one number per round; NaN where there was none.
        interrupted: whether the last call of `fit` was stopped from the keyboard.
    """

    def __init__(self):
        self.rounds, self.seconds, self.interrupted = 0, 0.0, False
        self.columns: dict[str, array] = {}
        self.state: dict[str, Any] = {}  # optimisers, random states and the place in the data, filled by fit
        self._read = 0  # rounds whose numbers are in the columns
        self._pending: list[dict[str, Tensor]] = []

    @property
    def frame(self):
        """The numbers as a pandas `DataFrame` with one row per round, counted from 1."""
        import pandas

        self.read()
        index = pandas.RangeIndex(1, self.rounds + 1, name="round")
        return pandas.DataFrame({name: list(column) for name, column in self.columns.items()}, index=index)

    def last(self) -> dict[str, float]:
        """The newest number of every column."""
        self.read()
        return {name: column[-1] for name, column in self.columns.items() if column}

    def record(self, terms: dict[str, Tensor]) -> None:
        """Keep a round's terms, as tensors: nothing is read from the device yet."""
        self._pending.append(terms)
        self.rounds += 1

    @property
    def unread(self) -> int:
        """Rounds recorded but not yet read from the device."""
        return len(self._pending)

    def read(self) -> None:
        """Read what is pending from the device, in one go."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        values = [value for row in pending for value in row.values()]
        numbers = iter(torch.stack([value.detach().float() for value in values]).tolist() if values else [])
        for row in pending:
            for name in row:
                if name not in self.columns:
                    self.columns[name] = array("d", [math.nan] * self._read)
                self.columns[name].append(next(numbers))
            self._read += 1
            for column in self.columns.values():
                if len(column) < self._read:
                    column.append(math.nan)

    def __repr__(self) -> str:
        terms = ", ".join(f"{name} {value:.4g}" for name, value in self.last().items())
        return f"<History of {self.rounds} rounds in {self.seconds:.1f} s: {terms}>"


class _Seat:
    """A turn with its optimiser, for as long as `fit` runs."""

    def __init__(self, turn: Turn, compile: bool):
        self.turn, self.parameters = turn, turn.parameters()
        if not self.parameters:
            raise ValueError(f"the turn of {turn.player!r} has no parameters to change: check its networks")
        self.optimizer = turn.optimizer(self.parameters)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.loss = torch.compile(turn.loss) if compile else turn.loss

    def steps(self, round: int) -> int:
        return self.turn.steps(round) if callable(self.turn.steps) else self.turn.steps

    def set_rate(self, progress: float) -> None:
        factor = self.turn.rate(progress)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def free(self, free: bool) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(free)

    def step(self, batch: Any, precision: contextlib.AbstractContextManager) -> dict[str, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        with precision:
            loss = self.loss(batch)
        terms = loss if isinstance(loss, dict) else {"loss": loss}
        sum(terms.values()).backward()
        self.optimizer.step()
        if self.turn.after_step is not None:
            self.turn.after_step()
        return {f"{self.turn.player}/{name}": term.detach() for name, term in terms.items()}


def fit(
    game: Game,
    source: Any,
    *,
    rounds: int,
    batch_size: int = 64,
    seed: int = 0,
    players: Sequence[str] | None = None,
    history: History | None = None,
    until: int | None = None,
    callbacks: Sequence[Callback] = (),
    device: str | torch.device | None = None,
    precision: str | None = None,
    compile: bool = False,
) -> History:
    """Play rounds of a game: every turn in order, each with its steps, each step on a fresh batch.

    In a turn only the parameters of its networks may change; all others stand still. The game is moved to the device
    for the time of training; parameters' flags, modules' modes and the game's place are restored at the end.

    Ctrl-C lets the round finish and returns what was learned; a second Ctrl-C raises `KeyboardInterrupt`.

    Args:
        game: the game; its weights are changed in place.
        source: a tensor of samples, `Paired`, `Unpaired`, or a re-iterable of batches such as a `DataLoader`.
        rounds: the total, also when a history is continued.
        batch_size: samples per step (a `DataLoader` keeps its own).
        seed: governs batches and noise. Weights are made earlier: call `seed_everything` before you build networks.
        players: only these take their turns; by default all.
        history: an earlier history of this game, from memory or from `checkpoint.load`: everything goes on from
            there, optimisers, random numbers and data, as if there had been no break.
        until: pause when the history has so many rounds; schedules still reckon with all `rounds`. By default `rounds`.
        callbacks: called as `callback(game, history)` before the first round and after every `callback.every` rounds
            (default 1) and after the last one. They run in a forked random state: watching changes nothing.
        device: where to train, such as `"cpu"` or `"cuda:1"`; by default the first CUDA device, else the CPU.
        precision: `"bf16"` computes in bfloat16 where that is safe, with losses in float32.
        compile: compile each turn's loss with `torch.compile`.

    Returns:
        The history; `history.frame` is a `DataFrame`.

    Raises:
        ValueError: for arguments that cannot be right; the message says what is allowed.
        Diverged: when a loss is infinite or not a number (looked at every so many rounds, not each).
    """
    _check_kinds(game, history, seed, until, players, callbacks, precision)
    history = History() if history is None else history
    _check(rounds, batch_size, history)
    until = rounds if until is None else until
    if not history.rounds < until <= rounds:
        raise ValueError(f"until={until!r} was given; it must lie above {history.rounds} and not above rounds={rounds}")
    device = training_device(device)
    source = as_source(source)
    home = game.device
    flags = {parameter: parameter.requires_grad for parameter in game.parameters()}
    modes = {module: module.training for module in game.modules()}
    history.interrupted = False
    try:
        game.to(device).train()
        seats = _seats(game, players, compile)
        stream = source.stream(batch_size, device, derived_seed(seed, "data"))
        with _randomness(device), _progress(history, rounds) as bar, _interruptible() as interrupted:
            torch.manual_seed(derived_seed(seed, "noise"))
            if history.rounds:
                _restore(history, seats, stream, device)
            for parameter in flags:
                parameter.requires_grad_(False)
            _play(game, seats, stream, rounds, until, history, callbacks, device, precision, bar, interrupted)
            _keep(history, seats, stream, device)
    finally:
        for parameter, flag in flags.items():
            parameter.requires_grad_(flag)
            parameter.grad = None
        for module, mode in modes.items():
            module.training = mode
        game.to(home)
    return history


def _play(game, seats, stream, rounds, until, history, callbacks, device, precision, bar, interrupted) -> None:
    scalars = [name for name, b in game.named_buffers() if b.ndim == 0 and b.is_floating_point() and name != "progress"]
    autocast = _precision(precision, device)
    start, looked, before = time.monotonic(), time.monotonic(), history.seconds

    def keep() -> None:
        _keep(history, seats, stream, device)

    if not history.rounds:
        _watch(game, history, callbacks, device, until, keep)
    while history.rounds < until:
        progress = history.rounds / rounds
        game.progress.fill_(progress)
        terms: dict[str, Tensor] = {}
        for seat in seats:
            seat.set_rate(progress)
            seat.free(True)
            for _ in range(seat.steps(history.rounds)):
                terms.update(seat.step(next(stream), autocast))
            seat.free(False)
        for name in scalars:
            terms[name] = game.get_buffer(name).clone()
        history.record(terms)
        bar.update()
        now = time.monotonic()
        history.seconds = before + now - start
        stop = interrupted.is_set() or history.rounds == until
        if stop or now - looked > _READ_EVERY or history.unread >= _READ_AT_MOST:
            _look(history, bar)
            looked = now
        _watch(game, history, callbacks, device, until, keep)
        if stop and history.rounds < until:
            history.interrupted = True
            return
    game.progress.fill_(history.rounds / rounds)


def _look(history: History, bar: tqdm) -> None:
    """Read the terms, show the newest, and stop if one of them is no number."""
    first = history.rounds - history.unread
    reported = [set(row) for row in history._pending]
    history.read()
    for offset, names in enumerate(reported):
        for name in sorted(names):
            value = history.columns[name][first + offset]
            if not math.isfinite(value):
                player, _, term = name.rpartition("/")
                raise Diverged(
                    f"{player or 'the game'}'s {term} became {value} in round {first + offset + 1}: training has "
                    "diverged. Lower the learning rate, check that the data are finite, or bound the scores "
                    "(a gradient penalty does)"
                )
    bar.set_postfix({name: f"{value:.3f}" for name, value in history.last().items()}, refresh=False)


def _watch(
    game: Game,
    history: History,
    callbacks: Sequence[Callback],
    device: torch.device,
    last: int,
    keep: Callable[[], None],
) -> None:
    due = [c for c in callbacks if history.rounds % getattr(c, "every", 1) == 0 or history.rounds == last]
    if not due:
        return
    keep()  # a callback may save a checkpoint, from which training is to go on as if there had been no break
    with _randomness(device):
        for callback in due:
            callback(game, history)


def every(rounds: int, callback: Callback) -> Callback:
    """The callback, to be called every so many rounds only (and before the first and after the last)."""
    whole("rounds", rounds)
    instance("callback", callback, Callable, "a function of a game and its history")

    def due(game: Game, history: History) -> None:
        callback(game, history)

    due.every = rounds
    return due


def training_device(device: str | torch.device | None = None) -> torch.device:
    """The device that `fit` trains on.

    Raises:
        ValueError: if the name is unknown, or that device is not on this machine.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, ValueError) as error:
        here = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ValueError(
            f"device {str(device)!r} cannot be used here; on this machine there is: {', '.join(here)}"
        ) from error
    if found.type == "meta":
        raise ValueError("device 'meta' holds no numbers, nothing can be trained on it; use 'cpu' or 'cuda'")
    return found


def _check_kinds(game, history, seed, until, players, callbacks, precision) -> None:
    instance("game", game, Game, "a Game")
    instance("history", history, (History, type(None)), "a History, such as fit returns, or None")
    whole("seed", seed, least=0, most=2**64 - 1)
    if until is not None:
        whole("until", until)
    instance("players", players, (list, tuple, set, type(None)), "a list of the names of players, or None for all")
    for player in players or ():
        instance("players", player, str, "a list of the names of players, or None for all")
    instance("callbacks", callbacks, (list, tuple), "a list of functions of a game and its history")
    for callback in callbacks:
        instance("callbacks", callback, Callable, "a list of functions of a game and its history")
    if precision is not None and not (isinstance(precision, str) and precision == "bf16"):
        raise ValueError(f"precision={precision!r} is unknown; use None (float32) or 'bf16'")


def _check(rounds: int, batch_size: int, history: History) -> None:
    for name, value in (("rounds", rounds), ("batch_size", batch_size)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}={value!r} was given; it must be a whole number of at least 1")
    if history.rounds >= rounds:
        raise ValueError(
            f"the history has {history.rounds} rounds already and rounds={rounds} is the total to reach; "
            f"give more than {history.rounds}, or no history to start anew"
        )


def _seats(game: Game, players: Sequence[str] | None, compile: bool) -> list[_Seat]:
    turns = game.turns()
    names = [turn.player for turn in turns]
    if not turns or len(set(names)) != len(names):
        raise ValueError(f"the players of a game's turns need unique names, at least one: got {names}")
    wanted = names if players is None else list(players)
    if not wanted or not set(wanted) <= set(names):
        raise ValueError(f"players={wanted} were asked to play; this game has {names}")
    return [_Seat(turn, compile) for turn in turns if turn.player in wanted]


def _precision(precision: str | None, device: torch.device) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext() if precision is None else torch.autocast(device.type, torch.bfloat16)


@contextlib.contextmanager
def _randomness(device: torch.device) -> Iterator[None]:
    """Inside, random numbers may be drawn and seeds set; after, the world's random states are what they were."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        yield


def _keep(history: History, seats: list[_Seat], stream: Any, device: torch.device) -> None:
    random = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(device)
    optimizers = {**history.state.get("optimizers", {}), **{s.turn.player: s.optimizer.state_dict() for s in seats}}
    history.state = {"optimizers": optimizers, "random": random, "source": stream.state_dict()}


def _restore(history: History, seats: list[_Seat], stream: Any, device: torch.device) -> None:
    for seat in seats:
        if seat.turn.player in history.state["optimizers"]:
            seat.optimizer.load_state_dict(history.state["optimizers"][seat.turn.player])
    torch.set_rng_state(history.state["random"]["cpu"])
    if device.type == "cuda" and "cuda" in history.state["random"]:
        torch.cuda.set_rng_state(history.state["random"]["cuda"], device)
    stream.load_state_dict(history.state["source"])


@contextlib.contextmanager
def _progress(history: History, rounds: int) -> Iterator[tqdm]:
    with tqdm(total=rounds, initial=history.rounds, unit="round", mininterval=_READ_EVERY, dynamic_ncols=True) as bar:
        yield bar


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Inside, the first Ctrl-C sets the event; a second one raises. Only the main thread can listen for it."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def handler(number, frame):
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)

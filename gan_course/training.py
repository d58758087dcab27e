"""One loop for every game. Nothing in it knows what a GAN is."""

import contextlib
import math
import random
import signal
import threading
import time
import warnings
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from gan_course.checks import instance, whole
from gan_course.convolutions import faster
from gan_course.data.sources import as_source, derived_seed
from gan_course.errors import Diverged, DivergenceWarning
from gan_course.games.base import Game, Turn
from gan_course.processes import Processes

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
        self.state: dict[str, Any] = {}  # optimisers; random states and place in the data of each process: fit's
        self._read = 0  # rounds whose numbers are in the columns
        self._faults: list[tuple[str, float, int]] = []  # what was no finite number: name, value, round
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
                self.columns[name].append(number := next(numbers))
                if not math.isfinite(number):
                    self._faults.append((name, number, self._read + 1))
            self._read += 1
            for column in self.columns.values():
                if len(column) < self._read:
                    column.append(math.nan)

    def take_faults(self) -> list[tuple[str, float, int]]:
        """Name, value and round of each number read since the last call that is infinite or not a number."""
        self.read()
        faults, self._faults = self._faults, []
        return faults

    def __repr__(self) -> str:
        terms = ", ".join(f"{name} {value:.4g}" for name, value in self.last().items())
        return f"<History of {self.rounds} rounds in {self.seconds:.1f} s: {terms}>"


class _Seat:
    """A turn with its optimiser, for as long as `fit` runs."""

    def __init__(self, turn: Turn, compile: bool, device: torch.device, processes: Processes):
        self.turn, self.parameters = turn, turn.parameters()
        if not self.parameters:
            raise ValueError(f"the turn of {turn.player!r} has no parameters to change: check its networks")
        self.optimizer = turn.optimizer(self.parameters)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.processes = processes
        # CUDA graphs write their results into the same memory at every step: what is to last must be copied.
        self.graphs = compile and device.type == "cuda"
        mode = "reduce-overhead" if self.graphs else "default"
        self.loss = torch.compile(turn.loss, mode=mode) if compile else turn.loss

    def steps(self, round: int) -> int:
        return self.turn.steps(round) if callable(self.turn.steps) else self.turn.steps

    def set_rate(self, progress: float) -> None:
        factor = self.turn.rate(progress)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def load(self, state: dict[str, Any]) -> None:
        """Take over an optimiser's state, each tensor stored in the order of its parameter, as fused steps need it."""
        self.optimizer.load_state_dict(state)
        for parameter, values in self.optimizer.state.items():
            for name, value in values.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)

    def free(self, free: bool) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(free)

    def step(self, batch: Any, precision: contextlib.AbstractContextManager) -> dict[str, Tensor]:
        if self.graphs:
            torch.compiler.cudagraph_mark_step_begin()
        self.optimizer.zero_grad(set_to_none=True)
        with precision:
            loss = self.loss(batch)
        terms = loss if isinstance(loss, dict) else {"loss": loss}
        sum(terms.values()).backward()
        self.processes.average(p.grad for p in self.parameters if p.grad is not None)
        self.optimizer.step()
        if self.turn.after_step is not None:
            self.turn.after_step()
        kept = {f"{self.turn.player}/{name}": term.detach() for name, term in terms.items()}
        return {name: term.clone() for name, term in kept.items()} if self.graphs else kept


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
    on_divergence: str = "stop",
) -> History:
    """Play rounds of a game: every turn in order, each with its steps, each step on a fresh batch.

    In a turn only the parameters of its networks may change; all others stand still. The game is moved to the device
    for the time of training; parameters' flags, modules' modes and the game's place are restored at the end.

    Ctrl-C lets the round finish and returns what was learned; a second Ctrl-C raises `KeyboardInterrupt`.

    Inside a process group of `torch.distributed` all processes play one game: it starts with the first one's weights,
    each draws its own `batch_size` samples and noise, gradients are averaged in every step, terms and floating-point
    buffers in every round. The first process shows progress and runs the callbacks. (Use `Paired`, `Unpaired` or a
    tensor, and the samples of a pass are divided among the processes.)

    Args:
        game: the game; its weights are changed in place.
        source: a tensor of samples, `Paired`, `Unpaired`, or a re-iterable of batches such as a `DataLoader`.
        rounds: the total, also when a history is continued.
        batch_size: samples per step, in each process (a `DataLoader` keeps its own).
        seed: governs batches and noise, drawn by PyTorch, NumPy or Python. Weights are made earlier: call
            `seed_everything` before you build networks.
        players: only these take their turns; by default all.
        history: an earlier history of this game, from memory or from `checkpoint.load`: everything goes on from
            there, optimisers, random numbers and data, as if there had been no break.
        until: pause when the history has so many rounds; schedules still reckon with all `rounds`. By default `rounds`.
        callbacks: called as `callback(game, history)` before the first round and after every `callback.every` rounds
            (default 1) and after the last one. They run in a forked random state: watching changes nothing.
        device: where to train, such as `"cpu"` or `"cuda:1"`; by default the first CUDA device, else the CPU.
        precision: `"bf16"` computes in bfloat16 where that is safe, with losses in float32.
        compile: compile each turn's loss with `torch.compile`, on a GPU with CUDA graphs: batches must be of one size.
        on_divergence: what happens when a term is infinite or not a number: `"stop"`, or `"continue"` with a warning.

    Returns:
        The history; `history.frame` is a `DataFrame`.

    Raises:
        ValueError: for arguments that cannot be right; the message says what is allowed.
        Diverged: when a term is infinite or not a number (looked at every so many rounds, and before callbacks).
        ProcessLost: when another process of the group has ended.
    """
    _check_kinds(game, history, seed, until, players, callbacks, precision, compile)
    history = History() if history is None else history
    processes = Processes()
    _share(history, processes)
    _check(rounds, batch_size, history, on_divergence)
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
        _lay_out(game, torch.channels_last)
        processes.spread([*game.parameters(), *game.buffers()])
        seats = _seats(game, players, compile, device, processes)
        part = {"part": (processes.rank, processes.size)} if processes.size > 1 else {}
        stream = source.stream(batch_size, device, derived_seed(seed, "data"), **part)
        match = _Match(game, seats, stream, history, processes, device, callbacks, rounds, until, on_divergence)
        kernels = faster(game) if device.type == "cpu" and precision is None else contextlib.nullcontext()
        with kernels, _randomness(device), match.progress_bar(), _interruptible() as interrupted:
            _seed(derived_seed(seed, "noise" if processes.rank == 0 else f"noise {processes.rank}"))
            if history.rounds:
                match.restore()
            for parameter in flags:
                parameter.requires_grad_(False)
            match.play(_precision(precision, device), interrupted)
            match.keep()
    finally:
        _lay_out(game, torch.contiguous_format)
        for parameter, flag in flags.items():
            parameter.requires_grad_(flag)
            parameter.grad = None
        for module, mode in modes.items():
            module.training = mode
        game.to(home)
    return history


class _Match:
    """One call of `fit`: who plays, with what, and how far."""

    def __init__(self, game, seats, stream, history, processes, device, callbacks, rounds, until, on_divergence):
        self.game, self.seats, self.stream, self.history, self.processes = game, seats, stream, history, processes
        self.device, self.callbacks, self.rounds, self.until = device, callbacks, rounds, until
        self.on_divergence, self.warned = on_divergence, False
        self.periods = self.agreed_periods()
        self.looked, self.looked_at, self.next_look = time.monotonic(), history.rounds, history.rounds + 1

    def progress_bar(self) -> tqdm:
        look = {"unit": "round", "mininterval": _READ_EVERY, "dynamic_ncols": True}
        if self.processes.rank > 0:
            look["disable"] = True  # left out elsewhere, so that $TQDM_DISABLE is heard
        self.bar = tqdm(total=self.rounds, initial=self.history.rounds, **look)
        return self.bar

    def play(self, precision: contextlib.AbstractContextManager, interrupted: threading.Event) -> None:
        game, history = self.game, self.history
        floats = {name: b for name, b in game.named_buffers() if b.is_floating_point() and name != "progress"}
        scalars = [name for name, b in floats.items() if b.ndim == 0]
        start, before = time.monotonic(), history.seconds
        if not history.rounds:
            self.call_back()
        while history.rounds < self.until:
            progress = history.rounds / self.rounds
            game.progress.fill_(progress)
            terms: dict[str, Tensor] = {}
            for seat in self.seats:
                terms.update(self.take_turn(seat, progress, precision))
            self.processes.average([*terms.values(), *floats.values()])
            for name in scalars:
                terms[name] = game.get_buffer(name).clone()
            history.record(terms)
            self.bar.update()
            history.seconds = before + time.monotonic() - start
            stop = self.look_about(interrupted)
            self.call_back()
            if stop and history.rounds < self.until:
                history.interrupted = True
                return
        game.progress.fill_(history.rounds / self.rounds)

    def take_turn(self, seat: _Seat, progress: float, precision: contextlib.AbstractContextManager) -> dict:
        terms: dict[str, Tensor] = {}
        seat.set_rate(progress)
        seat.free(True)
        try:
            for _ in range(seat.steps(self.history.rounds)):
                terms.update(self.take_step(seat, precision))
        except Exception as error:
            error.add_note(f"This happened in round {self.history.rounds + 1}, in the turn of {seat.turn.player!r}.")
            raise
        seat.free(False)
        return terms

    def take_step(self, seat: _Seat, precision: contextlib.AbstractContextManager) -> dict[str, Tensor]:
        batch = next(self.stream)
        try:
            return seat.step(batch, precision)
        except RuntimeError:
            _check_kind_of_numbers(batch, seat.parameters[0].dtype)
            raise

    def look_about(self, interrupted: threading.Event) -> bool:
        """Look at the terms if it is time, and say whether to stop: all processes in one round, with one answer."""
        history, now = self.history, time.monotonic()
        due = history.rounds == self.until or history.unread >= _READ_AT_MOST
        if self.processes.size == 1:
            stop = interrupted.is_set()
            if due or stop or now - self.looked > _READ_EVERY:
                self.look()
                self.looked = now
            return stop
        if not due and history.rounds < self.next_look:
            return False
        stop = any(self.processes.gather(interrupted.is_set()))
        self.look()
        pace = (history.rounds - self.looked_at) / max(now - self.looked, 1e-6)
        self.next_look = history.rounds + self.processes.agree(max(1, int(pace * _READ_EVERY)))
        self.looked, self.looked_at = now, history.rounds
        return stop

    def look(self) -> None:
        """Read the terms, show the newest, and stop or warn if one of them is no finite number."""
        history = self.history
        for name, value, round in sorted(history.take_faults(), key=lambda fault: fault[2]):
            player, _, term = name.rpartition("/")
            text = (
                f"{player or 'the game'}'s {term} became {value} in round {round}: training has diverged. Lower the "
                "learning rate, check that the data are finite, or bound the scores (a gradient penalty does)"
            )
            if self.on_divergence == "stop":
                raise Diverged(text)
            if not self.warned:
                warnings.warn(f"{text}; it goes on, as asked", DivergenceWarning, stacklevel=4)
                self.warned = True
        self.bar.set_postfix({name: f"{value:.3f}" for name, value in history.last().items()}, refresh=False)

    def call_back(self) -> None:
        """Call the callbacks that are due, in the first process."""
        rounds = self.history.rounds
        due = [i for i, period in enumerate(self.periods) if rounds % period == 0 or rounds == self.until]
        if not due:
            return
        self.look()
        self.keep()  # a callback may save a checkpoint, from which training is to go on as if there had been no break
        if self.processes.rank == 0:
            with _randomness(self.device):
                for i in due:
                    self.callbacks[i](self.game, self.history)
        self.periods = self.agreed_periods()  # a callback may have changed its own

    def agreed_periods(self) -> list[int]:
        """After how many rounds each of the first process's callbacks is due."""
        return self.processes.agree([getattr(callback, "every", 1) for callback in self.callbacks])

    def keep(self) -> None:
        """Put into the history what it takes to go on from here."""
        optimizers = {seat.turn.player: seat.optimizer.state_dict() for seat in self.seats}
        self.history.state = {
            "optimizers": {**self.history.state.get("optimizers", {}), **optimizers},
            "processes": self.processes.gather(
                {"random": _random_states(self.device), "source": self.stream.state_dict()}
            ),
        }

    def restore(self) -> None:
        """Go on from what the history holds."""
        state = self.history.state
        for seat in self.seats:
            if seat.turn.player in state["optimizers"]:
                seat.load(state["optimizers"][seat.turn.player])
        if len(state["processes"]) != self.processes.size:
            raise ValueError(
                f"the history was made by {len(state['processes'])} processes and now there are {self.processes.size}: "
                "each has random numbers of its own to go on with; start as many"
            )
        mine = state["processes"][self.processes.rank]
        self.stream.load_state_dict(mine["source"])
        _set_random_states(mine["random"], self.device)


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


def _lay_out(game: Game, format: torch.memory_format) -> None:
    """Store the weights of convolutions in this order; with channels last the convolutions take less time."""
    for parameter in game.parameters():
        if parameter.ndim == 4:  # a new tensor: with one channel either order would pass for the other and stay
            laid_out = torch.empty_like(parameter, memory_format=format)
            parameter.data = laid_out.copy_(parameter.detach())


def _share(history: History, processes: Processes) -> None:
    """Give every process the history of the first one."""
    if processes.size > 1:
        history.read()
        vars(history).update(processes.agree(vars(history) if processes.rank == 0 else None))


def _check_kinds(game, history, seed, until, players, callbacks, precision, compile) -> None:
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
    instance("compile", compile, bool, "True or False")
    if precision is not None and not (isinstance(precision, str) and precision == "bf16"):
        raise ValueError(f"precision={precision!r} is unknown; use None (float32) or 'bf16'")


def _check(rounds: int, batch_size: int, history: History, on_divergence: str) -> None:
    if not isinstance(on_divergence, str) or on_divergence not in ("stop", "continue"):
        raise ValueError(f"on_divergence={on_divergence!r} was given; it must be 'stop' or 'continue'")
    for name, value in (("rounds", rounds), ("batch_size", batch_size)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}={value!r} was given; it must be a whole number of at least 1")
    if history.rounds >= rounds:
        raise ValueError(
            f"the history has {history.rounds} rounds already and rounds={rounds} is the total to reach; "
            f"give more than {history.rounds}, or no history to start anew"
        )


def _check_kind_of_numbers(batch: Any, expected: torch.dtype) -> None:
    """Raise if samples of another kind than the weights may be why a step failed."""
    for x in batch if isinstance(batch, (tuple, list)) else [batch]:
        sample = isinstance(x, Tensor) and (x is batch or x.is_floating_point())  # others may be labels
        if sample and x.dtype != expected:
            raise ValueError(
                f"the source gave samples of {x.dtype}, and the networks' weights are {expected}: make them the same, "
                f"for instance with samples.to({expected})"
            )


def _seats(
    game: Game, players: Sequence[str] | None, compile: bool, device: torch.device, processes: Processes
) -> list[_Seat]:
    turns = game.turns()
    names = [turn.player for turn in turns]
    if not turns or len(set(names)) != len(names):
        raise ValueError(f"the players of a game's turns need unique names, at least one: got {names}")
    wanted = names if players is None else list(players)
    if not wanted or not set(wanted) <= set(names):
        raise ValueError(f"players={wanted} were asked to play; this game has {names}")
    return [_Seat(turn, compile, device, processes) for turn in turns if turn.player in wanted]


def _precision(precision: str | None, device: torch.device) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext() if precision is None else torch.autocast(device.type, torch.bfloat16)


@contextlib.contextmanager
def _randomness(device: torch.device) -> Iterator[None]:
    """Inside, random numbers may be drawn and seeds set; after, the world's random states are what they were."""
    outside = _random_states(device)
    try:
        yield
    finally:
        _set_random_states(outside, device)


def _seed(seed: int) -> None:
    """Seed every source of random numbers that a game, its data or their augmentation may draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)


def _random_states(device: torch.device) -> dict[str, Any]:
    kind, keys, place, *gauss = np.random.get_state()  # noqa: NPY002
    version, numbers, pending = random.getstate()
    states = {
        "cpu": torch.get_rng_state(),
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), place, *gauss],
        "python": [version, torch.tensor(numbers), pending],
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _set_random_states(states: dict[str, Any], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, numbers, pending = states["python"]
    random.setstate((version, tuple(numbers.tolist()), pending))
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


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

"""Headline runs: the experiments of `benchmarks/headlines/`, one command each, in slices that go on where they stopped.

    gan-course headline                                    what there is, published and measured
    gan-course headline ring --device cuda --minutes 8     a slice; the same command goes on

A run keeps what it has in `runs/headlines/NAME`, each file whole or absent:

    begun.json               what it was begun with; slices on other devices or by other code are not mixed
    seed-0-gan.safetensors   a seed's game and its history, as last saved
    seed-0-gan.json          what was measured of it, or that it diverged
    marks.json               what depends on no seed

Called once more meanwhile, in another terminal and without `--restart`, the command plays beside the first: each
process takes a seed's game that is neither done nor another's, and locks it (`seed-0-gan.lock`); `lock` is held while
one is chosen.

Once every seed is done, the result goes to `benchmarks/results/`, from where the book's results page takes it.
"""

import hashlib
import importlib.util
import inspect
import json
import math
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

import gan_course
from gan_course import checkpoint, provenance, training
from gan_course.chapter import seed_everything
from gan_course.errors import CheckpointError, CourseError, Diverged, UnknownName
from gan_course.games.base import Game

EXPERIMENTS = Path("benchmarks/headlines")
RESULTS = Path("benchmarks/results")
RUNS = Path("runs/headlines")
SAVE_EVERY = 30.0  # seconds between two checkpoints
LOOK_EVERY = 1.0  # seconds, about, between two looks at the clock: each waits for the device


class HeadlineError(CourseError, ValueError):
    """A headline that cannot be read, run or continued as asked."""


@dataclass(frozen=True)
class Play:
    """A game of an experiment, and how long it is played.

    Attributes:
        game: makes the game; random numbers are seeded with the run's seed just before.
        rounds: the rounds of each seed.
        batch_size: the samples of each step.
    """

    game: Callable[[], Game]
    rounds: int
    batch_size: int


@dataclass(frozen=True)
class Experiment:
    """What is particular to a headline; everything else is the same for all.

    Attributes:
        title: what is run, the heading on the results page.
        chapter: the notebook that tells of it, without `.ipynb`.
        seeds: of weights, batches and noise; each is played and reported.
        games: what is played, by name. The first is the headline's own; others stand beside it, on the same data and
            measured alike. Where there are several, the name stands before each figure.
        data: makes the source that `fit` takes, one for all seeds; or, if it has a parameter `seed`, one for each.
        measure: numbers by quantity from a trained game; torch is seeded with the run's seed just before. If it has a
            parameter `seed`, it is given that too.
        published: by quantity the number of the literature, `{"value": "99.3", "source": "a key of references.bib"}`.
        marks: makes numbers to compare with that depend on no seed.
    """

    title: str
    chapter: str
    seeds: Sequence[int]
    games: Mapping[str, Play]
    data: Callable[..., Any]
    measure: Callable[..., dict[str, float]]
    published: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    marks: Callable[[], dict[str, float]] = dict

    def __post_init__(self):
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds={list(self.seeds)} were given; they must differ, and be at least one")
        if not self.games or len(set(map(_in_file_names, self.games))) < len(self.games):
            raise ValueError(f"games={list(self.games)} were given; their letters must differ, and be at least one")

    def labels(self) -> dict[str, str]:
        """What stands before the figures of each game."""
        if len(self.games) == 1:
            return dict.fromkeys(self.games, "")
        rounds = self.rounds
        played = {
            name: "" if play.rounds == rounds else f", {play.rounds:,} rounds" for name, play in self.games.items()
        }
        return {name: f"{name}{rounds}: " for name, rounds in played.items()}

    def source(self, seed: int) -> Any:
        """What a seed's games are trained on: the same for all of them."""
        return self.data(**_if_wanted(self.data, seed))

    def figures(self, game: Game, seed: int) -> Mapping[str, Any]:
        """What is measured of a trained game."""
        return self.measure(game, **_if_wanted(self.measure, seed))

    @property
    def rounds(self) -> int:
        """The rounds of the first game."""
        return next(iter(self.games.values())).rounds


@dataclass(frozen=True)
class Outcome:
    """How a call of `run` ended.

    Attributes:
        finished: whether every seed is done and measured.
        interrupted: whether it was stopped from the keyboard.
        text: how far it is or, once finished, the figures and where they are stored.
    """

    finished: bool
    interrupted: bool
    text: str


def _if_wanted(function: Callable, seed: int) -> dict[str, int]:
    """The seed as an argument, where the function has a parameter of that name."""
    return {"seed": seed} if "seed" in inspect.signature(function).parameters else {}


def _in_file_names(words: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


# Experiments


def names() -> list[str]:
    """The headlines there are: one for each file of `benchmarks/headlines/`, and one for each of its variants."""
    return [name for file in _files() for name in _load(file)]


def find(name: str) -> Experiment:
    """The experiment of that name: `ring` is `EXPERIMENT` of `ring.py`, `ring-clump` its `VARIANTS["clump"]`.

    Raises:
        HeadlineError: if the experiments are not here, or the file cannot be used.
        UnknownName: for a name that none has.
    """
    return _find(name)[1]


def _find(name: str) -> tuple[Path, Experiment]:
    for file in _files():
        if f"{name}-".startswith(f"{file.stem}-"):
            found = _load(file)
            if name in found:
                return file, found[name]
    raise UnknownName("headline", name, names())


def _files() -> list[Path]:
    files = sorted(EXPERIMENTS.glob("*.py"))
    if not files:
        raise HeadlineError(f"there are no experiments in {EXPERIMENTS}/; call it from the course's folder")
    return files


def _load(file: Path) -> dict[str, Experiment]:
    name = f"gan_course_headline_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        found = {file.stem: module.EXPERIMENT}
        found |= {f"{file.stem}-{variant}": one for variant, one in getattr(module, "VARIANTS", {}).items()}
        return found
    except Exception as error:
        raise HeadlineError(f"{file} cannot be used: {type(error).__name__}: {error}; mend it") from error


def _code(file: Path) -> str:
    """A hash of an experiment's file and of the package's modules behind it."""
    source = file.read_text(encoding="utf-8")
    modules = provenance.module_hashes({"cells": [{"cell_type": "code", "source": source}]})
    return hashlib.sha256((source + provenance.package_hash(modules)).encode()).hexdigest()


# Results


def circumstances(device: str | torch.device | None = None) -> dict[str, Any]:
    """The device that `fit` takes if asked for this one, in words, and the versions."""
    place, threads = training.training_device(device), torch.get_num_threads()
    words = {"cpu": f"CPU, {threads} thread{'s' if threads > 1 else ''}"}
    if place.type == "cuda":
        words["cuda"] = torch.cuda.get_device_name(place)
    return {
        "device": words.get(place.type, place.type),
        "versions": {"gan_course": gan_course.__version__, "torch": torch.__version__.split("+")[0]},
    }


def store(path: Path | None, result: dict) -> None:
    """Write a result as JSON, whole or not at all, into a folder that is made where it is missing; no path, no file."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with checkpoint.replacing(path) as temporary:
        Path(temporary).write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def result_file(name: str, device: str) -> Path:
    """Where the result on a device (in words) is stored: `ring.json` for a CPU, `ring.nvidia-h100.json` for others."""
    words = "" if device.startswith("CPU") else "." + _in_file_names(device)
    return RESULTS / f"{name}{words}.json"


def listing() -> Iterable[str]:
    """Lines that tell of each headline what is published and what was measured, on every device it was measured on."""
    for file in _files():
        for name, experiment in _load(file).items():
            yield f"{name}: {experiment.title}"
            results = [_read(path) for path in (RESULTS / f"{name}.json", *sorted(RESULTS.glob(f"{name}.*.json")))]
            for result in filter(None, results):
                yield from figures(result)
            if not any(results):
                yield "  not measured yet"
                yield from _columns((name, source["value"], "") for name, source in experiment.published.items())


def figures(result: dict[str, Any]) -> Iterable[str]:
    """Lines that tell of a result: how it was made and, of each quantity, mean ± standard deviation over the seeds."""
    seeds = ", ".join(map(str, result["seeds"]))
    yield f"  {result['device']}; {result['rounds']:,} rounds; seed{'s' if len(result['seeds']) > 1 else ''} {seeds}"
    yield from _columns(
        (quantity, result["published"].get(quantity, {}).get("value", ""), _spread(values))
        for quantity, values in result["measured"].items()
    )


def _columns(rows: Iterable[tuple[str, str, str]]) -> list[str]:
    rows = list(rows)
    rows = [("quantity", "published", "measured (mean ± standard deviation)"), *rows] if rows else rows
    return [f"    {quantity:68}{published:>11}  {measured}".rstrip() for quantity, published, measured in rows]


def _spread(values: list[float | None] | float) -> str:
    if not isinstance(values, list):
        return f"{values:.4g}"
    kept = [value for value in values if value is not None]
    lost = f"diverged: {len(values) - len(kept)} of {len(values)}" if len(kept) < len(values) else ""
    mean = f"{statistics.fmean(kept):.4g}" if kept else ""
    deviation = f" ± {statistics.stdev(kept):.2g}" if len(kept) > 1 else ""
    return ", ".join(filter(None, [mean + deviation, lost]))


def _read(path: Path) -> dict[str, Any] | None:
    """A stored JSON, or nothing where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise HeadlineError(f"{path} is no JSON ({error}); mend it, or remove it") from None


# Runs


class _Pause(Exception):
    """Training stops here, saved: because the time is up, or by Ctrl-C."""

    def __init__(self, place: str, interrupted: bool = False):
        super().__init__(place)
        self.interrupted = interrupted


class _Watch:
    """Saves the game every so many seconds, and stops training when the time is up."""

    def __init__(self, file: Path, rounds: int, deadline: float):
        self.file, self.rounds, self.deadline = file, rounds, deadline
        self.every, self.start, self.first = 1, time.monotonic(), None
        self.saved = self.start

    def __call__(self, game: Game, history: training.History) -> None:
        now = time.monotonic()
        self.first = history.rounds if self.first is None else self.first
        pace = (history.rounds - self.first) / max(now - self.start, 1e-9)
        self.every = max(1, min(2 * self.every, int(pace * LOOK_EVERY)))
        over = now >= self.deadline and 0 < history.rounds < self.rounds
        if over or now - self.saved >= SAVE_EVERY:
            checkpoint.save(self.file, game, history)
            self.saved = now
        if over:
            raise _Pause(f"after round {history.rounds:,} of {self.rounds:,}")


class _Run:
    """A headline's folder and what is to be done in it."""

    def __init__(self, name: str, experiment: Experiment, seeds: list[int], folder: Path):
        self.name, self.experiment, self.seeds, self.folder = name, experiment, seeds, folder
        self.units = [(seed, game) for seed in seeds for game in experiment.games]
        self.alone = FileLock(folder / "lock")  # while a unit is chosen, and at the beginning and the end
        self.held: FileLock | None = None  # of the unit that is played

    def file(self, seed: int, game: str, suffix: str) -> Path:
        return self.folder / f"seed-{seed}-{_in_file_names(game)}{suffix}"

    def record(self, seed: int, game: str) -> dict[str, Any] | None:
        return _read(self.file(seed, game, ".json"))

    @property
    def played(self) -> bool:
        return all(self.record(*unit) for unit in self.units)

    @property
    def under_way(self) -> bool:
        return (self.folder / "begun.json").exists() and not (self.played and (self.folder / "marks.json").exists())

    def begin(self, begun: dict[str, Any], restart: bool) -> None:
        """Begin, or go on as it was begun; called with `alone` held, so that no process is between two units."""
        ours = re.compile(r"(begun|marks|seed-\d+-[\w-]+(\.previous)?)\.(json|safetensors)")
        shared = any(_is_held(lock) for lock in self.folder.glob("seed-*.lock"))
        if shared and restart:
            raise HeadlineError(
                f"another process plays {self.name} in {self.folder}, and --restart would remove what it has; let it "
                "finish, or stop it, or leave out --restart to play beside it"
            )
        before = None if restart else _read(self.folder / "begun.json")
        replaced = [file for file in self.folder.glob("*") if ours.fullmatch(file.name)] if before is None else []
        for file in [] if shared else [*checkpoint.half_written(self.folder, ours), *replaced]:
            file.unlink()
        if before is None:
            store(self.folder / "begun.json", begun)
        elif different := [key for key in begun if before.get(key) != begun[key]]:
            what = " and ".join(
                "other code of the experiment or of the package behind it"
                if key == "code"
                else f"{key} {before.get(key)}, not {begun[key]}"
                for key in different
            )
            raise HeadlineError(
                f"{self.folder} was begun with {what}; slices are not mixed: go on as it was begun, or begin anew with "
                "--restart, which removes what is there"
            )

    def take(self) -> tuple[int, str] | None:
        """The next unit that is neither done nor another process's, now this one's; the last one is let go."""
        with self.alone:
            self.let_go()
            for unit in self.units:
                if not self.record(*unit):
                    self.held = FileLock(self.file(*unit, ".lock"))
                    try:
                        self.held.acquire(timeout=0)
                        return unit
                    except Timeout:
                        self.held = None
        return None

    def let_go(self) -> None:
        """Leave the unit, done or not."""
        if self.held:
            self.held.release()
        self.held = None

    def play(self, seed: int, game: str, source: Any, device: str | None, deadline: float) -> dict[str, Any]:
        """Train and measure one game with one seed; raises _Pause when it must go on later."""
        play, file = self.experiment.games[game], self.file(seed, game, ".safetensors")
        seed_everything(seed)
        player, history = play.game(), training.History()
        if file.exists():
            try:
                history = checkpoint.load(file, player)
            except CheckpointError as error:
                raise HeadlineError(f"{error}; remove the file to train this seed anew") from error
        if history.rounds < play.rounds:
            try:
                training.fit(
                    player,
                    source,
                    rounds=play.rounds,
                    batch_size=play.batch_size,
                    seed=seed,
                    history=history,
                    callbacks=[_Watch(file, play.rounds, deadline)],
                    device=device,
                )
                checkpoint.save(file, player, history)
            except Diverged as error:
                return {"seconds": round(history.seconds, 1), "diverged": str(error)}
            if history.interrupted:
                raise _Pause(f"after round {history.rounds:,} of {play.rounds:,}", interrupted=True)
        torch.manual_seed(seed)
        return {"seconds": round(history.seconds, 1), "figures": _numbers(self.experiment.figures(player, seed))}

    def result(self, about: dict[str, Any]) -> dict[str, Any]:
        """What was measured, as `benchmarks/results.py` reads it."""
        measured: dict[str, Any] = {}
        for game, label in self.experiment.labels().items():
            records = [self.record(seed, game) for seed in self.seeds]
            sets = [record["figures"] for record in records if "figures" in record]
            quantities = list(sets[0]) if sets else ["outcome"]
            if any(set(one) != set(quantities) for one in sets):
                raise HeadlineError(
                    f"{self.name}: measure() gave other quantities for one seed than for another; mend it"
                )
            for quantity in quantities:
                measured[label + quantity] = [record.get("figures", {}).get(quantity) for record in records]
        measured |= _read(self.folder / "marks.json")
        published = {name: dict(source) for name, source in self.experiment.published.items() if name in measured}
        first = next(iter(self.experiment.games))
        return {
            "experiment": self.experiment.title,
            "chapter": self.experiment.chapter,
            "measured": measured,
            "published": published,
            **about,
            "seeds": self.seeds,
            "rounds": self.experiment.rounds,
            "seconds": [self.record(seed, first)["seconds"] for seed in self.seeds],
        }


def _is_held(file: Path) -> bool:
    """Whether a process holds this lock."""
    try:
        with FileLock(file).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    numbers = {name: value if isinstance(value, int) else float(value) for name, value in figures.items()}
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise HeadlineError(
                f"{name!r} was measured as {value}, which is no finite number; mend measure() or marks()"
            )
    return numbers


def run(
    name: str,
    *,
    device: str | None = None,
    minutes: float | None = None,
    rounds: int | None = None,
    seeds: Sequence[int] | None = None,
    out: str | Path | None = None,
    restart: bool = False,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Play a headline, seed after seed, for so many minutes; the next call goes on, on the CPU bit for bit.

    A call in another process meanwhile plays beside this one; the last of them to end stores the result.

    With `rounds` or `seeds` it is a try-out: it has a folder of its own, and only `out` stores its result.

    Args:
        name: one of `names()`.
        device: as in `fit`.
        minutes: stop training after so many; by default when all is done. A measurement that has begun is finished.
        rounds: of each game, in place of the experiment's.
        seeds: in place of the experiment's.
        out: where to store the result; by default the file of `benchmarks/results/` for this headline and device.
        restart: begin anew, and replace what was stored.
        say: told of every seed that is done.

    Raises:
        HeadlineError: for what cannot be done as asked; the message says what can.
        UnknownName: for an unknown name.
    """
    _check(minutes, rounds, seeds)
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    (file, experiment), about = _find(name), circumstances(device)
    if trial := rounds is not None or seeds is not None:
        games = {game: replace(play, rounds=rounds or play.rounds) for game, play in experiment.games.items()}
        experiment = replace(experiment, games=games)
    one = _Run(name, experiment, list(seeds or experiment.seeds), RUNS / (f"{name}.try" if trial else name))
    target = Path(out) if out else None if trial else result_file(name, about["device"])
    if target and target.is_dir():
        raise HeadlineError(f"--out {target} is a folder; give the name of a file")
    if target and target.exists() and not restart and not one.under_way:
        raise HeadlineError(
            f"{target} holds a result already; --restart measures anew and replaces it, --out FILE stores another"
        )
    played = [play.rounds for play in experiment.games.values()]
    begun = {"device": about["device"], **about["versions"], "rounds": played, "code": _code(file)}
    one.folder.mkdir(parents=True, exist_ok=True)
    try:
        with one.alone:
            one.begin(begun, restart)
            unit = one.take()
        if pause := _play(one, unit, device, deadline, say):
            return pause
    finally:
        one.let_go()
    with one.alone:
        if not one.played:
            return Outcome(False, False, f"{_progress(one)}, other processes play what is left")
        if not (one.folder / "marks.json").exists():
            store(one.folder / "marks.json", _numbers(experiment.marks()))
        result = one.result(about)
        store(target, result)
    where = [f"  stored in {target}"] if target else []
    return Outcome(True, False, "\n".join([f"{name}: {experiment.title}", *figures(result), *where]))


def _play(
    one: _Run, unit: tuple[int, str] | None, device: str | None, deadline: float, say: Callable[[str], None]
) -> Outcome | None:
    """Do what nobody else does; an outcome only where something of it stays to be done."""
    sources, first = {}, unit
    while unit:
        seed, game = unit
        where = f"seed {seed}" + (f", {game}" if len(one.experiment.games) > 1 else "")
        key = seed if _if_wanted(one.experiment.data, seed) else None
        try:
            if unit != first and time.monotonic() >= deadline:
                raise _Pause("not begun")
            if key not in sources:
                sources = {key: one.experiment.source(seed)}  # one at a time is held
            record = one.play(seed, game, sources[key], device, deadline)
        except _Pause as pause:
            return Outcome(False, pause.interrupted, f"{_progress(one)}, {where} {pause}")
        store(one.file(seed, game, ".json"), record)
        told = record.get("diverged") or "; ".join(f"{name} {value:.4g}" for name, value in record["figures"].items())
        say(f"{where}, in {record['seconds']:.0f} s: {told}")
        unit = one.take()
    return None


def _progress(one: _Run) -> str:
    done = sum(all(one.record(seed, game) for game in one.experiment.games) for seed in one.seeds)
    return f"{one.name}: {done} of {len(one.seeds)} seeds done"


def _check(minutes: float | None, rounds: int | None, seeds: Sequence[int] | None) -> None:
    if minutes is not None and not (minutes > 0 and math.isfinite(minutes)):
        raise HeadlineError(f"--minutes {minutes} was given; it must be a positive number")
    if rounds is not None and rounds < 1:
        raise HeadlineError(f"--rounds {rounds} was given; it must be a whole number of at least 1")
    if seeds is not None and (not seeds or len(set(seeds)) < len(seeds) or not all(0 <= s < 2**32 for s in seeds)):
        raise HeadlineError(
            f"--seeds {','.join(map(str, seeds))} was given; it takes different whole numbers from 0 to {2**32 - 1}, "
            "such as 0,1,2"
        )

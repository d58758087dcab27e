"""A run of training in a folder of its own: what it was asked for, what it has become, and how to go on with it.

    configuration.json                 what was asked for
    checkpoint.safetensors             the game and its history, from which training goes on
    checkpoint.previous.safetensors    the one before it
    history.csv                        every term of every round
    samples-000500.png                 samples after that many rounds, always of the same latents

Each file is whole or absent. A run that fails before it has learned anything leaves no folder behind. One process at a
time writes in a folder; of several that train together, the first.
"""

import json
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import filelock
import torch
from torch import Tensor, nn

import gan_course
from gan_course import checkpoint, data, games, networks, objectives, training
from gan_course.chapter import seed_everything
from gan_course.checks import instance, number, whole
from gan_course.errors import CheckpointDamaged, CheckpointNotice, CourseError, UnknownName
from gan_course.processes import Processes, synchronise

GAMES = {
    "gan": "generator against discriminator, by any objective",
    "began": "generator against auto-encoder, held in balance (images)",
    "vae": "variational auto-encoder (images)",
    "autoencoder": "auto-encoder, sampled from the Gaussian of its codes (images)",
}
TOYS = {
    "ring": "eight Gaussians on a circle",
    "grid": "25 Gaussians on a square grid",
    "spiral": "a spiral of two turns",
    "two-moons": "two half circles",
}
TOY_SIZE = 10_000  # points drawn from a toy distribution
CHANGEABLE = {"rounds", "device", "sample_every", "checkpoint_every"}  # what a continued run may be given anew


class RunError(CourseError, ValueError):
    """A folder that is not a run, or a run that cannot be made or continued as asked."""


@dataclass(frozen=True)
class Configuration:
    """What a run is asked for; `None` leaves the choice to the recipe of the game (see `build`)."""

    game: str
    data: str = "digits"
    objective: str | None = None
    rounds: int = 2_000
    batch_size: int = 64
    seed: int = 0
    latent_size: int | None = None
    width: int | None = None
    learning_rate: float | None = None
    discriminator_steps: int | None = None
    device: str | None = None
    sample_every: int = 500
    checkpoint_every: int = 500
    sync_batch_norm: bool = False

    def __post_init__(self):
        for name in ("game", "data", "objective", "device"):
            if not isinstance(getattr(self, name), (str, type(None)) if name in ("objective", "device") else str):
                raise RunError(f"{name}={getattr(self, name)!r} was given; it must be a name")
        if self.game not in GAMES:
            raise UnknownName("game", self.game, GAMES)
        if self.data not in data_names():
            raise UnknownName("data set", self.data, data_names())
        if self.game != "gan" and self.data in TOYS:
            raise RunError(f"the game {self.game} is for images, not for {self.data}; play gan, or choose image data")
        if self.game != "gan" and (self.objective or self.discriminator_steps):
            why = "has its own objective" if self.game == "began" else "has no discriminator"
            raise RunError(f"the game {self.game} {why}: leave out --objective, --discriminator-steps")
        if self.objective is not None and self.objective not in objectives.names():
            raise UnknownName("objective", self.objective, objectives.names())
        for name in ("rounds", "batch_size", "sample_every", "checkpoint_every"):
            whole(name, getattr(self, name))
        for name in ("latent_size", "width", "discriminator_steps"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name))
        if self.batch_size < 2:
            raise RunError("batch_size=1 was given; batch normalisation needs at least 2 samples in a batch")
        whole("seed", self.seed, least=0, most=2**32 - 1)
        instance("sync_batch_norm", self.sync_batch_norm, bool, "True or False")
        if self.learning_rate is not None:
            number("learning_rate", self.learning_rate, positive=True)


def data_names() -> list[str]:
    """The data sets that a run can use: images, and points of the plane."""
    return [*data.names(), *TOYS]


def load_data(name: str, split: str = "train", seed: int = 0) -> Tensor:
    """Images `(n, c, h, w)` or points `(n, 2)`; a toy distribution's test split is another draw, by another seed."""
    if name not in TOYS:
        return data.load(name, split=split).images
    draw = getattr(data.toy, name.replace("-", "_"))
    return draw(n=TOY_SIZE, seed=data.sources.derived_seed(seed, split) % 2**31)


# Games


def build(asked: Configuration, x: Tensor) -> games.Game:
    """The game that a configuration names, with networks that fit the data; weights are drawn from its seed.

    Points: perceptrons of three hidden layers, the generator's added to its noise; the discriminator learns four times
    as fast, and both rates fall to zero. Images: convolutional networks after Radford et al. (2016) with a wide
    layer at the narrow end, rates that fall to zero, and an average of the generator. (The recipes of chapter 02.)
    Where a penalty looks at the scores of single samples, or weights are clipped: Fourier features of points, no batch
    normalisation for images, and Adam as Gulrajani et al. (2017) have it, with equal rates, five steps of the critic.
    BEGAN: perceptrons, with the settings of chapter 09.
    """
    seed_everything(asked.seed)
    if asked.game == "gan":
        return _gan(asked, x)
    if asked.game == "began":
        return _began(asked, x)
    latent, (channels, size), width = asked.latent_size or 16, x.shape[1:3], asked.width or 32
    optimizer = games.adam(asked.learning_rate or 1e-3, (0.9, 0.999))
    if asked.game == "vae":
        encoder = networks.encoder(size, channels, 2 * latent, width)
        return games.VAE(encoder, networks.decoder(size, channels, latent, width), latent, optimizer=optimizer)
    encoder = networks.encoder(size, channels, latent, width)
    decoder = networks.decoder(size, channels, latent, width, final=nn.Sigmoid())
    return games.AutoEncoder(encoder, decoder, latent, optimizer=optimizer)


@dataclass(frozen=True)
class _Recipe:
    """How a GAN learns unless told otherwise."""

    width: int
    rate: float  # of the generator; the discriminator's is `lead` times as large
    betas: tuple[float, float]
    decay: Callable[[float], float]
    lead: float = 1
    steps: int = 1
    average: float | None = None


_RECIPES = {
    ("points", "free"): _Recipe(128, 5e-4, (0.5, 0.999), games.cosine_decay, lead=4),
    ("points", "penalised"): _Recipe(128, 1e-3, (0.0, 0.9), games.cosine_decay, steps=5),
    ("images", "free"): _Recipe(16, 2e-3, (0.5, 0.99), games.linear_decay, average=0.99),
    ("images", "penalised"): _Recipe(32, 1e-4, (0.0, 0.9), games.constant, steps=5, average=0.99),
}


def _gan(asked: Configuration, x: Tensor) -> games.GAN:
    objective = objectives.get(asked.objective or "non-saturating")
    penalised = bool(objective.penalties) or isinstance(objective, objectives.wasserstein.Wasserstein)
    recipe = _RECIPES["points" if x.ndim == 2 else "images", "penalised" if penalised else "free"]
    latent, width = asked.latent_size or (x.shape[1] if x.ndim == 2 else 64), asked.width or recipe.width
    rate = asked.learning_rate or recipe.rate
    return games.GAN(
        *(_planar if x.ndim == 2 else _pictorial)(x, latent, width, penalised),
        objective=objective,
        latent_size=latent,
        discriminator_steps=asked.discriminator_steps or recipe.steps,
        optimizer={
            "generator": games.adam(rate, recipe.betas),
            "discriminator": games.adam(recipe.lead * rate, recipe.betas),
        },
        rate=recipe.decay,
        average=recipe.average,
    )


def _began(asked: Configuration, x: Tensor) -> games.BEGAN:
    """Perceptrons, the generator built much as the decoder; k moves faster than in the paper, as runs are shorter."""
    shape, width, latent = tuple(x.shape[1:]), asked.width or 128, asked.latent_size or 32
    generator = networks.mlp(latent, [width] * 2, shape, nn.ELU, nn.Sigmoid)
    with torch.no_grad():  # its samples must differ from the start: neither loss would ever drive them apart
        for layer in generator.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(3)
    encoder = networks.mlp(math.prod(shape), [width], latent, nn.ELU)
    decoder = networks.mlp(latent, [width], shape, nn.ELU, nn.Sigmoid)
    judge = networks.Reconstruction(encoder, decoder, "mean absolute")
    optimizer = games.adam(asked.learning_rate or 1e-3)
    return games.BEGAN(generator, judge, 0.85, 0.05, latent, optimizer, games.linear_decay, average=0.99)


def _planar(x: Tensor, latent: int, width: int, penalised: bool) -> tuple[nn.Module, nn.Module]:
    generator = networks.mlp(latent, [width] * 3, x.shape[1])
    if latent == x.shape[1]:
        generator = networks.Residual(generator)
    features = networks.Fourier() if penalised else nn.Identity()
    judge = networks.mlp(features(x[:1]).shape[1], [width] * 3, activation=lambda: nn.LeakyReLU(0.2))
    return generator, nn.Sequential(features, judge)


def _pictorial(x: Tensor, latent: int, width: int, penalised: bool) -> tuple[nn.Module, nn.Module]:
    channels, size = x.shape[1:3]
    return networks.dcgan(size, channels, latent, width, normalise=not penalised, hidden=0 if penalised else 512)


# Folders

_OURS = re.compile(r"configuration\.json|history\.csv|checkpoint(\.previous)?\.safetensors|samples?-\w+\.png")


class Run:
    """A folder and its files."""

    def __init__(self, folder: str | Path):
        """`folder`: where the run is, or is to be."""
        self.folder = Path(folder)
        self.configuration_file = self.folder / "configuration.json"
        self.checkpoint_file = self.folder / "checkpoint.safetensors"
        self.history_file = self.folder / "history.csv"
        self.damaged = False  # whether the newest checkpoint was found to be
        self._lock = filelock.FileLock(self.folder / ".lock", timeout=0)

    def lock(self) -> None:
        """Keep other processes from writing in the folder, until this one ends or calls `unlock`."""
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise RunError(
                f"another process is training in {self.folder}; wait for it to end, or choose another --out"
            ) from None

    def unlock(self) -> None:
        """Let others write in the folder."""
        if self._lock.is_locked:
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()

    def picture(self, rounds: int) -> Path:
        """Where the samples after that many rounds are shown."""
        return self.folder / f"samples-{rounds:06d}.png"

    def configuration(self) -> Configuration:
        """What the run was asked for; raises RunError if the folder is not a run."""
        if not self.folder.exists():
            raise RunError(f"there is no run {self.folder}; make one with gan-course train … --out {self.folder}")
        try:
            stored = json.loads(self.configuration_file.read_text(encoding="utf-8"))
            if stored.pop("made_by").split()[0] != "gan-course":
                raise KeyError("made_by")
            stored["game"]  # the one setting without a default
            known = {field.name for field in fields(Configuration)}
            unknown = set(stored) - known
        except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError):
            raise RunError(f"{self.folder} is no run of gan-course: it has no configuration.json of ours") from None
        if unknown:
            raise RunError(f"{self.configuration_file} holds {', '.join(sorted(unknown))}, which this version lacks")
        return Configuration(**stored)

    def load(self) -> tuple[Configuration, games.Game, training.History, Tensor]:
        """What was asked for, the game as it was last saved, its history, and the data it learns from."""
        asked = self.configuration()
        if not self.checkpoint_file.exists():
            raise RunError(f"{self.folder} has no checkpoint yet; continue it with gan-course train … --resume")
        x = load_data(asked.data, seed=asked.seed)
        game = build(asked, x)
        return asked, game, self.restore(game), x

    def restore(self, game: games.Game) -> training.History:
        """Fill the game with the newest checkpoint that can be read, and return its history."""
        try:
            return checkpoint.load(self.checkpoint_file, game)
        except CheckpointDamaged as error:
            before = checkpoint.previous(self.checkpoint_file)
            if not before.exists():
                raise
            history = checkpoint.load(before, game)
            text = f"{error}; the one before it is used, of round {history.rounds}"
            warnings.warn(text, CheckpointNotice, stacklevel=2)
            self.damaged = True
            return history

    def files(self) -> list[Path]:
        """The files in the folder that are the run's own."""
        return [file for file in self.folder.glob("*") if _OURS.fullmatch(file.name)]

    def half_written(self) -> list[Path]:
        """What a process that was killed while writing has left."""
        return checkpoint.half_written(self.folder, _OURS)

    @property
    def blank(self) -> bool:
        """Whether the folder holds nothing, or only what a process that was killed as it began has left."""
        left = [self.folder / ".lock", *self.half_written()]
        return self.folder.is_dir() and set(self.folder.iterdir()) <= set(left)

    def tidy(self) -> None:
        """Remove what a process that was killed while writing has left half-written."""
        for file in self.half_written():
            file.unlink()

    def remove(self) -> None:
        """Remove the run's own files."""
        self.tidy()
        for file in self.files():
            file.unlink()

    def write_configuration(self, asked: Configuration) -> None:
        """Store what is asked for."""
        content = {"made_by": f"gan-course {gan_course.__version__}", **asdict(asked)}
        with checkpoint.replacing(self.configuration_file) as temporary:
            Path(temporary).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def save(self, game: games.Game, history: training.History, asked: Configuration) -> None:
        """Store the game and its history; if they are spoilt raise Diverged, and what was stored stays."""
        checkpoint.save(self.checkpoint_file, game, history, asdict(asked))
        with checkpoint.replacing(self.history_file) as temporary:
            history.frame.to_csv(temporary)


Prepared = tuple[Run, Configuration, games.Game, training.History | None, Tensor]


def prepare(
    folder: str | Path, asked: Configuration, given: set[str], resume: bool, overwrite: bool
) -> Prepared | None:
    """Check all that can be checked before anything is written, and return the run, its configuration, game and data.

    `given`: the names of the settings that were asked for, and are not defaults. A continued run keeps its settings;
    of those only `rounds`, `device`, `sample_every` and `checkpoint_every` may be given anew.

    In a process group the first process checks, and raises where something is wrong; the others return None then.
    """
    processes = Processes()
    if processes.rank > 0:
        asked = processes.agree(None)
        if asked is None:
            return None
        x = load_data(asked.data, seed=asked.seed)
        return Run(folder), asked, build(asked, x), None, x
    try:
        prepared = _prepare(Run(folder), asked, given, resume, overwrite)
    except BaseException:
        processes.agree(None)
        raise
    processes.agree(prepared[1])
    return prepared


def _prepare(run: Run, asked: Configuration, given: set[str], resume: bool, overwrite: bool) -> Prepared:
    if resume and overwrite:
        raise RunError("--resume continues a run and --overwrite starts it anew; give one of them")
    if resume:
        stored = run.configuration()
        run.lock()
        differing = [name for name in given - CHANGEABLE if getattr(stored, name) != getattr(asked, name)]
        if differing:
            name = sorted(differing)[0]
            raise RunError(
                f"{run.folder} was made with {name}={getattr(stored, name)}, not {getattr(asked, name)}; a run is "
                "continued as it was begun: leave the option out, or choose another --out"
            )
        asked = replace(stored, **{name: getattr(asked, name) for name in given & CHANGEABLE})
    elif run.folder.exists():
        if not overwrite:
            raise RunError(
                f"{run.folder} exists; continue it with --resume, replace it with --overwrite, or choose another"
            )
        if not run.blank:
            run.configuration()  # raises unless the folder is a run
        run.lock()
    training.training_device(asked.device)  # raises where it cannot be used
    x = load_data(asked.data, seed=asked.seed)
    game = build(asked, x)
    history = None
    if resume and run.checkpoint_file.exists():
        history = run.restore(game)
        if history.rounds >= asked.rounds:
            raise RunError(
                f"{run.folder} has {history.rounds} rounds already; --rounds is the total, give more than that"
            )
    return run, asked, game, history, x


def train(
    run: Run,
    asked: Configuration,
    game: games.Game,
    history: training.History | None,
    x: Tensor,
    show: Callable[[games.Game, Tensor, Path], None],
    resume: bool = False,
    device: str | None = None,
) -> training.History:
    """Train what `prepare` returned, and store it as it goes and at the end; `show` draws a picture of samples.

    In a process group, only the first process stores and shows. `device`: another than the configuration's.
    """
    settings = {"seed": asked.seed, "batch_size": asked.batch_size, "device": device or asked.device}
    if asked.sync_batch_norm:
        synchronise(game)
    if Processes().rank > 0:
        return training.fit(game, x, rounds=asked.rounds, **settings)
    made = [folder for folder in (run.folder, *run.folder.parents) if not folder.exists()]
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        run.lock()
    except OSError as error:
        raise RunError(f"{run.folder} cannot be written in ({error.strerror}); choose another --out") from None

    def picture(game: games.Game, history: training.History) -> None:
        torch.manual_seed(asked.seed)  # callbacks run in a random state of their own: always the same latents
        show(game, x, run.picture(history.rounds))

    stored = history.rounds if history else 0

    def save(game: games.Game, history: training.History) -> None:
        nonlocal stored
        if history.rounds > stored:
            run.save(game, history, asked)
            stored = history.rounds

    try:
        if resume:
            run.tidy()
        else:
            run.remove()
        if run.damaged:
            run.checkpoint_file.unlink()  # so that the one before it is kept until there is a new one
        run.write_configuration(asked)
        # The picture first: killed between the two, a run draws it again; after the checkpoint it would be lost.
        callbacks = [training.every(asked.sample_every, picture), training.every(asked.checkpoint_every, save)]
        history = training.fit(game, x, rounds=asked.rounds, history=history, callbacks=callbacks, **settings)
        save(game, history)
    except BaseException:
        if not resume and not run.checkpoint_file.exists():  # nothing has been learned
            run.remove()
            run.unlock()
            for folder in made:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
        raise
    finally:
        run.unlock()
    return history

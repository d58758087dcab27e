"""The command `gan-course`. Everything heavy is imported inside the commands, so that `--help` answers at once."""

import json as jsonlib
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from gan_course.errors import CourseError

app = typer.Typer(
    name="gan-course",
    help="Train, sample and judge the games of the course; run its chapters.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; an error that we expect is one message on stderr and exit code 1, without a traceback."""
    warnings.showwarning = lambda message, *_, **__: print(f"gan-course: notice: {message}", file=sys.stderr)
    try:
        app(prog_name="gan-course")
    except (CourseError, ValueError, OSError) as error:
        if os.environ.get("GAN_COURSE_TRACEBACK"):
            raise
        print(f"gan-course: {error}", file=sys.stderr)
        sys.exit(1)


Folder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)]


@app.command("list")
def list_() -> None:
    """Show the objectives, games, data sets and networks there are."""
    from gan_course import data, networks, objectives, runs

    def first_line(thing: object) -> str:
        return (thing.__doc__ or "").strip().splitlines()[0]

    sections = {
        "objectives": [(name, objectives.get(name).source) for name in objectives.names()],
        "games": list(runs.GAMES.items()),
        "data sets": [(name, "images") for name in data.names()] + [(name, text) for name, text in runs.TOYS.items()],
        "networks": [(name, first_line(getattr(networks, name))) for name in ("mlp", "dcgan", "encoder", "decoder")],
    }
    width = max(len(name) for rows in sections.values() for name, _ in rows) + 2
    for title, rows in sections.items():
        print(title)
        for name, text in rows:
            print(f"  {name:{width}}{text}")


@app.command()
def train(
    game: Annotated[str, typer.Argument(help="gan, began, vae or autoencoder.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The run's folder.", show_default=False)],
    data: Annotated[str | None, typer.Option(help="A data set (gan-course list). Default: digits.")] = None,
    objective: Annotated[str | None, typer.Option(help="Of a gan. Default: non-saturating.")] = None,
    rounds: Annotated[int | None, typer.Option(help="In all; learning rates fall over them. Default: 2000.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples per step. Default: 64.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, batches and noise. Default: 0.")] = None,
    latent_size: Annotated[int | None, typer.Option(help="Coordinates of a latent vector.")] = None,
    width: Annotated[int | None, typer.Option(help="Width of the networks: units, or channels at the image.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam, for the generator.")] = None,
    discriminator_steps: Annotated[int | None, typer.Option(help="Per step of the generator.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, … Default: a GPU if there is one.")] = None,
    devices: Annotated[int | None, typer.Option(help="Train in so many processes, each on its own device.")] = None,
    nodes: Annotated[int | None, typer.Option(help="Machines, each with so many devices.")] = None,
    sync_batch_norm: Annotated[
        bool | None, typer.Option("--sync-batch-norm", help="Batch normalisation over all processes.")
    ] = None,
    sample_every: Annotated[int | None, typer.Option(help="Rounds between pictures of samples. Default: 500.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Rounds between checkpoints. Default: 500.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
) -> None:
    """Train a game; store pictures, history, configuration and a checkpoint in a folder."""
    from gan_course import processes, runs
    from gan_course.errors import Diverged

    settings = {
        "data": data,
        "objective": objective,
        "rounds": rounds,
        "batch_size": batch_size,
        "seed": seed,
        "latent_size": latent_size,
        "width": width,
        "learning_rate": learning_rate,
        "discriminator_steps": discriminator_steps,
        "device": device,
        "sample_every": sample_every,
        "checkpoint_every": checkpoint_every,
        "sync_batch_norm": sync_batch_norm,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    asked = runs.Configuration(game, **given)
    mine = processes.start(devices, nodes, device)
    prepared = runs.prepare(out, asked, {"game", *given}, resume, overwrite)
    if prepared is None:
        raise typer.Exit(1)
    run, asked, player, history, x = prepared
    together = f"{f' --devices {devices}' if devices else ''}{f' --nodes {nodes}' if nodes else ''}"
    on = f"gan-course train {game} --out {out} --resume{together}"
    try:
        history = runs.train(run, asked, player, history, x, _show, resume, mine)
    except Diverged as error:
        kept = f"; {out} holds the run as it was last saved" if run.checkpoint_file.exists() else ""
        raise Diverged(f"{error}{kept}") from None
    except KeyboardInterrupt:
        kept = f"go on from the last checkpoint with: {on}" if run.checkpoint_file.exists() else "nothing was stored"
        print(f"gan-course: stopped; {kept}", file=sys.stderr)
        raise typer.Exit(130) from None
    if processes.Processes().rank > 0:
        return
    if history.interrupted:
        print(
            f"gan-course: stopped after round {history.rounds} of {asked.rounds}, and saved; go on with: {on}",
            file=sys.stderr,
        )
        raise typer.Exit(130)
    last = ", ".join(f"{name} {value:.4g}" for name, value in history.last().items())
    print(f"{out}: {history.rounds} rounds in {history.seconds:.1f} s; {last}")


def _show(game, x, path: Path, number: int | None = None) -> None:
    """Store a picture of a game's samples: a grid of images, or points among those they should be like."""
    from gan_course import checkpoint

    if x.ndim == 4:
        from torchvision.utils import make_grid, save_image

        number = number or 64
        enlarged = max(1, 56 // x.shape[-1])  # small images are shown larger, each pixel as a square
        samples = game.sample(number).cpu().clamp(0, 1)
        samples = samples.repeat_interleave(enlarged, 2).repeat_interleave(enlarged, 3)
        grid = make_grid(samples, nrow=max(1, round(number**0.5)), padding=2, pad_value=1.0)
        with checkpoint.replacing(path) as temporary:
            save_image(grid, temporary)
        return
    import matplotlib

    matplotlib.use("Agg")  # files only: no window, and none needed
    from gan_course import plotting

    extent = 1.25 * float(x.abs().max())
    ax = plotting.plane(game, x[:1000].to(game.device), number or 1000, extent=extent)
    with checkpoint.replacing(path) as temporary:
        ax.figure.savefig(temporary, dpi=120)
    matplotlib.pyplot.close(ax.figure)


@app.command()
def sample(
    run: Folder,
    number: Annotated[int | None, typer.Option(help="How many samples. Default: 64 images, or 1000 points.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .png file. Default: one in the run's folder.")] = None,
    seed: Annotated[int, typer.Option(help="Of the latents.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out if it exists.")] = False,
) -> None:
    """Draw a picture of samples of a trained game."""
    from gan_course import runs, seed_everything

    if number is not None and number < 1:
        raise runs.RunError(f"--number {number} was given; it must be at least 1")
    if out is not None:
        if out.suffix.lower() != ".png":
            raise runs.RunError(f"--out {out} is not the name of a .png file")
        if out.exists() and not overwrite:
            raise runs.RunError(f"{out} exists; replace it with --overwrite, or choose another --out")
        if not out.parent.is_dir():
            raise runs.RunError(f"the folder {out.parent} does not exist; make it, or choose another --out")
    _, game, _, x = runs.Run(run).load()
    out = out or run / f"sample-seed{seed}.png"
    seed_everything(seed)
    _show(game, x, out, number)
    print(out)


@app.command()
def evaluate(
    run: Folder,
    number: Annotated[int, typer.Option(help="How many samples to judge.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the latents.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")] = False,
) -> None:
    """Measure a trained game by the metrics that are right for its data, beside the same for real data."""
    import torch

    from gan_course import judgement, runs, seed_everything

    if number < 100:
        raise runs.RunError(f"--number {number} was given; fewer than 100 samples say nothing")
    asked, game, history, x = runs.Run(run).load()
    seed_everything(seed)
    # In parts, so that no batch of pictures is larger than memory.
    samples = torch.cat([game.sample(len(part)) for part in torch.empty(number).split(1_000)])
    found = judgement.judge(asked.data, samples, x, runs.load_data(asked.data, "test", asked.seed))
    if json:
        report = {name: {"samples": fake, "real": real} for name, (fake, real) in found.items()}
        about = {"run": str(run), "data": asked.data, "rounds": history.rounds, "number": number, "seed": seed}
        print(jsonlib.dumps({**about, "metrics": report}, indent=2, ensure_ascii=False))
        return
    print(f"{run}: {asked.game} on {asked.data} after {history.rounds} rounds, {number:,} samples, seed {seed}")
    print(f"{'':42}{'samples':>10}{'real':>10}")
    for name, row in found.items():
        fake, real = ("" if v is None else f"{v:,}" if isinstance(v, int) else f"{v:.4f}" for v in row)
        print(f"{name:42}{fake:>10}{real:>10}")


Notebooks = Annotated[list[Path], typer.Argument(metavar="NOTEBOOK…", help="Chapters (.ipynb).", show_default=False)]


@app.command()
def execute(
    notebooks: Notebooks,
    output: Annotated[
        Path | None, typer.Option(help="Store the result here (a folder if there are several chapters), not in place.")
    ] = None,
    budget: Annotated[str, typer.Option(help="full, or smoke: a handful of rounds, only with --output.")] = "full",
    timeout: Annotated[float, typer.Option(help="Seconds that one cell may take.")] = 1800,
) -> None:
    """Run chapters and store outputs and provenance in them, if every cell succeeds."""
    from gan_course import execution, provenance

    if output is not None and len(notebooks) > 1 and not output.is_dir():
        raise provenance.NotebookError(f"--output {output} is no folder, as several chapters need; make it first")
    failures = 0
    for path in notebooks:
        target = output / path.name if output is not None and output.is_dir() else output
        try:
            run = execution.execute(path, target, budget=budget, timeout=timeout)
        except CourseError as error:
            failures += 1
            print(f"gan-course: {error}", file=sys.stderr)
            continue
        slowest = ", ".join(f"cell {number} {seconds:.1f} s" for number, seconds in run.slowest)
        print(f"{run.path}: {run.seconds:.1f} s ({slowest})" if slowest else f"{run.path}: {run.seconds:.1f} s")
        for problem in run.problems:
            print(f"  notice: {problem}", file=sys.stderr)
    if failures:
        raise typer.Exit(1)


@app.command()
def stale(
    notebooks: Annotated[
        list[Path] | None, typer.Argument(metavar="NOTEBOOK…", help="Chapters; by default all in notebooks/.")
    ] = None,
) -> None:
    """List, oldest first, the chapters made with another version of the package modules they import."""
    from gan_course import provenance

    paths = notebooks or sorted(Path("notebooks").glob("*.ipynb"))
    if not paths:
        raise provenance.NotebookError(
            "there are no chapters in notebooks/; call it from the course's folder, or name them"
        )
    found = provenance.stale(paths)
    for chapter in found:
        reason = (
            f"since changed: {', '.join(chapter.changed)}"
            if chapter.executed
            else "never run with `gan-course execute`"
        )
        print(f"{chapter.executed[:10] or '-':10}  {chapter.path}  {reason}")
    if not found:
        print("every chapter was made with the package as it is")


@app.command()
def headline(
    name: Annotated[str | None, typer.Argument(help="Which to run; none: list them.", show_default=False)] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, … Default: a GPU if there is one.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many; the same command goes on.")] = None,
    rounds: Annotated[int | None, typer.Option(help="A try-out with other rounds.")] = None,
    seeds: Annotated[str | None, typer.Option(help="A try-out with other seeds, such as 0,1.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="A .json file. Default: in benchmarks/results; of a try-out: none.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, and replace what was stored.")] = False,
) -> None:
    """Run a headline of benchmarks/headlines, in slices that go on; without a name, list published and measured.

    Called again meanwhile in a second terminal, without --restart, it plays beside the first.
    """
    import shlex

    from gan_course import headlines

    options = {"device": device, "minutes": minutes, "rounds": rounds, "seeds": seeds, "out": out}
    given = {option: value for option, value in options.items() if value is not None}
    if name is None:
        if given or restart:
            raise headlines.HeadlineError(f"give the name of a headline: {', '.join(headlines.names())}")
        for line in headlines.listing():
            print(line)
        return
    if seeds is not None:
        try:
            given["seeds"] = [int(seed) for seed in seeds.split(",")]
        except ValueError:
            raise headlines.HeadlineError(
                f"--seeds {seeds} was given; it takes whole numbers with commas between them, such as 0,1,2"
            ) from None
    words = [word for option, value in options.items() if value is not None for word in (f"--{option}", str(value))]
    on = shlex.join(["gan-course", "headline", name, *words])
    try:
        outcome = headlines.run(name, **given, restart=restart, say=lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print(f"gan-course: stopped; go on from the last checkpoint with: {on}", file=sys.stderr)
        raise typer.Exit(130) from None
    print(outcome.text if outcome.finished else f"{outcome.text}; go on with: {on}")
    if outcome.interrupted:
        raise typer.Exit(130)


@app.command()
def study(
    file: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="What is to be played.", show_default=False)],
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask scheduler, such as tcp://10.0.0.1:8786. Default: this machine.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes on this machine. Default: one for each core.")] = None,
    out: Annotated[Path | None, typer.Option(help="The table. Default: where the study says.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Play failed cells again.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, and replace the table.")] = False,
) -> None:
    """Play a grid of objectives, settings, data sets and seeds on Dask; stopped, the same command goes on."""
    from gan_course import study as studies

    try:
        outcome = studies.run(file, out, scheduler, workers, retry, restart)
    except KeyboardInterrupt:
        print("gan-course: stopped; what was finished is stored, and the same command goes on", file=sys.stderr)
        raise typer.Exit(130) from None
    print(outcome)
    if outcome.failed:
        print("gan-course: --retry plays the failed cells again", file=sys.stderr)
        raise typer.Exit(1)

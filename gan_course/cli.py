"""The command `gan-course`. Everything heavy is imported inside the commands, so that `--help` answers at once."""

import os
import sys
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
    try:
        app(prog_name="gan-course")
    except (CourseError, ValueError, OSError) as error:
        if os.environ.get("GAN_COURSE_TRACEBACK"):
            raise
        print(f"gan-course: {error}", file=sys.stderr)
        sys.exit(1)


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

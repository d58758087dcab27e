"""A study is played on Dask, cell by cell, into its table."""

import contextlib
import logging
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gan_course.checks import whole
from gan_course.study import cells
from gan_course.study.cells import Cell, StudyError
from gan_course.study.plan import read
from gan_course.study.table import Table

PATIENCE = 20  # seconds to wait for a scheduler, and for its first worker


@dataclass(frozen=True)
class Outcome:
    """How a study stands.

    Attributes:
        cells: how many there are in all.
        done, diverged, failed: how many of them ended so.
        table: the file.
        errors: of each kind of failure one, with its cell.
    """

    cells: int
    done: int
    diverged: int
    failed: int
    table: Path
    errors: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether every cell was played."""
        return self.done + self.diverged == self.cells

    def __str__(self) -> str:
        played = self.done + self.diverged + self.failed
        kinds = [f"{number} {kind}" for kind in ("diverged", "failed") if (number := getattr(self, kind))]
        told = f"{self.table}: {played:,} of {self.cells:,} cells{', of which ' if kinds else ''}{', '.join(kinds)}"
        return "\n".join([told, *(f"  {error}" for error in self.errors)])


def run(
    path: str | Path,
    out: str | Path | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    retry: bool = False,
    restart: bool = False,
    seen: Callable[[Cell, dict[str, Any]], None] | None = None,
) -> Outcome:
    """Play the cells of a study that its table does not hold yet.

    Args:
        path: the study, a TOML file; see `plan`.
        out: the table; by default where the study says.
        scheduler: the address of a Dask scheduler, such as `tcp://10.0.0.1:8786`; by default a cluster on this machine
            is begun, and ended with the study.
        workers: processes on this machine; by default one for each core that this process may use.
        retry: play failed cells again.
        restart: begin anew, and replace the table.
        seen: told of every cell that is finished, once it is stored.

    Raises:
        StudyError: for what cannot be done as asked; the message says what can.
    """
    study = read(path)
    if workers is not None:
        whole("workers", workers, most=4096)
        if scheduler is not None:
            raise StudyError(f"workers={workers} was given with a scheduler, which has its own; give one of the two")
    distributed = _distributed()
    target = study.table if out is None else Path(out)
    lock = FileLock(target.with_name(f".{target.stem}.lock"))  # no name of what `replacing` leaves
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        held = lock.acquire(timeout=0)
    except Timeout:
        raise StudyError(f"another process plays the study of {target}; let it finish, or stop it") from None
    except OSError as error:
        raise StudyError(f"{target} cannot be written ({error}); give another file with --out") from None
    with held, contextlib.ExitStack() as last:
        last.callback(_removed, lock.lock_file)
        table = Table(study, target, restart)
        if retry:
            table.forget_failed()
        if any(table.waiting(*place) for place in study.settings):
            with _on_ctrl_c(signal.default_int_handler), _client(distributed, scheduler, workers) as client:
                _play(distributed, client, table, seen)
        return _outcome(table)


def _removed(file: str) -> None:
    with contextlib.suppress(OSError):  # a system that removes no file that is open
        os.unlink(file)


def _distributed():
    try:
        import distributed
    except ImportError:
        raise StudyError("a study is played on Dask, which is not installed: pip install 'gan-course[study]'") from None
    return distributed


@contextlib.contextmanager
def _client(distributed, scheduler: str | None, workers: int | None) -> Iterator[Any]:
    """A client of the scheduler, or of a cluster on this machine that ends with it."""
    with contextlib.ExitStack() as stack:
        if scheduler is None:
            # Ctrl-C reaches every process of a terminal; workers are to be ended by this one, and not to complain.
            with _on_ctrl_c(signal.SIG_IGN):
                cluster = distributed.LocalCluster(
                    n_workers=workers or len(os.sched_getaffinity(0)),
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                    env={"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"},
                )
            stack.enter_context(cluster)
            scheduler = cluster.scheduler_address
        try:
            client = stack.enter_context(distributed.Client(scheduler, timeout=PATIENCE, set_as_default=False))
            client.wait_for_workers(1, timeout=PATIENCE)
        except (OSError, ValueError) as error:
            raise StudyError(
                f"no scheduler with a worker answers at {scheduler} ({error}); begin them with `dask scheduler` and "
                "`dask worker ADDRESS --nthreads 1`, and give the address that the first one prints"
            ) from None
        try:
            codes = client.run(cells.code)
        except ImportError as error:
            raise StudyError(f"a worker cannot import what it is to play ({error}); install the course there") from None
        for worker, code in codes.items():
            _same_code(worker, code)
        yield client


def _same_code(worker: str, code: str) -> None:
    if code != cells.code():
        raise StudyError(
            f"the worker {worker} has other code of the course than this process ({code}, not {cells.code()}): "
            "install the same version on both"
        )


@contextlib.contextmanager
def _on_ctrl_c(handler) -> Iterator[None]:
    """What Ctrl-C does inside, also to processes begun there; a shell may have told this one to ignore it."""
    try:
        before = signal.signal(signal.SIGINT, handler)
    except ValueError:  # not the main thread, which alone hears of it
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _play(distributed, client, table: Table, seen) -> None:
    """Play what waits, and what comes to wait, until nothing does."""
    from tqdm import tqdm

    study, asked = table.study, {}
    playing = distributed.as_completed(loop=client.loop)

    def ask(objective: str, data: str) -> None:
        for cell in table.waiting(objective, data):
            future = client.submit(cells.attempt, cell, study.device, key=f"{cell}-{uuid.uuid4().hex}", pure=False)
            asked[future.key] = cell
            playing.add(future)

    for place in study.settings:
        ask(*place)
    with tqdm(total=len(study), initial=len(table.rows), unit="cell", dynamic_ncols=True) as bar:
        for batch in playing.batches():
            fresh = {}
            for future in batch:
                cell = asked.pop(future.key)
                fresh[cell] = _row(future)
            table.rows.update(fresh)
            table.write()
            bar.update(len(fresh))
            for cell, row in fresh.items():
                if seen is not None:
                    seen(cell, row)
            for place in {(cell.objective, cell.data) for cell in fresh}:
                if not any((cell.objective, cell.data) == place for cell in asked.values()):
                    ask(*place)


def _row(future) -> dict[str, Any]:
    """What became of a cell."""
    if future.status in ("cancelled", "lost"):
        raise StudyError("the scheduler was lost; what was finished is in the table, and the same command goes on")
    error = future.exception()
    if error is not None:  # a worker died of it, and others after it
        return {**dict.fromkeys(cells.METRICS), **cells.failure(error), **cells.circumstances(None)}
    row = future.result()
    if row["outcome"] != cells.FAILED:
        _same_code(row["device"], row["code"])
    return {**dict.fromkeys(cells.METRICS), **row}


def _outcome(table: Table) -> Outcome:
    counts = dict.fromkeys((cells.DONE, cells.DIVERGED, cells.FAILED), 0)
    errors = {}
    for cell, row in table.rows.items():
        counts[row["outcome"]] += 1
        if row["outcome"] == cells.FAILED:
            errors.setdefault(row["error"], f"{cell}: {row['error']}")
    return Outcome(len(table.study), **counts, table=table.path, errors=tuple(errors.values()))

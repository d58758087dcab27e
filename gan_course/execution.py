"""Run a chapter from its first cell to its last and store outputs and provenance in it, or leave it as it was."""

import datetime
import hashlib
import json
import os
import re
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import gan_course
from gan_course import provenance
from gan_course.errors import CourseError
from gan_course.provenance import NotebookError

# Runs in the chapter's own kernel after its last cell: only there is it known which device and threads were used.
PROBE = """
import json as _json, platform as _platform, sys as _sys
_versions = {"python": _platform.python_version()}
_versions |= {_n: str(_sys.modules[_n].__version__) for _n in ("torch", "numpy", "gan_course") if _n in _sys.modules}
_device = "CPU"
if "torch" in _sys.modules:
    _torch, _n = _sys.modules["torch"], _sys.modules["torch"].get_num_threads()
    _device = f"CPU, {_n} thread{'s' if _n > 1 else ''}"
    if _torch.cuda.is_available():
        _device = _torch.cuda.get_device_name(0)
print(_json.dumps({"device": _device, "versions": _versions}))
"""


class ChapterFailed(CourseError):
    """A cell of the chapter raised an error, ran out of time or killed the kernel; nothing was stored."""


@dataclass(frozen=True)
class Run:
    """What a successful run was like: wall times in seconds, and what `provenance.check` objects to in the result."""

    path: Path
    seconds: float
    slowest: list[tuple[int, float]] = field(default_factory=list)  # (number of the cell, seconds)
    problems: list[str] = field(default_factory=list)


def execute(
    path: str | Path, output: str | Path | None = None, budget: str = "full", timeout: float | None = 1800
) -> Run:
    """Run every cell of the notebook with this interpreter, in the notebook's own folder, and store the outcome.

    `output`: where to store it; by default the notebook itself. `budget`: "full" or "smoke" (the latter only to another
    place: a chapter's stored outputs are those of a full run). `timeout`: seconds that one cell may take; None: any.

    The file is replaced in one step, after the last cell has succeeded; until then nothing is written. Raises
    ChapterFailed for a cell that fails, NotebookError for what cannot be run or stored.
    """
    path = Path(path)
    output = path if output is None else Path(output)
    _refuse(path, output, budget, timeout)
    stored = path.read_bytes() if path.is_file() else b""
    notebook = _load(path)
    started = time.perf_counter()
    probed, times = _run(notebook, path, budget, timeout)
    seconds = time.perf_counter() - started
    _clean(notebook, probed["versions"]["python"])
    _record(notebook, probed, budget, seconds)
    _refuse_machine_paths(notebook, path)
    if path.read_bytes() != stored:
        raise NotebookError(f"{path} was changed while it ran; nothing was stored. Run it again")
    _store(notebook, output)
    slowest = sorted(times, key=lambda item: -item[1])[:3]
    return Run(output, seconds, slowest, provenance.check(output))


def _refuse(path: Path, output: Path, budget: str, timeout: float | None) -> None:
    """Refuse, before anything runs, what could not be stored afterwards."""
    if budget not in ("full", "smoke"):
        raise NotebookError(f"unknown budget {budget!r}; choose full or smoke")
    if timeout is not None and timeout <= 0:
        raise NotebookError(f"a timeout of {timeout} seconds; it must be more than 0")
    if budget == "smoke" and output.resolve() == path.resolve():
        raise NotebookError("a smoke run would replace the stored outputs of a full run; give --output another path")
    if not output.parent.is_dir():
        raise NotebookError(f"the folder {output.parent} does not exist; make it, or give --output another path")


def _load(path: Path):
    """Return the notebook as nbformat's object, with an id in every cell that depends on nothing but the notebook."""
    try:
        import nbclient  # noqa: F401
        import nbformat
    except ImportError:
        raise NotebookError(
            "running chapters needs Jupyter: install this package with its extra, pip install 'gan-course[book]'"
        ) from None
    plain = provenance.read(path)
    for number, cell in enumerate(plain["cells"]):
        source = json.dumps([number, cell.get("source", "")]).encode()
        cell.setdefault("id", hashlib.sha256(source).hexdigest()[:8])
    plain["nbformat"], plain["nbformat_minor"] = plain.get("nbformat", 4), max(plain.get("nbformat_minor", 5), 5)
    notebook = nbformat.from_dict(plain)
    for cell in notebook.cells:  # lines are stored as lists, held as one string
        cell.source = "".join(cell.source)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        raise NotebookError(f"{path} is not a valid notebook: {error.message}") from None
    return notebook


def _kernel_manager(interpreter: str):
    """Return a kernel manager that starts `interpreter`, whatever kernels are installed on this machine."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class ThisInterpreter(AsyncKernelManager):
        @property
        def kernel_spec(self):
            command = [interpreter, "-m", "ipykernel_launcher", "--log-level=40", "-f", "{connection_file}"]
            return KernelSpec(argv=command, display_name="Python 3 (ipykernel)", language="python")

    return ThisInterpreter


def _environment(budget: str) -> dict[str, str]:
    """Return the kernel's environment: ours, the budget, and this very package to be imported."""
    # No progress bars: a stored one is a line that says nothing.
    environment = {**os.environ, "GAN_COURSE_BUDGET": budget, "TQDM_DISABLE": "1"}
    home = str(Path(gan_course.__file__).parents[1])
    if home not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):  # not installed, but run from source
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    return environment


def _run(notebook, path: Path, budget: str, timeout: float | None) -> tuple[dict, list[tuple[int, float]]]:
    """Run all cells in place; return what the probe found and the seconds that each code cell took."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    times: list[tuple[int, float]] = []
    client = NotebookClient(
        notebook,
        timeout=timeout,
        resources={"metadata": {"path": str(path.parent.resolve())}},
        kernel_manager_class=_kernel_manager(sys.executable),
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
    )
    # What the kernel itself writes (not its cells) is of interest only if it dies.
    with tempfile.TemporaryFile() as log, client.setup_kernel(env=_environment(budget), stdout=log, stderr=log):
        for index, cell in enumerate(notebook.cells):
            started = time.perf_counter()
            try:
                client.execute_cell(cell, index, execution_count=client.code_cells_executed + 1)
            except CellTimeoutError:
                raise _failure(path, index, cell, f"it took longer than {timeout:g} s (--timeout)") from None
            except DeadKernelError:
                log.seek(0)
                last = log.read().decode(errors="replace").strip().splitlines()[-3:]
                reason = ", ".join(["the kernel died: it may have run out of memory", *last])
                raise _failure(path, index, cell, reason) from None
            except CellExecutionError as error:
                raise _failure(path, index, cell, f"{error.ename}: {error.evalue}") from None
            if cell.cell_type == "code":
                times.append((index + 1, time.perf_counter() - started))
        notebook.cells.append(nbformat.v4.new_code_cell(PROBE))
        try:
            probe = client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1, store_history=False)
        finally:
            notebook.cells.pop()
    printed = "".join(output.get("text", "") for output in probe.outputs if output.get("name") == "stdout")
    return json.loads(printed), times


def _failure(path: Path, index: int, cell, reason: str) -> ChapterFailed:
    """Say which cell failed, how it begins, what it had printed and why it failed."""
    head = [line for line in cell.source.splitlines() if line.strip()][:3]
    printed = [line for output in cell.get("outputs", []) for line in output.get("text", "").splitlines()][-5:]
    quoted = [f"    | {line}" for line in head] + [f"    > {line}" for line in printed]
    return ChapterFailed(
        "\n".join([f"{path}, cell {index + 1}: {reason}", *quoted, "nothing was stored; the notebook is as it was"])
    )


def _clean(notebook, python: str) -> None:
    """Keep in the metadata only what depends on the chapter, not on the editor or the moment."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {  # without it the book cannot colour cells that hold magics
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
        "version": python,
    }
    for cell in notebook.cells:
        for key in ("execution", "ExecuteTime", "collapsed", "scrolled"):
            cell.metadata.pop(key, None)


def _record(notebook, probed: dict, budget: str, seconds: float) -> None:
    """Write the provenance into the notebook's metadata."""
    modules = provenance.module_hashes(notebook)
    versions = {**probed["versions"], "gan_course": gan_course.__version__}
    notebook.metadata["gan_course"] = {
        "device": probed["device"],
        "versions": versions,
        "budget": budget,
        "seconds": round(seconds, 1),
        "executed": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "code_hash": provenance.code_hash(notebook),
        "outputs_hash": provenance.outputs_hash(notebook),
        "modules": modules,
        "package_hash": provenance.package_hash(modules),
    }


def _refuse_machine_paths(notebook, path: Path) -> None:
    """Refuse outputs that show a folder of this machine: they mean nothing to a reader and tell of the author."""
    package = Path(gan_course.__file__).parents[1]
    folders = {str(folder) for folder in (Path.home(), Path(sys.prefix), package, path.parent.resolve())}
    folders |= {str(Path(folder).resolve()) for folder in folders} | {os.path.join(tempfile.gettempdir(), "ipykernel_")}
    pattern = re.compile("|".join(re.escape(folder) for folder in sorted(folders) if len(folder) > 1))
    found = []
    for number, cell in enumerate(notebook.cells, start=1):
        shown = pattern.search(json.dumps(cell.get("outputs", []), ensure_ascii=False))
        if shown:
            found.append(f"cell {number} shows a path of this machine: {shown.group()}…")
    if found:
        raise NotebookError(
            f"{path}: nothing was stored, for\n    " + "\n    ".join(found) + "\n"
            "silence what prints it (often a warning, which names its file), or print the file's name alone"
        )


def _store(notebook, output: Path) -> None:
    """Write the notebook beside its place and move it there in one step."""
    import nbformat

    descriptor, name = tempfile.mkstemp(prefix=f".{output.stem}-", suffix=".part", dir=output.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(nbformat.writes(notebook).rstrip("\n") + "\n")
        mode = output.stat().st_mode if output.exists() else 0o666 & ~_umask()
        os.chmod(name, mode & 0o777)
        os.replace(name, output)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """Return the process's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask

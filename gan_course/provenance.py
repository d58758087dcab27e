"""Where a chapter's stored outputs come from: hashes of its code and of the package behind it, and what to object to.

A full run (`gan-course execute`) stores in the notebook's metadata, under `gan_course`:

    device, versions, budget, seconds, executed     what ran it, for how long (wall time in seconds), and on which day
    code_hash, outputs_hash                         SHA-256 of the code cells' sources and of their outputs
    modules, package_hash                           the modules of the package behind the chapter, each with the start
                                                    of its SHA-256, and one hash over all of them

Nothing here imports torch or a Jupyter package, so that a check takes milliseconds.
"""

import ast
import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gan_course
from gan_course.errors import CourseError

IMAGE_LIMIT = 300_000  # bytes
NOTEBOOK_LIMIT = 1_500_000  # bytes
REQUIRED = (
    "device",
    "versions",
    "budget",
    "seconds",
    "executed",
    "code_hash",
    "outputs_hash",
    "modules",
    "package_hash",
)
PACKAGE = Path(gan_course.__file__).parent


class NotebookError(CourseError, ValueError):
    """A file that is not a notebook, or a notebook that cannot be run or stored."""


@dataclass(frozen=True)
class Stale:
    """A chapter whose stored outputs were made by another version of the package."""

    path: Path
    executed: str
    changed: tuple[str, ...]  # modules whose content differs, that are new behind the chapter, or no longer are


# Notebooks as they lie on the disk


def read(path: str | Path) -> dict:
    """Return the notebook as plain dictionaries; raises NotebookError where there is none in the file."""
    try:
        notebook = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotebookError(f"there is no notebook {path}; give the path of an .ipynb file") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise NotebookError(f"{path} is not a notebook that can be read ({error}); give an .ipynb file") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise NotebookError(f"{path} is not a notebook of format 4: it has no list of cells")
    return notebook


def _text(source: str | list[str]) -> str:
    """Join what the format may store as one string or as a list of lines."""
    return source if isinstance(source, str) else "".join(source)


def _code_cells(notebook: dict) -> Iterator[tuple[int, dict]]:
    """Yield each code cell that holds anything, with its number among all cells, counted from 1."""
    for number, cell in enumerate(notebook["cells"], start=1):
        if cell.get("cell_type") == "code" and _text(cell.get("source", "")).strip():
            yield number, cell


# Hashes


def code_hash(notebook: dict) -> str:
    """Return the SHA-256 over the sources of the code cells, in order; prose and outputs do not enter."""
    return _sha256(json.dumps([_text(cell["source"]) for _, cell in _code_cells(notebook)]).encode())


def outputs_hash(notebook: dict) -> str:
    """Return the SHA-256 over the outputs of the code cells, in order, however their lines are stored."""
    outputs = [[_canonical(output) for output in cell.get("outputs", [])] for _, cell in _code_cells(notebook)]
    return _sha256(json.dumps(outputs, sort_keys=True).encode())


def _canonical(value):
    """Join lists of lines and drop execution counts, which are checked apart."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items() if key != "execution_count"}
    if isinstance(value, list):
        return "".join(value) if all(isinstance(item, str) for item in value) else [_canonical(item) for item in value]
    return value


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def module_hashes(notebook: dict) -> dict[str, str]:
    """Return the modules of the package behind the chapter, each with the first 12 digits of its SHA-256.

    A module stands behind a chapter if a code cell uses it, or a module behind the chapter does, anywhere in it.
    The package's own `__init__` is left out: it holds the version and the names, and computes nothing.
    """
    found: set[str] = set()
    waiting = _imports("\n".join(_python(_text(cell["source"])) for _, cell in _code_cells(notebook)))
    while waiting:
        name = waiting.pop()
        if name in found or name == "gan_course":
            continue
        found.add(name)
        waiting |= _behind(name)
    return {name: _sha256(b"\0".join(_contents(name)))[:12] for name in sorted(found)}


def package_hash(modules: dict[str, str]) -> str:
    """Return one SHA-256 over what `module_hashes` returns."""
    return _sha256(json.dumps(modules, sort_keys=True).encode())


def _python(source: str) -> str:
    """Return a cell's source without IPython's magics and shell lines, which Python cannot parse."""
    try:
        ast.parse(source)
        return source
    except SyntaxError:
        pass
    if re.match(r"\s*%%(?!time|capture|prun)", source):  # the other cell magics hold no Python
        return ""
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)


def _imports(source: str, package: str = "") -> set[str]:
    """Return the modules of gan_course that a source imports, or uses as attributes of a package.

    A package counts as what is used of it: `games.GAN` is the module that GAN comes from. The package itself, with all
    that is behind it, counts where something is used that its `__init__` defines, or where it is handed on whole.

    `package`: the package that the source's relative imports start from.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise NotebookError(f"this is not Python: {error.text or source[:60]!r} ({error.msg})") from None
    aliases: dict[str, str] = {}  # what a name in the source stands for: a module, a package, or where it comes from
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "gan_course":
                    modules |= _plain(alias.name)
                    aliases[alias.asname or "gan_course"] = alias.name if alias.asname else "gan_course"
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            if base.split(".")[0] != "gan_course":
                continue
            for alias in node.names:
                used = _resolve(base, alias.name)
                modules |= {used} if used == base else _plain(used)
                if used != base:
                    aliases[alias.asname or alias.name] = used
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if id(node) in inner or not isinstance(getattr(node, "ctx", None), ast.Load):
            continue
        first, *rest = _dotted(node) or [None]
        if name := aliases.get(first):
            for part in rest:
                name = _resolve(name, part)
            modules.add(name)
    return modules


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """Return the full name of the module that a `from … import` names."""
    if not node.level:
        return node.module or ""
    parents = package.split(".")
    return ".".join([*parents[: len(parents) - node.level + 1], *([node.module] if node.module else [])])


def _dotted(node: ast.AST) -> list[str]:
    """Return `["a", "b", "c"]` for the expression a.b.c, and nothing for any other."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    return [node.id, *parts] if isinstance(node, ast.Name) else []


def _resolve(base: str, name: str) -> str:
    """Return the module that `base.name` is, or the one it comes from: `base` itself for what is defined there."""
    if _file(f"{base}.{name}"):
        return f"{base}.{name}"
    return _passed_on(base).get(name, base)


def _passed_on(package: str) -> dict[str, str]:
    """Return the names that a package's `__init__` imports from its modules, or finds there on demand, with these."""
    if not _is_package(package):
        return {}
    names: dict[str, str] = {}
    for node in ast.parse(_file(package).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            names |= {alias.asname or alias.name: base for alias in node.names if _file(base)}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):  # the module of each name
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                home = f"{package}.{value.value}" if isinstance(value, ast.Constant) else ""
                if isinstance(key, ast.Constant) and _file(home):
                    names[key.value] = home
    return names


def _is_package(name: str) -> bool:
    return (file := _file(name)) is not None and file.name == "__init__.py"


def _plain(name: str) -> set[str]:
    """Return the module, unless it is a package, of which it depends on the uses what of it counts."""
    return set() if _is_package(name) else {name}


def _file(module: str) -> Path | None:
    """Return the file of a module of this package."""
    place = PACKAGE.joinpath(*module.split(".")[1:])
    for file in (place / "__init__.py", place.with_suffix(".py")):
        if file.is_file():
            return file
    return None


def _behind(module: str) -> set[str]:
    """Return what a module needs of the package: what it imports, and all that lies in it if it imports on demand."""
    file = _file(module)
    source = file.read_text(encoding="utf-8")
    is_package = file.name == "__init__.py"
    needed = _imports(source, module if is_package else module.rpartition(".")[0])
    if is_package and re.search(r"^def __getattr__|import_module\(", source, flags=re.MULTILINE):
        needed |= {f"{module}.{_stem(file.parent, other)}" for other in file.parent.rglob("*.py") if other != file}
    return needed


def _stem(folder: Path, file: Path) -> str:
    """Return a file's name as a module inside the folder."""
    parts = file.relative_to(folder).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _contents(module: str) -> Iterator[bytes]:
    """Yield the module's source and each file that it names and that lies beside it: a figure's script, weights."""
    file = _file(module)
    source = file.read_bytes().replace(b"\r\n", b"\n")
    yield source
    named = {node.value for node in ast.walk(ast.parse(source)) if _may_name_a_file(node)}
    for name in sorted(named):
        if (file.parent / name).is_file():
            yield (file.parent / name).read_bytes()


def _may_name_a_file(node: ast.AST) -> bool:
    """Tell whether a node is a string such as "replay.js" or "weights/lenet.safetensors"."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(_FILE_NAME.fullmatch(node.value))


_FILE_NAME = re.compile(r"[\w-][\w./-]{0,80}\.(?!py$)\w{1,12}")


# Judgements


def check(path: str | Path) -> list[str]:
    """Return what is wrong with a stored chapter, a sentence each; an empty list for one that may be published.

    Looked for: cells not executed, or not in order; error outputs; outputs without provenance, or not made by the code
    cells stored with them; a run with a smoke budget; images without alternative text; images over 300 kB; a notebook
    over 1.5 MB.
    """
    notebook = read(path)
    problems: list[str] = []
    size = Path(path).stat().st_size
    if size > NOTEBOOK_LIMIT:
        problems.append(f"the notebook has {size:,} bytes; at most {NOTEBOOK_LIMIT:,} are allowed")
    problems += _check_provenance(notebook)
    for position, (number, cell) in enumerate(_code_cells(notebook), start=1):
        if cell.get("execution_count") is None:
            problems.append(f"cell {number} was not executed")
        elif cell["execution_count"] != position:
            problems.append(f"cell {number} was executed as number {cell['execution_count']}, not {position}")
        problems += [f"cell {number} {problem}" for problem in _check_outputs(cell)]
    for number, cell in enumerate(notebook["cells"], start=1):
        if cell.get("cell_type") == "markdown" and re.search(r"!\[\s*\]\(", _text(cell.get("source", ""))):
            problems.append(f"cell {number} shows an image without alternative text")
    return problems


def _check_provenance(notebook: dict) -> Iterator[str]:
    record = notebook.get("metadata", {}).get("gan_course")
    again = "run `gan-course execute` on it"
    if not isinstance(record, dict):
        yield f"it has no provenance; {again}"
        return
    missing = [key for key in REQUIRED if key not in record]
    if missing:
        yield f"its provenance lacks {', '.join(missing)}; {again}"
        return
    if record["code_hash"] != code_hash(notebook):
        yield f"its code cells are not those that made its outputs; {again}"
    if record["outputs_hash"] != outputs_hash(notebook):
        yield f"its outputs are not those of the run that its provenance describes; {again}"
    if record["budget"] != "full":
        yield f"its outputs come from a {record['budget']} run; {again}"


def _check_outputs(cell: dict) -> Iterator[str]:
    described = (cell.get("metadata", {}).get("mystnb", {}).get("image", {}).get("alt") or "").strip()
    for output in cell.get("outputs", []):
        if output.get("output_type") == "error":
            yield f"ended with an error: {output.get('ename')}: {output.get('evalue')}"
        for kind, content in output.get("data", {}).items():
            if kind.startswith("image/"):
                if not described:
                    yield "shows an image without alternative text; set mystnb.image.alt in the cell's metadata"
                size = len(_image_bytes(kind, _text(content)))
                if size > IMAGE_LIMIT:
                    yield f"shows an image of {size:,} bytes; at most {IMAGE_LIMIT:,} are allowed"
            elif kind == "text/html":
                for tag in re.findall(r"<img\b[^>]*>", _text(content), flags=re.IGNORECASE):
                    if not re.search(r"\balt\s*=\s*(\"\s*[^\"\s]|'\s*[^'\s]|[^\"'\s>])", tag, flags=re.IGNORECASE):
                        yield "shows an <img> without alternative text"


def _image_bytes(kind: str, content: str) -> bytes:
    return content.encode() if kind == "image/svg+xml" else b64decode(content)


def stale(paths: Iterable[str | Path]) -> list[Stale]:
    """Return the chapters made with another version of the package modules they import, the oldest run first.

    A chapter without provenance comes first of all, with no date.
    """
    found = []
    for path in paths:
        notebook = read(path)
        record = notebook.get("metadata", {}).get("gan_course") or {}
        then, now = record.get("modules", {}), module_hashes(notebook)
        changed = tuple(sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name)))
        if changed or not record:
            found.append(Stale(Path(path), record.get("executed", ""), changed))
    return sorted(found, key=lambda chapter: (chapter.executed, str(chapter.path)))

"""Provenance of stored chapters, and `gan-course execute` and `stale`, tried on small notebooks made here."""

import base64
import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gan_course
from gan_course import execution, provenance
from gan_course.provenance import NotebookError

ROOT = Path(gan_course.__file__).parents[1]
PIXEL = base64.b64encode(b"not quite a picture").decode()


def code(source, **parts):
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source, **parts}


def prose(source):
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def write(path, *cells, **metadata):
    path.write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))
    return path


def change(path, edit):
    notebook = json.loads(path.read_text())
    edit(notebook)
    path.write_text(json.dumps(notebook))
    return path


def command(*arguments, cwd=ROOT):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-m", "gan_course", *map(str, arguments)]
    return subprocess.run(call, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


CHAPTER = [
    prose("# A chapter"),
    code("from pathlib import Path\nfrom gan_course.errors import CourseError\nprint(Path.cwd().name, 6 * 7)"),
    code("import os, sys\nprint(os.environ['GAN_COURSE_BUDGET'])\nsys.version_info.major"),
    code("   "),
]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A chapter run in full through the command line."""
    path = write(tmp_path_factory.mktemp("notebooks") / "a.ipynb", *CHAPTER)
    outcome = command("execute", path)
    assert outcome.returncode == 0, outcome.stderr
    return path, outcome


@pytest.fixture
def chapter(executed, tmp_path):
    """A copy of the executed chapter that a test may spoil."""
    path = tmp_path / "a.ipynb"
    path.write_bytes(executed[0].read_bytes())
    assert provenance.check(path) == []
    return path


# A run that succeeds


def test_execute_stores_outputs_provenance_and_little_else(executed):
    path, outcome = executed
    notebook = json.loads(path.read_text())
    first, second = notebook["cells"][1], notebook["cells"][2]
    assert "".join(first["outputs"][0]["text"]) == f"{path.parent.name} 42\n"  # it ran in its own folder
    assert "".join(second["outputs"][0]["text"]) == "full\n"
    assert "".join(second["outputs"][1]["data"]["text/plain"]) == "3"
    record = notebook["metadata"]["gan_course"]
    assert set(provenance.REQUIRED) <= set(record)
    assert record["device"].startswith("CPU")
    assert record["versions"]["gan_course"] == gan_course.__version__
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert list(record["modules"]) == ["gan_course.errors"]
    assert 0 < record["seconds"] < 120
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert notebook["metadata"]["language_info"]["name"] == "python"
    assert set(notebook["metadata"]) == {"gan_course", "kernelspec", "language_info"}
    assert all(cell["metadata"] == {} for cell in notebook["cells"])
    assert f"{path}: " in outcome.stdout
    assert " s (cell " in outcome.stdout
    assert outcome.stderr == ""
    assert [file.name for file in path.parent.iterdir()] == ["a.ipynb"]


def test_execute_twice_keeps_ids_and_outputs(executed, tmp_path):
    path = executed[0]
    before = json.loads(path.read_text())
    execution.execute(path, tmp_path / "again.ipynb")
    after = json.loads((tmp_path / "again.ipynb").read_text())
    assert after["cells"] == before["cells"]
    assert after["metadata"]["gan_course"]["outputs_hash"] == before["metadata"]["gan_course"]["outputs_hash"]


def test_smoke_run_needs_another_place_and_is_no_full_run(chapter, tmp_path):
    before = chapter.read_bytes()
    outcome = command("execute", chapter, "--budget", "smoke")
    assert outcome.returncode == 1
    assert "--output" in outcome.stderr
    outcome = command("execute", chapter, "--budget", "smoke", "--output", tmp_path / "smoke.ipynb")
    assert outcome.returncode == 0
    assert "notice: its outputs come from a smoke run" in outcome.stderr
    assert chapter.read_bytes() == before
    assert "smoke" in (tmp_path / "smoke.ipynb").read_text()


# A run that fails leaves the stored notebook as it was


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([code("print('so far')\n1 / 0")], ["cell 1", "ZeroDivisionError: division by zero", "| 1 / 0", "> so far"]),
        ([code("1"), prose("x"), code("import os\nos._exit(3)")], ["cell 3", "the kernel died"]),
        ([code("import time; time.sleep(60)")], ["cell 1", "longer than 3 s"]),
        ([code("from gan_course import claim\nclaim('it works', False)")], ["ClaimFailed", "it works"]),
        ([code("import sys\nsys.prefix")], ["cell 1 shows a path of this machine"]),
    ],
    ids=["error", "death", "time", "claim", "path"],
)
def test_failing_chapter_is_left_untouched(tmp_path, cells, said):
    path = write(tmp_path / "b.ipynb", *cells)
    before = path.read_bytes()
    outcome = command("execute", path, "--timeout", 3 if "longer" in said[-1] else 60)
    assert outcome.returncode == 1
    for words in said:
        assert words in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["b.ipynb"]


def test_notebook_changed_while_it_runs_is_not_overwritten(tmp_path):
    path = write(tmp_path / "c.ipynb", code("open('c.ipynb', 'a').write(' ')"))
    with pytest.raises(NotebookError, match="changed while it ran"):
        execution.execute(path)
    assert path.read_text().endswith("} ")


def test_interrupted_writing_leaves_no_trace(tmp_path, monkeypatch):
    path = write(tmp_path / "d.ipynb", code("1 + 1"))
    before = path.read_bytes()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(execution.os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        execution.execute(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["d.ipynb"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "there is no notebook"), ("{", "not a notebook"), ("{}", "no list of cells")],
)
def test_what_is_no_notebook_is_refused(tmp_path, content, said):
    path = tmp_path / "e.ipynb"
    if content is not None:
        path.write_text(content)
    for verb in ("execute", "stale"):
        outcome = command(verb, path)
        assert outcome.returncode == 1
        assert said in outcome.stderr
        assert "Traceback" not in outcome.stderr


# Hashes


def test_code_hash_changes_if_and_only_if_code_cells_change():
    notebook = {"cells": copy.deepcopy(CHAPTER)}
    before = provenance.code_hash(notebook)
    for harmless in ("prose", "outputs", "lines", "metadata", "empty"):
        other = copy.deepcopy(notebook)
        match harmless:
            case "prose":
                other["cells"][0]["source"] = "# Another title"
            case "outputs":
                other["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x"}]
            case "lines":
                other["cells"][1]["source"] = other["cells"][1]["source"].splitlines(keepends=True)
            case "metadata":
                other["cells"][1]["metadata"] = {"tags": ["hide-input"]}
            case "empty":
                other["cells"].append(code(""))
        assert provenance.code_hash(other) == before, harmless
    for change_ in (
        lambda cells: cells[1].update(source=cells[1]["source"] + "\n"),
        lambda cells: cells.insert(1, code("pass")),
        lambda cells: cells.pop(1),
        lambda cells: cells.insert(1, cells.pop(2)),
    ):
        other = copy.deepcopy(notebook)
        change_(other["cells"])
        assert provenance.code_hash(other) != before


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the same shape as ours, whose files a test may change."""
    home = tmp_path / "gan_course"
    files = {
        "__init__.py": "_HOMES = {'fit': 'training', 'absent': 'nowhere'}\ndef __getattr__(name): ...\n",
        "errors.py": "",
        "training.py": "def fit():\n    from gan_course.errors import CourseError\n",
        "plotting.py": "",
        "objectives/__init__.py": "from . import base\nfrom .minimax import Minimax as M\ndef names(): return [M]\n",
        "objectives/base.py": "",
        "objectives/minimax.py": "from gan_course.objectives.base import Objective\n",
        "objectives/energy.py": "",
        "data/__init__.py": "def __getattr__(name): ...\n",
        "data/images.py": "import gan_course.errors\n",
        "data/toy/__init__.py": "",
        "data/toy/rings.py": "",
        "widgets/__init__.py": "",
        "widgets/replay.py": "MODULE = 'replay.js'\nOTHER = 'absent.js'\n",
        "widgets/replay.js": "export const mount = 1;\n",
    }
    for name, content in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content)
    monkeypatch.setattr(provenance, "PACKAGE", home)
    return home


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("import torch", []),
        ("from gan_course import fit", ["errors", "training"]),
        ("import gan_course\ngan_course.fit()", ["errors", "training"]),
        ("import gan_course as course\ncourse.training.fit()", ["errors", "training"]),
        ("from gan_course import objectives", []),
        ("from gan_course import objectives as o\nprint(o)", "objectives objectives.base objectives.minimax"),
        ("from gan_course import objectives\nobjectives.names()", "objectives objectives.base objectives.minimax"),
        ("from gan_course.objectives import names", "objectives objectives.base objectives.minimax"),
        ("from gan_course.objectives import *", "objectives objectives.base objectives.minimax"),
        ("import gan_course\ngan_course.objectives.names", "objectives objectives.base objectives.minimax"),
        ("from gan_course.objectives import energy as e", ["objectives.energy"]),
        ("from gan_course import objectives as o\no.energy.EnergyBased()", ["objectives.energy"]),
        ("import gan_course.objectives as o\no.M().loss", ["objectives.base", "objectives.minimax"]),
        ("from gan_course import objectives\nobjectives = objectives.energy", ["objectives.energy"]),
        ("from gan_course.data import toy\nprint(toy)", ["data.toy"]),
        ("from gan_course.data import toy\ntoy.rings.draw()", ["data.toy.rings"]),
        ("from gan_course import data\ndata.load()", ["data", "data.images", "data.toy", "data.toy.rings", "errors"]),
        ("%matplotlib inline\n!ls\nimport gan_course.plotting", ["plotting"]),
        ("%%time\nimport gan_course.plotting", ["plotting"]),
        ("%%bash\nls | wc", []),
        ("text = (\n'%s'\n% 1\n)\nimport gan_course.plotting", ["plotting"]),
    ],
)
@pytest.mark.usefixtures("package")
def test_modules_behind_a_chapter(source, modules):
    modules = modules.split() if isinstance(modules, str) else modules
    found = provenance.module_hashes({"cells": [code(source)]})
    assert list(found) == [f"gan_course.{name}" for name in modules]


@pytest.mark.usefixtures("package")
def test_what_one_cell_imports_and_another_uses_counts():
    found = provenance.module_hashes({"cells": [code("from gan_course import objectives"), code("objectives.M()")]})
    assert list(found) == ["gan_course.objectives.base", "gan_course.objectives.minimax"]


def test_module_hashes_follow_content(package):
    chapter = {"cells": [code("from gan_course.widgets import replay")]}
    before = provenance.module_hashes(chapter)
    assert list(before) == ["gan_course.widgets.replay"]
    (package / "plotting.py").write_text("changed = True\n")
    assert provenance.module_hashes(chapter) == before
    (package / "widgets/replay.js").write_text("export const mount = 2;\n")  # the figure's script belongs to its module
    after = provenance.module_hashes(chapter)
    assert after["gan_course.widgets.replay"] != before["gan_course.widgets.replay"]
    assert provenance.package_hash(after) != provenance.package_hash(before)


def test_cell_that_is_not_python_is_named():
    with pytest.raises(NotebookError, match="not Python"):
        provenance.module_hashes({"cells": [code("def f(:")]})


# What `check` objects to


def test_edited_code_is_seen(chapter):
    change(chapter, lambda notebook: notebook["cells"][1].update(source="print(7 * 6)"))
    assert any("code cells are not those that made its outputs" in problem for problem in provenance.check(chapter))


def test_edited_prose_is_not_objected_to(chapter):
    change(chapter, lambda notebook: notebook["cells"][0].update(source="# Better words"))
    assert provenance.check(chapter) == []


def test_edited_output_is_seen(chapter):
    change(chapter, lambda notebook: notebook["cells"][1]["outputs"][0].update(text="a 43\n"))
    assert provenance.check(chapter) == [
        "its outputs are not those of the run that its provenance describes; run `gan-course execute` on it"
    ]


def picture(cell, alt=None, data=PIXEL, kind="image/png"):
    cell["outputs"].append({"output_type": "display_data", "metadata": {}, "data": {kind: data}})
    if alt is not None:
        cell["metadata"]["mystnb"] = {"image": {"alt": alt}}


ERROR = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
LARGE = base64.b64encode(bytes(300_001)).decode()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda book: book["cells"][1].update(execution_count=None), "cell 2 was not executed"),
        (lambda book: book["cells"][2].update(execution_count=5), "cell 3 was executed as number 5, not 2"),
        (lambda book: book["cells"][1]["outputs"].append(ERROR), "cell 2 ended with an error: ValueError: no"),
        (lambda book: book["metadata"].pop("gan_course"), "it has no provenance"),
        (lambda book: book["metadata"]["gan_course"].pop("device"), "its provenance lacks device"),
        (lambda book: book["metadata"]["gan_course"].update(budget="smoke"), "come from a smoke run"),
        (lambda book: picture(book["cells"][1]), "cell 2 shows an image without alternative text"),
        (lambda book: picture(book["cells"][1], alt=" "), "cell 2 shows an image without alternative text"),
        (lambda book: picture(book["cells"][1], "A ring.", LARGE), "cell 2 shows an image of 300,001 bytes"),
        (lambda book: picture(book["cells"][1], "A ring.", "<svg>" + 300_000 * " ", "image/svg+xml"), "300,005 bytes"),
        (lambda book: picture(book["cells"][1], data="<p><img src='x'>", kind="text/html"), "an <img> without"),
        (lambda book: picture(book["cells"][1], data="<img alt='' src='x'>", kind="text/html"), "an <img> without"),
        (lambda book: book["cells"][0].update(source="See ![](x.png)"), "cell 1 shows an image without"),
        (lambda book: book["cells"][0].update(source=1_500_001 * "a"), "at most 1,500,000 are allowed"),
    ],
)
def test_check_objects(chapter, edit, said):
    change(chapter, edit)
    assert any(said in problem for problem in provenance.check(chapter))


def test_described_pictures_are_not_objected_to(chapter):
    def edit(notebook):
        picture(notebook["cells"][1], alt="Eight blobs on a circle.")
        picture(notebook["cells"][1], data="<img src='x' alt='Eight blobs'>", kind="text/html")
        notebook["metadata"]["gan_course"]["outputs_hash"] = provenance.outputs_hash(notebook)

    change(chapter, edit)
    assert provenance.check(chapter) == []


# Stale chapters


def test_stale_lists_oldest_first_and_is_no_failure(package, tmp_path, monkeypatch):
    notebooks = {
        "new": ("2026-03-01T00:00:00+00:00", "from gan_course import fit"),
        "old": ("2025-01-01T00:00:00+00:00", "from gan_course import fit"),
        "other": ("2024-01-01T00:00:00+00:00", "from gan_course import plotting"),
    }
    for name, (executed, source) in notebooks.items():
        record = {"executed": executed, "modules": provenance.module_hashes({"cells": [code(source)]})}
        write(tmp_path / f"{name}.ipynb", code(source), gan_course=record)
    paths = [tmp_path / f"{name}.ipynb" for name in notebooks]
    assert provenance.stale(paths) == []
    (package / "errors.py").write_text("class CourseError(Exception): ...\n")
    (package / "training.py").write_text("def fit(): ...\n")
    found = provenance.stale([*paths, write(tmp_path / "never.ipynb", code("import torch"))])
    assert [chapter.path.stem for chapter in found] == ["never", "old", "new"]
    assert found[1].changed == ("gan_course.errors", "gan_course.training")  # errors is no longer behind it


def test_stale_command(executed, chapter):
    outcome = command("stale", executed[0])
    assert (outcome.returncode, outcome.stdout) == (0, "every chapter was made with the package as it is\n")
    change(chapter, lambda notebook: notebook["metadata"]["gan_course"]["modules"].update({"gan_course.errors": "0"}))
    outcome = command("stale", chapter)
    assert outcome.returncode == 0
    assert "since changed: gan_course.errors" in outcome.stdout
    outcome = command("stale", cwd=chapter.parent)
    assert outcome.returncode == 1
    assert "no chapters in notebooks/" in outcome.stderr

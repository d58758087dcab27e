"""Chapters are tests: an output that is not the stored one is seen to fail. Tried on a copy of the opening chapter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import standards

ROOT = Path(__file__).resolve().parents[2]
OPENING = ROOT / "notebooks" / "01_generation.ipynb"
OPTIONS = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=300"]


@pytest.fixture
def excerpt() -> dict:
    """The opening chapter up to the first cell whose text is compared."""
    notebook = json.loads(OPENING.read_text(encoding="utf-8"))
    last = notebook["cells"].index(standards.checked(notebook)[0])
    notebook["cells"] = notebook["cells"][: last + 1]
    return notebook


def run(notebook: dict, folder: Path) -> subprocess.CompletedProcess:
    """Run a notebook as `make notebooks` runs a chapter."""
    path = folder / "excerpt.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    sanitise = ["--nbval-sanitize-with", str(ROOT / "tests" / "book" / "sanitise.cfg")]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *OPTIONS,
        *sanitise,
        f"--rootdir={folder}",
        str(path),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


def test_the_stored_output_passes(excerpt, tmp_path):
    done = run(excerpt, tmp_path)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def test_a_planted_error_is_seen(excerpt, tmp_path):
    for output in excerpt["cells"][-1]["outputs"]:
        if output.get("name") == "stdout":
            output["text"] = "planted\n"
        elif "text/plain" in output.get("data", {}):
            output["data"]["text/plain"] = "planted"
    done = run(excerpt, tmp_path)
    assert done.returncode == 1, done.stdout
    assert "planted" in done.stdout


def test_the_makefile_runs_them_so():
    command = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert " ".join(OPTIONS) in command
    assert "--dist loadfile" in command  # otherwise one notebook's cells are spread over several kernels

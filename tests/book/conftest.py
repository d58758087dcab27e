"""The book, built once for all the tests that look at it, with every warning an error."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES_FROM = ["_config.yml", "_toc.yml", "index.md", "book", "notebooks"]


@pytest.fixture(scope="session")
def build(tmp_path_factory, worker_id):
    """What came of building the book: {"folder", "code", "log"}; one build for all processes of pytest-xdist."""
    from filelock import FileLock

    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent
    outcome = shared / "book.json"
    with FileLock(f"{outcome}.lock"):
        if not outcome.exists():
            outcome.write_text(json.dumps(make(shared / "book")))
    return json.loads(outcome.read_text())


def make(folder: Path) -> dict:
    """Build a copy of the book's sources in `folder` the way the Makefile does."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in PAGES_FROM:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", "-W", "-n", "--keep-going"]
    command += ["--path-output", str(folder), str(source)]
    environment = {**os.environ, "TERM": "dumb"}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    return {"folder": str(folder / "_build" / "html"), "code": done.returncode, "log": done.stdout + done.stderr}


@pytest.fixture(scope="session")
def pages(build) -> Path:
    """The folder of the built pages; whether building them gave warnings is the matter of test_build.py."""
    folder = Path(build["folder"])
    assert (folder / "index.html").is_file(), build["log"]
    return folder

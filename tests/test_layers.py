"""The layers of the package: an arrow never runs upwards. pyproject.toml has the contract, `[tool.importlinter]`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def lint(folder: Path) -> subprocess.CompletedProcess:
    """Check the contract in a copy of the package."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(ROOT / "gan_course", tmp_path / "gan_course", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_no_arrow_runs_upwards():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ("objectives", "games"),
        ("objectives", "networks"),
        ("games", "training"),
        ("games", "data"),
        ("metrics", "objectives"),
        ("training", "plotting"),
        ("errors", "objectives"),
    ],
)
def test_a_planted_arrow_is_found(copy, lower, upper):
    def file(name):
        return next(
            path
            for path in (copy / "gan_course" / name / "__init__.py", copy / "gan_course" / f"{name}.py")
            if path.exists()
        )

    assert file(upper).exists()
    with file(lower).open("a") as text:
        text.write(f"\nimport gan_course.{upper}\n")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"gan_course.{lower} -> gan_course.{upper}" in done.stdout, done.stdout


def test_a_module_without_a_layer_is_found(copy):
    (copy / "gan_course" / "stranger.py").write_text('"""No layer."""\n')
    done = lint(copy)
    assert done.returncode == 1
    assert "stranger" in done.stdout

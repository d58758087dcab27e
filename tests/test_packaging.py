"""What is installed: the wheel holds every file of the package and needs nothing beside it."""

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


def shipped() -> set[str]:
    """The files of the package in this checkout."""
    files = (path for path in (ROOT / "gan_course").rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}


def test_the_wheel_holds_the_whole_package(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == shipped()


@pytest.mark.parametrize("kind", [".py", ".js", ".safetensors"])
def test_the_wheel_holds_code_figures_and_weights(wheel, kind):
    assert any(name.endswith(kind) for name in zipfile.ZipFile(wheel).namelist())


def test_the_wheel_is_of_use_away_from_the_checkout(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = (
        "import gan_course, gan_course.metrics, gan_course.widgets\n"
        "from gan_course import data\n"
        "print(gan_course.__file__, len(data.load('digits').images))\n"
        "gan_course.metrics.lenet()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "installed"))


def test_the_command_is_declared_and_the_licence_is_there(wheel):
    archive = zipfile.ZipFile(wheel)
    (entry,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    assert "gan-course = gan_course.cli:main" in archive.read(entry).decode()
    (metadata,) = [name for name in archive.namelist() if name.endswith("METADATA")]
    message = Parser().parsestr(archive.read(metadata).decode())
    assert message["License-Expression"] == "MIT"
    assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())


def requirements() -> list[Requirement]:
    """Everything the project asks for, with all extras."""
    return [Requirement(line) for line in [*PROJECT["dependencies"], *(x for extra in EXTRAS.values() for x in extra)]]


def test_the_extras_are_those_that_the_course_names():
    assert set(EXTRAS) == {"book", "test", "study", "inception", "scale", "bench", "dev"}
    (everything,) = [Requirement(line) for line in EXTRAS["dev"] if line.startswith("gan-course[")]
    assert everything.extras == {"book", "test", "study", "inception", "scale", "bench"}


def test_only_lower_bounds_except_for_jupyter_book():
    for requirement in requirements():
        bounds = {specifier.operator for specifier in requirement.specifier}
        if requirement.name == "jupyter-book":
            assert str(requirement.specifier) in ("<2,>=1.0.4", ">=1.0.4,<2")
        elif requirement.name != PROJECT["name"]:
            assert ">=" in bounds, f"{requirement}: give a lower bound"
            assert bounds <= {">=", "!="}, f"{requirement}: no upper bound"  # != names one broken release


def imported(path: Path) -> set[str]:
    """The first names of what a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - {"gan_course"}


def test_what_the_package_imports_is_declared():
    declared = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    # Chapters need Jupyter, several processes Lightning Fabric, studies Dask, the Inception network torch-fidelity.
    extras = {"execution.py": "book", "processes.py": "scale", "playing.py": "study", "features.py": "inception"}
    owners = packages_distributions()
    for path in (ROOT / "gan_course").rglob("*.py"):
        more = {canonicalize_name(Requirement(line).name) for line in EXTRAS.get(extras.get(path.name), ())}
        for name in imported(path):
            distributions = {canonicalize_name(owner) for owner in owners[name]}
            assert distributions & (declared | more), f"{path.name} imports {name}, which pyproject.toml does not list"

"""The frame around the course: one address, one list of dependencies, commands that exist."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
SITE = PROJECT["urls"]["Documentation"]
OWNER_AND_NAME = REPOSITORY.removeprefix("https://github.com/")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


# One address


def run_address(root: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(root / "book" / "address.py")]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def tracked(root: Path) -> list[Path]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=root, check=True, capture_output=True, text=True).stdout.splitlines()
    return [root / name for name in names if (root / name).is_file()]


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of what git tracks or would track."""
    for path in tracked(ROOT):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_every_copy_of_the_address_is_that_of_pyproject(checkout):
    done = run_address(checkout)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", "these repeat another address than pyproject.toml; run `make address`"
    config = yaml.safe_load(read("_config.yml"))
    assert config["repository"]["url"] == REPOSITORY
    assert config["html"]["baseurl"] == SITE
    citation = yaml.safe_load(read("CITATION.cff"))
    assert (citation["repository-code"], citation["url"]) == (REPOSITORY, SITE)
    for badge in ("tests", "pages"):
        assert f"{REPOSITORY}/actions/workflows/{badge}.yml/badge.svg" in read("README.md")


@pytest.mark.parametrize(
    "pattern", [r"colab\.research\.google\.com/github/", r"raw\.githubusercontent\.com/", r"git\+https://github\.com/"]
)
def test_colab_raw_and_installation_links_lead_to_this_repository(pattern):
    found = {}
    for path in tracked(ROOT):
        if path.suffix in (".md", ".ipynb", ".yml", ".toml", ".cff") or path.parts[-2] == "gan_course":
            owners = re.findall(pattern + r"([\w-]+/[\w-]+)", path.read_text(encoding="utf-8"))
            if strangers := set(owners) - {OWNER_AND_NAME}:
                found[str(path.relative_to(ROOT))] = strangers
    assert not found


def test_a_new_address_reaches_every_copy(checkout):
    pyproject = checkout / "pyproject.toml"
    text = (
        pyproject.read_text()
        .replace(REPOSITORY, "https://github.com/somewhere/else")
        .replace(SITE, "https://book.example.org")
    )
    pyproject.write_text(text)
    done = run_address(checkout)
    assert done.returncode == 0, done.stderr
    assert {"README.md", "_config.yml", "CITATION.cff"} <= set(done.stdout.split())
    for path in tracked(checkout):
        content = path.read_bytes()
        assert OWNER_AND_NAME.encode() not in content, path
        assert SITE.encode() not in content, path
    assert (
        "https://colab.research.google.com/github/somewhere/else/blob/main/notebooks"
        in (checkout / "README.md").read_text()
    )
    assert run_address(checkout).stdout == ""


def test_an_address_that_cannot_be_is_refused(checkout):
    pyproject = checkout / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace(REPOSITORY, "ftp://example.org/"))
    done = run_address(checkout)
    assert done.returncode == 1
    assert "https" in done.stderr
    assert "Traceback" not in done.stderr


# One list of dependencies


def test_conda_installs_what_pyproject_names():
    environment = yaml.safe_load(read("environment.yml"))
    assert set(environment) == {"name", "channels", "dependencies"}
    assert environment["channels"] == ["conda-forge"]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    assert f"python{PROJECT['requires-python']}" in plain
    assert "pip" in plain
    (line,) = pip
    extras = re.fullmatch(r"--editable \.\[([\w,]+)\]", line)
    assert extras
    assert set(extras[1].split(",")) == {"dev"}  # which is all of them: tests/test_packaging.py
    assert all(Requirement(entry) for entry in plain)


def test_the_version_stands_in_one_place():
    import gan_course

    assert yaml.safe_load(read("CITATION.cff"))["version"] == gan_course.__version__
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "gan_course/__init__.py"


# Sources


def test_the_sources_that_the_package_names_are_in_the_bibliography():
    keys = set(re.findall(r"^@\w+\{([^,]+),", read("book/references.bib"), re.MULTILINE))
    named = {}
    for path in (ROOT / "gan_course").rglob("*.py"):
        for key in re.findall(r"\b[a-z]{2,}(?:19|20)\d\d[a-z]{3,}\b", path.read_text(encoding="utf-8")):
            named.setdefault(key, set()).add(path.name)
    assert len(named) > 5, "hardly a source is named in the package's docstrings"
    assert not {key: files for key, files in named.items() if key not in keys}


# Commands


def targets() -> set[str]:
    """The targets that the Makefile explains."""
    return set(re.findall(r"^([a-z]+):.*## ", read("Makefile"), re.MULTILINE))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "index.md", "book/how_to_use.md", "book/results.md"])
def test_the_commands_in_the_text_exist(name):
    mentioned = set(re.findall(r"(?:`|^)make ([a-z]+)", read(name), re.MULTILINE))
    assert mentioned <= targets(), mentioned - targets()


def test_the_readme_names_the_two_commands_first():
    commands = re.findall(r"^make ([a-z]+)", read("README.md"), re.MULTILINE)
    assert commands[:2] == ["book", "test"]
    assert read("README.md").startswith("![")


def test_the_command_line_in_the_text_exists():
    import typer

    from gan_course.cli import app

    known = set(typer.main.get_command(app).commands)
    for name in ("README.md", "CONTRIBUTING.md", "book/how_to_use.md", "Makefile"):
        used = set(re.findall(r"gan-course ([a-z]+)", read(name)))
        assert used <= known, f"{name}: {used - known}"


def test_the_python_for_users_of_the_package_runs_in_one_go(tmp_path, monkeypatch):
    """With three rounds in place of thousands; what a marked writer refuses is a vocabulary that is not its own."""
    section = read("book/how_to_use.md").split("## If you use the package")[1]
    blocks = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    source, found = re.subn(r"rounds=[\d_]+", "rounds=3", "\n".join(blocks))
    assert (len(blocks), found) == (2, 2)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(source, "how_to_use.md", "exec"), names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sums.json", "sums.safetensors"]
    words = names["words"]
    with pytest.raises(ValueError, match="trained with another vocabulary"):
        type(words)(sorted(words.words[3:])[::-1]).check(names["writer"])


def test_help_lists_every_target():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for target in targets():
        assert f"make {target}" in done.stdout
    assert {"book", "test", "lab", "serve", "execute", "clean"} <= targets()


def test_an_old_python_is_refused_in_one_sentence(tmp_path):
    old = tmp_path / "python3.10"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    command = ["make", "render", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=without_make())
    assert done.returncode != 0
    assert "3.11 or later" in done.stdout
    assert not (tmp_path / "venv").exists()


def test_a_chapter_to_run_must_be_named(tmp_path):
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    (venv / ".book").touch()
    command = ["make", "execute", f"VENV={venv}", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=without_make())
    assert done.returncode != 0
    assert "CHAPTER=notebooks/" in done.stdout


def without_make() -> dict[str, str]:
    """The environment without what an outer make put into it."""
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}


def test_the_settings_of_the_machine_are_left_alone():
    """Proxies, certificates and package sources are the user's: no command of ours sets or overrides them."""
    for name in (
        "Makefile",
        ".ci/run",
        ".github/workflows/tests.yml",
        ".github/workflows/pages.yml",
        "environment.yml",
    ):
        found = re.findall(
            r"PIP_\w+|SSL_\w+|\w*CA_BUNDLE|--(?:extra-)?index-url|--trusted-host|--isolated|--cert\b", read(name)
        )
        assert not found, f"{name}: {found}"


def test_continuous_integration_runs_the_command_of_the_readme():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.search(r"^make test\b", script.read_text(), re.MULTILINE)
    workflow = yaml.safe_load(read(".github/workflows/tests.yml"))
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    assert job["steps"][-1] == {"run": ".ci/run"}
    pages = yaml.safe_load(read(".github/workflows/pages.yml"))["jobs"]
    assert {"run": "make render"} in pages["build"]["steps"]
    assert pages["deploy"]["needs"] == "build"


def test_ruff_checks_the_notebooks_too(tmp_path):
    chapter = tmp_path / "notebooks" / "99_planted.ipynb"
    chapter.parent.mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    cell = {"cell_type": "code", "execution_count": None, "id": "a", "metadata": {}, "outputs": []}
    cell["source"] = "import os"
    chapter.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    ruff = [str(Path(sys.executable).parent / "ruff"), "check", "--no-cache", "."]
    done = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "F401" in done.stdout
    hooks = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    (check,) = [hook for repository in hooks for hook in repository["hooks"] if hook["id"] == "ruff-check"]
    assert "jupyter" in check["types_or"]

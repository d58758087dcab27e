import inspect
import subprocess
import sys
import warnings

import pytest


@pytest.fixture
def unchecked():
    """A function without jaxtyping's check around it, which under test would answer before our own message does."""
    return inspect.unwrap


@pytest.fixture
def call(monkeypatch, capsys):
    """Run `gan-course` in this process: as a user does, without the seconds it takes to import torch."""
    from gan_course import cli

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gan-course", *map(str, arguments)])
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main() sets it
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as error:
            code = error.code
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, printed.out, printed.err)

    return run

"""The page about many machines: its scripts run, its numbers are those that were measured, its arithmetic is right."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import standings
from gan_course import networks

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "scaling.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_of_the_page_runs(script, tmp_path):
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    outcome = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.count("<History of 20 rounds") == 1
    if "Fabric" in script:
        assert (tmp_path / "digits.safetensors").exists()
        assert "MEMBER: 2/2" in outcome.stderr


def test_the_table_shows_what_was_measured():
    assert standings.PROCESSES.read_text(encoding="utf-8") == standings.processes(), "run `make results`"


def test_the_arithmetic_of_the_page():
    parameters = networks.parameters(networks.dcgan(64, 3, 128, 64)[0])
    assert f"$P = {parameters / 1e6:.1f}$ million, {4 * parameters / 1e6:.0f} MB" in PAGE

    def sent(bandwidth, n=8):
        return 2 * (n - 1) / n * 4 * parameters / bandwidth

    assert f"take {1e3 * sent(200e9):.2f} ms" in PAGE
    assert f"{1e3 * sent(1.25e9):.0f} ms. If" in PAGE.replace("\n", " ")
    assert round(100 * 0.02 / (0.02 + sent(200e9))) == 99
    assert 0.02 / (0.02 + sent(1.25e9)) < 0.5

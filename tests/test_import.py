"""Importing the package costs next to nothing beside torch."""

import json
import statistics
import subprocess
import sys

import pytest

HEAVY = [
    "pandas",
    "matplotlib",
    "sklearn",
    "scipy",
    "torchvision",
    "ot",
    "torchmetrics",
    "anywidget",
    "ipywidgets",
    "IPython",
]

CODE = """
import json, sys, time
import torch
before = time.perf_counter()
import gan_course
from gan_course import fit, objectives, networks, games, data, metrics, budget, claim, seed_everything
seconds = time.perf_counter() - before
print(json.dumps([seconds, sorted(set(sys.argv[1:]) & set(sys.modules))]))
"""


def test_import_adds_less_than_half_a_second_to_torch():
    runs = []
    for _ in range(3):
        out = subprocess.run([sys.executable, "-c", CODE, *HEAVY], capture_output=True, text=True, check=True).stdout
        seconds, heavy = json.loads(out)
        assert heavy == []
        runs.append(seconds)
    assert statistics.median(runs) < 0.5, runs


def test_the_public_surface():
    import gan_course

    for name in gan_course.__all__:
        assert getattr(gan_course, name) is not None
    assert set(gan_course.__all__) <= set(dir(gan_course))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gan_course.nothing  # noqa: B018

"""What every test and every chapter run as a test stands on: small budgets, no downloads, nothing left behind.

It stands in the root because two folders need it: tests/ and, through nbval, notebooks/. The chapters' kernels and the
processes of pytest-xdist inherit the environment from here.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent

os.environ.setdefault("GAN_COURSE_BUDGET", "smoke")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # several processes share the cores
os.environ.setdefault("TQDM_DISABLE", "1")  # the stored outputs of chapters hold no progress bars
for place in (str(ROOT / "tests"), str(ROOT)):  # the package of this checkout, and archives.py, installed or not
    if place not in sys.path:
        sys.path.insert(0, place)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def pytest_configure(config) -> None:
    """Give the run a cache and, where `$GAN_COURSE_DATA` names none, archives of its own; check shapes and types."""
    if "PYTEST_XDIST_WORKER" not in os.environ and not hasattr(config, "course_folder"):
        config.course_folder = Path(tempfile.mkdtemp(prefix="gan-course-tests-"))
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        os.environ.setdefault("MPLCONFIGDIR", str(home / "matplotlib"))  # making the cache of fonts anew takes seconds
        os.environ["XDG_CACHE_HOME"] = str(config.course_folder / "cache")
        if not os.environ.get("GAN_COURSE_DATA"):
            import archives

            os.environ["GAN_COURSE_DATA"] = str(archives.make(config.course_folder / "data"))

    import torch
    from jaxtyping import install_import_hook

    torch.set_num_threads(1)
    config.course_hook = install_import_hook("gan_course", "type_checks.check")


def pytest_unconfigure(config) -> None:
    """Remove what `pytest_configure` made."""
    if folder := getattr(config, "course_folder", None):
        shutil.rmtree(folder, ignore_errors=True)

import os
import shutil
import socket
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tests/archives.py, however pytest was started

import archives as maker


@pytest.fixture(scope="session")
def archives(tmp_path_factory) -> Path:
    """A data folder with substitutes for every set; tests that change files work on a copy (`copied`)."""
    return maker.make(tmp_path_factory.mktemp("archives"))


@pytest.fixture
def copied(archives, tmp_path):
    """A function that copies one set's folder, with or without the file that says it is a substitute."""

    def copy(name: str, manifest: bool = True) -> Path:
        folder = tmp_path / "root" / name
        shutil.copytree(archives / name, folder)
        if not manifest:
            (folder / "substitute.json").unlink()
        return folder

    return copy


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder, and no data folder named by the environment."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GAN_COURSE_DATA", raising=False)
    return tmp_path / "cache" / "gan-course"


@pytest.fixture(scope="session")
def published() -> Path | None:
    """The folder of published archives that $GAN_COURSE_DATA names, where it does."""
    folder = Path(os.environ.get("GAN_COURSE_DATA", "nowhere"))
    real = (folder / "mnist").is_dir() and not (folder / "mnist" / "substitute.json").exists()
    return folder if real else None


@pytest.fixture
def address(monkeypatch):
    """A function that sends every download to one address."""
    from torchvision import datasets

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def send(*urls: str) -> None:
        for cls in (datasets.MNIST, datasets.FashionMNIST, datasets.KMNIST):
            monkeypatch.setattr(cls, "mirrors", list(urls))
        for cls in (datasets.USPS, datasets.SVHN):
            lists = {split: [urls[0] + entry[1], *entry[1:]] for split, entry in cls.split_list.items()}
            monkeypatch.setattr(cls, "split_list", lists)
        monkeypatch.setattr(datasets.CIFAR10, "url", urls[0] + datasets.CIFAR10.filename)

    return send


@pytest.fixture
def closed_port() -> str:
    """The address of a port that nobody listens to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.fixture
def offline(address, closed_port) -> str:
    """No server answers."""
    address(closed_port)
    return closed_port

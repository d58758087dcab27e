import hashlib
import http.server
import multiprocessing
import os
import shutil
import socket
import sys
import threading
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


@pytest.fixture
def at_once(tmp_path):
    """A function that loads data in four processes at the same moment: all must find what is found afterwards."""

    def agree(*loads) -> None:
        forked = multiprocessing.get_context("fork")
        start = forked.Barrier(4)

        def read(number: int) -> None:
            lines = []
            for load in loads:
                start.wait(timeout=60)
                lines.append(fingerprint(load()))
            (tmp_path / f"answer-{number}").write_text(" ".join(lines))

        processes = [forked.Process(target=read, args=(number,)) for number in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(timeout=120)
        assert [process.exitcode for process in processes] == [0] * 4
        expected = " ".join(fingerprint(load()) for load in loads)
        assert {(tmp_path / f"answer-{number}").read_text() for number in range(4)} == {expected}

    return agree


def fingerprint(x) -> str:
    """Of a set's images."""
    return hashlib.md5(x.images.numpy().tobytes()).hexdigest()


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


class Server(http.server.ThreadingHTTPServer):
    """Serves a dictionary of files on this machine, in its own `manner` where it has one."""

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.requests, self.manner, self.over = files, [], None, threading.Event()

    def handle_error(self, *_):
        """Say nothing of clients that hang up."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        self.server.requests.append(name)
        content = self.server.files.get(name)
        if content is None:
            self.send_error(404)
        else:
            (self.server.manner or Handler.give)(self, content)

    def give(self, content: bytes, announced: int | None = None):
        """Send a file; `announced`: the length it is said to have, 0 to say nothing."""
        self.send_response(200)
        if announced != 0:
            self.send_header("Content-Length", str(announced or len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(archives):
    paths = [path for folder in ("kmnist", "usps") for path in (archives / folder).rglob("*.*")]
    with Server({path.name: path.read_bytes() for path in paths if path.is_file()}) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.over.set()  # for handlers that wait
        server.shutdown()
        thread.join()


@pytest.fixture
def kmnist_online(server, address, closed_port, monkeypatch):
    """KMNIST's address is a server on this machine, after one that does not answer; its checksums are those there."""
    from torchvision import datasets

    address(closed_port, server.url)
    resources = [(name, hashlib.md5(server.files[name]).hexdigest()) for name, _ in datasets.KMNIST.resources]
    monkeypatch.setattr(datasets.KMNIST, "resources", resources)
    return server

"""Servers on this machine that send rubbish, break off, dawdle or fall silent: an error, and the next try works."""

import hashlib
import multiprocessing
import os
import signal
import socket
import struct
import time
import urllib.request
from pathlib import Path

import archives as maker
import pytest
from torchvision import datasets

from gan_course import data
from gan_course.data import store
from gan_course.errors import DataUnavailable

LONGEST = 5  # seconds that a bad server may cost, with the time limit below
TRAIN = "train-images-idx3-ubyte.gz"  # the file that is asked for first
forked = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(store, "TIMEOUT", 0.3)


def garbage(handler, content):
    handler.give(bytes(len(content)))


def empty(handler, content):
    handler.give(b"")


def half_of_it(handler, content):
    handler.give(content[: len(content) // 2], announced=len(content))


def half_without_a_length(handler, content):
    handler.give(content[: len(content) // 2], announced=0)


def half_then_reset(handler, content):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets
    handler.give(content[: len(content) // 2], announced=len(content))
    handler.wfile.flush()
    time.sleep(0.1)
    handler.connection.close()


def half_then_silence(handler, content):
    half_of_it(handler, content)
    handler.server.over.wait(60)


def silence(handler, content):
    handler.server.over.wait(60)


def a_byte_at_a_time(handler, content):
    handler.give(b"", announced=len(content))
    for place in range(len(content)):
        if handler.server.over.wait(0.05):
            return
        handler.wfile.write(content[place : place + 1])


def without_end(handler, content):
    handler.give(b"", announced=0)
    while not handler.server.over.is_set():
        handler.wfile.write(bytes(100_000))


def not_found(handler, content):
    handler.send_error(404)


def broken(handler, content):
    handler.send_error(500)


def no_http(handler, content):
    handler.wfile.write(b"220 mail.example.org ESMTP ready\r\n")


def broken_chunks(handler, content):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"ffffff\r\nhalf of a chunk")


def in_a_circle(handler, content):
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.end_headers()


def away_from_http(handler, content):
    handler.send_response(302)
    handler.send_header("Location", "file:///etc/hostname")
    handler.end_headers()


MANNERS = {
    garbage: "it sent a file with MD5",
    empty: "broke off after 0 bytes",
    half_of_it: r"broke off after [\d,]+ of [\d,]+ bytes",
    half_without_a_length: "it sent a file with MD5",
    half_then_reset: "reset by peer",
    half_then_silence: "timed out",
    silence: "timed out",
    a_byte_at_a_time: "timed out",
    without_end: "more than 1,000,000 bytes",
    not_found: "HTTP Error 404",
    broken: "HTTP Error 500",
    no_http: "220 mail",
    broken_chunks: "IncompleteRead",
    in_a_circle: "redirect",
    away_from_http: "Redirection to url .* is not allowed",
}
bad_servers = pytest.mark.parametrize("manner", MANNERS, ids=lambda manner: manner.__name__)


def files(cache: Path) -> set[str]:
    return {path.name for path in cache.rglob("*") if path.suffix != ".lock" and not path.is_dir()}


def folders(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if ".partial" in path.name]


@bad_servers
def test_a_bad_server_costs_an_error_and_the_next_try_succeeds(manner, kmnist_online, cache, monkeypatch):
    monkeypatch.setattr(store, "MOST", 1_000_000)
    kmnist_online.manner = manner
    start = time.monotonic()
    with pytest.raises(DataUnavailable, match=f"{kmnist_online.url}{TRAIN}: .*{MANNERS[manner]}") as caught:
        data.load("kmnist")
    assert time.monotonic() - start < LONGEST
    assert "GAN_COURSE_DATA" in str(caught.value)
    assert (files(cache), folders(cache)) == (set(), [])
    assert socket.getdefaulttimeout() is None  # other code's sockets are as they were
    kmnist_online.manner = None
    assert len(data.load("kmnist")) == maker.TRAIN
    assert (cache / "kmnist/KMNIST/raw" / TRAIN).read_bytes() == kmnist_online.files[TRAIN]


@bad_servers
def test_after_a_bad_mirror_comes_the_next(manner, kmnist_online, cache, monkeypatch):
    monkeypatch.setattr(store, "MOST", 1_000_000)
    monkeypatch.setattr(datasets.KMNIST, "mirrors", [f"{kmnist_online.url}bad/", f"{kmnist_online.url}good/"])

    def first_bad(handler, content):
        (manner if "/bad/" in handler.path and handler.path.endswith(TRAIN) else type(handler).give)(handler, content)

    kmnist_online.manner = first_bad
    assert len(data.load("kmnist")) == maker.TRAIN
    assert not folders(cache)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(status, kmnist_online, cache):
    def moved(handler, content):
        if "/moved/" in handler.path:
            return handler.give(content)
        handler.send_response(status)
        handler.send_header("Location", f"/moved{handler.path}")
        handler.end_headers()

    kmnist_online.manner = moved
    assert len(data.load("kmnist", "test")) == maker.TEST


def test_a_slow_server_is_waited_for_while_it_keeps_sending(kmnist_online, cache, monkeypatch):
    monkeypatch.setattr(store, "LEAST", 1_000)

    def slow(handler, content):  # a second in all for the first file: more than three time limits
        handler.give(b"", announced=len(content))
        pieces = 10 if handler.path.endswith(TRAIN) else 1
        size = -(-len(content) // pieces)
        for place in range(0, len(content), size):
            time.sleep(0.1)
            handler.wfile.write(content[place : place + size])

    kmnist_online.manner = slow
    assert len(data.load("kmnist")) == maker.TRAIN


@pytest.mark.parametrize(
    "damage", [lambda x: x[: len(x) // 2], lambda x: bytes([x[0] ^ 1]) + x[1:]], ids=["cut", "bit"]
)
def test_a_later_file_that_is_not_right_is_thrown_away_and_the_first_kept(damage, kmnist_online, cache):
    name, expected = datasets.KMNIST.resources[1]
    good = kmnist_online.files[name]
    kmnist_online.files[name] = damage(good)
    with pytest.raises(DataUnavailable) as caught:
        data.load("kmnist")
    for part in (name, expected, hashlib.md5(damage(good)).hexdigest()):
        assert part in str(caught.value)
    assert files(cache) == {TRAIN}
    assert not folders(cache)
    kmnist_online.files[name] = good
    assert len(data.load("kmnist")) == maker.TRAIN
    assert kmnist_online.requests.count(TRAIN) == 1


def test_a_keyboard_interrupt_half_way_leaves_nothing(kmnist_online, cache, monkeypatch):
    class Interrupted:
        length = None

        def __init__(self):
            self.blocks = iter([b"the first half of"])

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read1(self, _):
            if block := next(self.blocks, None):
                return block
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(urllib.request, "urlopen", lambda *_, **__: Interrupted())
        with pytest.raises(KeyboardInterrupt):
            data.load("kmnist")
    assert (files(cache), folders(cache)) == (set(), [])
    assert len(data.load("kmnist")) == maker.TRAIN


def test_a_process_killed_half_way_poisons_nothing(kmnist_online, cache, monkeypatch):
    monkeypatch.setattr(store, "TIMEOUT", 60)
    kmnist_online.manner = half_then_silence
    process = forked.Process(target=data.load, args=("kmnist",))
    process.start()
    end = time.monotonic() + 60
    while not any(path.stat().st_size for path in cache.rglob(f".partial-*/{TRAIN}")):  # something has come
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    assert folders(cache)  # what it left behind
    kmnist_online.manner = None
    assert len(data.load("kmnist")) == maker.TRAIN
    assert not folders(cache)  # cleared away


def test_processes_that_download_at_once_fetch_each_file_once(kmnist_online, cache, at_once):
    at_once(lambda: data.load("kmnist"))
    assert sorted(kmnist_online.requests) == sorted(name for name, _ in datasets.KMNIST.resources)
    assert not folders(cache)

"""The files on disk: nothing lost, nothing half-written, nobody kept waiting."""

import gzip
import hashlib
import io
import json
import multiprocessing
import os
import pickle
import shutil
import tarfile
import tempfile
import time
import warnings
from pathlib import Path

import archives as maker
import pytest
import torch
from torchvision import datasets

from gan_course import data
from gan_course.data import store
from gan_course.errors import CourseError, DataCorrupt, DataUnavailable

FIRST = {  # the file that is read first
    "mnist": "MNIST/raw/train-images-idx3-ubyte.gz",
    "fashion-mnist": "FashionMNIST/raw/train-images-idx3-ubyte.gz",
    "kmnist": "KMNIST/raw/train-images-idx3-ubyte.gz",
    "usps": "usps.bz2",
    "cifar10": "cifar-10-python.tar.gz",
    "svhn": "train_32x32.mat",
}


def load(*arguments, **settings) -> data.Images:
    """Load without the notice, which other tests look at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", data.DataNotice)
        return data.load(*arguments, **settings)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def snapshot(folder: Path) -> dict:
    """Everything in a folder: names, contents, times."""
    paths = sorted(folder.rglob("*"))
    return {path: (path.stat().st_mtime_ns, md5(path) if path.is_file() else None) for path in paths}


def partial(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if ".partial" in path.name]


# --- Where the cache and the data folder are -----------------------------------------------------------------------


def test_cache_folder_is_the_users_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store.cache_folder() == tmp_path / "gan-course"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "home"))
    assert store.cache_folder().is_relative_to(tmp_path / "home")


@pytest.mark.parametrize("way", ["argument", "environment"])
def test_a_data_folder_that_does_not_exist_is_an_error(way, cache, monkeypatch, tmp_path):
    missing = tmp_path / "mistyped"
    monkeypatch.setenv("GAN_COURSE_DATA", str(missing))
    with pytest.raises(DataUnavailable, match="mistyped, which is not a folder") as caught:
        data.load("mnist", root=missing if way == "argument" else None)
    assert ("GAN_COURSE_DATA" in str(caught.value)) == (way == "environment")
    assert len(data.load("digits")) == 1442  # needs no folder


# --- The data folder is only read ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(FIRST))
def test_the_data_folder_is_left_as_it_is(name, copied, cache):
    root = copied(name).parent
    for path in [*root.rglob("*"), root]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = snapshot(root)
    try:
        first, second = load(name, root=root), load(name, root=root)
        assert snapshot(root) == before
        assert torch.equal(first.images, second.images)
    finally:
        for path in [root, *root.rglob("*")]:
            path.chmod(0o755)


def test_where_the_cache_cannot_be_written_loading_still_works(archives, cache, monkeypatch, tmp_path):
    cache.parent.write_text("a file where the folder should be")
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    x = load("mnist", "test", root=archives)
    assert len(x) == maker.TEST
    assert list((tmp_path / "scratch").iterdir()) == []


def test_where_nothing_can_be_written_the_error_names_both_folders(archives, cache, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("torchvision.datasets.utils.extract_archive", full)
        with pytest.raises(DataUnavailable, match="No space left") as caught:
            load("mnist", root=archives)
    assert str(cache) in str(caught.value)
    assert not partial(cache)
    assert len(load("mnist", root=archives)) == maker.TRAIN  # the failure has spoilt nothing


# --- Truncated and altered files -----------------------------------------------------------------------------------


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("name", list(FIRST))
@pytest.mark.parametrize("damage", [truncate, flip, lambda content: b""], ids=["truncated", "altered", "empty"])
@pytest.mark.parametrize("loaded_before", [False, True], ids=["new", "loaded before"])
def test_a_damaged_file_is_named_with_both_checksums_and_kept(name, damage, loaded_before, copied, cache):
    folder = copied(name)
    if loaded_before:
        load(name, root=folder.parent)
    file = folder / FIRST[name]
    expected = md5(file)
    file.write_bytes(damage(file.read_bytes()))
    before = snapshot(folder)
    with pytest.raises(DataCorrupt) as caught:
        load(name, root=folder.parent)
    for part in (str(file), expected, md5(file), "fetch it again"):
        assert part in str(caught.value)
    assert isinstance(caught.value, CourseError)
    assert snapshot(folder) == before
    assert not partial(cache)


@pytest.mark.parametrize("name", list(FIRST))
def test_without_their_manifest_substitutes_never_pass_for_the_originals(name, copied, cache):
    folder = copied(name, manifest=False)
    with pytest.raises(DataCorrupt) as caught:
        load(name, root=folder.parent)
    assert md5(folder / FIRST[name]) in str(caught.value)


def test_a_known_reconstruction_is_accepted_with_a_notice(published, copied, cache, monkeypatch):
    if published:
        root = published
        assert md5(root / "usps/usps.bz2") == "87922cc43ed42d3d18caceec739190db"
    else:
        root = copied("usps", manifest=False).parent
        known = {("usps.bz2", md5(root / "usps/usps.bz2")): "a reconstruction made for this test"}
        monkeypatch.setattr(store, "RECONSTRUCTIONS", known)
    with pytest.warns(data.DataNotice, match=r"usps\.bz2 is a reconstruction.*not the original file"):
        x = data.load("usps", root=root)
    assert x.images.shape[1:] == (1, 16, 16)
    assert "reconstruction" in x.notice


def test_a_reconstruction_passes_for_its_own_file_only(copied, cache, monkeypatch):
    folder = copied("usps", manifest=False)
    known = {("usps.bz2", md5(folder / "usps.bz2")): "a reconstruction made for this test"}
    monkeypatch.setattr(store, "RECONSTRUCTIONS", known)
    shutil.copy(folder / "usps.bz2", folder / "usps.t.bz2")
    with pytest.raises(DataCorrupt, match=r"usps\.t\.bz2"):
        data.load("usps", "test", root=folder.parent)


# --- Unpacking -----------------------------------------------------------------------------------------------------


def unpacked(cache: Path, name: str) -> Path:
    (folder,) = (cache / "unpacked").glob(f"{name}-*")
    return folder


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
@pytest.mark.parametrize("damage", [truncate, flip, None], ids=["truncated", "altered", "deleted"])
def test_a_damaged_unpacked_file_is_made_again(name, damage, archives, cache):
    original = load(name, root=archives)
    files = [path for path in unpacked(cache, name).rglob("*") if path.is_file() and path.suffix != ".json"]
    for file in files:
        file.unlink() if damage is None else file.write_bytes(damage(file.read_bytes()))
    again = load(name, root=archives)
    assert torch.equal(again.images, original.images)
    assert torch.equal(again.labels, original.labels)


def test_an_unpacked_folder_without_its_seal_is_not_trusted(archives, cache):
    original = load("mnist", root=archives)
    folder = unpacked(cache, "mnist")
    (folder / "complete.json").unlink()
    next(folder.rglob("train-images*")).write_bytes(b"half a file")
    assert torch.equal(load("mnist", root=archives).images, original.images)


# Forked processes have everything imported already: a start costs milliseconds instead of seconds.
forked = multiprocessing.get_context("fork")


def test_a_process_killed_while_unpacking_poisons_nothing(archives, cache):
    def die_half_way():
        from torchvision.datasets import utils

        whole, calls = utils.extract_archive, []

        def half(archive, folder):
            calls.append(archive)
            if len(calls) < 2:
                return whole(archive, folder)
            Path(folder, archive.name.removesuffix(".gz")).write_bytes(b"the first half of")
            os._exit(9)

        utils.extract_archive = half
        load("mnist", root=archives)

    process = forked.Process(target=die_half_way)
    process.start()
    process.join(timeout=120)
    assert process.exitcode == 9
    assert partial(cache)  # what it left behind
    assert not list((cache / "unpacked").glob("mnist-*"))
    x = load("mnist", root=archives)
    assert torch.equal((x.images * 255).round().byte()[:, 0], torch.as_tensor(maker.digits(28)["train"][0]))
    assert not partial(cache)  # cleared away


def test_an_error_while_unpacking_leaves_nothing(archives, cache, monkeypatch):
    from torchvision.datasets import utils

    def interrupted(archive, folder):
        Path(folder, "half").write_bytes(b"the first half of")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(utils, "extract_archive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load("mnist", root=archives)
    assert list((cache / "unpacked").iterdir()) == []
    assert len(load("mnist", root=archives)) == maker.TRAIN


def test_processes_that_load_at_once_do_not_trip_over_each_other(archives, cache, at_once):
    at_once(lambda: load("mnist", root=archives), lambda: load("cifar10", root=archives))
    assert not partial(cache)
    assert len(list((cache / "unpacked").iterdir())) == 2


# --- Without a network ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(FIRST))
def test_without_a_network_the_error_names_the_ways_out_at_once(name, cache, offline):
    start = time.monotonic()
    with pytest.raises(DataUnavailable) as caught:
        data.load(name)
    assert time.monotonic() - start < 10
    message = str(caught.value)
    for part in (repr(name), f"{name}/{FIRST[name]}", "GAN_COURSE_DATA", "network", 'data.load("digits")', offline):
        assert part in message
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_an_incomplete_data_folder_says_which_file_is_missing(copied, cache, offline):
    folder = copied("mnist")
    (folder / "MNIST/raw/t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataUnavailable, match=r"Not found: MNIST/raw/t10k-labels-idx1-ubyte\.gz in"):
        load("mnist", root=folder.parent)


def test_a_missing_substitute_is_not_filled_up_with_a_published_file(copied, cache, server, monkeypatch):
    folder = copied("usps")
    published = [server.url + "usps.bz2", "usps.bz2", md5(folder / "usps.bz2")]
    monkeypatch.setitem(datasets.USPS.split_list, "train", published)
    (folder / "usps.bz2").unlink()
    with pytest.raises(DataUnavailable, match=r"Not found: usps\.bz2"):
        load("usps", root=folder.parent)
    assert server.requests == []


# --- With a network ------------------------------------------------------------------------------------------------


def test_download_unpack_and_load_without_a_word(kmnist_online, cache, capfd, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = data.load("kmnist", "test", root=tmp_path / "elsewhere")
    assert capfd.readouterr() == ("", "")  # no progress bar on a page
    assert (len(x), x.notice) == (maker.TEST, "")
    assert list((tmp_path / "elsewhere").iterdir()) == []  # the data folder is only read
    archives = sorted((cache / "kmnist/KMNIST/raw").iterdir())
    assert {path.name: path.read_bytes() for path in archives} == {
        name: kmnist_online.files[name] for name, _ in datasets.KMNIST.resources
    }
    assert not partial(cache)
    # Once is enough.
    asked = len(kmnist_online.requests)
    assert torch.equal(data.load("kmnist", "test").images, x.images)
    # The cache's layout is that of a data folder.
    assert torch.equal(data.load("kmnist", "test", root=cache).images, x.images)
    # And what was unpacked serves without the archives.
    shutil.rmtree(cache / "kmnist")
    assert torch.equal(data.load("kmnist", "test").images, x.images)
    assert len(kmnist_online.requests) == asked


def test_only_the_missing_archive_is_downloaded(kmnist_online, copied, cache):
    folder = copied("kmnist", manifest=False)
    missing = "t10k-labels-idx1-ubyte.gz"
    (folder / "KMNIST/raw" / missing).unlink()
    before = snapshot(folder)
    assert len(data.load("kmnist", "test", root=folder.parent)) == maker.TEST
    assert set(kmnist_online.requests) == {missing}
    assert snapshot(folder) == before


def test_where_a_download_cannot_be_kept_the_error_says_so(kmnist_online, cache):
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(DataUnavailable, match=r"Not a directory|exists") as caught:
        data.load("kmnist")
    assert str(cache) in str(caught.value)


# --- Substitutes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", '{"substitute": "x"}', '{"substitute": "x", "md5": {}}', '{"substitute": "x", "md5": 3}'],
)
def test_a_manifest_that_cannot_be_read_says_what_is_expected(content, copied, cache):
    folder = copied("usps")
    (folder / "substitute.json").write_text(content)
    with pytest.raises(DataCorrupt) as caught:
        load("usps", root=folder.parent)
    for part in (str(folder / "substitute.json"), '"md5"', "usps.bz2"):
        assert part in str(caught.value)


def replaced(folder: Path, file: str, content: bytes) -> Path:
    """Put another content into a substitute, checksum included; return the data folder."""
    (folder / file).write_bytes(content)
    manifest = json.loads((folder / "substitute.json").read_text())
    manifest["md5"][file] = hashlib.md5(content).hexdigest()
    (folder / "substitute.json").write_text(json.dumps(manifest))
    return folder.parent


def test_unpacked_substitutes_do_not_serve_for_other_data(archives, copied, cache):
    first = load("mnist", "test", root=archives)
    folder = copied("mnist")
    images = 255 - maker.digits(28)["test"][0]
    header = gzip.decompress((folder / "MNIST/raw/t10k-images-idx3-ubyte.gz").read_bytes())[:16]
    root = replaced(folder, "MNIST/raw/t10k-images-idx3-ubyte.gz", gzip.compress(header + images.tobytes()))
    other = load("mnist", "test", root=root)
    torch.testing.assert_close(other.images, 1 - first.images)
    assert torch.equal(load("mnist", "test", root=archives).images, first.images)


@pytest.mark.parametrize("name", list(FIRST))
def test_rubbish_with_the_right_checksum_is_still_an_error(name, copied, cache):
    rubbish = {".gz": gzip.compress(b"not an image"), ".bz2": b"rubbish", ".mat": b"rubbish" * 100}
    root = replaced(copied(name), FIRST[name], rubbish[Path(FIRST[name]).suffix])
    with pytest.raises(DataCorrupt, match=f"right checksum.*{'unpacked' if name == 'cifar10' else name}"):
        load(name, root=root)
    assert not partial(cache)


class Harmful:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_substitute_batches_that_would_run_code_are_refused(copied, cache, tmp_path):
    folder, trace = copied("cifar10"), tmp_path / "trace"
    buffer = io.BytesIO()
    with (
        tarfile.open(folder / "cifar-10-python.tar.gz") as source,
        tarfile.open(fileobj=buffer, mode="w:gz") as target,
    ):
        for member in source:
            content = source.extractfile(member).read()
            if member.name.endswith("data_batch_3"):
                content = pickle.dumps({**pickle.loads(content), "extra": Harmful(trace)})
                member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    root = replaced(folder, "cifar-10-python.tar.gz", buffer.getvalue())
    with pytest.raises(DataCorrupt, match=r"data_batch_3 would run \w+\.open"):
        load("cifar10", root=root)
    assert not trace.exists()

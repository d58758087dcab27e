"""Archives on disk: where they are looked for, how they are checked, downloaded and unpacked.

Three rules:

1. **The data folder is only read.** `root`, or `$GAN_COURSE_DATA`, holds archives as their publishers made them, in
   `<root>/<name>/`. Nothing is ever written, changed or deleted there.
2. **What we make lies in the cache folder**, in the same layout: downloads in `<cache>/<name>/`, unpacked files in
   `<cache>/unpacked/<name>-<fingerprint of the archives>/`. Each appears there complete or not at all: it is made in a
   temporary folder and renamed. Where the cache cannot be written, a temporary folder serves for the one call.
3. **Every archive is checked at every load** against the checksum that torchvision lists, and every unpacked file
   against the one noted when it was unpacked; an unpacked file that has changed is made again.

Data that only stand in for a set, for tests without a network, say so in `<root>/<name>/substitute.json`::

    {"substitute": "what they are", "md5": {"<path in the folder>": "<md5>", ...}}

They are checked against these checksums instead and announced by a `DataNotice`.
"""

import contextlib
import gzip
import hashlib
import http.client
import json
import os
import shutil
import tarfile
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from gan_course.checks import instance
from gan_course.errors import DataCorrupt, DataUnavailable

TIMEOUT = 10.0  # seconds without an answer after which a server counts as out of reach
LEAST = 10_000  # bytes that a server must send in so many seconds
MOST = 2**30  # bytes that an archive may have

# Files known by another checksum than the publisher's: what they are.
RECONSTRUCTIONS = {("usps.bz2", "87922cc43ed42d3d18caceec739190db"): "a reconstruction made from the unsmoothed digits"}


class DataNotice(UserWarning):
    """The data are not the published ones; the text says what they are."""


@dataclass(frozen=True)
class Archive:
    """One file of a data set: its path in the set's folder, its MD5 checksum, the addresses that offer it."""

    path: str
    md5: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Stored:
    """A data set ready to be read: its folder, the checksums of its files there, and what to tell the user."""

    folder: Path
    md5: dict[str, str]
    notices: tuple[str, ...] = ()
    substitute: bool = False


def cache_folder() -> Path:
    """Return the user's cache folder: `$XDG_CACHE_HOME/gan-course`, else what the platform prescribes."""
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base).expanduser() / "gan-course"
    import platformdirs

    return platformdirs.user_cache_path("gan-course", appauthor=False)


def data_folder(root: str | os.PathLike | None) -> Path | None:
    """Return `root`, else `$GAN_COURSE_DATA`, else nothing; `DataUnavailable` where the one named is no folder."""
    given, what = (root, "root") if root is not None else (os.environ.get("GAN_COURSE_DATA") or None, "GAN_COURSE_DATA")
    if given is None:
        return None
    instance(what, given, (str, os.PathLike), "the name of a folder")
    try:
        folder = Path(given).expanduser()
        found = os.fspath(given) != "" and folder.is_dir()
    except (OSError, RuntimeError) as error:  # a name that is too long, the home of a user who does not exist
        raise DataUnavailable(f"{what} names {given}, which cannot be looked at: {error}") from error
    if not found:
        raise DataUnavailable(f"{what} names {folder}, which is not a folder; name one that exists, or leave it out")
    return folder.resolve()


@contextlib.contextmanager
def opened(name: str, archives: Sequence[Archive], root=None, *, unpack: bool) -> Iterator[Stored]:
    """Yield the files of a data set, checked, and unpacked where `unpack` asks for it.

    Raises `DataUnavailable` where an archive is neither here nor to be downloaded, `DataCorrupt` where one is not
    what it should be.
    """
    source, cache = data_folder(root), cache_folder()
    substitute = _substitute(source / name, archives) if source else None
    if substitute:
        text, archives = substitute
        notices = (f"{name} is substitute data, no measurement on it counts: {text}",)
        places = [source / name]
    else:
        notices = ()
        places = [source / name, cache / name] if source else [cache / name]
    target = cache / "unpacked" / f"{name}-{_fingerprint(archives)}"
    files = {archive: _find(archive, places) for archive in archives}
    missing = [archive for archive, path in files.items() if path is None]

    if missing and unpack and (contents := _complete(target)) is not None:  # the archives were here once
        yield Stored(target, contents, notices, bool(substitute))
        return
    if missing:
        files |= _download(name, missing, cache / name, places)
    for archive, path in files.items():
        if known := _check(archive, path):
            notices += (f"{path.name} is {known}, not the original file",)
    if not unpack:
        folder = next(iter(files.values())).parents[len(Path(archives[0].path).parts) - 1]
        yield Stored(folder, {archive.path: archive.md5 for archive in archives}, notices, bool(substitute))
        return
    with contextlib.ExitStack() as stack:
        try:
            contents = _unpack(files, target)
        except DataCorrupt:
            raise
        except OSError as error:  # no cache to write to, a read-only home, say: unpack for this call only
            target = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gan-course-")))
            try:
                contents = _extract(files, target)
            except DataCorrupt:
                raise
            except OSError as again:
                where = f"neither in {cache} ({error}) nor in {target.parent} ({again})"
                raise DataUnavailable(f"cannot unpack {name}, {where}; make room in one of them") from again
        yield Stored(target, contents, notices, bool(substitute))


def _fingerprint(archives: Sequence[Archive]) -> str:
    return hashlib.sha256("".join(archive.md5 for archive in archives).encode()).hexdigest()[:12]


def _find(archive: Archive, places: Sequence[Path]) -> Path | None:
    return next((place / archive.path for place in places if (place / archive.path).is_file()), None)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _check(archive: Archive, path: Path) -> str | None:
    """Compare the checksum; return what the file is where it is a known reconstruction."""
    try:
        found = _md5(path)
    except OSError as error:
        raise DataUnavailable(f"{path} cannot be read: {error}; make it readable, or move it away") from error
    if found == archive.md5:
        return None
    if known := RECONSTRUCTIONS.get((archive.path, found)):
        return known
    raise DataCorrupt(
        f"{path} is truncated or altered: its MD5 is {found}, expected {archive.md5}. "
        "It was left as it is: fetch it again, or move it away and let it be downloaded where there is a network"
    )


def _substitute(folder: Path, archives: Sequence[Archive]) -> tuple[str, list[Archive]] | None:
    """Return the text and the archives of `substitute.json`, or nothing where the folder has none."""
    manifest = folder / "substitute.json"
    if not manifest.is_file():
        return None
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        text, sums = str(content["substitute"]), dict(content["md5"])
        replaced = [replace(archive, md5=str(sums[archive.path]), urls=()) for archive in archives]
    except (ValueError, TypeError, KeyError) as error:
        raise DataCorrupt(
            f"{manifest} cannot be read ({error!r}); expected "
            '{"substitute": "what the data are", "md5": {"<path>": "<md5>"}} with an entry for each of: '
            + ", ".join(archive.path for archive in archives)
        ) from error
    return text, replaced


# --- Downloading ---------------------------------------------------------------------------------------------------


def _download(name: str, missing: Sequence[Archive], folder: Path, places: Sequence[Path]) -> dict[Archive, Path]:
    """Fetch the missing archives into the cache, each whole or not at all."""
    failures: list[str] = []
    files = {}
    try:
        with _lock(folder.parent, name):
            for archive in missing:
                if path := _fetch(archive, folder / archive.path, failures):
                    files[archive] = path
                else:  # what one file cannot have, the next cannot either: don't keep the user waiting
                    break
    except OSError as error:  # the cache cannot be written
        failures.append(f"{folder}: {error}")
    if len(files) == len(missing):
        return files
    absent = ", ".join(archive.path for archive in missing if archive not in files)
    wanted = ", ".join(f"{name}/{archive.path}" for archive in missing)
    raise DataUnavailable(
        f"data set {name!r} is not on this machine and cannot be downloaded.\n"
        f"Not found: {absent} in {' or '.join(map(str, places))}\n"
        + "".join(f"Tried {failure}\n" for failure in failures)
        + f"Ways out: set GAN_COURSE_DATA (or root) to a folder that holds {wanted}; run this once where there is a "
        'network; or use data.load("digits"), which needs neither'
    )


def _fetch(archive: Archive, path: Path, failures: list[str]) -> Path | None:
    """Download to `path` from the first address that offers the right file; add what went wrong to `failures`."""
    if path.is_file():  # another process was quicker
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    for left_behind in path.parent.glob(".partial-*"):  # its process is dead: we hold the lock
        shutil.rmtree(left_behind, ignore_errors=True)
    for url in archive.urls:
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent) as temporary:
            received = Path(temporary) / path.name
            try:
                _receive(url, received)
            except (OSError, ValueError, http.client.HTTPException) as error:
                failures.append(f"{url}: {error or repr(error)}")
                continue
            found = _md5(received)
            if found == archive.md5:
                os.replace(received, path)
                return path
            failures.append(f"{url}: it sent a file with MD5 {found}, expected {archive.md5}")
    return None


def _receive(url: str, path: Path) -> None:
    """Write what an address sends to `path`, with a progress bar in a terminal.

    Not by torchvision's `download_url`, which waits for ever for a server that falls silent or dawdles.

    Raises OSError or HTTPException where the server cannot be reached, refuses, is slower than `LEAST` bytes in
    `TIMEOUT` seconds, stops half-way, or sends more than `MOST` bytes.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "gan-course"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response, path.open("wb") as file:
        announced, seen, since = response.length, 0, time.monotonic()
        with tqdm(total=announced, unit="B", unit_scale=True, desc=path.name, disable=None) as bar:
            while block := response.read1(2**16):  # what has come so far: `read` would wait for all of it
                bar.update(file.write(block))
                size, now = file.tell(), time.monotonic()
                if size > MOST:
                    raise OSError(f"it sent more than {MOST:,} bytes, more than any of the data sets has")
                if now - since > TIMEOUT:
                    if size - seen < LEAST:
                        raise TimeoutError(f"timed out: {size - seen} bytes came in the last {now - since:.0f} s")
                    seen, since = size, now
        if file.tell() < (announced or 1):
            of = f" of {announced:,}" if announced else ""
            raise ConnectionError(f"it broke off after {file.tell():,}{of} bytes")


# --- Unpacking -----------------------------------------------------------------------------------------------------


def _lock(folder: Path, name: str):
    """Return a lock that the system frees when its process ends, however it ends."""
    from filelock import FileLock

    (folder / "locks").mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "locks" / f"{name}.lock", timeout=600)


def _complete(folder: Path) -> dict[str, str] | None:
    """Return the checksums of an unpacked folder's files, or nothing where any is missing or changed."""
    try:
        contents = json.loads((folder / "complete.json").read_text(encoding="utf-8"))
        return contents if all(_md5(folder / path) == md5 for path, md5 in contents.items()) else None
    except (OSError, ValueError):
        return None


def _unpack(files: dict[Archive, Path], target: Path) -> dict[str, str]:
    """Unpack all archives into `target`, which appears complete or not at all; return the files' checksums."""
    if (contents := _complete(target)) is not None:
        return contents
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target.parents[1], target.name):
        if (contents := _complete(target)) is not None:  # another process was quicker
            return contents
        for left_behind in target.parent.glob(f".partial-{target.name}-*"):  # its process is dead: we hold the lock
            shutil.rmtree(left_behind, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".partial-{target.name}-", dir=target.parent))
        try:
            contents = _extract(files, temporary)
            (temporary / "complete.json").write_text(json.dumps(contents, indent=1), encoding="utf-8")
            if target.exists():  # incomplete or changed; made by us, and made again by us
                shutil.rmtree(target)
            os.replace(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return contents


def _extract(files: dict[Archive, Path], folder: Path) -> dict[str, str]:
    """Let torchvision unpack each archive to its place under `folder`; return the files' checksums."""
    from torchvision.datasets.utils import extract_archive

    for archive, path in files.items():
        place = folder / Path(archive.path).parent
        place.mkdir(parents=True, exist_ok=True)
        try:
            extract_archive(path, place)
        except (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError) as error:
            raise DataCorrupt(f"{path} has the right checksum but cannot be unpacked: {error}") from error
    unpacked = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _md5(path) for path in unpacked}

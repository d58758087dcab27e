"""Samples of several domains that belong together, row by row: a source of them, and pairs out of data sets."""

import io
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from gan_course.checks import instance, samples, whole
from gan_course.data.folders import ENDINGS
from gan_course.data.images import Images, load
from gan_course.data.sources import Paired, Part
from gan_course.errors import DataCorrupt, DataUnavailable


class Pairs:
    """Rows of several domains that belong together, for games that learn from true pairs.

    `Pairs(photos, maps)` yields `{"pairs": (photos, maps)}` of the same rows. `Paired` draws the same rows, but as a
    bare tuple, which cannot be told from the independent draws of `Unpaired`: a game of pairs would learn nonsense from
    these without a word.
    """

    def __init__(self, *domains: Tensor):
        """`domains`: equally long tensors, one for each domain, at least two.

        Raises:
            ValueError: for tensors of unequal length.
        """
        if len(domains) < 2:
            raise ValueError(f"{len(domains)} domains were given; pairs are of two or more")
        samples(**{f"domains[{i}]": domain for i, domain in enumerate(domains)})
        if len({len(domain) for domain in domains}) != 1:
            raise ValueError(
                f"domains of {[len(domain) for domain in domains]} rows were given; pairs have as many in each. For "
                "samples that do not belong together use Unpaired(x, y), and a game of unpaired samples"
            )
        self.domains = domains
        self.rows = Paired(*domains)

    def __len__(self) -> int:
        return len(self.domains[0])

    def stream(self, batch_size: int, device: torch.device, seed: int, part: Part = (0, 1)) -> "PairStream":
        """An endless stream of batches, drawn as those of `Paired` are."""
        return PairStream(self.rows.stream(batch_size, device, seed, part))


class PairStream:
    """The stream of `Pairs`."""

    def __init__(self, rows):
        """See `Pairs.stream`."""
        self.rows = rows

    def __next__(self) -> dict[str, tuple[Tensor, ...]]:
        return {"pairs": next(self.rows)}

    def state_dict(self) -> dict[str, Tensor]:
        """What it takes to go on from here."""
        return self.rows.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        self.rows.load_state_dict(state)


# --- Pairs out of data sets ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LabelledPairs:
    """Images of two domains that belong together row by row.

    Attributes:
        first: images of the first domain.
        second: images of the second domain.
        labels: of the first images and of the second, `(int64 (n,), int64 (n,))`.
        rows: of the originals of both, `(indices of the first, indices of the second)`.
    """

    first: Tensor
    second: Tensor
    labels: tuple[Tensor, Tensor]
    rows: tuple[Tensor, Tensor]

    def __len__(self) -> int:
        return len(self.first)

    @property
    def pairs(self) -> Pairs:
        """The images as a source for games of pairs."""
        return Pairs(self.first, self.second)


def changed(images: Float[Tensor, "n c h w"], change: Callable[[Tensor], Tensor]) -> Pairs:
    """Each image beside what a change makes of it, such as `domains.edges` or `domains.rotated`.

    Raises:
        ValueError: if the change gives another number of images.
    """
    samples(images=images)
    instance("change", change, Callable, "a function of images, such as data.domains.edges")
    made = change(images)
    if not isinstance(made, Tensor) or made.ndim == 0 or len(made) != len(images):
        given = f"shape {tuple(made.shape)}" if isinstance(made, Tensor) else f"a {type(made).__name__}"
        raise ValueError(f"change made {given} of {len(images)} images; it must make one of each")
    return Pairs(images, made)


def add_one(first: Images, second: Images, seed: int = 0, number: int | None = None) -> LabelledPairs:
    r"""Digits $x$, each beside a digit $y$ that is one more: $\text{label}(y) = \text{label}(x) + 1 \bmod 10$.

    The first images come in a random order; to each is drawn an image of the next class, every one once before any
    twice. Which of them is a matter of chance: $x$ says which digit $y$ is, and nothing of how it looks.

    Args:
        first: labelled images, such as `data.load("mnist")`.
        second: labelled images with the same classes, such as `data.load("usps")`; of any size.
        seed: of the pairing.
        number: how many pairs; by default one for each first image.

    Raises:
        ValueError: for images with different classes, a class without second images, more pairs than first images.
    """
    for name, given in (("first", first), ("second", second)):
        instance(name, given, Images, 'labelled images, such as data.load("mnist")')
    if len(first.classes) != len(second.classes):
        raise ValueError(
            f"first has {len(first.classes)} classes and second {len(second.classes)}; they must have the same"
        )
    number = len(first) if number is None else whole("number", number)
    if number > len(first):
        raise ValueError(f"number={number} pairs were asked for of {len(first)} first images; ask for at most so many")
    generator = torch.Generator().manual_seed(whole("seed", seed, least=0, most=2**63 - 1))
    rows = torch.randperm(len(first), generator=generator)[:number]
    wanted = (first.labels[rows] + 1) % len(first.classes)
    partners = torch.empty_like(rows)
    for label in wanted.unique().tolist():
        of_class = (second.labels == label).nonzero()[:, 0]
        if not len(of_class):
            raise ValueError(f"second has no image of class {second.classes[label]!r}, which first asks for")
        asked = wanted == label
        passes = -(-int(asked.sum()) // len(of_class))
        order = torch.cat([of_class[torch.randperm(len(of_class), generator=generator)] for _ in range(passes)])
        partners[asked] = order[: int(asked.sum())]
    return LabelledPairs(
        first.images[rows], second.images[partners], (first.labels[rows], second.labels[partners]), (rows, partners)
    )


def digits(
    second: str = "usps",
    split: str = "train",
    root: str | os.PathLike | None = None,
    seed: int = 0,
    number: int | None = None,
    size: int = 28,
) -> LabelledPairs:
    """Pairs of MNIST and another set of digits, of which the second is one more: see `add_one`.

    Args:
        second: `usps`, or `svhn` (in colour).
        split: `train` or `test`, of both.
        root: where the archives lie, as in `load`.
        seed: of the pairing.
        number: how many pairs; by default one for each image of MNIST.
        size: height and width to which both are resized.

    Raises:
        DataUnavailable: where the archives are neither on this machine nor to be downloaded.
        ValueError: for another second set.
    """
    if not isinstance(second, str) or second not in ("usps", "svhn"):
        raise ValueError(f"second={second!r} was given; choose usps or svhn")
    size = whole("size", size, most=1024)
    found = add_one(load("mnist", split, root), load(second, split, root), seed, number)
    return replace(found, first=_resized(found.first, size), second=_resized(found.second, size))


def _resized(images: Tensor, size: int) -> Tensor:
    if tuple(images.shape[2:]) == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def side_by_side(
    path: str | os.PathLike, size: int = 64, channels: int = 3, swapped: bool = False
) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n c h w"]]:
    """Two domains out of files that hold two images side by side, as those of isola2017pix2pix do.

    Args:
        path: a folder of such files, or a zip archive of them.
        size: height and width to which each half is resized.
        channels: 1 or 3.
        swapped: the right half is the first domain.

    Returns:
        The left halves and the right halves, in the order of the files' names: `Pairs(*side_by_side(path))`.

    Raises:
        DataUnavailable: if there is no such folder or archive, or no image in it.
        DataCorrupt: if a file cannot be read, or is of odd width.
    """
    size, channels = _sized(size, channels)
    instance("swapped", swapped, bool, "True or False")
    halves: tuple[list[Tensor], list[Tensor]] = ([], [])
    for name, file in _images_of(path):
        image = _read(name, file, channels)
        width = image.shape[2]
        if width % 2 or width < 2:
            raise DataCorrupt(f"{name} is {width} pixels wide; two halves side by side have an even width")
        for half, part in zip(halves, image.split(width // 2, 2), strict=True):
            half.append(_resized(part[None], size))
    left, right = (torch.cat(half) for half in halves)
    return (right, left) if swapped else (left, right)


def two_folders(
    first: str | os.PathLike, second: str | os.PathLike, size: int = 64, channels: int = 3
) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n c h w"]]:
    """Two domains out of two folders (or zip archives) whose files belong together by their names without ending.

    Args:
        first: a folder of images.
        second: a folder with an image of the same name, with whatever ending, for each of them.
        size: height and width to which they are resized.
        channels: 1 or 3.

    Raises:
        DataUnavailable: if there is no such folder, or no image in it.
        DataCorrupt: if a file has no counterpart, or cannot be read.
    """
    size, channels = _sized(size, channels)
    domains = [{PurePath(name).stem: (name, file) for name, file in _images_of(path)} for path in (first, second)]
    if lone := sorted(domains[0].keys() ^ domains[1].keys()):
        raise DataCorrupt(
            f"{len(lone)} files have no counterpart, the first is {lone[0]}: {first} and {second} must hold files "
            "of the same names, which belong together; where nothing belongs together use data.folder and data.Unpaired"
        )
    names = sorted(domains[0])
    one, other = (
        torch.cat([_resized(_read(*domain[name], channels)[None], size) for name in names]) for domain in domains
    )
    return one, other


def features(path: str | os.PathLike, first: str = "first", second: str = "second") -> Pairs:
    """Two domains of features that belong together row by row, out of one file: captions beside images, for instance.

    Such features are made once, by whatever network, and kept: `numpy.savez(path, first=x, second=y)`.

    Args:
        path: a file as `numpy.savez` and `numpy.savez_compressed` write them (`.npz`).
        first: the name in it of an array of floating-point numbers, `(n, d)`.
        second: the name of another, `(n, e)`.

    Returns:
        The pairs in single precision; `.domains` holds both tensors.

    Raises:
        DataUnavailable: if there is no such file.
        DataCorrupt: if it is none of arrays, or lacks one of the two; if one is not a table of finite floating-point
            numbers, or they have not as many rows.
        ValueError: for one name twice.
    """
    instance("path", path, (str, os.PathLike), "the name of a file of arrays, such as captions.npz")
    for name, given in (("first", first), ("second", second)):
        instance(name, given, str, "the name of an array in the file")
    if first == second:
        raise ValueError(f"second={second!r} was given, as first was; two domains are two arrays")
    one, other = (_table(path, name, array) for name, array in _arrays(path, first, second).items())
    if len(one) != len(other):
        raise DataCorrupt(
            f"path={path}: {first!r} has {len(one)} rows and {second!r} {len(other)}; row by row they must belong "
            "together. Where nothing belongs together use data.Unpaired(x, y)"
        )
    return Pairs(one, other)


def _arrays(path: str | os.PathLike, *names: str) -> dict[str, np.ndarray]:
    """Some arrays of an .npz file; nothing in it is run."""
    try:
        place = Path(path)
        if not place.is_file():
            raise DataUnavailable(f"path={place} is no file on this machine; name one that numpy.savez wrote")
        found = np.load(place, allow_pickle=False)
        if isinstance(found, np.ndarray):
            raise DataCorrupt(f"path={place} holds one array without a name; write both by numpy.savez")
        with found as file:
            if missing := [name for name in names if name not in file]:
                raise DataCorrupt(
                    f"path={place} has no array {' and none '.join(map(repr, missing))}; it holds "
                    f"{', '.join(map(repr, file)) or 'none'}: say which by first and second"
                )
            return {name: file[name] for name in names}
    except (DataUnavailable, DataCorrupt):
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise DataCorrupt(f"path={path} cannot be read as arrays: {error}; give a file of numpy.savez") from error


def _table(path: str | os.PathLike, name: str, array: np.ndarray) -> Float[Tensor, "n d"]:
    """An array of a file as samples, if it is such."""
    if array.ndim != 2 or 0 in array.shape or not np.issubdtype(array.dtype, np.floating):
        raise DataCorrupt(
            f"path={path}: {name!r} is {array.dtype} of shape {array.shape}; it must hold floating-point numbers of "
            "shape (n, d), a row of features for each sample"
        )
    with np.errstate(over="ignore"):
        found = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    if not found.isfinite().all():
        row = int((~found.isfinite()).any(1).nonzero()[0])
        raise DataCorrupt(f"path={path}: {name!r} has NaN or infinite values in single precision, first in row {row}")
    return found


def _sized(size: object, channels: object) -> tuple[int, int]:
    size = whole("size", size, most=4096)
    if whole("channels", channels) not in (1, 3):
        raise ValueError(f"channels={channels} was given; it must be 1, for grey, or 3, for colours")
    return size, int(channels)


def _images_of(path: str | os.PathLike) -> list[tuple[str, bytes]]:
    """The image files of a folder or of a zip archive, by their names, with what is in them."""
    instance("path", path, (str, os.PathLike), "the name of a folder or of a zip archive")
    place = Path(path)
    try:
        if place.is_dir():
            found = [(str(file), file) for file in sorted(place.iterdir()) if file.is_file()]
            files = [(name, file.read_bytes()) for name, file in found if file.suffix.lower() in ENDINGS]
        elif place.is_file():
            with zipfile.ZipFile(place) as archive:
                names = sorted(name for name in archive.namelist() if PurePath(name).suffix.lower() in ENDINGS)
                files = [(name, archive.read(name)) for name in names]
        else:
            raise DataUnavailable(f"path={place} is no folder and no zip archive; name one that holds images")
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:
        if isinstance(error, DataUnavailable):
            raise
        raise DataCorrupt(f"path={place} cannot be read: {error}; give a folder or a zip archive of images") from error
    if not files:
        raise DataUnavailable(f"path={place} holds no image; an image is a file that ends in {', '.join(ENDINGS)}")
    return files


def _read(name: str, content: bytes, channels: int) -> Float[Tensor, "c h w"]:
    """One image, with values in [0, 1]."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as file:
            pixels = np.array(file.convert("L" if channels == 1 else "RGB"), dtype=np.float32)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DataCorrupt(f"{name} cannot be read as an image: {error}; replace it, or take it out") from error
    return torch.from_numpy(pixels / 255).reshape(*pixels.shape[:2], -1).movedim(-1, 0)

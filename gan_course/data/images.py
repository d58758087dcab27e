"""Image sets by name: one line gives the images as a tensor, ready for `fit`."""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gan_course.checks import instance
from gan_course.data import store
from gan_course.data.store import Archive
from gan_course.errors import CourseError, DataCorrupt, UnknownName

SPLITS = ("train", "test")
DIGITS = [str(digit) for digit in range(10)]


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images.

    `images`: float32 of shape (N, C, H, W), values in [0, 1]; `labels`: int64 of shape (N,), indices into `classes`;
    `notice`: empty, or what the data are where they are not the published ones.
    """

    images: Float[Tensor, "n c h w"] = field(repr=False)
    labels: Int64[Tensor, " n"] = field(repr=False)
    classes: list[str]
    name: str
    split: str = "train"
    notice: str = ""

    def __post_init__(self):
        x, y = self.images, self.labels
        for name, given, kind, allowed in (
            ("images", x, Tensor, "a tensor"),
            ("labels", y, Tensor, "a tensor"),
            ("classes", self.classes, list, "a list of names"),
        ):
            instance(name, given, kind, allowed)
        if x.dtype != torch.float32 or x.ndim != 4 or x.numel() == 0:
            raise ValueError(f"images must be float32 of shape (N, C, H, W) with N > 0, not {x.dtype} {tuple(x.shape)}")
        if y.dtype != torch.int64 or y.shape != x.shape[:1]:
            raise ValueError(f"labels must be int64 of shape ({len(x)},), not {y.dtype} {tuple(y.shape)}")
        if not (x.min() >= 0 and x.max() <= 1):  # also catches NaN
            raise ValueError(f"images must lie in [0, 1], not in [{x.min():g}, {x.max():g}]")
        if y.min() < 0 or y.max() >= len(self.classes):
            raise ValueError(f"labels must lie in 0 to {len(self.classes) - 1}, not in {y.min()} to {y.max()}")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.images.shape))
        notice = f"; {self.notice}" if self.notice else ""
        return f"Images({self.name}, {self.split}: {shape}, {len(self.classes)} classes{notice})"


def names() -> list[str]:
    """Return the names that `load` knows."""
    return ["digits", *_SETS]


def load(name: str, split: str = "train", root: str | os.PathLike | None = None) -> Images:
    """Return a data set of images.

    `digits` (8 × 8, 1,442 and 355 images, `alpaydin1998optical`) comes with scikit-learn and needs nothing: of each
    class every fifth image, in the order of the file, is a test image. The others are read by torchvision:

    | name            | image       | train  | test   | source                    |
    |-----------------|-------------|--------|--------|---------------------------|
    | `mnist`         | 1 × 28 × 28 | 60,000 | 10,000 | `lecun1998gradient`       |
    | `fashion-mnist` | 1 × 28 × 28 | 60,000 | 10,000 | `xiao2017fashion`         |
    | `kmnist`        | 1 × 28 × 28 | 60,000 | 10,000 | `clanuwat2018kmnist`      |
    | `usps`          | 1 × 16 × 16 | 7,291  | 2,007  | `hull1994usps`            |
    | `cifar10`       | 3 × 32 × 32 | 50,000 | 10,000 | `krizhevsky2009learning`  |
    | `svhn`          | 3 × 32 × 32 | 73,257 | 26,032 | `netzer2011reading`       |

    Archives are looked for in `<root>/<name>/`, then in `<cache>/<name>/`, both laid out as torchvision lays them out
    (`mnist/MNIST/raw/train-images-idx3-ubyte.gz`, `usps/usps.bz2`, `cifar10/cifar-10-python.tar.gz`), and are
    downloaded into the cache where neither holds them. `root` is the argument, else `$GAN_COURSE_DATA`; it is only
    read, never written. The cache is `$XDG_CACHE_HOME/gan-course`, else the platform's own place, such as
    `~/.cache/gan-course`; there archives are unpacked (the module `gan_course.data.store` has the rules).

    A `DataNotice` (a warning) says when files are not the published ones: a known reconstruction, or substitutes.

    Raises `UnknownName` for an unknown name, `ValueError` for an unknown split, `DataUnavailable` where the archives
    are neither on this machine nor to be downloaded, `DataCorrupt` where a file is truncated or altered.
    """
    if not isinstance(name, str) or name not in names():
        raise UnknownName("data set", name, names())
    if not isinstance(split, str) or split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; choose one of: {', '.join(SPLITS)}")
    if name == "digits":
        return _digits(split)
    kind = _SETS[name]
    with store.opened(name, kind.archives(split), root, unpack=kind.unpack) as stored:
        try:
            pixels, labels, classes = kind.read(stored, split)
            images = torch.as_tensor(pixels).to(torch.float32).div_(255)  # div_ on the copy just made
            data = Images(images, torch.as_tensor(labels).long(), classes, name, split, "; ".join(stored.notices))
        except CourseError:
            raise
        except _MALFORMED as error:
            raise DataCorrupt(
                f"{name} in {stored.folder} has the right checksums but cannot be read as {name}: {error!r}"
            ) from error
    for notice in stored.notices:
        warnings.warn(notice, store.DataNotice, stacklevel=2)
    return data


_MALFORMED = (ValueError, TypeError, LookupError, AssertionError, RuntimeError, AttributeError, EOFError, OSError)


def _digits(split: str) -> Images:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels = torch.as_tensor(bunch.target).long()
    one_hot = torch.nn.functional.one_hot(labels, 10)
    rank = one_hot.cumsum(0).gather(1, labels[:, None])[:, 0]  # 1 for the first image of its class, 2 for the second, …
    chosen = (rank % 5 == 0) == (split == "test")
    images = torch.as_tensor(bunch.images).float()[:, None] / 16
    return Images(images[chosen], labels[chosen], list(DIGITS), "digits", split)


# --- What torchvision reads ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kind:
    """How a set is stored: `archives(split)` are its files, `read(stored, split)` gives (N, C, H, W) bytes."""

    archives: Callable[[str], Sequence[Archive]]
    read: Callable[[store.Stored, str], tuple]
    unpack: bool


def _idx(class_name: str, classes: list[str] | None = None) -> _Kind:
    """MNIST and the sets in its format: four gzip archives of idx files."""

    def cls():
        from torchvision import datasets

        return getattr(datasets, class_name)

    def archives(split: str) -> list[Archive]:  # torchvision wants all four for either split
        folder = f"{class_name}/raw"
        return [
            Archive(f"{folder}/{file}", md5, tuple(f"{mirror}{file}" for mirror in cls().mirrors))
            for file, md5 in cls().resources
        ]

    def read(stored: store.Stored, split: str) -> tuple:
        data = cls()(stored.folder, train=split == "train", download=False)
        return data.data[:, None], data.targets, list(classes or data.classes)

    return _Kind(archives, read, unpack=True)


def _usps() -> _Kind:
    """Text in LIBSVM's format, packed with bzip2; torchvision reads it as it is."""

    def archives(split: str) -> list[Archive]:
        from torchvision.datasets import USPS

        url, file, md5 = USPS.split_list[split]
        return [Archive(file, md5, (url,))]

    def read(stored: store.Stored, split: str) -> tuple:
        from torchvision.datasets import USPS

        data = USPS(stored.folder, train=split == "train", download=False)
        return data.data[:, None], data.targets, list(DIGITS)

    return _Kind(archives, read, unpack=False)


def _cifar10() -> _Kind:
    """Pickled batches in a tar archive."""

    def archives(split: str) -> list[Archive]:
        from torchvision.datasets import CIFAR10

        return [Archive(CIFAR10.filename, CIFAR10.tgz_md5, (CIFAR10.url,))]

    def read(stored: store.Stored, split: str) -> tuple:
        from torchvision.datasets import CIFAR10 as Original

        class CIFAR10(Original):
            pass

        if stored.substitute:  # torchvision's list of checksums knows the original batches only

            def noted(file: str) -> str:
                path = f"{Original.base_folder}/{file}"
                _refuse_code(stored.folder / path)
                return stored.md5[path]

            CIFAR10.train_list = [[file, noted(file)] for file, _ in Original.train_list]
            CIFAR10.test_list = [[file, noted(file)] for file, _ in Original.test_list]
            CIFAR10.meta = {**Original.meta, "md5": noted(Original.meta["filename"])}
        data = CIFAR10(stored.folder, train=split == "train", download=False)
        return data.data.transpose(0, 3, 1, 2), data.targets, list(data.classes)

    return _Kind(archives, read, unpack=True)


def _refuse_code(path: Path) -> None:
    """Raise `DataCorrupt` where unpickling the file would run anything but the making of arrays."""
    import pickle

    allowed = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")} | {
        (f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")
    }

    class ArraysOnly(pickle.Unpickler):
        def find_class(self, module, name):
            if (module, name) not in allowed:
                raise DataCorrupt(f"{path} would run {module}.{name} when read; it is no batch of images")
            return super().find_class(module, name)

    with path.open("rb") as file:
        ArraysOnly(file, encoding="latin1").load()


def _svhn() -> _Kind:
    """MATLAB files; torchvision reads them as they are and gives the digit zero, stored as 10, the label 0."""

    def archives(split: str) -> list[Archive]:
        from torchvision.datasets import SVHN

        url, file, md5 = SVHN.split_list[split]
        return [Archive(file, md5, (url,))]

    def read(stored: store.Stored, split: str) -> tuple:
        from torchvision.datasets import SVHN as Original

        class SVHN(Original):
            pass

        url, file, _ = Original.split_list[split]
        SVHN.split_list = {split: [url, file, stored.md5[file]]}  # a substitute's checksum is not torchvision's
        data = SVHN(stored.folder, split=split, download=False)
        return data.data, data.labels, list(DIGITS)

    return _Kind(archives, read, unpack=False)


_SETS = {
    "mnist": _idx("MNIST", DIGITS),
    "fashion-mnist": _idx("FashionMNIST"),
    "usps": _usps(),
    "kmnist": _idx("KMNIST"),
    "cifar10": _cifar10(),
    "svhn": _svhn(),
}

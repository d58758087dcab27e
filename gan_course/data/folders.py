"""Folders of images as domains: any folder (`folder`), and faces with and without an attribute (`celeba`)."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from gan_course.checks import instance, number, whole
from gan_course.data import store
from gan_course.errors import DataCorrupt, DataUnavailable, UnknownName

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
CHANNELS = (1, 3)
MOST = 2**32  # bytes that the images of a folder may take as one tensor
LARGEST = 4096  # pixels a side
CELEBA_SPLITS = ("train", "valid", "test", "all")
CELEBA_LISTS = (
    "list_attr_celeba.txt",
    "identity_CelebA.txt",
    "list_bbox_celeba.txt",
    "list_landmarks_align_celeba.txt",
    "list_eval_partition.txt",
)
CELEBA_IMAGES = "img_align_celeba"
_MALFORMED = (ValueError, LookupError, RuntimeError, TypeError, OSError)
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, LookupError, RuntimeError)  # as Pillow's formats raise them


@dataclass(frozen=True)
class Reading:
    """How a file becomes a tensor of shape (channels, size, size) with values in [0, 1]; `folder` has the rules."""

    size: int
    channels: int
    crop: int | None
    jitter: int
    white: float | None

    def __call__(self, path: Path) -> Float[Tensor, "c h w"]:
        """Read one file.

        Raises:
            DataCorrupt: if it cannot be read as an image, has values out of range, or is smaller than `crop`.
        """
        image = self._window(self._middle(self._pixels(path), path))
        image = F.interpolate(image[None], (self.size, self.size), mode="bilinear", antialias=True)[0]
        return image.expand(self.channels, -1, -1).clamp(0, 1).contiguous()

    def _pixels(self, path: Path) -> Tensor:
        """Return (1 or 3, h, w), divided by `white`."""
        from PIL import Image, ImageOps

        try:
            with Image.open(path) as file:
                image = ImageOps.exif_transpose(file)  # as the camera was held; it also reads all of the file
                deep = image.mode == "F" or image.mode.startswith("I")
                pixels = np.array(image if deep else image.convert("L" if self.channels == 1 else "RGB"))
        except (*_UNREADABLE, Image.DecompressionBombError) as error:
            raise DataCorrupt(
                f"{path} cannot be read as an image: {error}; replace it, or take it out of the folder"
            ) from error
        values = torch.from_numpy(pixels.astype(np.float32)).reshape(*pixels.shape[:2], -1).movedim(-1, 0)
        usual = (1 if image.mode == "F" else 65_535) if deep else 255
        low, high = values.min(), values.max()
        if not (low >= 0 and high <= (usual if self.white is None else torch.finfo(torch.float32).max)):  # NaN: neither
            raise DataCorrupt(
                f"{path} has values from {low:g} to {high:g}; expected are 0 to {usual}. Say with white= which value "
                "is to become 1, or take it out of the folder"
            )
        return values / (usual if self.white is None else self.white)

    def _middle(self, image: Tensor, path: Path) -> Tensor:
        """Cut out the middle square of `crop` pixels."""
        if self.crop is None:
            return image
        height, width = image.shape[1:]
        if self.crop > min(height, width):
            raise DataCorrupt(f"{path} is {width} × {height}, smaller than crop={self.crop}; give a smaller crop")
        top, left = (height - self.crop) // 2, (width - self.crop) // 2
        return image[:, top : top + self.crop, left : left + self.crop]

    def _window(self, image: Tensor) -> Tensor:
        """Cut out the square to be resized: the middle one, or one drawn anew where there is jitter."""
        height, width = image.shape[1:]
        side = max(1, round(min(height, width) * self.size / (self.size + self.jitter)))
        room = (height - side, width - side)
        top, left = (int(torch.randint(r + 1, ())) if self.jitter else r // 2 for r in room)
        return image[:, top : top + side, left : left + side]


class Files(Dataset):
    """Image files, each read when it is asked for."""

    def __init__(self, paths: list[Path], reading: Reading):
        """`paths`: at least one."""
        self.paths, self.reading = paths, reading

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Float[Tensor, "c h w"]:
        return self.reading(self.paths[index])


def folder(
    path: str | os.PathLike,
    size: int = 64,
    channels: int = 3,
    *,
    crop: int | None = None,
    jitter: int = 0,
    white: float | None = None,
    batch_size: int | None = None,
    workers: int = 0,
) -> Float[Tensor, "n c h w"] | DataLoader:
    """All images of a folder and of the folders in it, in the order of their names, as squares with values in [0, 1].

    Two folders are two domains: `data.Unpaired(data.folder("colour"), data.folder("depth", channels=1))`.

    Without `batch_size` it is a tensor in memory, of shape (n, channels, size, size). With it, images are read as they
    are needed: a DataLoader of shuffled batches of that size, which `fit` and `Unpaired` take as they take a tensor.

    What is not square keeps its proportions: the shorter side becomes `size` pixels, and the middle is cut out. Colours
    become grey for `channels=1`, and grey is repeated for `channels=3`; transparency is dropped.

    Images of 8 bits are divided by 255, those of 16 bits by 65,535, floating-point ones by 1. Depth is often stored as
    millimetres in 16 bits, which would leave it nearly black: `white=10_000` makes ten metres, and what is
    further, 1.

    Args:
        path: the folder.
        size: height and width in pixels.
        channels: 1 or 3.
        crop: the side, in pixels as stored, of a square cut out of the middle before all else.
        jitter: resize to so many pixels more than `size`, and cut out another window at every reading, drawn anew.
        white: the stored value that becomes 1.
        batch_size: images of a batch; needed where all images together take more than 4 GiB.
        workers: processes that read batches ahead; 0 reads in this one.

    Raises:
        DataUnavailable: if there is no such folder, or no image in it.
        DataCorrupt: if a file cannot be read as an image; it is named, never passed over.
        ValueError: for another setting that is not allowed.
    """
    reading = _reading(size, channels, crop, jitter, white)
    batch_size, workers = _batches(batch_size, workers, reading.jitter)
    place = _place(path)
    found = [file for file in place.rglob("*") if file.is_file() and not file.name.startswith(".")]
    files = sorted(file for file in found if file.suffix.lower() in ENDINGS)
    if not files:
        raise DataUnavailable(
            f"path={place} holds no image among its {len(found)} files; an image is a file that ends in "
            f"{', '.join(ENDINGS)}"
        )
    return _domain(files, reading, batch_size, workers)


def celeba(
    attribute: str,
    size: int = 64,
    split: str = "train",
    root: str | os.PathLike | None = None,
    *,
    crop: int = 178,
    jitter: int = 0,
    batch_size: int | None = None,
    workers: int = 0,
) -> tuple[Float[Tensor, "n 3 h w"] | DataLoader, Float[Tensor, "m 3 h w"] | DataLoader]:
    """Two domains of faces: those with an attribute and those without it (`liu2015deep`).

    The 202,599 aligned images are 178 × 218; the middle `crop` × `crop` of each is resized to `size` × `size`. Each
    domain is what `folder` returns.

    Nothing is downloaded: the licence of the images asks for a decision of the user's own. The files lie as torchvision
    lays them out, in `<root>/celeba/celeba/` or in `<root>/celeba/`, where `root` is the argument, else
    `$GAN_COURSE_DATA`: the folder `img_align_celeba` and five lists, which are checked against torchvision's checksums.

    Args:
        attribute: one of the 40, such as `Smiling`, `Blond_Hair`, `Eyeglasses`.
        size: height and width in pixels.
        split: `train`, `valid`, `test` or `all`, as published; no person is in two of the first three.
        root: where to look.
        crop: the side of the middle square; a smaller one shows less of the background.
        jitter: as in `folder`; the source paper reads `size=128, jitter=4`.
        batch_size: as in `folder`; needed where a domain takes more than 4 GiB, as most do from 128 pixels on.
        workers: as in `folder`.

    Raises:
        UnknownName: for an attribute that the lists do not have.
        DataUnavailable: if the files are not there.
        DataCorrupt: if one is altered, missing or cannot be read.
        ValueError: for another setting that is not allowed.
    """
    if not isinstance(split, str) or split not in CELEBA_SPLITS:
        raise ValueError(f"unknown split {split!r}; choose one of: {', '.join(CELEBA_SPLITS)}")
    reading = _reading(size, 3, whole("crop", crop, most=178), jitter, None)
    batch_size, workers = _batches(batch_size, workers, reading.jitter)
    instance("attribute", attribute, str, "the name of an attribute")
    faces, images, notices = _faces(split, root)
    names = [name for name in faces.attr_names if name]  # the published line ends in a space
    if attribute not in names:
        raise UnknownName("attribute", attribute, names)
    has = faces.attr[:, names.index(attribute)].tolist()
    with_it, without = (
        [images / file for file, h in zip(faces.filename, has, strict=True) if h == side] for side in (1, 0)
    )
    if not (with_it and without):
        raise ValueError(
            f"attribute={attribute!r} parts the split {split!r} into {len(with_it)} and {len(without)} images; take an "
            "attribute or a split with some of either kind"
        )
    for notice in notices:
        warnings.warn(notice, store.DataNotice, stacklevel=2)
    return _domain(with_it, reading, batch_size, workers), _domain(without, reading, batch_size, workers)


def _faces(split: str, root: str | os.PathLike | None):
    """Return torchvision's CelebA, the folder of its images, and what to tell the user."""
    from torchvision.datasets import CelebA

    place, inner = _celeba_place(root)
    sums = {file: md5 for _, md5, file in CelebA.file_list}
    archives = [store.Archive(inner + file, sums[file], ()) for file in CELEBA_LISTS]
    with store.opened("celeba", archives, place, unpack=False) as stored:
        checked = [("", stored.md5[inner + file], file) for file in CELEBA_LISTS]  # a substitute has other checksums

        class Faces(CelebA):
            base_folder = inner
            file_list = checked

        try:
            faces = Faces(stored.folder, split=split, target_type="attr", download=False)
        except _MALFORMED as error:
            raise DataCorrupt(
                f"the lists in {stored.folder / inner} have the right checksums but are not CelebA's: {error!r}"
            ) from error
    images = stored.folder / inner / CELEBA_IMAGES
    if missing := sorted(set(faces.filename) - set(os.listdir(images))):
        raise DataCorrupt(
            f"{images} lacks {len(missing)} of the {len(faces.filename)} images of the split {split!r}, the first is "
            f"{missing[0]}; unpack {CELEBA_IMAGES}.zip once more"
        )
    return faces, images, stored.notices


def _celeba_place(root: str | os.PathLike | None) -> tuple[Path, str]:
    """Return the folder that holds `celeba`, and the path from there to the lists."""
    wanted = {name: Path.is_file for name in CELEBA_LISTS} | {CELEBA_IMAGES: Path.is_dir}
    looked = []
    for place in filter(None, (store.data_folder(root), store.cache_folder())):
        for inner in ("celeba/", ""):
            folder = place / "celeba" / inner
            absent = [name for name, there in wanted.items() if not there(folder / name)]
            if not absent:
                return place, inner
            looked.append(f"{folder} lacks {', '.join(absent) if len(absent) < len(wanted) else 'all of them'}")
    raise DataUnavailable(
        f"CelebA is not on this machine; it takes the folder {CELEBA_IMAGES} and {', '.join(CELEBA_LISTS)}.\n"
        + "".join(f"{line}\n" for line in looked)
        + "Ways out: set GAN_COURSE_DATA (or root) to the folder that holds celeba; or fetch them, where the licence "
        'suits you, by torchvision.datasets.CelebA("<root>/celeba", download=True), for which gdown must be installed'
    )


# --- What both share -----------------------------------------------------------------------------------------------


def _reading(size, channels, crop, jitter, white) -> Reading:
    channels = whole("channels", channels)
    if channels not in CHANNELS:
        raise ValueError(f"channels={channels} was given; it must be 1, for grey, or 3, for colours")
    return Reading(
        whole("size", size, most=LARGEST),
        channels,
        None if crop is None else whole("crop", crop),
        whole("jitter", jitter, least=0, most=LARGEST),
        None if white is None else number("white", white, positive=True),
    )


def _batches(batch_size, workers, jitter) -> tuple[int | None, int]:
    workers = whole("workers", workers, least=0, most=1024)
    if batch_size is None and (workers or jitter):
        what = f"workers={workers}" if workers else f"jitter={jitter}"
        raise ValueError(f"{what} was given without a batch_size; only batches are read anew: give one, or leave it 0")
    return None if batch_size is None else whole("batch_size", batch_size), workers


def _place(path: str | os.PathLike) -> Path:
    instance("path", path, (str, os.PathLike), "the name of a folder")
    try:
        place = Path(path).expanduser()
        found = os.fspath(path) != "" and place.is_dir()
    except (OSError, RuntimeError) as error:  # a name that is too long, the home of a user who does not exist
        raise DataUnavailable(f"path={path} cannot be looked at: {error}") from error
    if not found:
        raise DataUnavailable(f"path={place} is not a folder; name one that holds images")
    return place


def _domain(files: list[Path], reading: Reading, batch_size: int | None, workers: int) -> Tensor | DataLoader:
    """Return all images as one tensor, or a loader of batches."""
    data = Files(files, reading)
    if batch_size is None:
        size = 4 * len(data) * reading.channels * reading.size**2
        if size > MOST:
            raise ValueError(
                f"batch_size=None was given, and {len(data):,} images would take {size / 2**30:.1f} GiB as one tensor, "
                f"more than {MOST / 2**30:g}; give a batch_size, and they are read as they are needed"
            )
        images = torch.empty(len(data), reading.channels, reading.size, reading.size)
        for number in range(len(data)):
            images[number] = data[number]
        return images
    if batch_size > len(data):
        raise ValueError(
            f"batch_size={batch_size} was given, but {files[0].parent} has {len(data)} images; give at most that many"
        )
    # Workers are begun anew for each pass: what they draw then follows from the stream's state, and can be resumed.
    return DataLoader(data, batch_size, shuffle=True, drop_last=True, num_workers=workers)

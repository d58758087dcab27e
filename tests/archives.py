"""Small, valid archives in the original formats, made of the digits that scikit-learn carries.

Without a network and without `$GAN_COURSE_DATA` the tests and the chapters run on these. They are not the published
data, and say so: each set's folder has a `substitute.json` with the files' checksums, which `data.load` announces.

    archives.make(folder)                       # then set GAN_COURSE_DATA to folder
    archives.make_faces(folder)                 # drawn faces, laid out as CelebA
"""

import bz2
import gzip
import hashlib
import io
import json
import pickle
import struct
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

NAMES = ("mnist", "fashion-mnist", "kmnist", "usps", "cifar10", "svhn")
TRAIN, TEST = 1497, 300  # images of each split; no digit is in both
CIFAR_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def make(folder: Path, names: Iterable[str] = NAMES) -> Path:
    """Write the archives of each set to `folder/<name>/`; the same bytes at every call."""
    makers = {
        "mnist": lambda: _idx("MNIST", lambda x: x),
        "fashion-mnist": lambda: _idx("FashionMNIST", lambda x: 255 - x),
        "kmnist": lambda: _idx("KMNIST", lambda x: np.rot90(x, axes=(1, 2))),
        "usps": _usps,
        "cifar10": _cifar10,
        "svhn": _svhn,
    }
    for name in names:
        files = makers[name]()
        for path, content in files.items():
            (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / path).write_bytes(content)
        manifest = {
            "substitute": f"scikit-learn's digits in the format of {name}",
            "md5": {path: hashlib.md5(content).hexdigest() for path, content in files.items()},
        }
        (folder / name / "substitute.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return Path(folder)


def digits(size: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Both splits of the digits, enlarged to `size` × `size` bytes: every sixth image is a test image."""
    import torch
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small = torch.as_tensor(bunch.images, dtype=torch.float32)[:, None] / 16
    large = torch.nn.functional.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)
    images = (large[:, 0] * 255).round().to(torch.uint8).numpy()
    labels = bunch.target.astype(np.uint8)
    test = np.arange(len(labels)) % 6 == 0
    return {"train": (images[~test], labels[~test]), "test": (images[test], labels[test])}


def _idx(folder: str, change) -> dict[str, bytes]:
    files = {}
    for split, (images, labels) in digits(28).items():
        stem = {"train": "train", "test": "t10k"}[split]
        images = np.ascontiguousarray(change(images))
        header = struct.pack(">IIII", 2051, *images.shape)  # 2051: bytes, three axes
        files[f"{folder}/raw/{stem}-images-idx3-ubyte.gz"] = gzip.compress(header + images.tobytes(), mtime=0)
        header = struct.pack(">II", 2049, len(labels))  # 2049: bytes, one axis
        files[f"{folder}/raw/{stem}-labels-idx1-ubyte.gz"] = gzip.compress(header + labels.tobytes(), mtime=0)
    return files


def _usps() -> dict[str, bytes]:
    files = {}
    text = [f"{byte / 127.5 - 1:.6f}" for byte in range(256)]
    for split, (images, labels) in digits(16).items():
        rows = (
            f"{label + 1} " + " ".join(f"{place}:{text[byte]}" for place, byte in enumerate(row, start=1))
            for label, row in zip(labels.tolist(), images.reshape(len(images), -1).tolist(), strict=True)
        )
        files["usps.bz2" if split == "train" else "usps.t.bz2"] = bz2.compress(("\n".join(rows) + "\n").encode())
    return files


def _coloured(images: np.ndarray, seed: int) -> np.ndarray:
    """Return (n, 3, h, w) bytes: each digit in one random colour on another."""
    generator = np.random.default_rng(seed)
    ink, ground = generator.uniform(0, 255, size=(2, len(images), 3, 1, 1))
    share = images[:, None] / 255
    return np.round(share * ink + (1 - share) * ground).astype(np.uint8)


def _cifar10() -> dict[str, bytes]:
    splits = {split: (_coloured(images, 0), labels) for split, (images, labels) in digits(32).items()}
    images, labels = splits["train"]
    batches = {
        f"data_batch_{number}": (part, labels[rows])
        for number, rows in enumerate(np.array_split(np.arange(len(images)), 5), start=1)
        for part in [images[rows]]
    }
    batches["test_batch"] = splits["test"]
    members = {
        name: {"batch_label": name, "labels": y.tolist(), "data": x.reshape(len(x), -1)}
        for name, (x, y) in batches.items()
    }
    members["batches.meta"] = {"num_cases_per_batch": len(images) // 5, "label_names": CIFAR_CLASSES, "num_vis": 3072}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            payload = pickle.dumps(content, protocol=2)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(payload)
            tar.addfile(member, io.BytesIO(payload))
    return {"cifar-10-python.tar.gz": gzip.compress(buffer.getvalue(), mtime=0)}


def _svhn() -> dict[str, bytes]:
    from scipy.io import savemat

    files = {}
    for split, (images, labels) in digits(32).items():
        buffer = io.BytesIO()
        labels = np.where(labels == 0, 10, labels)[:, None]  # as there: the digit zero has the label 10
        savemat(buffer, {"X": _coloured(images, 1).transpose(2, 3, 1, 0), "y": labels}, do_compression=True)
        text = b"MATLAB 5.0 MAT-file, a substitute for tests".ljust(116)  # SciPy writes the date here
        files[f"{split}_32x32.mat"] = text + buffer.getvalue()[116:]
    return files


# --- Faces ---------------------------------------------------------------------------------------------------------

# fmt: off
ATTRIBUTES = [
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes",
    "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling",
    "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace",
    "Wearing_Necktie", "Young",
]
# fmt: on
DRAWN = ("Smiling", "Blond_Hair", "Eyeglasses")  # the others are on no face


def faces(n: int) -> list[tuple[bytes, dict[str, bool]]]:
    """`n` drawn faces of 178 × 218 pixels as JPEG files, each with which of `DRAWN` it has."""
    from PIL import Image, ImageDraw

    generator, files = np.random.default_rng(0), []
    for number in range(n):
        has = {name: bool(number >> place & 1) for place, name in enumerate(DRAWN)}
        x, y = generator.integers(-8, 9, size=2).tolist()
        image = Image.new("RGB", (178, 218), tuple(generator.integers(60, 200, size=3).tolist()))
        draw = ImageDraw.Draw(image)
        draw.ellipse((39 + x, 39 + y, 139 + x, 179 + y), fill=(240, 220, 90) if has["Blond_Hair"] else (60, 40, 30))
        draw.ellipse((49 + x, 64 + y, 129 + x, 179 + y), fill=(225, 180, 150))
        for eye in (72 + x, 106 + x):
            draw.ellipse((eye - 5, 104 + y, eye + 5, 114 + y), fill=(20, 20, 20))
            if has["Eyeglasses"]:
                draw.ellipse((eye - 13, 96 + y, eye + 13, 122 + y), outline=(0, 0, 0), width=4)
        if has["Smiling"]:
            draw.chord((69 + x, 130 + y, 109 + x, 162 + y), 0, 180, fill=(250, 250, 250))
        else:
            draw.rectangle((75 + x, 148 + y, 103 + x, 152 + y), fill=(150, 60, 60))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=90)
        files.append((buffer.getvalue(), has))
    return files


def make_faces(folder: Path, n: int = 48) -> Path:
    """Write drawn faces to `folder/celeba/celeba/` as torchvision lays CelebA out, eight by eight to the splits.

    All eight combinations of `DRAWN` come equally often in each split where `n` is a multiple of 8.
    """
    names = [f"{number:06}.jpg" for number in range(1, n + 1)]
    drawn = faces(n)
    splits = [{2: 1, 3: 2}.get(number // 8 % 4, 0) for number in range(n)]  # 0 to train, 1 valid, 2 test
    marks = [" ".join("1" if has.get(name) else "-1" for name in ATTRIBUTES) for _, has in drawn]
    points = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"

    def listed(header: list[str], rows: Iterable[object]) -> bytes:
        lines = [f"{name} {row}" for name, row in zip(names, rows, strict=True)]
        return ("\n".join([*header, *lines]) + "\n").encode()

    lists = {
        "list_attr_celeba.txt": listed([str(n), " ".join(ATTRIBUTES) + " "], marks),
        "identity_CelebA.txt": listed([], range(1, n + 1)),
        "list_bbox_celeba.txt": listed([str(n), "image_id x_1 y_1 width height"], ["39 39 100 140"] * n),
        "list_landmarks_align_celeba.txt": listed([str(n), points], ["72 109 106 109 89 130 70 150 108 150"] * n),
        "list_eval_partition.txt": listed([], splits),
    }
    place = Path(folder) / "celeba" / "celeba"
    (place / "img_align_celeba").mkdir(parents=True, exist_ok=True)
    for name, content in lists.items():
        (place / name).write_bytes(content)
    for name, (content, _) in zip(names, drawn, strict=True):
        (place / "img_align_celeba" / name).write_bytes(content)
    manifest = {
        "substitute": "drawn faces in the format of CelebA",
        "md5": {f"celeba/{name}": hashlib.md5(content).hexdigest() for name, content in lists.items()},
    }
    (Path(folder) / "celeba" / "substitute.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return Path(folder)

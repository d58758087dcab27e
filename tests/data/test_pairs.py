"""Pairs: batches that say that their rows belong together, and pairs out of data sets and files."""

import shutil
import warnings

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from gan_course import data
from gan_course.data import pairs
from gan_course.data.images import Images
from gan_course.errors import DataCorrupt, DataUnavailable

X, Y = torch.arange(10.0).view(10, 1), 100 + torch.arange(10.0).view(10, 1)
CPU = torch.device("cpu")


@pytest.fixture
def untyped():
    """As users have it: without jaxtyping's check, which under test would answer before our own message does."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_rows_belong_together_and_come_once_each():
    stream = data.Pairs(X, Y).stream(5, CPU, 0)
    seen = []
    for _ in range(2):
        batch = next(stream)
        assert list(batch) == ["pairs"]
        x, y = batch["pairs"]
        assert torch.equal(y, x + 100)
        seen += x.flatten().tolist()
    assert sorted(seen) == X.flatten().tolist()
    assert len(data.Pairs(X, Y)) == 10


def test_the_stream_goes_on_where_it_stopped():
    stream, other = (data.Pairs(X, Y, X).stream(4, CPU, 3) for _ in range(2))
    for _ in range(3):
        next(stream)
    other.load_state_dict(stream.state_dict())
    for one, two in zip(next(stream)["pairs"], next(other)["pairs"], strict=True):
        assert torch.equal(one, two)


@pytest.mark.usefixtures("untyped")
def test_domains_that_are_no_pairs():
    with pytest.raises(ValueError, match=r"domains of \[10, 9\] rows were given.*Unpaired\(x, y\)"):
        data.Pairs(X, Y[:9])
    with pytest.raises(ValueError, match="1 domains were given"):
        data.Pairs(X)
    with pytest.raises(ValueError, match=r"domains\[1\] must be a tensor"):
        data.Pairs(X, [1.0])


# --- Pairs out of data sets


def labelled(n, seed=0, size=4, classes=10):
    """Images that hold their number."""
    labels = torch.arange(n) % classes
    images = (torch.arange(n).float() / n).view(n, 1, 1, 1).expand(n, 1, size, size).contiguous()
    return Images(images, labels, [str(c) for c in range(classes)], f"set {seed}")


def test_digits_that_are_one_more():
    first, second = labelled(50), labelled(30, size=3)
    found = pairs.add_one(first, second, seed=1)
    x, y = found.labels
    assert torch.equal(y, (x + 1) % 10)
    assert torch.equal(found.first, first.images[found.rows[0]])
    assert torch.equal(found.second, second.images[found.rows[1]])
    assert torch.equal(x, first.labels[found.rows[0]])
    assert sorted(found.rows[0].tolist()) == list(range(50))
    assert len(found) == 50
    counts = found.rows[1].bincount(minlength=30)  # 5 of each class are asked for, and 3 are there
    assert set(counts.tolist()) == {1, 2}
    assert next(found.pairs.stream(4, CPU, 0))["pairs"][1].shape == (4, 1, 3, 3)


def test_the_seed_says_which_digits_meet():
    one, two, three = (pairs.add_one(labelled(50), labelled(50), seed=seed, number=20) for seed in (0, 0, 1))
    assert len(one) == 20
    assert torch.equal(one.rows[1], two.rows[1])
    assert not torch.equal(one.rows[1], three.rows[1])


def test_an_image_does_not_say_which_of_its_class_comes():
    """Of all seeds together, an image meets every image of the next class."""
    met = set()
    for seed in range(60):
        found = pairs.add_one(labelled(20), labelled(30), seed)
        met |= set(found.rows[1][found.rows[0] == 3].tolist())
    assert met == {4, 14, 24}


def test_digits_that_cannot_be_paired():
    with pytest.raises(ValueError, match="first has 10 classes and second 5"):
        pairs.add_one(labelled(20), labelled(20, classes=5))
    with pytest.raises(ValueError, match="second has no image of class '5'"):
        pairs.add_one(labelled(20), labelled(5))
    with pytest.raises(ValueError, match="number=21 pairs were asked for of 20 first images"):
        pairs.add_one(labelled(20), labelled(20), number=21)


def test_each_image_beside_its_change():
    x = torch.rand(6, 1, 5, 5)
    for change in (data.domains.edges, data.domains.rotated):
        first, second = pairs.changed(x, change).domains
        assert torch.equal(first, x)
        assert torch.equal(second, change(x))
    with pytest.raises(ValueError, match=r"change made shape .* of 6 images"):
        pairs.changed(x, lambda images: images[:2])


@pytest.mark.parametrize(("second", "channels"), [("usps", 1), ("svhn", 3)])
def test_digits_from_archives_on_this_machine(second, channels, archives):
    """Offline: whatever the tests' archives hold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these archives are not the published ones
        found = pairs.digits(second, split="test", number=16, root=archives)
        small = pairs.digits(second, split="test", number=16, root=archives, size=16)
        original = data.load(second, "test", root=archives)
    assert found.first.shape == (16, 1, 28, 28)
    assert found.second.shape == (16, channels, 28, 28)
    assert torch.equal(found.labels[1], (found.labels[0] + 1) % 10)
    assert torch.equal(
        found.labels[1], original.labels[found.rows[1]]
    )  # and it is those images, made larger or smaller
    assert found.second.min() >= 0
    assert found.second.max() <= 1
    assert_close(found.second.mean((2, 3)), original.images[found.rows[1]].mean((2, 3)), atol=0.03, rtol=0)
    assert small.second.shape == (16, channels, 16, 16)
    assert torch.equal(small.rows[1], found.rows[1])
    assert next(found.pairs.stream(4, CPU, 0))["pairs"][1].shape == (4, channels, 28, 28)
    with pytest.raises(ValueError, match="second='kmnist' was given; choose usps or svhn"):
        pairs.digits("kmnist")


def picture(path, left, right=None, side=6, ending="png"):
    pixels = np.full((side, side, 3), left, dtype=np.uint8)
    if right is not None:
        pixels = np.concatenate([pixels, np.full((side, side, 3), right, dtype=np.uint8)], 1)
    Image.fromarray(pixels).save(path.with_suffix(f".{ending}"))


@pytest.mark.parametrize("packed", [False, True])
def test_files_with_two_halves(tmp_path, packed):
    place = tmp_path / "facades"
    place.mkdir()
    for number in range(3):
        picture(place / f"image_{number}", 50 * number, 255 - 50 * number)
    (place / "notes.txt").write_text("no image")
    if packed:
        place = shutil.make_archive(str(tmp_path / "facades"), "zip", place)
    left, right = pairs.side_by_side(place, size=4)
    assert left.shape == right.shape == (3, 3, 4, 4)
    assert_close(left[:, 0, 0, 0], torch.tensor([0, 50, 100]) / 255)
    assert_close(right[:, 0, 0, 0], torch.tensor([255, 205, 155]) / 255)
    other, grey = pairs.side_by_side(place, size=6, channels=1, swapped=True)
    assert_close(other[:, 0, 0, 0], right[:, 0, 0, 0])
    assert grey.shape == (3, 1, 6, 6)
    assert len(data.Pairs(left, right)) == 3


def test_two_folders_of_the_same_names(tmp_path):
    for name, value in (("a", 10), ("b", 200)):
        for folder, shade, ending in (("maps", value, "png"), ("photos", 255 - value, "bmp")):
            (tmp_path / folder).mkdir(exist_ok=True)
            picture(tmp_path / folder / name, shade, ending=ending)
    first, second = pairs.two_folders(tmp_path / "maps", tmp_path / "photos", size=4, channels=1)
    assert first.shape == second.shape == (2, 1, 4, 4)
    assert_close(first[:, 0, 0, 0], torch.tensor([10, 200]) / 255)
    assert_close(second[:, 0, 0, 0], torch.tensor([245, 55]) / 255)
    picture(tmp_path / "maps" / "c", 0)
    with pytest.raises(DataCorrupt, match="1 files have no counterpart, the first is c"):
        pairs.two_folders(tmp_path / "maps", tmp_path / "photos")


def test_files_that_are_no_pairs(tmp_path):
    with pytest.raises(DataUnavailable, match="is no folder and no zip archive"):
        pairs.side_by_side(tmp_path / "nowhere")
    with pytest.raises(DataUnavailable, match="holds no image"):
        pairs.side_by_side(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataCorrupt, match=r"broken.png cannot be read as an image"):
        pairs.side_by_side(tmp_path)
    with pytest.raises(DataCorrupt, match="cannot be read: File is not a zip file"):
        pairs.side_by_side(tmp_path / "broken.png")
    (tmp_path / "broken.png").unlink()
    Image.fromarray(np.zeros((4, 5, 3), dtype=np.uint8)).save(tmp_path / "odd.png")
    with pytest.raises(DataCorrupt, match=r"odd\.png is 5 pixels wide"):
        pairs.side_by_side(tmp_path)
    with pytest.raises(ValueError, match="channels=2 was given"):
        pairs.side_by_side(tmp_path, channels=2)
    with pytest.raises(ValueError, match="size=0 was given"):
        pairs.side_by_side(tmp_path, size=0)


# --- Features


CAPTIONS, PICTURES = np.arange(12.0).reshape(4, 3), np.arange(8.0).reshape(4, 2).astype("float32")


def stored(folder, **arrays):
    np.savez(folder / "features.npz", **arrays)
    return folder / "features.npz"


def test_features_out_of_a_file(tmp_path):
    path = stored(tmp_path, captions=CAPTIONS, images=PICTURES, labels=np.arange(4))
    found = pairs.features(path, "captions", "images")
    x, y = found.domains
    assert x.dtype == y.dtype == torch.float32
    assert_close(x, torch.tensor(CAPTIONS).float())
    assert_close(y, torch.tensor(PICTURES))
    a, b = next(found.stream(4, CPU, 0))["pairs"]
    assert torch.equal(a[:, 0] / 3, b[:, 0] / 2)  # row k stays with row k
    swapped = pairs.features(str(path), "images", "captions")
    assert torch.equal(swapped.domains[0], y)
    assert len(pairs.features(stored(tmp_path, first=CAPTIONS, second=PICTURES.astype("float16")))) == 4


def spoiled(array, value):
    array = array.copy()
    array[2, 1] = value
    return array


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (dict(first=CAPTIONS), "has no array 'second'; it holds 'first': say which by first and second"),
        (dict(), "has no array 'first' and none 'second'; it holds none"),
        (dict(first=CAPTIONS, second=PICTURES[:3]), r"'first' has 4 rows and 'second' 3; .*data\.Unpaired\(x, y\)"),
        (dict(first=spoiled(CAPTIONS, np.nan), second=PICTURES), "'first' has NaN or infinite values .*row 2"),
        (dict(first=CAPTIONS, second=spoiled(PICTURES, -np.inf)), "'second' has NaN or infinite values .*row 2"),
        (
            dict(first=spoiled(CAPTIONS, 1e300), second=PICTURES),
            "'first' has NaN or infinite values in single precision",
        ),
        (dict(first=CAPTIONS, second=PICTURES[:, 0]), r"'second' is float32 of shape \(4,\); .* \(n, d\)"),
        (dict(first=CAPTIONS[None], second=PICTURES), r"'first' is float64 of shape \(1, 4, 3\)"),
        (dict(first=CAPTIONS[:0], second=PICTURES[:0]), r"'first' is float64 of shape \(0, 3\)"),
        (dict(first=np.arange(4)[:, None], second=PICTURES), r"'first' is int64 of shape \(4, 1\); .*floating-point"),
        (dict(first=np.array([["a"], ["b"]]), second=PICTURES), "'first' is <U1 of shape"),
    ],
)
def test_features_that_are_no_pairs(tmp_path, arrays, message):
    with pytest.raises(DataCorrupt, match=message):
        pairs.features(stored(tmp_path, **arrays))


def test_files_that_hold_no_features(tmp_path):
    with pytest.raises(
        DataUnavailable, match=r"nowhere\.npz is no file on this machine; name one that numpy.savez wrote"
    ):
        pairs.features(tmp_path / "nowhere.npz")
    with pytest.raises(DataUnavailable, match="is no file"):
        pairs.features(tmp_path)
    alone = tmp_path / "alone.npy"
    np.save(alone, CAPTIONS)
    with pytest.raises(DataCorrupt, match="holds one array without a name"):
        pairs.features(alone)
    for content in (b"", b"no arrays", b"PK\x03\x04 nearly"):
        (tmp_path / "broken.npz").write_bytes(content)
        with pytest.raises(DataCorrupt, match=r"broken\.npz cannot be read as arrays"):
            pairs.features(tmp_path / "broken.npz")
    whole = stored(tmp_path, first=np.random.default_rng(0).normal(size=(90, 9)), second=np.zeros((90, 2))).read_bytes()
    (tmp_path / "broken.npz").write_bytes(whole[:500] + b"#" * 50 + whole[550:])
    with pytest.raises(DataCorrupt, match=r"broken\.npz cannot be read as arrays: Bad CRC"):
        pairs.features(tmp_path / "broken.npz")
    with pytest.raises(DataCorrupt, match="cannot be read as arrays: Object arrays cannot be loaded"):
        pairs.features(stored(tmp_path, first=np.array([[1, "a"]], dtype=object), second=CAPTIONS))
    with pytest.raises(ValueError, match="second='first' was given, as first was; two domains are two arrays"):
        pairs.features(stored(tmp_path, first=CAPTIONS), second="first")


@pytest.mark.usefixtures("untyped")
def test_names_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="second must be the name of an array in the file, not a int"):
        pairs.features(stored(tmp_path, first=CAPTIONS), second=2)
    with pytest.raises(
        ValueError, match=r"path must be the name of a file of arrays, such as captions\.npz, not a int"
    ):
        pairs.features(3)

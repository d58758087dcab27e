import dataclasses
import inspect
import os
import subprocess
import sys
import warnings

import archives as maker
import pytest
import torch

from gan_course import data
from gan_course.errors import CourseError, UnknownName

ALL = ["digits", "mnist", "fashion-mnist", "usps", "kmnist", "cifar10", "svhn"]


def test_names_are_those_of_the_design():
    assert data.names() == ALL


# --- Digits --------------------------------------------------------------------------------------------------------


def test_digits_are_eight_by_eight_in_the_unit_interval():
    x = data.load("digits")
    assert (x.images.shape, x.images.dtype) == ((1442, 1, 8, 8), torch.float32)
    assert (x.labels.shape, x.labels.dtype) == ((1442,), torch.int64)
    assert (x.images.min(), x.images.max()) == (0, 1)
    assert torch.equal(x.images * 16, (x.images * 16).round())  # sixteen grey levels
    assert x.classes == [str(digit) for digit in range(10)]
    assert (x.name, x.split, x.notice) == ("digits", "train", "")


def test_digits_split_is_stratified_disjoint_and_complete():
    from sklearn.datasets import load_digits

    train, test = data.load("digits"), data.load("digits", split="test")
    bunch = load_digits()
    whole = {label: [] for label in range(10)}
    for image, label in zip(bunch.images, bunch.target, strict=True):
        whole[int(label)].append(torch.as_tensor(image).float()[None] / 16)
    for label, images in whole.items():
        # Every fifth image of a class is a test image, in order: nothing lost, nothing twice, none in both.
        assert torch.equal(test.images[test.labels == label], torch.stack(images[4::5]))
        del images[4::5]
        assert torch.equal(train.images[train.labels == label], torch.stack(images))
    assert len(train) + len(test) == len(bunch.images) == 1797


def test_loading_leaves_the_random_state_alone_and_is_repeatable():
    before = torch.get_rng_state()
    first, second = data.load("digits"), data.load("digits")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.images, second.images)
    assert first.images.data_ptr() != second.images.data_ptr()  # changing one cannot change the other


# --- The sets that torchvision reads -------------------------------------------------------------------------------

MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
USPS_TRAIN = [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
USPS_TEST = [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]
COUNTS = {
    ("mnist", "train"): MNIST_TRAIN,
    ("mnist", "test"): MNIST_TEST,
    ("fashion-mnist", "train"): [6000] * 10,
    ("fashion-mnist", "test"): [1000] * 10,
    ("usps", "train"): USPS_TRAIN,
    ("usps", "test"): USPS_TEST,
}


@pytest.mark.parametrize(("name", "split"), list(COUNTS))
def test_published_or_substitute_set_has_its_counts(name, split, published, archives, cache):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        x = data.load(name, split, root=published or archives)
    size = 16 if name == "usps" else 28
    counts = COUNTS[name, split] if published else maker.digits(size)[split][1]
    expected = torch.tensor(counts) if published else torch.as_tensor(counts).long().bincount()
    assert x.labels.bincount().tolist() == expected.tolist()
    assert x.images.shape == (expected.sum(), 1, size, size)
    assert x.images.dtype == torch.float32
    assert x.images.min() == 0
    assert 0.99 < x.images.max() <= 1  # USPS's brightest pixel is stored as 0.99999…, and rounded down
    # A notice where, and only where, the files are not the original ones.
    altered = not published or (name, split) == ("usps", "train")
    assert [w.category for w in caught] == [data.DataNotice] * altered
    assert bool(x.notice) == altered


def grey(change):
    return lambda split, size: torch.as_tensor(change(maker.digits(size)[split][0]).copy())[:, None]


def coloured(seed):
    return lambda split, size: torch.as_tensor(maker._coloured(maker.digits(size)[split][0], seed))


def rotated(images):
    return images.transpose(0, 2, 1)[:, ::-1]  # by a quarter turn


CONTENT = {
    "mnist": (28, grey(lambda x: x)),
    "fashion-mnist": (28, grey(lambda x: 255 - x)),
    "kmnist": (28, grey(rotated)),
    "usps": (16, grey(lambda x: x)),
    "cifar10": (32, coloured(0)),
    "svhn": (32, coloured(1)),
}


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", list(CONTENT))
def test_every_pixel_and_label_is_read_where_it_was_written(name, split, archives, cache):
    size, content = CONTENT[name]
    with pytest.warns(data.DataNotice, match=f"{name} is substitute data.*scikit-learn's digits"):
        x = data.load(name, split, root=archives)
    assert x.labels.tolist() == maker.digits(size)[split][1].tolist()
    error = (x.images * 255 - content(split, size)).abs().max()
    # USPS: torchvision rounds down from the decimals of the text, by one grey level at most.
    assert error < (1.01 if name == "usps" else 1e-3)
    assert len(x.classes) == 10
    assert (x.name, x.split, len(x)) == (name, split, {"train": maker.TRAIN, "test": maker.TEST}[split])


def test_classes_have_their_names(archives, cache):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", data.DataNotice)
        classes = {name: data.load(name, "test", root=archives).classes for name in CONTENT}
    assert classes["mnist"] == classes["usps"] == classes["svhn"] == [str(digit) for digit in range(10)]
    assert classes["fashion-mnist"][0] == "T-shirt/top"
    assert classes["kmnist"][-1] == "wo"
    assert classes["cifar10"] == maker.CIFAR_CLASSES


def test_the_folder_comes_from_the_environment_unless_it_is_given(archives, cache, monkeypatch, tmp_path, offline):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("GAN_COURSE_DATA", str(archives))
    with pytest.warns(data.DataNotice):
        assert len(data.load("usps", "test")) == maker.TEST
    from gan_course.errors import DataUnavailable

    with pytest.raises(DataUnavailable):
        data.load("usps", "test", root=tmp_path / "empty")


def test_the_notice_points_at_the_line_that_loads(archives, cache):
    with pytest.warns(data.DataNotice) as caught:
        inspect.unwrap(data.load)("usps", "test", root=archives)
    assert caught[0].filename == __file__


# --- The value returned --------------------------------------------------------------------------------------------


def test_images_are_frozen_and_tell_what_they_are():
    x = data.load("digits", "test")
    assert repr(x) == "Images(digits, test: 355 × 1 × 8 × 8, 10 classes)"
    assert len(x) == 355
    with pytest.raises(dataclasses.FrozenInstanceError):
        x.name = "other"


def test_substitutes_say_so_in_their_representation_and_name_no_folder(archives, cache):
    with pytest.warns(data.DataNotice) as caught:
        x = data.load("mnist", root=archives)
    assert "substitute data" in repr(x)
    for text in (repr(x), str(caught[0].message)):  # a stored page must not show a path of the machine that made it
        assert str(archives) not in text


GOOD = {
    "images": torch.zeros(3, 1, 4, 4),
    "labels": torch.zeros(3, dtype=torch.int64),
    "classes": ["zero", "one"],
    "name": "own",
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(3, 4, 4)}, "shape"),
        ({"images": torch.zeros(3, 1, 4, 4, dtype=torch.float64)}, "float32"),
        ({"images": torch.zeros(0, 1, 4, 4), "labels": torch.zeros(0, dtype=torch.int64)}, "N > 0"),
        ({"images": torch.full((3, 1, 4, 4), 1.5)}, r"\[0, 1\]"),
        ({"images": torch.full((3, 1, 4, 4), -0.5)}, r"\[0, 1\]"),
        ({"images": torch.full((3, 1, 4, 4), float("nan"))}, r"\[0, 1\]"),
        ({"labels": torch.zeros(2, dtype=torch.int64)}, r"\(3,\)"),
        ({"labels": torch.zeros(3)}, "int64"),
        ({"labels": torch.tensor([0, 1, 2])}, "0 to 1"),
        ({"labels": torch.tensor([0, 1, -1])}, "0 to 1"),
    ],
)
def test_images_refuse_what_is_not_what_they_promise(change, message):
    x = data.Images(**GOOD)
    for field, value in change.items():  # past the check of shapes and types that the tests run with
        object.__setattr__(x, field, value)
    with pytest.raises(ValueError, match=message):
        x.__post_init__()


def test_images_are_checked_when_they_are_made():
    with pytest.raises(ValueError, match=r"images must lie in \[0, 1\], not in \[0, 2\]"):
        data.Images(**{**GOOD, "images": torch.tensor([0.0, 1.0, 2.0])[:, None, None, None]})


# --- Bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["minst", "", "DIGITS", None, ["digits"]])
def test_unknown_name_lists_the_names(name):
    with pytest.raises(UnknownName) as caught:
        inspect.unwrap(data.load)(name)  # without the check of types that the tests run with
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, CourseError)
    assert repr(name) in str(caught.value)
    for known in ALL:
        assert known in str(caught.value)


@pytest.mark.parametrize("name", ["digits", "mnist", "svhn"])
@pytest.mark.parametrize("split", ["validation", "extra", "", None])
def test_unknown_split_lists_the_splits(name, split):
    with pytest.raises(ValueError, match="choose one of: train, test") as caught:
        inspect.unwrap(data.load)(name, split=split)
    assert repr(split) in str(caught.value)


# --- Weight --------------------------------------------------------------------------------------------------------


def test_importing_is_light():
    code = """if True:
        import sys
        from gan_course import data
        data.toy.ring(10)
        data.names()
        heavy = {"torchvision", "sklearn", "scipy", "pandas", "matplotlib", "platformdirs"} & set(sys.modules)
        sys.exit(", ".join(heavy) or 0)
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_everything_that_is_offered_is_there():
    for name in data.__all__:
        assert getattr(data, name) is not None
        assert name in dir(data)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        data.nothing_of_the_kind  # noqa: B018

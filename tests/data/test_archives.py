"""The substitutes are what they claim to be: valid in the original formats, read by torchvision itself."""

import warnings

import archives as maker
import numpy as np
import pytest
from torchvision import datasets

from gan_course import data


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_there_is_one_for_every_set_that_is_not_embedded(archives):
    assert {"digits", *maker.NAMES} == set(data.names())
    assert {path.name for path in archives.iterdir()} == set(maker.NAMES)


def test_the_same_bytes_every_time(archives, tmp_path):
    assert contents(maker.make(tmp_path / "again")) == contents(archives)


def test_faces_are_the_same_every_time_and_come_evenly_with_everything(tmp_path):
    assert contents(maker.make_faces(tmp_path / "a")) == contents(maker.make_faces(tmp_path / "b"))
    marks = [tuple(has.values()) for _, has in maker.faces(16)]
    assert sorted(marks) == sorted(2 * [(a, b, c) for a in (False, True) for b in (False, True) for c in (False, True)])


def test_only_what_was_asked_for_is_made(tmp_path):
    maker.make(tmp_path, ["usps"])
    assert {str(path) for path in contents(tmp_path)} == {
        f"usps/{file}" for file in ("usps.bz2", "usps.t.bz2", "substitute.json")
    }


def test_no_digit_is_in_both_splits():
    splits = maker.digits(28)
    train, test = ({image.tobytes() for image in splits[split][0]} for split in ("train", "test"))
    assert not train & test
    assert (len(splits["train"][0]), len(splits["test"][0])) == (maker.TRAIN, maker.TEST)
    for split in splits.values():
        assert np.bincount(split[1]).min() >= 25  # of every class


def test_files_lie_where_torchvision_puts_them(archives):
    for cls, name in ((datasets.MNIST, "mnist"), (datasets.FashionMNIST, "fashion-mnist"), (datasets.KMNIST, "kmnist")):
        raw = archives / name / cls.__name__ / "raw"
        assert {path.name for path in raw.iterdir()} == {file for file, _ in cls.resources}
    assert (archives / "cifar10" / datasets.CIFAR10.filename).is_file()
    for split in ("train", "test"):
        assert (archives / "usps" / datasets.USPS.split_list[split][1]).is_file()
        assert (archives / "svhn" / datasets.SVHN.split_list[split][1]).is_file()


def test_svhn_stores_zero_as_ten(archives):
    from scipy.io import loadmat

    content = loadmat(archives / "svhn" / "train_32x32.mat")
    assert content["X"].shape == (32, 32, 3, maker.TRAIN)
    assert (content["y"].min(), content["y"].max()) == (1, 10)


@pytest.mark.parametrize("name", maker.NAMES)
def test_a_nearest_neighbour_reads_the_digits(name, archives, cache):
    """Images and labels belong together: chance would be 10 %."""
    from sklearn.neighbors import KNeighborsClassifier

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", data.DataNotice)
        train, test = (data.load(name, split, root=archives) for split in ("train", "test"))
    features = [x.images.flatten(1).numpy() for x in (train, test)]
    if train.images.shape[1] == 3:  # colours are random: compare shapes by the contrast with the corner
        features = [(x.images - x.images[:, :, :1, :1]).norm(dim=1).flatten(1) for x in (train, test)]
        features = [(f / f.norm(dim=1, keepdim=True)).numpy() for f in features]
    accuracy = KNeighborsClassifier(1).fit(features[0], train.labels).score(features[1], test.labels)
    assert accuracy > 0.9

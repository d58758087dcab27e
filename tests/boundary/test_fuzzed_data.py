"""Data, given anything: what was asked for, or a refusal that names the argument; never an endless loop."""

import math
import warnings

import archives
import numpy as np
import pytest
import torch
from fuzzing import EVERY, NOT_TENSORS, SETTINGS, answer, anything, finite, tensors
from hypothesis import given
from hypothesis import strategies as st

from gan_course import data
from gan_course.data import pairs, sources, toy

CPU = torch.device("cpu")
TOYS = {
    toy.ring: ("modes", "radius", "std"),
    toy.grid: ("side", "spacing", "std"),
    toy.spiral: ("turns", "radius", "std"),
    toy.two_moons: ("std",),
    toy.mixture: ("means", "stds", "weights"),
    toy.point_masses: ("points", "weights"),
}
CENTERS = {toy.ring_centers: ("modes", "radius"), toy.grid_centers: ("side", "spacing")}
toys = st.sampled_from(sorted(TOYS, key=lambda f: f.__name__))
LISTS = st.lists(st.one_of(st.floats(), st.floats(0, 1), st.integers(-2, 2)), max_size=3)


def settings(names):
    """Some of the settings, with any values."""
    some = st.dictionaries(
        st.sampled_from(names), st.one_of(SETTINGS, LISTS, anything(), st.floats(0.1, 3)), max_size=2
    )
    return some.map(lambda chosen: {name: value for name, value in chosen.items() if not huge(name, value)})


def huge(name, value) -> bool:
    """Whether a size is one that is right but takes more memory than a test may."""
    return name in ("n", "modes", "side") and isinstance(value, int) and 100 < value < 2**31


@given(st.data(), toys, SETTINGS | st.integers(1, 20), SETTINGS | st.integers(0, 2**40))
def test_toys(drawn, draw, n, seed):
    chosen = drawn.draw(settings(TOYS[draw]))
    points = answer(("n", "seed", *TOYS[draw]), draw, n, seed=seed, **chosen)
    if points is not None:
        assert points.shape[0] == int(n)
        assert finite(points)


@given(st.data(), st.sampled_from(sorted(CENTERS, key=lambda f: f.__name__)))
def test_centers(drawn, centers):
    points = answer(CENTERS[centers], centers, **drawn.draw(settings(CENTERS[centers])))
    assert points is None or finite(points)


@given(SETTINGS, SETTINGS, SETTINGS | st.sampled_from(["~nobody/x", "x" * 5000, "\0"]))
def test_load(name, split, root):
    assert answer(("data set",), data.load, name) is None  # no setting is a name
    for known in data.names():
        assert answer(("split",), data.load, known, split) is None  # nor a split
    if root is not None:
        assert answer(("root",), data.load, "mnist", root=root) is None  # nor a folder


@given(anything(), anything(), st.lists(st.text(max_size=2), max_size=3) | SETTINGS)
def test_images(images, labels, classes):
    for y in (labels, torch.zeros(len(images) if torch.is_tensor(images) and images.ndim else 0, dtype=torch.int64)):
        found = answer(("images", "labels", "classes"), data.Images, images, y, classes, "name")
        if found is not None:
            assert finite(found.images)
            assert int(found.labels.max()) < len(found.classes)


BATCH_SIZES = SETTINGS.filter(lambda value: not huge("n", value)) | st.integers(1, 30)


def drawn(source, batch_size):
    """Five batches and one more after going back to the second."""
    stream = source.stream(batch_size, CPU, 0)
    batches = [next(stream)]
    state = stream.state_dict()
    batches += [next(stream) for _ in range(4)]
    again = source.stream(batch_size, CPU, 1)
    again.load_state_dict(state)
    return batches, next(again)


@given(anything(), BATCH_SIZES)
def test_a_tensor_as_a_source(x, batch_size):
    source = answer(("batches", "source", "Paired"), data.sources.as_source, x)
    if source is None or not torch.is_tensor(x):
        return
    found = answer(("batch_size",), drawn, source, batch_size)
    if found is None:
        return
    batches, again = found
    assert {batch.shape for batch in batches} == {(int(batch_size), *x.shape[1:])}
    assert torch.equal(again, batches[1]) or not finite(x)


@given(st.integers(1, 6), st.lists(tensors(shape=(4, 2)), min_size=1, max_size=3), st.integers(1, 25))
def test_every_row_comes_once_before_any_comes_twice(n, columns, batch_size):
    rows = torch.arange(n)
    stream = data.Paired(rows, 10 * rows).stream(batch_size, CPU, 0)
    seen = [next(stream) for _ in range(3)]
    order = torch.cat([batch[0] for batch in seen])
    assert all(torch.equal(10 * a, b) for a, b in seen)
    assert order[: len(order) // n * n].bincount(minlength=n).tolist() == [len(order) // n] * n


@given(st.lists(anything(), max_size=3))
def test_paired(parts):
    source = answer(("Paired", "source"), data.Paired, *parts)
    lengths = {len(x) if torch.is_tensor(x) and x.ndim else 0 for x in parts}
    assert (source is None) == (len(lengths) != 1 or lengths == {0})


@given(
    st.lists(anything() | tensors(dims=(1, 3), sizes=(1, 6)), max_size=3),
    st.dictionaries(st.sampled_from("ab"), tensors(dims=(1, 3), sizes=(1, 6)), max_size=2),
    SETTINGS | st.lists(BATCH_SIZES, min_size=1, max_size=3) | st.lists(st.integers(1, 9), min_size=1, max_size=3),
    BATCH_SIZES,
)
def test_unpaired(parts, named, sizes, batch_size):
    for positional, names, given_sizes in (
        (parts, {}, None),
        (parts, {}, sizes),
        ([], named, sizes),
        (parts, named, None),
    ):
        source = answer(
            ("Unpaired", "sizes", "sizes[0]", "sizes[1]", "sizes[2]", "batches", "source"),
            data.Unpaired,
            *positional,
            sizes=given_sizes,
            **names,
        )
        if source is None or not all(map(torch.is_tensor, positional)):
            continue
        found = answer(("batch_size",), drawn, source, batch_size)
        if found is not None:
            for batch in found[0]:
                batch = list(batch.values()) if names else batch
                assert [len(x) for x in batch] == [int(n) for n in given_sizes or [batch_size] * len(batch)]


@given(st.lists(anything(), max_size=3))
def test_pairs(parts):
    source = answer(("domains", *(f"domains[{i}]" for i in range(3))), data.Pairs, *parts)
    right = len(parts) > 1 and all(torch.is_tensor(x) and x.ndim for x in parts)
    if source is not None:
        assert right
        assert len({len(x) for x in parts}) == 1
        (batch,) = [next(source.stream(3, CPU, 0))["pairs"]]
        assert [x.shape for x in batch] == [(3, *x.shape[1:]) for x in parts]


CHANGES = st.sampled_from([lambda x: 1 - x, lambda x: x[:1], lambda x: x.sum(), lambda x: None, lambda x: "images"])


@given(anything(), CHANGES | NOT_TENSORS)
def test_changed(images, change):
    found = answer(("images", "change", "domains"), pairs.changed, images, change)
    assert found is None or len(found.domains[0]) == len(found.domains[1]) == len(images)


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=6),
    st.lists(st.integers(0, 2), min_size=1, max_size=6),
    SETTINGS | st.integers(0, 2**40),
    SETTINGS | st.integers(1, 6),
)
def test_one_more_of_any_labels(first, second, seed, number):
    def labelled(labels):
        return data.Images(torch.rand(len(labels), 1, 2, 2), torch.tensor(labels), list("abc"), "name")

    found = answer(
        ("first", "second", "seed", "number"), pairs.add_one, labelled(first), labelled(second), seed, number
    )
    if found is not None:
        assert torch.equal((found.labels[0] + 1) % 3, found.labels[1])
        assert len(found) == (len(first) if number is None else int(number))
    assert answer(("first", "second"), pairs.add_one, labelled(first), number) is None


SOURCES = st.one_of(
    SETTINGS,
    st.lists(tensors(dims=(1, 3)), max_size=3),
    st.just(None).map(lambda _: iter([torch.ones(3)])),
    st.just(None).map(lambda _: (x for x in ())),
    st.builds(range, st.integers(0, 3)),
)


@given(SOURCES, SETTINGS)
def test_as_source(thing, batch_size):
    source = answer(("batches", "source", "Paired", "only once"), sources.as_source, thing)
    assert source is None or hasattr(source, "stream")
    if isinstance(thing, np.ndarray | dict | str | bytes | float | int | tuple):
        assert source is None
    if isinstance(thing, list):
        stream = source.stream(batch_size, CPU, 0)
        batch = answer(("source",), next, stream)
        assert (batch is None) == (not thing)


@given(SETTINGS)
def test_loader(batches):
    assert answer(("batches", "only once"), data.Loader, batches) is not None or not isinstance(batches, list)


@pytest.mark.parametrize("value", [1e30, -1e30, 1e-30])
def test_the_largest_numbers_give_finite_points(value):
    assert finite(toy.mixture(50, means=[value, 0.0], stds=[abs(value), 1.0]), toy.point_masses(50, points=[value]))
    assert math.isfinite(float(toy.ring(50, radius=abs(value), std=abs(value)).sum()))


@pytest.mark.parametrize("shape", [(0, 1, 2, 2), (3, 0, 2, 2), (3, 1, 0, 2), (3, 1, 2, 0), (3, 4), ()])
def test_images_without_pixels_are_refused(shape):
    labels = torch.zeros(shape[0] if shape else 0, dtype=torch.int64)
    assert answer(("images",), data.Images, torch.zeros(shape), labels, ["a"], "name") is None


PICTURES = dict(size=8, crop=20, jitter=2, batch_size=2, workers=0)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return archives.make_faces(tmp_path_factory.mktemp("faces"), 32)


@pytest.mark.parametrize("name", ["path", "channels", "white", *PICTURES])
def test_every_setting_of_a_folder(faces, name):
    good = dict(path=faces / "celeba", channels=1, white=255, **PICTURES)
    for value in EVERY:
        answer((name,), read, data.folder, **{**good, name: value})


@pytest.mark.parametrize("name", ["attribute", "split", "root", *PICTURES])
def test_every_setting_of_faces(faces, name):
    good = dict(attribute="Smiling", split="test", root=faces, **PICTURES)
    for value in EVERY:
        if name != "root" or value is not None:  # that asks for the faces of this machine
            answer((name,), read, data.celeba, **{**good, name: value})


@pytest.fixture(scope="module")
def both_halves(tmp_path_factory):
    """A folder of two images side by side."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("halves")
    for number in range(2):
        Image.fromarray(np.full((4, 8, 3), 60 * number, np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("name", ["path", "size", "channels", "swapped"])
def test_every_setting_of_two_halves(both_halves, name):
    good = dict(path=both_halves, size=4, channels=1, swapped=False)
    for value in EVERY:
        found = answer((name,), pairs.side_by_side, **{**good, name: value})
        assert found is None or finite(*found)


@pytest.mark.parametrize("name", ["first", "second", "size", "channels"])
def test_every_setting_of_two_folders(both_halves, name):
    good = dict(first=both_halves, second=both_halves, size=4, channels=1)
    for value in EVERY:
        found = answer((name, "path"), pairs.two_folders, **{**good, name: value})
        assert found is None or finite(*found)


@pytest.mark.parametrize("name", ["path", "first", "second"])
def test_every_setting_of_features(tmp_path, name):
    np.savez(tmp_path / "features.npz", first=np.ones((3, 2)), second=np.zeros((3, 1)))
    good = dict(path=tmp_path / "features.npz", first="first", second="second")
    for value in EVERY:
        found = answer((name,), pairs.features, **{**good, name: value})
        assert found is None or finite(*found.domains)


@pytest.mark.parametrize("name", ["second", "split", "root", "seed", "number", "size"])
def test_every_setting_of_digits(tmp_path_factory, name):
    root = archives.make(tmp_path_factory.mktemp("digits"), ["mnist", "usps"])
    good = dict(second="usps", split="test", root=root, seed=0, number=2, size=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these archives are not the published ones
        for value in EVERY:
            if name != "root" or value is not None:  # that asks for the archives of this machine
                found = answer((name,), pairs.digits, **{**good, name: value})
                assert found is None or finite(found.first, found.second)


def read(call, **settings):
    """What the call returns and, where it needs no processes, its first batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # substitute data; more workers than cores
        found = call(**settings)
    for domain in found if isinstance(found, tuple) else [found]:
        if not torch.is_tensor(domain) and not domain.num_workers:
            assert finite(next(iter(domain)))


@pytest.mark.parametrize("root", ["", "~nobody-of-that-name/data", "x" * 5000, "\0", 3, b"x", ["x"]])
def test_what_is_no_folder_is_refused(root):
    assert answer(("root",), data.load, "mnist", root=root) is None

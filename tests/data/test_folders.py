"""Folders of images as domains: every pixel where it belongs, every file that cannot be read named."""

import hashlib
import inspect
import io
import os
import pickle
import shutil
import warnings

import archives as maker
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from gan_course import data, fit, games, networks
from gan_course.data import folders
from gan_course.errors import CourseError, DataCorrupt, DataUnavailable, UnknownName

RANDOM = np.random.default_rng(0)


def save(path, pixels, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path, **settings)
    return path


def colours(height, width):
    return RANDOM.integers(0, 256, size=(height, width, 3), dtype=np.uint8)


@pytest.fixture
def rooms(tmp_path):
    """Two domains: four colour images, and four of depth, in millimetres, with 16 bits."""
    for number in range(4):
        save(tmp_path / "colour" / f"{number}.png", colours(12, 8))
        save(tmp_path / "depth" / f"{number}.png", RANDOM.integers(500, 10_000, size=(9, 12), dtype=np.uint16))
    return tmp_path


# --- A folder as a tensor ------------------------------------------------------------------------------------------


def test_pixels_are_those_of_the_files_in_the_order_of_their_names(tmp_path):
    pixels = [colours(6, 6) for _ in range(3)]
    for name, x in zip(["b.png", "a.bmp", "inner/c.PNG"], pixels, strict=True):
        save(tmp_path / name, x)
    (tmp_path / "notes.txt").write_text("no image")
    save(tmp_path / ".hidden.png", colours(6, 6))
    x = data.folder(tmp_path, size=6)
    expected = torch.stack([torch.as_tensor(pixels[i]).movedim(-1, 0) for i in (1, 0, 2)]) / 255
    assert (x.shape, x.dtype) == ((3, 3, 6, 6), torch.float32)
    assert torch.allclose(x, expected, atol=1e-6)
    assert torch.equal(x, data.folder(str(tmp_path), size=6))


@pytest.mark.parametrize("flip", [False, True])
def test_of_what_is_not_square_the_middle_is_kept(tmp_path, flip):
    pixels = np.zeros((4, 10), dtype=np.uint8)
    pixels[:, 3:7] = 200  # the middle square
    save(tmp_path / "x.png", pixels.T if flip else pixels)
    for size in (2, 4, 7):
        assert torch.allclose(data.folder(tmp_path, size, 1), torch.full((1, 1, size, size), 200 / 255))


def test_crop_cuts_the_middle_square_before_all_else(tmp_path):
    pixels = np.full((9, 12), 10, dtype=np.uint8)
    pixels[3:6, 4:7] = np.arange(90, 99).reshape(3, 3)
    save(tmp_path / "x.png", pixels)
    x = data.folder(tmp_path, size=3, channels=1, crop=3)
    assert torch.allclose(x[0, 0] * 255, torch.arange(90.0, 99).reshape(3, 3))


def test_halving_the_size_averages_and_keeps_to_the_unit_interval(tmp_path):
    save(tmp_path / "x.png", np.tile(np.array([[0, 255]], dtype=np.uint8), (8, 4)))  # black and white columns
    x = data.folder(tmp_path, size=4, channels=1)
    assert (x.min() >= 0, x.max() <= 1) == (True, True)
    assert torch.allclose(x[..., 1:-1], torch.full((1, 1, 4, 2), 0.5), atol=0.08)  # no aliasing: neither 0 nor 1


def test_colours_become_grey_and_grey_becomes_three_equal_channels(tmp_path):
    save(tmp_path / "colour" / "x.png", np.full((2, 2, 3), (255, 0, 0), dtype=np.uint8))
    save(tmp_path / "grey" / "x.png", np.full((2, 2), 51, dtype=np.uint8))
    assert torch.allclose(data.folder(tmp_path / "colour", 2, 1), torch.tensor(76 / 255))  # luma: 0.299 of red
    assert torch.allclose(data.folder(tmp_path / "grey", 2, 3), torch.full((1, 3, 2, 2), 0.2))


@pytest.mark.parametrize("mode", ["1", "P", "RGBA", "LA", "CMYK"])
def test_every_way_of_storing_the_same_colours_gives_the_same_image(tmp_path, mode):
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    pixels[:2] = 255
    Image.fromarray(pixels).convert("L" if mode in ("1", "LA") else "RGB").convert(mode).save(tmp_path / "x.tiff")
    assert torch.allclose(data.folder(tmp_path, 4), torch.as_tensor(pixels).movedim(-1, 0)[None] / 255, atol=0.01)


def test_a_photograph_is_turned_as_the_camera_was_held(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: a quarter turn
    pixels = colours(4, 4)
    save(tmp_path / "x.png", pixels, exif=exif)
    turned = torch.as_tensor(np.rot90(pixels, -1).copy()).movedim(-1, 0)
    assert torch.allclose(data.folder(tmp_path, 4)[0] * 255, turned.float(), atol=1e-3)


# --- Depth ---------------------------------------------------------------------------------------------------------


def test_sixteen_bits_are_scaled_by_their_own_largest_value_or_by_white(tmp_path):
    depth = np.array([[0, 2_500], [10_000, 65_535]], dtype=np.uint16)
    save(tmp_path / "x.png", depth)
    plain = data.folder(tmp_path, 2, 1)
    assert torch.allclose(plain[0, 0], torch.tensor([[0, 2_500], [10_000, 65_535]]) / 65_535)
    metres = data.folder(tmp_path, 2, 1, white=10_000)
    assert torch.allclose(metres[0, 0], torch.tensor([[0, 0.25], [1, 1]]))  # what is further than ten metres is 1
    assert torch.equal(data.folder(tmp_path, 2, 3, white=10_000), metres.expand(1, 3, 2, 2))


def test_floating_point_images_are_taken_as_they_are_or_divided_by_white(tmp_path):
    save(tmp_path / "x.tiff", np.array([[0.0, 0.25], [0.5, 1.0]], dtype=np.float32))
    assert torch.allclose(data.folder(tmp_path, 2, 1)[0, 0], torch.tensor([[0, 0.25], [0.5, 1]]))
    assert torch.allclose(data.folder(tmp_path, 2, 1, white=0.5)[0, 0], torch.tensor([[0, 0.5], [1, 1]]))


@pytest.mark.parametrize("values", [[[0.0, 3.0]], [[-0.5, 0.5]], [[float("nan"), 0.5]]])
def test_values_out_of_range_are_refused_and_the_file_is_named(tmp_path, values):
    file = save(tmp_path / "x.tiff", np.array(values, dtype=np.float32))
    with pytest.raises(DataCorrupt, match=r"expected are 0 to 1\. Say with white=") as caught:
        data.folder(tmp_path, 2, 1)
    assert str(file) in str(caught.value)


def test_two_folders_are_two_domains_for_a_game(rooms):
    colour, depth = data.folder(rooms / "colour", 8), data.folder(rooms / "depth", 8, 1, white=10_000, batch_size=2)
    stream = data.Unpaired(colour, depth).stream(2, torch.device("cpu"), 0)
    for _ in range(5):
        a, b = next(stream)
        assert (a.shape, b.shape) == ((2, 3, 8, 8), (2, 1, 8, 8))


def test_a_coupled_game_is_played_on_colour_and_depth(rooms):
    """The networks of faces, on two folders: three channels and one."""
    heaps = data.folder(rooms / "colour"), data.folder(rooms / "depth", channels=1, white=10_000)
    game = games.CoGAN(*networks.cogan_faces(64, channels=(3, 1), width=2))
    first = [own[0][0].weight.clone() for own in game.discriminators.own]
    assert fit(game, data.Unpaired(*heaps), rounds=1, batch_size=4, device="cpu").rounds == 1
    assert not any(torch.equal(old, own[0][0].weight) for old, own in zip(first, game.discriminators.own, strict=True))
    assert [tuple(x.shape) for x in game.sample(2)] == [(2, 3, 64, 64), (2, 1, 64, 64)]


# --- Batches -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_hold_every_image_once_in_a_pass_and_anew_shuffled(tmp_path, workers):
    for number in range(7):
        save(tmp_path / f"{number}.png", np.full((5, 5), number, dtype=np.uint8))
    loader = data.folder(tmp_path, 4, 1, batch_size=3, workers=workers)
    assert isinstance(loader, DataLoader)
    orders = []
    for _ in range(2):
        batches = [(255 * batch[:, 0, 0, 0]).round().int().tolist() for batch in loader]
        assert [len(batch) for batch in batches] == [3, 3]  # full ones only
        orders.append([number for batch in batches for number in batch])
        assert len(set(orders[-1])) == 6
    assert orders[0] != orders[1]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_stream_is_seeded_and_goes_on_in_the_middle_of_a_pass(tmp_path, workers):
    for number in range(6):
        save(tmp_path / f"{number}.png", colours(8, 8))
    source = data.Loader(data.folder(tmp_path, 4, jitter=3, batch_size=2, workers=workers))

    def stream(seed):
        return source.stream(2, torch.device("cpu"), seed)

    one = stream(1)
    seen = [next(one) for _ in range(4)]
    state, rest = one.state_dict(), [next(one) for _ in range(3)]
    same, other, resumed = stream(1), stream(2), stream(3)
    assert all(torch.equal(next(same), x) for x in [*seen, *rest])
    assert not torch.equal(next(other), seen[0])
    resumed.load_state_dict(state)
    assert all(torch.equal(next(resumed), x) for x in rest)


def test_jitter_shows_every_window_and_no_other(tmp_path):
    pixels = np.arange(9, dtype=np.uint8).reshape(3, 3)
    save(tmp_path / "x.png", pixels)
    windows = {tuple(pixels[i : i + 2, j : j + 2].ravel().tolist()) for i in (0, 1) for j in (0, 1)}
    loader = data.folder(tmp_path, 2, 1, jitter=1, batch_size=1)
    torch.manual_seed(0)
    seen = [tuple((255 * batch).round().int().flatten().tolist()) for _ in range(60) for batch in loader]
    assert set(seen) == windows


def test_a_game_is_trained_on_a_folder(rooms):
    game = games.GAN(*networks.dcgan(8, 3, latent_size=2, width=2), latent_size=2)
    history = fit(game, data.folder(rooms / "colour", 8, batch_size=2), rounds=3, batch_size=2, device="cpu")
    assert history.rounds == 3


def test_files_can_be_sent_to_processes_that_are_started_anew(rooms):
    files = data.folder(rooms / "colour", 8, batch_size=2).dataset
    again = pickle.loads(pickle.dumps(files))
    assert (len(again), again.paths) == (4, files.paths)
    assert torch.equal(again[1], files[1])


# --- What is refused -----------------------------------------------------------------------------------------------

BROKEN = {
    "truncated.jpg": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "text.png": lambda path: path.write_text("no image"),
    "empty.png": lambda path: path.write_bytes(b""),
    "cut.png": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "damaged.bmp": lambda path: path.write_bytes(path.read_bytes()[:30]),
}


@pytest.mark.parametrize(
    ("name", "workers"), [*((name, workers) for name in BROKEN for workers in (None, 0)), ("truncated.jpg", 1)]
)
def test_a_file_that_cannot_be_read_is_named_and_not_passed_over(tmp_path, name, workers):
    for other in ("a.png", "z.png"):
        save(tmp_path / other, colours(32, 32))
    BROKEN[name](save(tmp_path / name, colours(32, 32)))
    settings = {} if workers is None else dict(batch_size=1, workers=workers)
    with pytest.raises(DataCorrupt, match="cannot be read as an image") as caught:
        list(data.folder(tmp_path, 8, **settings))
    assert str(tmp_path / name) in str(caught.value)


def test_an_image_smaller_than_the_crop_is_named(tmp_path):
    save(tmp_path / "x.png", colours(5, 20))
    with pytest.raises(DataCorrupt, match=r"x\.png is 20 × 5, smaller than crop=6"):
        data.folder(tmp_path, 4, crop=6)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(
        DataUnavailable, match=r"holds no image among its 1 files; an image is a file that ends in .*png"
    ):
        data.folder(tmp_path)


@pytest.mark.parametrize("path", ["", "nowhere", "~nobody-of-that-name/x", "x" * 5000, "\0"])
def test_a_path_that_is_no_folder_is_refused(path):
    with pytest.raises(DataUnavailable, match="path"):
        data.folder(path)


def test_a_file_is_no_folder(tmp_path):
    with pytest.raises(DataUnavailable, match="is not a folder"):
        data.folder(save(tmp_path / "x.png", colours(2, 2)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(size=0), "size=0"),
        (dict(size=4097), "at most 4096"),
        (dict(channels=2), "channels=2 was given; it must be 1, for grey, or 3, for colours"),
        (dict(crop=0), "crop=0"),
        (dict(jitter=-1, batch_size=1), "jitter=-1"),
        (dict(white=0), "white=0"),
        (dict(batch_size=0), "batch_size=0"),
        (dict(batch_size=5), "batch_size=5 was given, but .*colour has 4 images"),
        (dict(batch_size=1, workers=-1), "workers=-1"),
        (dict(workers=1), "workers=1 was given without a batch_size"),
        (dict(jitter=4), "jitter=4 was given without a batch_size"),
    ],
)
def test_a_setting_that_is_not_allowed_is_named(rooms, settings, message):
    with pytest.raises(ValueError, match=message):
        data.folder(rooms / "colour", **settings)


def test_what_does_not_fit_into_memory_is_to_be_read_in_batches(rooms, monkeypatch):
    monkeypatch.setattr(folders, "MOST", 4 * 4 * 3 * 8 * 8)
    assert data.folder(rooms / "colour", 8).shape == (4, 3, 8, 8)
    with pytest.raises(ValueError, match=r"4 images would take .* give a batch_size"):
        data.folder(rooms / "colour", 9)
    assert len(data.folder(rooms / "colour", 9, batch_size=4)) == 1


# --- CelebA --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return maker.make_faces(tmp_path_factory.mktemp("faces"))


@pytest.fixture
def faces(made, tmp_path, cache):
    """A copy of the drawn faces, to be changed."""
    shutil.copytree(made, tmp_path / "root")
    return tmp_path / "root"


def quietly(*arguments, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", data.DataNotice)
        return inspect.unwrap(data.celeba)(*arguments, **settings)


@pytest.mark.parametrize("attribute", maker.DRAWN)
@pytest.mark.parametrize("split", ["train", "valid", "test", "all"])
def test_the_domains_are_the_faces_with_and_without_the_attribute(made, cache, tmp_path, attribute, split):
    with_it, without = quietly(attribute, 32, split, made)
    members = [
        (content, has[attribute])
        for number, (content, has) in enumerate(maker.faces(48))
        if split in ("all", ["train", "train", "valid", "test"][number // 8 % 4])
    ]
    for domain, side in ((with_it, True), (without, False)):
        place = tmp_path / str(side)
        place.mkdir()
        for number, (content, has) in enumerate(members):
            if has == side:
                (place / f"{number:03}.jpg").write_bytes(content)
        assert domain.shape == (len(members) // 2, 3, 32, 32)
        assert torch.equal(domain, data.folder(place, 32, crop=178))


def test_substitutes_are_announced_where_they_are_asked_for(made, cache, unchecked):
    with pytest.warns(data.DataNotice, match=r"celeba is substitute data.*drawn faces") as caught:
        unchecked(data.celeba)("Smiling", 8, root=made)
    assert caught[0].filename == __file__


def test_the_middle_of_the_face_is_cut_out(made, cache):
    with_it, _ = quietly("Smiling", 16, "test", made, crop=100)
    content = next(content for number, (content, has) in enumerate(maker.faces(48)) if number >= 24 and has["Smiling"])
    pixels = np.asarray(Image.open(io.BytesIO(content)))[59:159, 39:139]
    expected = torch.nn.functional.interpolate(
        torch.as_tensor(pixels.copy()).movedim(-1, 0)[None] / 255, (16, 16), mode="bilinear", antialias=True
    )
    assert torch.allclose(with_it[:1], expected, atol=1e-6)


def test_batches_of_faces(made, cache):
    with_it, without = quietly("Eyeglasses", 16, "train", made, jitter=2, batch_size=4, workers=1)
    assert (len(with_it.dataset), len(without.dataset)) == (16, 16)
    a, b = next(data.Unpaired(with_it, without).stream(4, torch.device("cpu"), 0))
    assert a.shape == b.shape == (4, 3, 16, 16)


def test_the_folder_comes_from_the_environment_and_may_lie_one_level_higher(faces, monkeypatch):
    expected = quietly("Smiling", 8, root=faces)
    monkeypatch.setenv("GAN_COURSE_DATA", str(faces))
    assert torch.equal(quietly("Smiling", 8)[0], expected[0])
    inner = faces / "celeba" / "celeba"
    manifest = faces / "celeba" / "substitute.json"
    for file in list(inner.iterdir()):
        file.rename(faces / "celeba" / file.name)
    inner.rmdir()
    manifest.write_text(manifest.read_text().replace("celeba/", ""))
    assert torch.equal(quietly("Smiling", 8)[1], expected[1])


def test_faces_lie_in_the_cache_too(made, cache):
    shutil.copytree(made / "celeba", cache / "celeba")
    assert quietly("Smiling", 8)[0].shape == (16, 3, 8, 8)


def test_an_unknown_attribute_is_refused_and_the_nearest_named(made, cache):
    with pytest.raises(UnknownName, match=r"unknown attribute 'smiling'; choose one of: .*; did you mean Smiling\?"):
        quietly("smiling", 8, root=made)
    with pytest.raises(UnknownName, match="attribute ''"):  # what follows the space at the end of the published line
        quietly("", 8, root=made)


def test_an_attribute_that_nobody_has_makes_no_domain(made, cache):
    with pytest.raises(ValueError, match=r"attribute='Bald' parts the split 'test' into 0 and 8 images"):
        quietly("Bald", 8, "test", made)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(split="validation"), "unknown split 'validation'; choose one of: train, valid, test, all"),
        (dict(split=None), "unknown split None"),
        (dict(crop=179), "crop=179 .* at most 178"),
        (dict(size=0), "size=0"),
        (dict(workers=-1), "workers=-1"),
        (dict(batch_size=17), "batch_size=17 was given, but .*img_align_celeba has 16 images"),
        (dict(attribute=3), "attribute must be the name of an attribute, not a int"),
    ],
)
def test_a_setting_of_celeba_that_is_not_allowed_is_named(made, cache, settings, message):
    with pytest.raises(ValueError, match=message):
        quietly(**{"attribute": "Smiling", "root": made, **settings})


def test_what_is_not_there_is_listed(faces, cache):
    (faces / "celeba" / "celeba" / "identity_CelebA.txt").unlink()
    with pytest.raises(DataUnavailable, match=r"celeba lacks identity_CelebA.txt\n") as caught:
        quietly("Smiling", 8, root=faces)
    assert "lacks all of them" in str(caught.value)  # in the cache
    assert "torchvision.datasets.CelebA" in str(caught.value)
    assert not cache.exists()


def test_a_missing_image_is_named(faces):
    (faces / "celeba" / "celeba" / "img_align_celeba" / "000003.jpg").unlink()
    with pytest.raises(DataCorrupt, match=r"lacks 1 of the 32 images of the split 'train', the first is 000003\.jpg"):
        quietly("Smiling", 8, root=faces)


def test_an_altered_list_is_refused(faces):
    with open(faces / "celeba" / "celeba" / "list_attr_celeba.txt", "a") as file:
        file.write("\n")
    with pytest.raises(DataCorrupt, match="truncated or altered"):
        quietly("Smiling", 8, root=faces)


def test_without_the_note_the_published_checksums_count(faces):
    (faces / "celeba" / "substitute.json").unlink()
    with pytest.raises(DataCorrupt, match=r"truncated or altered: .* expected 75e246fa4810816ffd6ee81facbd244c"):
        quietly("Smiling", 8, root=faces)


def test_lists_that_are_none_are_refused(faces):
    lists = faces / "celeba" / "celeba" / "list_attr_celeba.txt"
    manifest = faces / "celeba" / "substitute.json"
    before = hashlib.md5(lists.read_bytes()).hexdigest()
    lists.write_text("48\nSmiling\n000001.jpg yes\n")
    manifest.write_text(manifest.read_text().replace(before, hashlib.md5(lists.read_bytes()).hexdigest()))
    with pytest.raises(DataCorrupt, match="right checksums but are not CelebA's"):
        quietly("Smiling", 8, root=faces)


def test_every_refusal_is_of_the_package(tmp_path, cache):
    for root in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(CourseError):
            data.celeba("Smiling", root=root)
    assert os.listdir(tmp_path) == []  # nothing is written where data are looked for

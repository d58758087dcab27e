"""FID, KID and MiFID: exact values, torchmetrics and SciPy beside them, and any network in the middle."""

import itertools
import sys

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from gan_course.errors import DataUnavailable
from gan_course.metrics import (
    Inception,
    class_probabilities,
    fid,
    frechet_digits,
    frechet_distance,
    image_features,
    inception,
    kernel_distance,
    kid,
    lenet,
    mifid,
)


def images(n, seed=0, size=28, channels=1):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


def flat(x):
    return x.flatten(1)


def scipys(a, b):
    """The Fréchet distance with NumPy's moments and SciPy's matrix root."""
    a, b = a.double().numpy(), b.double().numpy()
    s, t = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(s @ t)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * np.trace(root).real)


@pytest.mark.parametrize("network", [None, flat, lenet()], ids=["default", "pixels", "lenet"])
def test_fid_is_the_closed_form(network):
    size = 5 if network is flat else 28
    a, b = images(300, size=size), images(400, 1, size=size) ** 2
    expected = scipys(image_features(a, network), image_features(b, network))
    assert fid(a, b, network) == pytest.approx(expected, rel=1e-4)
    assert fid(b, a, network) == pytest.approx(expected, rel=1e-4)
    assert fid(a, a, network) == pytest.approx(0, abs=1e-6)


def test_fid_of_digits_is_theirs():
    a, b = images(200), images(150, 1) ** 3
    assert fid(a, b) == pytest.approx(frechet_digits(a, b), rel=1e-4)


def test_fid_of_a_shift_and_of_a_scale():
    a = images(200, size=4) / 2
    assert fid(a, a + 0.25, flat) == pytest.approx(16 / 16, rel=1e-6)  # ‖δ‖²
    size = flat(a).mean(0).square().sum() + torch.cov(flat(a).T).trace()
    assert fid(a, 2 * a, flat) == pytest.approx(float(size), rel=1e-5)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_fid_far_from_the_origin(offset):
    def network(x):
        return flat(x).double() + offset

    a, b = images(100, size=3), images(100, 1, size=3) ** 2
    assert fid(a, b, network) == pytest.approx(frechet_distance(flat(a), flat(b)), rel=1e-4)


def test_too_few_images_for_their_features_are_warned_of():
    with pytest.warns(UserWarning, match="images_b holds 20 samples of 84 features") as caught:
        value = fid(images(100), images(20, 1))
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="samples of 84 features"):
        assert value == pytest.approx(frechet_digits(images(100), images(20, 1)), rel=1e-4)


def cubic(x, y):
    return (float(x @ y) / len(x) + 1) ** 3


def test_kernel_distance_of_a_tiny_case_by_hand():
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    y = torch.tensor([[1.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    # k(x1,x2) = 1; k(y1,y2) = (1/2)³ = 1/8; k(x,y) = (3/2)³, (1/2)³, 2³, 1³
    expected = 1 + 1 / 8 - 2 / 4 * (27 / 8 + 1 / 8 + 8 + 1)
    found = kernel_distance(x, y, subsets=3)
    assert found.mean == pytest.approx(expected, rel=1e-12)
    assert found.std == pytest.approx(0, abs=1e-12)  # each subset is everything
    assert found.subset_size == 2


def test_kernel_distance_is_the_definition():
    x, y = torch.randn(2, 12, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    n = len(x)
    within = [sum(cubic(s[i], s[j]) for i, j in itertools.permutations(range(n), 2)) / n / (n - 1) for s in (x, y)]
    across = sum(cubic(a, b) for a in x for b in y) / n**2
    assert kernel_distance(x, y, subsets=1).mean == pytest.approx(sum(within) - 2 * across, rel=1e-9)


def test_kernel_distance_has_no_bias_where_the_frechet_distance_has():
    generator = torch.Generator().manual_seed(0)
    kernels, frechets = [], []
    for _ in range(60):
        x, y = torch.randn(2, 60, 16, generator=generator)
        found = kernel_distance(x, y, subsets=1)
        kernels.append(found.mean)
        frechets.append(frechet_distance(x, y))
    spread = np.std(kernels) / np.sqrt(60)
    assert abs(np.mean(kernels)) < 3 * spread
    assert min(kernels) < 0
    assert min(frechets) > 1  # of equal laws


def test_subsets_are_the_seeds_and_leave_the_random_state_alone():
    x, y = images(50, size=3), images(40, 1, size=3)
    state = torch.random.get_rng_state()
    first = kid(x, y, flat, subsets=5, subset_size=10)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first == kid(x, y, flat, subsets=5, subset_size=10) != kid(x, y, flat, subsets=5, subset_size=10, seed=1)
    assert first.std > 0
    whole = kid(x[:40], y, flat, subsets=2)
    assert whole.mean == pytest.approx(kernel_distance(flat(x[:40]), flat(y), subsets=1).mean, rel=1e-9)
    assert str(whole).endswith("over subsets of 40")


def test_kid_of_digits_uses_the_lenet():
    x, y = images(60), images(60, 1) ** 2
    assert kid(x, y, subsets=1).mean == pytest.approx(
        kernel_distance(image_features(x), image_features(y), subsets=1).mean, rel=1e-9
    )


def cosine(x, t):
    x, t = (v / v.norm(dim=1, keepdim=True) for v in (x.double(), t.double()))
    return float((1 - (x @ t.T).abs()).min(1).values.mean())


@pytest.mark.filterwarnings("ignore:.*samples of")
def test_mifid_divides_where_the_samples_are_near():
    train, other = images(60, size=3), images(50, 1, size=3)
    near = (train[:50] + 0.05 * other).clamp(0, 1)
    found = mifid(near, train, flat)
    assert found.distance == pytest.approx(cosine(flat(near), flat(train)), rel=1e-9)
    assert found.fid == pytest.approx(fid(near, train, flat), rel=1e-9)
    assert found.distance < 0.1
    assert found.value == pytest.approx(found.fid / found.distance, rel=1e-9)
    strict = mifid(near, train, flat, threshold=found.distance / 2)
    assert strict.value == pytest.approx(strict.fid)  # beyond the threshold: not punished


@pytest.mark.filterwarnings("ignore:.*samples of", "ignore:Metric")
def test_mifid_looks_from_the_samples_to_the_training_set_as_its_source_does():
    """torchmetrics looks the other way: with its sides exchanged the values agree."""
    from torchmetrics.image.mifid import MemorizationInformedFrechetInceptionDistance

    train = images(60, size=3)
    near = (train[:30] + 0.05 * images(30, 1, size=3)).clamp(0, 1)  # near to half of the training set only
    theirs = []
    for real, fake in ((near, train), (train, near)):
        metric = MemorizationInformedFrechetInceptionDistance(nn.Flatten(), cosine_distance_eps=0.1)
        metric.update(real, real=True)
        metric.update(fake, real=False)
        theirs.append(float(metric.compute()))
    assert mifid(near, train, flat).value == pytest.approx(theirs[0], rel=1e-4)
    assert theirs[1] < theirs[0] / 2


def test_copies_have_a_mifid_beyond_all_others():
    train, other = images(200, size=3), images(200, 1, size=3)
    copies = mifid(train[:100], train, flat)
    assert copies.distance == pytest.approx(0, abs=1e-12)
    assert copies.value > 1e9 * mifid(other, train, flat).value
    assert str(copies).startswith("MiFID ")


def test_features_come_row_by_row_in_evaluation_mode_without_gradients():
    network = nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    x = images(70, size=3)
    found = image_features(x, network, batch_size=16)
    assert network.training
    assert network[2].training
    torch.testing.assert_close(found, network.eval()(x).detach())
    assert not found.requires_grad
    torch.testing.assert_close(image_features(x, flat), flat(x))


def test_a_module_is_asked_for_its_features_and_for_its_logits():
    x = images(30)
    network = lenet()
    torch.testing.assert_close(image_features(x, network), network.features(x))
    torch.testing.assert_close(class_probabilities(x, network), network(x).double().softmax(1))
    torch.testing.assert_close(class_probabilities(x, network), class_probabilities(x), rtol=1e-4, atol=1e-6)


class Tiny(nn.Module):
    """What torch-fidelity's network does, in small: bytes to features and logits."""

    def forward(self, x):
        assert x.dtype == torch.uint8
        assert x.shape[1] == 3
        return x.float().mean((2, 3)), x.float().amax((2, 3))


def test_inception_takes_grey_images_as_colour_and_bytes_as_its_source_does():
    network = Inception(Tiny())
    x = torch.full((5, 1, 4, 4), 0.5)
    assert network.features(x).shape == (5, 3)
    assert float(network.features(x).min()) == 128
    assert class_probabilities(x, network).shape == (5, 3)
    assert image_features(images(5, channels=3), network).shape == (5, 3)


def test_without_torch_fidelity_it_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.delitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", raising=False)
    with pytest.raises(DataUnavailable, match=r"pip install torch-fidelity.*network=None takes the LeNet"):
        inception()


def test_without_a_network_it_says_what_to_do(monkeypatch):
    from torch_fidelity import feature_extractor_inceptionv3

    def offline(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(feature_extractor_inceptionv3, "load_state_dict_from_url", offline)
    with pytest.raises(DataUnavailable, match=r"could not be downloaded: Network is unreachable.*inception\(weights"):
        inception()


def test_weights_that_are_none(tmp_path):
    with pytest.raises(DataUnavailable, match=r"weights=.*is no file"):
        inception(tmp_path / "absent.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(DataUnavailable, match="could not be read from"):
        inception(tmp_path / "text.pth")
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(DataUnavailable, match="could not be read from"):
        inception(tmp_path / "other.pth")


GOOD = torch.full((3, 1, 28, 28), 0.5)
BAD = [
    (torch.zeros(0, 1, 28, 28), "is empty"),
    (GOOD - 1, r"has values from -0.5 to -0.5; allowed.*\(images \+ 1\) / 2"),
    (GOOD * 255, "has values from 127.5 to 127.5; allowed"),
    (GOOD / 0, "holds 2352 values that are NaN"),
    (GOOD[0], r"has shape \(1, 28, 28\); allowed: images of shape \(n, c, h, w\)"),
    (torch.zeros(3, 3, 32, 32), r"has shape \(3, 3, 32, 32\), and without a network.*network=metrics.inception"),
]


@pytest.mark.filterwarnings("ignore:.*samples of")
@pytest.mark.parametrize(("bad", "message"), BAD)
def test_bad_images(bad, message, unchecked):
    for metric, first, second in (
        (fid, "images_a", "images_b"),
        (kid, "images_a", "images_b"),
        (mifid, "images", "train"),
    ):
        with pytest.raises(ValueError, match=f"^{first} {message}"):
            unchecked(metric)(bad, GOOD)
        with pytest.raises(ValueError, match=f"^{second} {message}"):
            unchecked(metric)(GOOD, bad)
    for metric in (image_features, class_probabilities):
        with pytest.raises(ValueError, match=f"^images {message}"):
            unchecked(metric)(bad)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda u: u(fid)(GOOD[:1], GOOD), "images_a holds 1 sample; allowed: at least 2"),
        (lambda u: u(kid)(GOOD, GOOD[:1]), "images_b holds 1 sample; allowed: at least 2"),
        (
            lambda u: u(kid)(GOOD, GOOD, subset_size=4),
            "subset_size=4 was given for 3 samples in images_a and 3 in images_b",
        ),
        (lambda u: u(kid)(GOOD, GOOD, subsets=0), "subsets=0 was given"),
        (lambda u: u(mifid)(GOOD, GOOD, threshold=0.0), "threshold=0.0 was given"),
        (lambda u: u(image_features)(GOOD, lambda x: x), r"network gave shape \(3, 1, 28, 28\) for images.*flatten"),
        (lambda u: u(image_features)(GOOD, lambda x: flat(x) / 0), "what network gave holds 2352 values that are NaN"),
        (lambda u: u(kernel_distance)(torch.zeros(3, 2), torch.zeros(3, 4)), "features_a has points of"),
        (
            lambda u: u(kernel_distance)(torch.full((3, 2), 1e35), torch.zeros(3, 2)),
            "features_a has values as large as 1e",
        ),
    ],
)
def test_bad_settings(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call(unchecked)


def test_a_network_that_is_none(unchecked):
    with pytest.raises(ValueError, match="network must be a module, a function from images"):
        unchecked(fid)(GOOD, GOOD, "inception")

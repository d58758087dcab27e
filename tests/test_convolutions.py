"""The faster ways of convolutions give PyTorch's numbers, and are gone through where they should be."""

import collections
import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from gan_course import fit, games, networks, training
from gan_course.convolutions import BROAD, FEW, NARROW, faster

MAPS = nn.Conv2d, nn.ConvTranspose2d


def orders(module, x):
    """A module's values, their gradients, and the gradients of those."""
    x = x.clone().requires_grad_()
    inputs = [x, *module.parameters()]
    values = module(x)
    weights = torch.linspace(-1, 1, values.numel(), dtype=x.dtype).view(values.shape)
    first = torch.autograd.grad((weights * values.sin()).sum(), inputs, create_graph=True)
    second = torch.autograd.grad(sum((gradient**2).sum() for gradient in first), inputs)
    return [values, *first, *second]


def same(module, x):
    expected = orders(module, x)
    with faster(module):
        found = orders(module, x)
        torch.testing.assert_close(module(x.detach()), expected[0].detach(), atol=1e-10, rtol=1e-10)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-9, rtol=1e-9)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_values_and_both_orders_of_gradients_are_pytorchs(data):
    draw = data.draw
    kind, channels, pair = draw(st.sampled_from(MAPS)), st.integers(1, FEW + 2), st.tuples(*[st.integers(1, 3)] * 2)
    kernel = draw(st.tuples(*[st.integers(1, 5)] * 2))
    stride = draw(st.one_of(st.integers(1, 3).map(lambda s: (s, s)), pair))
    padding = tuple(draw(st.integers(0, k - 1)) for k in kernel)
    if kind is nn.Conv2d:
        more, least = {}, kernel
    else:
        more = {"output_padding": tuple(draw(st.integers(0, s - 1)) for s in stride)}
        least = [1 + p for p in padding]  # so that something is left
    if draw(st.booleans()):
        padding, least = (0, 0), kernel if kind is nn.Conv2d else (1, 1)
    torch.manual_seed(0)
    module = kind(draw(channels), draw(channels), kernel, stride, padding, bias=draw(st.booleans()), **more).double()
    size = [n + draw(st.integers(0, 5)) for n in least]
    x = torch.randn(draw(st.integers(1, 3)), module.in_channels, *size, dtype=torch.float64)
    if draw(st.booleans()):
        x = x.contiguous(memory_format=torch.channels_last)
    same(module, x)


class Counting(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.calls = collections.Counter()

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        self.calls[function.overloadpacket.__name__] += 1
        return function(*arguments, **(named or {}))


@pytest.mark.parametrize(
    ("module", "size"),
    [
        (nn.ConvTranspose2d(8, 1, 4, 2, 1), 6),  # a generator's end
        (nn.ConvTranspose2d(8, FEW, 4, 2, 1), 6),
        (nn.Conv2d(8, 1, NARROW, padding=1), 6),
        (nn.ConvTranspose2d(5, 8, 4), 1),  # one pixel at the beginning, or the end
        (nn.Conv2d(8, 1, 4), 4),
    ],
)
def test_the_faster_way_is_taken(module, size):
    x = torch.randn(2, module.in_channels, size, size)
    with Counting() as plain:
        module(x)
    assert plain.calls["convolution"] == 1
    with faster(module), Counting() as fast:
        y = module(x)
    assert fast.calls["convolution"] == 0
    assert y.is_contiguous(memory_format=torch.channels_last)
    with Counting() as after:
        module(x)
    assert after.calls["convolution"] == 1
    assert "forward" not in vars(module)


@pytest.mark.parametrize("module", [nn.Conv2d(FEW, 8, 4, 2, 1), nn.Conv2d(FEW, 8, BROAD)])
def test_the_gradient_of_images_takes_the_faster_way_too(module):
    """In the generator's turn, when the discriminator stands still."""
    module, x = module.requires_grad_(False), torch.randn(2, FEW, 8, 8, requires_grad=True)
    with faster(module), Counting() as counted:
        torch.autograd.grad(module(x).sum(), x)
    assert counted.calls["convolution_backward"] == 0
    assert counted.calls["bmm"] == 1


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (nn.ConvTranspose2d(8, FEW + 1, 4, 2, 1), torch.randn(2, 8, 4, 4)),
        (nn.ConvTranspose2d(4, 2, 4, 2, 1, groups=2), torch.randn(2, 4, 4, 4)),
        (nn.ConvTranspose2d(4, 1, 4, 2, 1, dilation=2), torch.randn(2, 4, 4, 4)),
        (nn.ConvTranspose2d(4, 1, 4, 2, 1), torch.randn(4, 4, 4)),  # no batch
        (nn.ConvTranspose2d(4, 1, 4, (2, 1), 1), torch.randn(2, 4, 4, 4)),
        (nn.Conv2d(8, 1, NARROW + 2, padding=1), torch.randn(2, 8, 8, 8)),
        (nn.Conv2d(8, 1, 3, padding=3), torch.randn(2, 8, 8, 8)),
        (nn.Conv2d(8, 1, 3, padding=1, padding_mode="reflect"), torch.randn(2, 8, 8, 8)),
        (nn.Conv2d(8, 1, 3, padding="same"), torch.randn(2, 8, 8, 8)),
        (nn.Conv2d(2, 2, 2, groups=2), torch.randn(3, 2, 2, 2)),
        (nn.Conv2d(1, 4, 3, 2), torch.randn(1, 8, 8)),
    ],
)
def test_others_go_their_own_way(module, x):
    with faster(module), Counting() as counted:
        module(x)
    assert counted.calls["convolution"] == 1
    same(module.double(), x.double())


def test_an_output_size_may_be_asked_for():
    module, x = nn.ConvTranspose2d(4, 1, 3, 2, 1), torch.randn(2, 4, 5, 5)
    expected = module(x, output_size=[10, 10])
    with faster(module):
        assert torch.equal(module(x, output_size=[10, 10]), expected)


def test_hooks_parametrisations_and_forwards_of_ones_own_are_heard():
    class Doubled(nn.Conv2d):
        def forward(self, x):
            return 2 * super().forward(x)

    torch.manual_seed(0)
    x, seen = torch.randn(2, 4, 8, 8, dtype=torch.float64), []
    same(Doubled(4, 1, 3, padding=1).double(), x)
    same(nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 1, 3, padding=1)).double(), x)
    module = nn.Conv2d(4, 1, 3, padding=1).double()
    module.register_forward_hook(lambda module, inputs, output: seen.append(1) or output + 1)
    same(module, x)
    assert len(seen) == 3


def test_vectors_become_images_with_channels_last():
    module, x = nn.Unflatten(1, (3, 2, 2)), torch.randn(5, 12)
    with faster(module):
        y = module(x)
    assert torch.equal(y, module(x))
    assert y.is_contiguous(memory_format=torch.channels_last)
    flat = nn.Unflatten(1, (3, 4))
    with faster(flat):
        assert torch.equal(flat(x), x.view(5, 3, 4))


def test_a_copy_made_inside_has_weights_of_its_own():
    module, x = nn.Sequential(nn.ConvTranspose2d(4, 1, 4, 2, 1)), torch.randn(2, 4, 4, 4)
    with faster(module):
        twin = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert not twin(x).any()
    assert module(x).any()


@pytest.mark.parametrize("objective", ["non-saturating", "wgan-gp"])
def test_fit_goes_the_faster_way_to_the_same_end(objective, monkeypatch):
    """To 1e-4 after four rounds, with and without a gradient penalty."""

    def play():
        torch.manual_seed(0)
        images = torch.rand(40, 1, 16, 16)
        pair = networks.dcgan(16, 1, 3, 4, normalise=objective == "non-saturating")
        game = games.GAN(*pair, objective, latent_size=3)
        with Counting() as counted:
            fit(game, images, rounds=4, batch_size=10, device="cpu")
        return game.state_dict(), counted.calls["bmm"]

    mine, products = play()
    assert products > 0
    monkeypatch.setattr(training, "faster", lambda game: training.contextlib.nullcontext())
    plain, none = play()
    assert none == 0
    for name, value in plain.items():
        torch.testing.assert_close(mine[name], value, atol=1e-4, rtol=1e-4)

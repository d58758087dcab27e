"""Flows: determinants against Jacobians, round trips, densities that integrate to one, codes that were not drawn."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal
from torch.testing import assert_close

from gan_course import networks
from gan_course.networks.flows import Autoregressive, Planar

KINDS = {
    "planar": lambda size, length: networks.PlanarFlow(size, length),
    "autoregressive": lambda size, length: networks.InverseAutoregressiveFlow(size, length, [16]),
    "mixed": lambda size, length: networks.Flow(
        [Planar(size), *networks.InverseAutoregressiveFlow(size, length, [8]).layers]
    ),
}


def bent(kind, size=3, length=4, seed=0, by=1.0, dtype=torch.float64):
    """A flow far from the identity."""
    torch.manual_seed(seed)
    flow = KINDS[kind](size, length)
    for p in flow.parameters():
        nn.init.normal_(p, std=by * (1.0 if p.ndim < 2 else 1 / math.sqrt(p.shape[1])))
    return flow.to(dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_determinant_is_that_of_the_jacobian(kind, size):
    flow = bent(kind, size)
    z = torch.randn(6, size, dtype=torch.float64)
    codes, log_determinant = flow(z)
    jacobians = torch.stack([torch.autograd.functional.jacobian(lambda v: flow(v[None])[0][0], row) for row in z])
    assert_close(log_determinant, torch.linalg.slogdet(jacobians)[1])
    assert codes.shape == (6, size)
    assert log_determinant.abs().max() > 0.01  # and not the identity's 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_the_round_trip(kind, size, dtype, close):
    flow = bent(kind, size, by=0.5, dtype=dtype)
    z = 2 * torch.randn(200, size, dtype=dtype)
    codes, log_determinant = flow(z)
    found, again = flow.inverse(codes)
    assert_close(found, z, atol=close, rtol=0)
    assert_close(again, log_determinant, atol=10 * close, rtol=0)
    assert found.dtype == again.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_round_trip_of_eighty_planar_layers(dtype):
    """The length of the AS-VAE paper's posterior on MNIST."""
    flow = bent("planar", 8, 80, by=0.3, dtype=dtype)
    z = torch.randn(100, 8, dtype=dtype)
    codes, _ = flow(z)
    assert (codes - z).abs().max() > 1
    assert_close(flow.inverse(codes)[0], z, atol=1e-5 if dtype == torch.float64 else 1e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_codes_that_were_not_drawn_have_a_density_that_integrates_to_one(kind):
    flow = bent(kind, 2, 2, by=0.7)
    axis = torch.linspace(-14, 14, 701, dtype=torch.float64)
    codes = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        z, log_determinant = flow.inverse(codes)
    density = (-0.5 * z.square().sum(1) - math.log(2 * math.pi) - log_determinant).exp()
    assert density.sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_the_inverse(kind):
    flow = bent(kind, 2, 2, by=0.7)
    codes = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in flow.named_parameters()]

    def inverse(codes, *values):
        z, log_determinant = torch.func.functional_call(
            _Inverse(flow), {f"flow.{name}": value for name, value in zip(names, values, strict=True)}, (codes,)
        )
        return z, log_determinant

    assert torch.autograd.gradcheck(inverse, (codes, *flow.parameters()), atol=1e-6)


class _Inverse(nn.Module):
    def __init__(self, flow):
        super().__init__()
        self.flow = flow

    def forward(self, codes):
        return self.flow.inverse(codes)


@pytest.mark.parametrize("slope", [-0.999999, -0.5, 0.0, 3.0, 100.0])
def test_the_planar_root_at_every_steepness(slope):
    """The one unknown of the inverse, from nearly flat to very steep."""
    layer = Planar(1).double()
    with torch.no_grad():
        layer.w.fill_(1.0)
        # û = m(u) for w = 1, so u is where the softplus has this value.
        layer.u.fill_(math.log(math.expm1(slope + 1)) - math.log(math.e - 1))
        layer.b.fill_(0.3)
    assert_close(layer.push(), torch.tensor([slope], dtype=torch.float64))
    codes = torch.linspace(-200, 200, 801, dtype=torch.float64)[:, None]
    z, log_determinant = layer.inverse(codes)
    assert_close(layer(z)[0], codes, atol=1e-12, rtol=1e-12)
    assert log_determinant.isfinite().all()


def test_any_planar_parameters_are_invertible():
    torch.manual_seed(0)
    for _ in range(100):
        layer = Planar(4).double()
        for p in layer.parameters():
            nn.init.normal_(p, std=5.0)
        assert layer.w @ layer.push() >= -1 - 1e-12
        assert_close(layer.push() - layer.u, ((layer.push() - layer.u) @ layer.w / (layer.w @ layer.w)) * layer.w)


def test_flows_start_near_the_identity():
    z = torch.randn(50, 3)
    codes, log_determinant = networks.InverseAutoregressiveFlow(3, 2)(z)
    assert torch.equal(codes, z)
    assert (log_determinant == 0).all()
    codes, log_determinant = networks.PlanarFlow(3, 2)(z)
    assert_close(codes, z, atol=0.2, rtol=0)
    assert_close(log_determinant, torch.zeros(50), atol=0.2, rtol=0)
    layer = Planar(3)
    nn.init.zeros_(layer.u)
    assert_close(layer(z)[0], z)


def test_autoregressive_layers_go_forwards_and_backwards():
    flow = bent("autoregressive", 3, 2)
    z = torch.randn(3, dtype=torch.float64)
    first, second = (
        torch.autograd.functional.jacobian(lambda v, layer=layer: layer(v[None])[0][0], z) for layer in flow.layers
    )
    assert torch.equal(first.triu(1), torch.zeros_like(first))
    assert torch.equal(second.tril(-1), torch.zeros_like(second))
    assert (first.tril(-1).abs().sum() > 0) & (second.triu(1).abs().sum() > 0)


def test_a_flow_learns_a_correlated_law():
    """By maximum likelihood of codes that it did not draw; the entropy is the best there is."""
    torch.manual_seed(0)
    law = MultivariateNormal(torch.tensor([1.0, -1.0]), torch.tensor([[1.0, 0.9], [0.9, 1.0]]))
    flow = networks.InverseAutoregressiveFlow(2, 1, [8])
    optimizer = torch.optim.Adam(flow.parameters(), 2e-2)
    codes = law.sample((2_000,))

    def miss():
        z, log_determinant = flow.inverse(codes)
        return (0.5 * z.square().sum(1) + math.log(2 * math.pi) + log_determinant).mean()

    before = miss().item()
    for _ in range(150):
        optimizer.zero_grad()
        loss = miss()
        loss.backward()
        optimizer.step()
    best = -law.log_prob(codes).mean().item()
    assert before > best + 1
    assert miss().item() == pytest.approx(best, abs=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: networks.Flow([]), "a flow has at least one layer"),
        (lambda: networks.PlanarFlow(2, 0), "length=0 was given; it must be a whole number of at least 1"),
        (lambda: networks.InverseAutoregressiveFlow(2, 0), "length=0 was given"),
        (lambda: networks.PlanarFlow(0), "latent_size=0 was given"),
        (lambda: networks.InverseAutoregressiveFlow(2, 1, [0]), "hidden=0 was given"),
        (lambda: networks.Flow([nn.Linear(2, 2)]), "a Linear, which has no inverse"),
        (lambda: networks.Flow([Planar(2), Autoregressive(3)]), r"sizes \[2, 3\]; all must be for codes of one size"),
        (lambda: networks.PlanarFlow(2)(torch.zeros(3, 4)), r"z has the shape \(3, 4\); this flow takes \(n, 2\)"),
        (lambda: networks.PlanarFlow(2).inverse(torch.zeros(3, 4)), r"codes has the shape \(3, 4\)"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()

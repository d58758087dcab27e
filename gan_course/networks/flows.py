r"""Invertible maps of codes with a known volume change: they turn a simple law into a rich one, and give its density.

A flow $f$ turns codes $z_0$ of a law with density $q_0$ into codes $z = f(z_0)$ with

$$\log q(z) = \log q_0(z_0) - \log\left|\det \frac{\partial f}{\partial z_0}\right|, \qquad z_0 = f^{-1}(z).$$

Codes that were drawn are known with their $z_0$; for any other code $z$ the inverse finds it. Both directions give the
logarithm of the determinant of the same, the forward map. Nothing is clipped and nothing is approximate but the
rounding of numbers.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from gan_course.checks import instance, samples, whole


class Flow(nn.Module):
    r"""Invertible layers one after the other: $f = f_K\circ\dots\circ f_1$, whose log determinants add up.

    A layer is a module that has a `latent_size`, whose call gives `(codes, log_determinant)`, and whose `inverse` gives
    `(z, log_determinant)` of the same forward map: a flow itself is one.
    """

    def __init__(self, layers: Sequence[nn.Module]):
        """`layers`: in the order in which codes go through them; at least one, all for codes of one size.

        Raises:
            ValueError: if there is no layer, one is no such layer, or their sizes differ.
        """
        super().__init__()
        instance("layers", layers, (list, tuple, nn.ModuleList), "a list of invertible layers")
        if not len(layers):
            raise ValueError("layers=[] was given; a flow has at least one layer: without one, leave the flow out")
        for layer in layers:
            instance("layers", layer, nn.Module, "a list of torch.nn.Modules")
            if not (callable(getattr(layer, "inverse", None)) and isinstance(getattr(layer, "latent_size", None), int)):
                raise ValueError(f"layers holds a {type(layer).__name__}, which has no inverse() or no latent_size")
        sizes = [layer.latent_size for layer in layers]
        if len(set(sizes)) > 1:
            raise ValueError(f"layers are for codes of the sizes {sizes}; all must be for codes of one size")
        self.latent_size = sizes[0]
        self.layers = nn.ModuleList(layers)

    def __len__(self) -> int:
        return len(self.layers)

    def forward(self, z: Float[Tensor, "n latent"]) -> tuple[Float[Tensor, "n latent"], Float[Tensor, " n"]]:
        r"""The codes $f(z)$, and $\log|\det\partial f/\partial z|$."""
        _check(self, z=z)
        total = z.new_zeros(len(z))
        for layer in self.layers:
            z, log_determinant = layer(z)
            total = total + log_determinant
        return z, total

    def inverse(self, codes: Float[Tensor, "n latent"]) -> tuple[Float[Tensor, "n latent"], Float[Tensor, " n"]]:
        r"""The $z = f^{-1}(\text{codes})$, and $\log|\det\partial f/\partial z|$ there: of the forward map."""
        _check(self, codes=codes)
        total = codes.new_zeros(len(codes))
        for layer in reversed(self.layers):
            codes, log_determinant = layer.inverse(codes)
            total = total + log_determinant
        return codes, total


class Planar(nn.Module):
    r"""One planar layer: codes are pushed along $\hat u$, by how much depends on where they lie along $w$.

    $$f(z) = z + \hat u\tanh(w^\top z + b), \qquad
      \log|\det| = \log\big|1 + w^\top\hat u\,(1 - \tanh^2(w^\top z + b))\big|.$$

    It is invertible if and only if $w^\top\hat u\ge -1$. The free parameter is $u$, and its part along $w$ is moved to
    keep that: $\hat u = u + (m(w^\top u) - w^\top u)\,w/\|w\|^2$ with $m(a) = -1 + \mathrm{sp}(a + \log(e-1))$. With
    the shift inside the softplus $u = 0$ stays 0, so that a layer that starts there starts as the identity.

    The inverse has one unknown, $a = w^\top z$, the root of the increasing function
    $a + w^\top\hat u\tanh(a + b) - w^\top z'$. It lies between $w^\top z' \mp |w^\top\hat u|$, and bisection and
    Newton's method find it in double precision. Its gradient is that of the implicit function. There and back it is off
    by at most 1e-5 where codes are in double precision; in single precision the rounding of the codes themselves makes
    that 1e-4.

    Source: rezende2015flows.
    """

    def __init__(self, latent_size: int):
        """`latent_size`: coordinates of a code."""
        super().__init__()
        self.latent_size = whole("latent_size", latent_size)
        self.w = nn.Parameter(torch.randn(latent_size) / math.sqrt(latent_size))
        self.u = nn.Parameter(0.01 * torch.randn(latent_size))
        self.b = nn.Parameter(torch.zeros(()))

    def push(self) -> Float[Tensor, " latent"]:
        r"""$\hat u$."""
        along = self.w @ self.u
        allowed = softplus(along + math.log(math.e - 1)) - 1
        return self.u + (allowed - along) * self.w / self.w.square().sum()

    def forward(self, z: Float[Tensor, "n latent"]) -> tuple[Float[Tensor, "n latent"], Float[Tensor, " n"]]:
        r"""The codes $f(z)$, and $\log|\det|$."""
        u = self.push()
        h = torch.tanh(z @ self.w + self.b)
        return z + h.unsqueeze(1) * u, torch.log1p(self.w @ u * (1 - h.square()))

    def inverse(self, codes: Float[Tensor, "n latent"]) -> tuple[Float[Tensor, "n latent"], Float[Tensor, " n"]]:
        r"""The $z$ with $f(z)$ = codes, and $\log|\det|$ there."""
        u = self.push()
        slope = (self.w @ u).double()
        a = _root((codes @ self.w).double(), slope, self.b.double())
        h = torch.tanh(a + self.b)
        z = codes - h.to(codes).unsqueeze(1) * u
        return z, torch.log1p(slope * (1 - h.square())).to(codes)


def _root(target: Tensor, slope: Tensor, b: Tensor) -> Tensor:
    """The root a of a + slope · tanh(a + b) = target, for a slope of at least -1, with the implicit gradient."""
    with torch.no_grad():
        low, high = target - slope.abs(), target + slope.abs()
        a = target.clone()
        for _ in range(60):
            miss = a + slope * torch.tanh(a + b) - target
            if not torch.compiler.is_compiling() and bool((miss.abs() <= 1e-13 * (1 + target.abs())).all()):
                break
            low, high = torch.where(miss < 0, a, low), torch.where(miss < 0, high, a)
            newton = a - miss / (1 + slope * (1 - torch.tanh(a + b).square()))
            inside = (newton > low) & (newton < high)  # a step that leaves the bracket, or is no number, is bisected
            a = torch.where(inside, newton, (low + high) / 2)
        steepness = 1 + slope * (1 - torch.tanh(a + b).square())
    # One more step of Newton's method, recorded: its value hardly moves, its gradient is that of the implicit function.
    return a - (a + slope * torch.tanh(a + b) - target) / steepness


class PlanarFlow(Flow):
    r"""`length` planar layers (rezende2015flows): see `Planar`. Each bends the law along one direction."""

    def __init__(self, latent_size: int, length: int = 1):
        """`latent_size`: coordinates of a code; `length`: number of layers, at least 1."""
        latent_size = whole("latent_size", latent_size)
        super().__init__([Planar(latent_size) for _ in range(whole("length", length, most=10_000))])


class Autoregressive(nn.Module):
    r"""One layer of an inverse autoregressive flow, through the library zuko.

    $$f(z)_i = \sigma_i(z_{<i})\,z_i + \mu_i(z_{<i}), \qquad \log|\det| = \sum_i\log\sigma_i(z_{<i}).$$

    A masked network makes all $\mu_i$ and $\sigma_i$ in one pass, so that codes are drawn in one pass; the inverse
    finds $z$ one coordinate after the other, in as many passes as a code has coordinates. It starts as the identity.
    With `reverse` the coordinates depend on those behind them instead of before them.

    Source: kingma2016iaf; rozet2022zuko.
    """

    def __init__(self, latent_size: int, hidden: Sequence[int] = (64, 64), reverse: bool = False):
        """`latent_size`: coordinates of a code; `hidden`: widths of the masked network; `reverse`: from the last on."""
        super().__init__()
        from zuko.flows import ElementWiseTransform, MaskedAutoregressiveTransform  # only who uses it pays for it

        self.latent_size = whole("latent_size", latent_size)
        instance("hidden", hidden, (list, tuple), "a list of widths")
        widths = [whole("hidden", width) for width in hidden]
        instance("reverse", reverse, bool, "True or False")
        size = self.latent_size
        order = range(size)[::-1] if reverse else range(size)
        if size == 1:  # nothing comes before the only coordinate: a shift and a scale
            self.transform = ElementWiseTransform(1)
            start = list(self.transform.phi)
        else:
            self.transform = MaskedAutoregressiveTransform(size, order=torch.tensor(order), hidden_features=widths)
            start = [self.transform.hyper[-1].weight, self.transform.hyper[-1].bias]
        for parameter in start:
            nn.init.zeros_(parameter)

    def forward(self, z: Float[Tensor, "n latent"]) -> tuple[Float[Tensor, "n latent"], Float[Tensor, " n"]]:
        r"""The codes $f(z)$, and $\log|\det|$."""
        return self.transform().call_and_ladj(z)

    def inverse(self, codes: Float[Tensor, "n latent"]) -> tuple[Float[Tensor, "n latent"], Float[Tensor, " n"]]:
        r"""The $z$ with $f(z)$ = codes, and $\log|\det|$ there."""
        transform = self.transform()
        z = transform.inv(codes)
        return z, transform.call_and_ladj(z)[1]


class InverseAutoregressiveFlow(Flow):
    r"""`length` autoregressive layers (kingma2016iaf): see `Autoregressive`; every second one goes through the
    coordinates backwards, so that after two of them each coordinate can depend on every other.
    """

    def __init__(self, latent_size: int, length: int = 1, hidden: Sequence[int] = (64, 64)):
        """`latent_size`: coordinates of a code; `length`: number of layers, at least 1; `hidden`: widths in each."""
        latent_size = whole("latent_size", latent_size)
        numbers = range(whole("length", length, most=10_000))
        super().__init__([Autoregressive(latent_size, hidden, reverse=bool(i % 2)) for i in numbers])


def _check(flow: Flow, **codes: Tensor) -> None:
    samples(**codes)
    for name, z in codes.items():
        if tuple(z.shape[1:]) != (flow.latent_size,):
            raise ValueError(f"{name} has the shape {tuple(z.shape)}; this flow takes (n, {flow.latent_size})")

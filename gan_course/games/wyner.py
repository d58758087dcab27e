"""The variational Wyner model: what two domains have in common in one code, what is their own in two others."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from gan_course.checks import explained, instance, number, one_of, whole
from gan_course.games.base import (
    Batch,
    Game,
    OptimizerFactory,
    Turn,
    adam,
    check_average,
    check_learning,
    check_parts,
    chosen,
    constant,
    evaluating,
    follow,
    lagged,
    trying,
    zeros,
)
from gan_course.games.pairs import PAIRS, pairs_of
from gan_course.networks.mlp import mlp
from gan_course.objectives.base import scores_of
from gan_course.objectives.density_ratio import kl, logistic_loss, symmetric_kl
from gan_course.objectives.matching import absolute_error, cosine_error, cross_entropy_error, squared_error

PERMUTED = "permuted"


class Term(NamedTuple):
    """Two laws, and which of x, y, z, u, v are compared in them: one ratio network."""

    p: str
    q: str
    parts: str


LAWS = ("data", "model", "x to y", "y to x")
"""The laws of $(x, y, z, u, v)$, see `VariationalWyner`."""
TERMS = {
    "joint": Term("data", "model", "xyzuv"),
    "x to y": Term("data", "x to y", "xyzv"),
    "y to x": Term("data", "y to x", "xyzu"),
    "cross": Term("x to y", "y to x", "xyzuv"),
    "marginal x": Term("x to y", "model", "xyzuv"),
    "marginal y": Term("y to x", "model", "xyzuv"),
    "latent": Term("data", "model", "z"),
    "latent x": Term("x to y", "model", "z"),
    "latent y": Term("y to x", "model", "z"),
    "latent cross": Term("x to y", "y to x", "z"),
} | {f"information, {law}": Term(law, PERMUTED, "xyz") for law in LAWS}
"""Every term that is learned by a ratio, $\\log p - \\log q$; in the last four $q$ has $z$ of another row."""
MATCHES = tuple(name for name, term in TERMS.items() if term.q != PERMUTED)

RECONSTRUCTIONS = {
    "x": ("data", "x"),
    "y": ("data", "y"),
    "x from x": ("x to y", "x"),
    "x from y": ("y to x", "x"),
    "y from x": ("x to y", "y"),
    "y from y": ("y to x", "y"),
    "codes": ("model", "zuv"),
}
"""Every reconstruction: the law whose $z$ is taken, and what is given back."""
ERRORS = {
    "l1": absolute_error,
    "l2": squared_error,
    "cross-entropy": cross_entropy_error,
    "cosine": cosine_error,
}
"""The errors of reconstructions, by name: `f(what was there, what came back)`, one number for each row."""

MAPS = ("joint_encoder", "x_encoder", "y_encoder", "u_encoder", "v_encoder", "x_decoder", "y_decoder")
MADE_BY = {
    "data": {"z": {"joint_encoder"}, "u": {"joint_encoder", "u_encoder"}, "v": {"joint_encoder", "v_encoder"}},
    "model": {"x": {"x_decoder"}, "y": {"y_decoder"}},
    "x to y": {"z": {"x_encoder"}, "u": {"x_encoder", "u_encoder"}, "y": {"x_encoder", "y_decoder"}},
    "y to x": {"z": {"y_encoder"}, "v": {"y_encoder", "v_encoder"}, "x": {"y_encoder", "x_decoder"}},
}
"""Which maps learn from a part of a law; what is not named is data, or drawn from the prior."""


class Codes(NamedTuple):
    """The common code `(n, common_size)`, and the local ones of x and y; None for a domain that was not given."""

    z: Tensor
    u: Tensor | None
    v: Tensor | None


class Pair(NamedTuple):
    """Samples of both domains; row by row they belong together."""

    x: Tensor
    y: Tensor


def deranged(n: int, device: torch.device | str = "cpu") -> Int64[Tensor, " n"]:
    """A random permutation of `n` rows that leaves none in its place: one cycle through all, each equally likely.

    A plain random permutation keeps one row on average, and a row that keeps its own $z$ is no draw of the product of
    the marginals. Nothing is thrown away and drawn again, so that no device is waited for.

    Raises:
        ValueError: for fewer than two rows.
    """
    n = whole("n", n, least=2)
    order = torch.randperm(n, device=device)
    return torch.empty_like(order).scatter_(0, order, order.roll(1))


class VariationalWyner(Game):
    r"""A model of pairs through Wyner's common information (ryu2022wyner; wyner1975common).

    A pair $(x, y)$ is made of a common code $z$ and of local codes $u$ and $v$, all standard normal:
    $x = x_\theta(z, u)$ and $y = y_\theta(z, v)$, so that $X - Z - Y$. Among the codes that explain the pair the one
    that knows least of it is looked for: the laws below are made equal, and $\lambda\,I(X, Y; Z)$ is added.

    | law | $(x, y, z, u, v)$ |
    |---|---|
    | `model` | $p(z)\,p(u)\,p(v)\;\delta_{x_\theta(z, u)}\;\delta_{y_\theta(z, v)}$ |
    | `x to y` | $q(x)\,q(z\mid x)\,p(v)\;\delta_{y_\theta(z, v)}\;q(u\mid z, x)$ |
    | `y to x` | $q(y)\,q(z\mid y)\,p(u)\;\delta_{x_\theta(z, u)}\;q(v\mid z, y)$ |
    | `data` | $q(x, y)\,q(z\mid x, y)\,q(u\mid z, x)\,q(v\mid z, y)$ |

    Each row of `TERMS` compares two of them in some of their parts, through a network $r$ of its own that learns
    $\log p - \log q$ by `objectives.density_ratio.logistic_loss` and by nothing else:

    | term | $p$ | $q$ | compared |
    |---|---|---|---|
    | `joint` | data | model | $x, y, z, u, v$ |
    | `x to y`, `y to x` | data | x to y, y to x | $x, y, z, v$ and $x, y, z, u$ (the other local code is made alike) |
    | `cross` | x to y | y to x | $x, y, z, u, v$ |
    | `marginal x`, `marginal y` | x to y, y to x | model | $x, y, z, u, v$ |
    | `latent`, `latent x`, `latent y` | data, x to y, y to x | model | $z$ |
    | `latent cross` | x to y | y to x | $z$ |
    | `information, ...` | any law | the same, $z$ of another row | $x, y, z$ |

    The maps minimise the sum of the terms, with the ratios standing still: the symmetric divergence
    $\mathbb E_p r - \mathbb E_q r$, and $\mathbb E_p r = I(X, Y; Z)$ in the last row. There is a gradient through the
    samples only. It is the whole gradient of the information; of a symmetric divergence each side descends its own
    half, the maps of $p$ that of $\mathrm{KL}(p\,\|\,q)$, the maps of $q$ that of $\mathrm{KL}(q\,\|\,p)$.

    All ratios see samples through the same feature maps, which learn from the matching terms, and everything they see
    has normal noise on it. The encoders may be any maps; the authors' are deterministic. A round is `ratio_steps` of
    the ratios, then one step of the maps. Batches are pairs, and say so: `fit(game, data.Pairs(x, y), ...)`. Bare
    tuples, of which nobody knows whether rows belong together, are refused.
    """

    def __init__(
        self,
        joint_encoder: nn.Module,
        u_encoder: nn.Module,
        v_encoder: nn.Module,
        x_decoder: nn.Module,
        y_decoder: nn.Module,
        x_encoder: nn.Module | None = None,
        y_encoder: nn.Module | None = None,
        common_size: int = 16,
        u_size: int = 8,
        v_size: int = 8,
        common_information: float | Mapping[str, float] = 0.0,
        weights: Mapping[str, float] | None = None,
        reconstructions: Mapping[str, float] | None = None,
        error: str = "l2",
        noise: float = 0.25,
        ratio: Callable[[int], nn.Module] | None = None,
        x_features: nn.Module | None = None,
        y_features: nn.Module | None = None,
        ratio_steps: int | Callable[[int], int] = 1,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
        average: float | None = None,
    ):
        r"""A model of pairs.

        Args:
            joint_encoder: $q(z\mid x, y)$, called with both samples, to `(n, common_size)`: `networks.Towers`.
            u_encoder: $q(u\mid z, x)$, called with code and sample, to `(n, u_size)`.
            v_encoder: $q(v\mid z, y)$, likewise, to `(n, v_size)`.
            x_decoder: $x_\theta$, from common and local code side by side, `(n, common_size + u_size)`, to samples.
            y_decoder: $y_\theta$, from `(n, common_size + v_size)`.
            x_encoder: $q(z\mid x)$, to `(n, common_size)`; None for a model without the laws that need it.
            y_encoder: $q(z\mid y)$, likewise.
            common_size: coordinates of $z$.
            u_size: coordinates of $u$, local to x.
            v_size: coordinates of $v$, local to y.
            common_information: $\lambda$, of `model`, `x to y` and `y to x` where those are matched; or a dict from
                laws to their $\lambda$.
            weights: of the terms before the information, by name; by default 1 for `joint`, and for `x to y` and
                `y to x` where the encoders are there. What is not named has no ratio.
            reconstructions: weights, by name: `x` and `y` through the joint encoder's code, `x from x`, `x from y`, `y
                from x`, `y from y` through that of one domain, and `codes`, from the prior's to samples and back.
            error: of reconstructions. Summed over the coordinates of a sample: `l1`, `l2`, or `cross-entropy` for
                samples in [0, 1] and decoders that end in a sigmoid, which `codes` cannot have. Or `cosine`, one minus
                the cosine of what was there and what came back.
            noise: standard deviation of the normal noise on what ratios see, in the unit of samples and codes.
            ratio: makes a ratio network from the number of coordinates that it is given; by default
                `networks.mlp(inputs, [512])`.
            x_features: the feature map of x that all ratios share; by default the coordinates of x themselves.
            y_features: likewise of y.
            ratio_steps: the ratios' steps in a round, or a function of the round, counted from 0.
            optimizer: makes both optimisers, or a dict with the keys `ratios` and `model`; Adam with 1e-4 by default.
            rate: factor on both learning rates as a function of progress.
            average: if given, what the model gives comes from averages of its maps that keep this share of themselves.

        A term with weight 0 is learned and can be read from `estimates`, and the maps do not follow it.

        Raises:
            ValueError: for networks whose sizes disagree, negative weights, names of no term, terms that need an
                encoder that is not there, and maps that nothing teaches.
        """
        super().__init__()
        given = (joint_encoder, x_encoder, y_encoder, u_encoder, v_encoder, x_decoder, y_decoder)
        maps = dict(zip(MAPS, given, strict=True))
        for name in ("x_encoder", "y_encoder"):
            instance(name, maps[name], (nn.Module, type(None)), "a torch.nn.Module or None")
            if maps[name] is None:
                del maps[name]
        check_parts(**maps)
        check_learning(optimizer, rate)
        self.sizes = {"z": whole("common_size", common_size), "u": whole("u_size", u_size)}
        self.sizes["v"] = whole("v_size", v_size)
        self.noise_std = number("noise", noise)
        one_of("error", error, ERRORS)
        check_average(average)
        self.error, self.average = ERRORS[error], average
        self.ratio_steps = ratio_steps if callable(ratio_steps) else whole("ratio_steps", ratio_steps)
        self.optimizer, self.rate = optimizer or adam(1e-4), rate
        self.maps = nn.ModuleDict(maps)
        self.shapes = self._tried_maps()

        self.weights = self._weights(weights, common_information)
        self.reconstructions = _named(
            "reconstructions", {} if reconstructions is None else reconstructions, RECONSTRUCTIONS
        )
        if error == "cross-entropy" and "codes" in self.reconstructions:
            raise ValueError(
                "error='cross-entropy' was given with a reconstruction of codes, which are not in [0, 1]: choose "
                "another error, or leave codes out"
            )
        self._check_terms()
        self.features = nn.ModuleDict(self._tried_features(x_features, y_features))
        self.ratios = nn.ModuleDict(self._made_ratios(_two_layers if ratio is None else ratio))
        self.averaged = None if average is None else lagged(self.maps)

    # What is played

    def _weights(self, weights: object, common_information: object) -> dict[str, float]:
        """The weight of every term that is played, matches and information."""
        both = [name for name, law in (("x to y", "x_encoder"), ("y to x", "y_encoder")) if law in self.maps]
        played = _named("weights", dict.fromkeys(("joint", *both), 1.0) if weights is None else weights, MATCHES)
        if isinstance(common_information, Mapping):
            informed = _named("common_information", common_information, LAWS)
        else:
            weight = number("common_information", common_information)
            matched = {"joint": "model", "x to y": "x to y", "y to x": "y to x"}
            informed = {law: weight for name, law in matched.items() if weight and played.get(name)}
            if weight and not informed:
                raise ValueError(
                    f"common_information={weight:g} was given, but none of the laws it is of is matched: give weights "
                    "to joint, x to y or y to x, or common_information a dict of laws"
                )
        return played | {f"information, {law}": weight for law, weight in informed.items()}

    def _check_terms(self) -> None:
        taught = set()
        for name, weight in self.weights.items():
            term, setting = TERMS[name], "weights" if name in MATCHES else "common_information"
            made = [MADE_BY[law].get(part, set()) for law in term[:2] if law != PERMUTED for part in term.parts]
            self._check_encoders(setting, name, {*term[:2]})
            taught |= set().union(*made) if weight else set()
        for name, weight in self.reconstructions.items():
            law, target = RECONSTRUCTIONS[name]
            self._check_encoders("reconstructions", name, {law})
            taught |= self._of_reconstruction(law, target) if weight else set()
        if missing := [name for name in self.maps if name not in taught]:
            raise ValueError(
                f"no term of weights, common_information and reconstructions teaches {', '.join(missing)}: give one "
                "that does a weight (terms with weight 0 are only watched)"
                + ("; x_encoder and y_encoder may be None" if {"x_encoder", "y_encoder"} & {*missing} else "")
            )

    def _check_encoders(self, setting: str, name: str, laws: set[str]) -> None:
        for law, encoder in (("x to y", "x_encoder"), ("y to x", "y_encoder")):
            if law in laws and encoder not in self.maps:
                raise ValueError(f"{setting} names {name!r}, which needs an {encoder}: give one, or leave the term out")

    @staticmethod
    def _of_reconstruction(law: str, target: str) -> set[str]:
        if law == "model":
            return {*MAPS} - {"x_encoder", "y_encoder"}
        return MADE_BY[law]["z"] | {f"{target}_decoder", "u_encoder" if target == "x" else "v_encoder"}

    @property
    def played(self) -> dict[str, Term]:
        """The rows of `TERMS` that have a ratio here."""
        return {name: TERMS[name] for name in self.weights}

    # Networks, tried once

    def _tried_maps(self) -> dict[str, tuple[int, ...]]:
        """The shape of a sample of each domain; every map on two zeros, its errors in words."""
        z, u, v = (zeros(self.maps["x_decoder"], 2, self.sizes[code]) for code in "zuv")
        with trying(self.maps):
            x = self._tried("x_decoder", torch.cat([z, u], 1))
            y = self._tried("y_decoder", torch.cat([z, v], 1))
            for name, code, things in (
                ("joint_encoder", "z", (x, y)),
                ("x_encoder", "z", (x,)),
                ("y_encoder", "z", (y,)),
                ("u_encoder", "u", (z, x)),
                ("v_encoder", "v", (z, y)),
            ):
                if name in self.maps:
                    called = "common_size" if code == "z" else f"{code}_size"
                    self._tried(name, *things, size=self.sizes[code], called=called)
        return {"x": tuple(x.shape[1:]), "y": tuple(y.shape[1:])}

    def _tried(self, name: str, *things: Tensor, size: int | None = None, called: str = "") -> Tensor:
        shapes = " and ".join(str(tuple(thing.shape)) for thing in things)
        given = f"samples and codes as the decoders give and take them, {shapes}"
        if size is None:
            local = "u_size" if name == "x_decoder" else "v_size"
            given = f"codes of common_size={self.sizes['z']} and {local}={self.sizes[local[0]]} side by side, {shapes}"
        with explained(f"{name} cannot take {given}", ". Encoders, decoders and sizes must agree"):
            out = self.maps[name](*things)
        if not isinstance(out, Tensor) or out.ndim < 2 or len(out) != 2 or not out.is_floating_point():
            found = f"{tuple(out.shape)} of {out.dtype}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
            raise ValueError(f"{name} returned {found} for 2 rows; it must return numbers of shape (2, ...)")
        if size is not None and tuple(out.shape) != (2, size):
            raise ValueError(
                f"{name} returned {tuple(out.shape)} for 2 rows; it must return (2, {size}), as {called}={size}: "
                "change one of them"
            )
        return out

    def _tried_features(self, x_features: object, y_features: object) -> dict[str, nn.Module]:
        found = {}
        for part, network in (("x", x_features), ("y", y_features)):
            name = f"{part}_features"
            instance(name, network, (nn.Module, type(None)), "a torch.nn.Module or None")
            found[part] = network or nn.Identity()
            cannot = f"{name} cannot take samples of shape {self.shapes[part]}, as {part}_decoder makes them"
            with trying(found[part]), explained(cannot):
                self.sizes[part] = found[part](zeros(found[part], 2, *self.shapes[part])).flatten(1).shape[1]
            compared = any(part in term.parts for term in self.played.values())
            if network is not None and not compared:
                raise ValueError(f"{name} was given, but no term of weights compares {part}: leave it out")
        return found

    def _made_ratios(self, ratio: object) -> dict[str, nn.Module]:
        instance("ratio", ratio, Callable, "a function from a number of coordinates to a network, or None")
        found = {}
        for name, term in self.played.items():
            inputs = sum(self.sizes[part] for part in term.parts)
            with explained(f"ratio({inputs}), for the term {name!r}, made no network of {inputs} coordinates"):
                found[name] = ratio(inputs)
                with trying(found[name]):
                    right = tuple(found[name](zeros(found[name], 2, inputs)).shape) == (2,)
            if not right:
                raise ValueError(f"ratio({inputs}) must make a network that returns a log ratio of each row, (n,)")
        if len(set(map(id, found.values()))) < len(found):
            raise ValueError(
                "ratio gave one network twice; each term learns a ratio of its own: make a new one each time"
            )
        return found

    # Laws

    def noise(self, n: int, code: str) -> Float[Tensor, "n size"]:
        """`n` draws from the prior of a code, `z`, `u` or `v`."""
        return torch.randn(n, self.sizes[code], device=self.device)

    def law(self, name: str, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """As many draws of a law of `LAWS` as the batch has pairs: x, y, z, u, v by name, with their gradients."""
        maps, n = self.maps, len(x)
        if name == "data":
            z = maps["joint_encoder"](x, y)
            return {"x": x, "y": y, "z": z, "u": maps["u_encoder"](z, x), "v": maps["v_encoder"](z, y)}
        if name == "x to y":
            z, v = maps["x_encoder"](x), self.noise(n, "v")
            return {"x": x, "y": _decoded(maps["y_decoder"], z, v), "z": z, "u": maps["u_encoder"](z, x), "v": v}
        if name == "y to x":
            z, u = maps["y_encoder"](y), self.noise(n, "u")
            return {"x": _decoded(maps["x_decoder"], z, u), "y": y, "z": z, "u": u, "v": maps["v_encoder"](z, y)}
        z, u, v = (self.noise(n, code) for code in "zuv")
        return {"x": _decoded(maps["x_decoder"], z, u), "y": _decoded(maps["y_decoder"], z, v), "z": z, "u": u, "v": v}

    def _laws(self, names: list[str], x: Tensor, y: Tensor) -> dict[str, dict[str, Tensor]]:
        """The laws that the named terms compare."""
        needed = {law for name in names for law in TERMS[name][:2]}
        return {law: self.law(law, x, y) for law in LAWS if law in needed}

    def seen(self, law: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What ratios see of a law: every part with noise, samples through the shared feature maps."""
        noisy = {part: value + self.noise_std * torch.randn_like(value) for part, value in law.items()}
        return {part: self.features[part](v).flatten(1) if part in "xy" else v for part, v in noisy.items()}

    def log_ratios(self, name: str, seen: Mapping[str, Mapping[str, Tensor]]) -> tuple[Tensor, Tensor]:
        """A term's ratio network at what is seen of $p$ and of $q$."""
        p, q, parts = TERMS[name]
        other = seen[q] if q != PERMUTED else {**seen[p], "z": seen[p]["z"][deranged(len(seen[p]["z"]), self.device)]}
        at_p, at_q = (torch.cat([law[part] for part in parts], 1) for law in (seen[p], other))
        return scores_of(self.ratios[name], at_p, at_q)

    # Losses

    def parted(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A batch of pairs as x and y.

        Raises:
            ValueError: for what does not say that its rows belong together, as `data.Pairs` does; for other shapes than
                the decoders', unequal lengths, and one pair alone where information is estimated.
        """
        x, y = pairs_of(batch, [None, None], "JointGAN(paired=False), with data.Unpaired(x, y)")
        self._check("x", x), self._check("y", y)
        if len(x) < 2 and any(term.q == PERMUTED for term in self.played.values()):
            raise ValueError(
                "a batch of 1 pair was given; common information is told from pairs with the z of another: at least 2"
            )
        return x, y

    def _check(self, name: str, value: object) -> None:
        shape = self.shapes[name]
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) == 0 or tuple(value.shape[1:]) != shape:
            given = f"one of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise ValueError(f"{name} must be a tensor of shape (n, {', '.join(map(str, shape))}), not {given}")

    def ratios_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The logistic loss of each ratio; no gradient reaches the maps.

        The features learn from the matching terms, where there is one of x and y: the information's ratios take them
        as they are.
        """
        x, y = self.parted(batch)
        with torch.no_grad():
            laws = self._laws(list(self.weights), x, y)
        seen = {name: self.seen(law) for name, law in laws.items()}
        as_they_are = seen
        if any(term.q != PERMUTED and "x" in term.parts for term in self.played.values()):
            as_they_are = {name: {part: v.detach() for part, v in law.items()} for name, law in seen.items()}
        return {
            name: logistic_loss(*self.log_ratios(name, seen if term.q != PERMUTED else as_they_are))
            for name, term in self.played.items()
        }

    def model_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of all maps together, each with its weight; reconstructions are named `rebuilt ...`."""
        x, y = self.parted(batch)
        pulling = [name for name, weight in self.weights.items() if weight]
        laws = self._laws(pulling, x, y)
        seen = {name: self.seen(law) for name, law in laws.items()}
        terms = {name: self.weights[name] * self._plugged_in(name, seen) for name in pulling}
        for name, weight in self.reconstructions.items():
            if weight:
                terms[f"rebuilt {name}"] = weight * self.rebuilding_error(name, laws, x, y).mean()
        return terms

    def _plugged_in(self, name: str, seen: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        at_p, at_q = self.log_ratios(name, seen)
        return kl(at_p) if TERMS[name].q == PERMUTED else symmetric_kl(at_p, at_q)

    def rebuilding_error(
        self, name: str, laws: Mapping[str, Mapping[str, Tensor]], x: Tensor, y: Tensor
    ) -> Float[Tensor, " n"]:
        """The error of a reconstruction of `RECONSTRUCTIONS`, row by row; `laws`: draws that are there already."""
        law, target = RECONSTRUCTIONS[name]
        if law == "model":
            drawn = laws["model"] if "model" in laws else self.law("model", x, y)
            z = self.maps["joint_encoder"](drawn["x"], drawn["y"])
            found = {"z": z, "u": self.maps["u_encoder"](z, drawn["x"]), "v": self.maps["v_encoder"](z, drawn["y"])}
            return sum(self.error(drawn[code], found[code]) for code in target)
        z = laws[law]["z"] if law in laws else self._common(law, x, y)
        there, local = (x, "u") if target == "x" else (y, "v")
        back = _decoded(self.maps[f"{target}_decoder"], z, self.maps[f"{local}_encoder"](z, there))
        self._check_unit(target, there, back)
        return self.error(there, back)

    def _check_unit(self, name: str, there: Tensor, back: Tensor) -> None:
        """Refuse what has no cross entropy."""
        if self.error is not cross_entropy_error or not self.to_look(there, name):
            return
        for what, values in ((name, there), (f"{name}_decoder", back)):
            least, most = (float(v) for v in values.detach().aminmax())
            if not (least >= 0 and most <= 1):
                made = "gave" if what != name else "has"
                raise ValueError(
                    f"error='cross-entropy' takes values in [0, 1], and {what} {made} some from {least:g} to {most:g}: "
                    "scale the samples, let decoders end in a sigmoid, or choose another error"
                )
        self.looked_at(name)

    def _common(self, law: str, x: Tensor, y: Tensor) -> Tensor:
        if law == "data":
            return self.maps["joint_encoder"](x, y)
        return self.maps["x_encoder"](x) if law == "x to y" else self.maps["y_encoder"](y)

    def turns(self) -> list[Turn]:
        """The ratios' turn with the features they share, then that of all maps."""
        turns = [
            Turn(
                "model",
                list(self.maps.values()),
                self.model_loss,
                optimizer=chosen(self.optimizer, "model"),
                rate=self.rate,
                after_step=self._follow if self.average is not None else None,
            )
        ]
        if self.played:
            turns.insert(
                0,
                Turn(
                    "ratios",
                    [*self.ratios.values(), *self.features.values()],
                    self.ratios_loss,
                    steps=self.ratio_steps,
                    optimizer=chosen(self.optimizer, "ratios"),
                    rate=self.rate,
                ),
            )
        return turns

    def _follow(self) -> None:
        follow(self.averaged, self.maps, self.average)

    # What the model gives

    @property
    def in_use(self) -> nn.ModuleDict:
        """The maps that answer outside training: their averages where the game keeps them."""
        return self.maps if self.averaged is None else self.averaged

    def estimates(self, x: Float[Tensor, "n *x"], y: Float[Tensor, "n *y"]) -> dict[str, float]:
        """What each ratio says, in nats and without its weight: symmetric divergences, and I(X, Y; Z) of laws.

        They are of what the ratios see, noise and all, and as right as the ratios are.
        """
        self._check("x", x), self._check("y", y)
        x, y = (value.to(self.device) for value in self.parted({PAIRS: (x, y)}))
        with evaluating(self):
            seen = {name: self.seen(law) for name, law in self._laws(list(self.weights), x, y).items()}
            return {name: float(self._plugged_in(name, seen)) for name in self.weights}

    def encode(self, x: Float[Tensor, "n *x"] | None = None, y: Float[Tensor, "n *y"] | None = None) -> Codes:
        """The codes of samples of one domain or of pairs, in evaluation mode and without gradient.

        The common code comes from the encoder of what was given: of x, of y, or of both.

        Raises:
            ValueError: if neither is given, or only one whose encoder the model has not, and for shapes or lengths that
                do not fit.
        """
        if x is None and y is None:
            raise ValueError("neither x nor y was given; give one to encode it, or both")
        for name, value in (("x", x), ("y", y)):
            if value is not None:
                self._check(name, value)
        if x is not None and y is not None and len(x) != len(y):
            raise ValueError(f"{len(x)} rows of x and {len(y)} of y were given; row by row they must belong together")
        missing = "x_encoder" if y is None else "y_encoder" if x is None else None
        if missing is not None and missing not in self.maps:
            raise ValueError(f"{missing[0]} was given alone, but this model has no {missing}: give both x and y")
        x, y = (None if value is None else value.to(self.device) for value in (x, y))
        maps = self.in_use
        with evaluating(maps):
            if x is not None and y is not None:
                z = maps["joint_encoder"](x, y)
            else:
                z = maps["y_encoder"](y) if x is None else maps["x_encoder"](x)
            u = None if x is None else maps["u_encoder"](z, x)
            v = None if y is None else maps["v_encoder"](z, y)
            return Codes(z, u, v)

    def decode(
        self, z: Float[Tensor, "n z"], u: Float[Tensor, "n u"] | None = None, v: Float[Tensor, "n v"] | None = None
    ) -> Pair:
        """The pairs of codes; local codes that are not given are drawn from the prior.

        Raises:
            ValueError: for codes of other sizes, or not as many of one as of the others.
        """
        for code, name, value in (("z", "common_size", z), ("u", "u_size", u), ("v", "v_size", v)):
            right = isinstance(value, Tensor) and value.ndim == 2 and value.shape[1] == self.sizes[code]
            if not (right or (value is None and code != "z")):
                given = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
                raise ValueError(f"{code} must be codes of shape (n, {name}={self.sizes[code]}), not {given}")
            if value is not None and len(value) != len(z):
                raise ValueError(f"{len(z)} rows of z and {len(value)} of {code} were given; give one for each")
        n = len(z)
        u, v = (self.noise(n, code) if local is None else local.to(self.device) for code, local in (("u", u), ("v", v)))
        z, maps = z.to(self.device), self.in_use
        with evaluating(maps):
            return Pair(_decoded(maps["x_decoder"], z, u), _decoded(maps["y_decoder"], z, v))

    def sample(self, n: int) -> Pair:
        """`n` pairs of the model, of codes from the prior."""
        return self.decode(self.noise(whole("n", n), "z"))

    def reconstruct(self, x: Float[Tensor, "n *x"], y: Float[Tensor, "n *y"]) -> Pair:
        """What the decoders make of the codes of pairs."""
        return self.decode(*self.encode(x, y))

    def translate(
        self,
        x: Float[Tensor, "n *x"] | None = None,
        y: Float[Tensor, "n *y"] | None = None,
        style: tuple[Tensor | None, Tensor | None] = (None, None),
    ) -> Pair:
        r"""Pairs with the common code of the given samples, and local codes from the prior or from samples of a style.

        With `x` alone, `.y` holds draws of $y$ given $x$, and with `y` alone `.x` those of $x$ given $y$. With
        `style=(a, b)` the local codes are those of the samples $a$ of x and $b$ of y (each may be None): the content of
        one, the style of another. Local codes of the content itself are never used; `reconstruct` keeps them.

        Raises:
            ValueError: as `encode`, and if a style has not as many rows as the content.
        """
        instance("style", style, (tuple, list), "a pair of samples, of x and of y, either of which may be None")
        if len(style) != 2:
            raise ValueError(f"style has {len(style)} parts; it must be a pair of samples, of x and of y, or None")
        z = self.encode(x, y).z
        if style[0] is None and style[1] is None:
            return self.decode(z)
        local = self.encode(*style)
        return self.decode(z, local.u, local.v)


def _decoded(decoder: nn.Module, z: Tensor, local: Tensor) -> Tensor:
    return decoder(torch.cat([z, local], 1))


def _two_layers(inputs: int) -> nn.Module:
    return mlp(inputs, [512])


def _named(setting: str, given: object, allowed: tuple[str, ...] | Mapping[str, object]) -> dict[str, float]:
    """Weights by name, if they are such."""
    instance(setting, given, Mapping, f"a dict from names to weights; the names: {', '.join(allowed)}")
    for name in given:
        if name not in allowed:
            raise ValueError(f"{setting} names {name!r}; choose from: {', '.join(allowed)}")
    return {name: number(f"{setting}[{name!r}]", weight) for name, weight in given.items()}

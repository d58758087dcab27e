"""The variational Wyner model: its terms against closed forms of a linear normal case, who learns from what, codes."""

import itertools

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import checkpoint, data, fit, games, metrics, networks
from gan_course.games import wyner
from gan_course.objectives.density_ratio import kl, logistic_loss, symmetric_kl

RHO = 0.8
DATA = torch.tensor([[1.0, RHO], [RHO, 1.0]])
NOISE = 0.5
EVERY = {name: 1.0 for name in wyner.MATCHES}
INFORMED = {law: 1.0 for law in wyner.LAWS}
SIZES = dict(common_size=1, u_size=1, v_size=1)


def pairs(n=1_000, seed=0):
    return (torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)) @ torch.linalg.cholesky(DATA).T).split(
        1, 1
    )


def tied(both):
    """A batch that says that its rows belong together."""
    return {"pairs": both}


# The linear normal case: all laws are normal, and what the ratios see of them has known covariances


class Weights(nn.Module):
    """A linear map of one thing or of several."""

    def __init__(self, *weights):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights))

    def forward(self, *things):
        return torch.cat(things, 1) @ self.weights[:, None]


VALUES = {
    "joint_encoder": (0.5, 0.3),
    "x_encoder": (0.7,),
    "y_encoder": (0.6,),
    "u_encoder": (0.4, 0.8),
    "v_encoder": (-0.3, 0.9),
    "x_decoder": (0.8, 0.5),
    "y_decoder": (0.7, -0.6),
}


def law(name, w):
    """The parts of a law as linear forms of independent or, for data, correlated normal numbers; their covariance."""
    eye = torch.eye(3, dtype=torch.float64)
    if name == "data":
        x, y, base = eye[0], eye[1], torch.block_diag(DATA.double(), torch.ones(1, 1))
        z = w["joint_encoder"] @ torch.stack([x, y])
    elif name == "model":
        (z, u, v), base = eye, eye
        return dict(x=mixed(w, "x_decoder", z, u), y=mixed(w, "y_decoder", z, v), z=z, u=u, v=v), base
    elif name == "x to y":
        x, v, base = eye[0], eye[1], eye
        z = w["x_encoder"][0] * x
        return dict(x=x, y=mixed(w, "y_decoder", z, v), z=z, u=mixed(w, "u_encoder", z, x), v=v), base
    else:
        y, u, base = eye[0], eye[1], eye
        z = w["y_encoder"][0] * y
        return dict(x=mixed(w, "x_decoder", z, u), y=y, z=z, u=u, v=mixed(w, "v_encoder", z, y)), base
    return dict(x=x, y=y, z=z, u=mixed(w, "u_encoder", z, x), v=mixed(w, "v_encoder", z, y)), base


def mixed(w, name, one, other):
    return w[name] @ torch.stack([one, other])


def covariances(name, w):
    """Of a term's p and q, as the ratios see them."""
    p, q, parts = wyner.TERMS[name]
    found = []
    for side in (p, p if q == wyner.PERMUTED else q):
        forms, base = law(side, w)
        rows = torch.stack([forms[part] for part in parts])
        found.append(rows @ base @ rows.T + NOISE**2 * torch.eye(len(parts)))
    if q == wyner.PERMUTED:
        apart = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]])
        found[1] = found[1] * apart
    return found


def divergence(p, q):
    """KL of centred normal laws."""
    return 0.5 * (torch.trace(torch.linalg.solve(q, p)) - len(p) + torch.logdet(q) - torch.logdet(p))


def exact_value(name, w):
    p, q = covariances(name, w)
    return divergence(p, q) if wyner.TERMS[name].q == wyner.PERMUTED else divergence(p, q) + divergence(q, p)


class Exact(nn.Module):
    """log N(s; 0, p) - log N(s; 0, q)."""

    def __init__(self, p, q):
        super().__init__()
        self.form = nn.Parameter(0.5 * (torch.linalg.inv(q) - torch.linalg.inv(p)).float())
        self.shift = nn.Parameter(0.5 * (torch.logdet(q) - torch.logdet(p)).float())

    def forward(self, s):
        return (s @ self.form * s).sum(1) + self.shift


class Quadratic(nn.Module):
    """Log ratios of normal laws are of this form; it starts at 0."""

    def __init__(self, inputs):
        super().__init__()
        self.form, self.shift = nn.Parameter(torch.zeros(inputs, inputs)), nn.Parameter(torch.zeros(()))

    def forward(self, s):
        return (s @ self.form * s).sum(1) + self.shift


def numbers():
    return {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in VALUES.items()}


def linear(exact=True, ratio=Quadratic, values=VALUES, **settings):
    settings = {"weights": EVERY, "common_information": INFORMED, "noise": NOISE, **SIZES, **settings}
    game = games.VariationalWyner(**{n: Weights(*v) for n, v in values.items()}, ratio=ratio, **settings)
    if exact:
        for name in game.ratios:
            game.ratios[name] = Exact(*(sigma.detach() for sigma in covariances(name, numbers())))
    return game


def test_every_term_is_its_divergence_where_the_ratios_are_exact():
    torch.manual_seed(0)
    found = linear().estimates(*pairs(200_000))
    assert set(found) == set(wyner.TERMS)
    for name, value in found.items():
        exact = exact_value(name, numbers()).item()
        assert exact > 0.01, name
        assert value == pytest.approx(exact, rel=0.06, abs=0.01), name


def test_information_is_the_closed_form_of_the_metrics():
    w = numbers()
    for name in wyner.TERMS:
        if name not in wyner.MATCHES:
            sigma = covariances(name, w)[0].detach()
            assert metrics.gaussian_mutual_information(sigma, 2) == pytest.approx(exact_value(name, w).item(), rel=1e-6)


def test_the_slope_of_the_information_is_whole_and_each_side_of_a_match_descends_its_half():
    game, w = linear(), numbers()
    torch.manual_seed(1)
    terms = game.model_loss(tied(pairs(200_000)))
    maps = {name: game.maps[name].weights for name in VALUES}
    for name in ("information, model", "information, data", "joint", "x to y", "cross"):
        found = torch.autograd.grad(terms[name], list(maps.values()), retain_graph=True, allow_unused=True)
        p, q = covariances(name, w)
        halves = divergence(p, q.detach()) + divergence(q, p.detach())
        value = halves if name in wyner.MATCHES else divergence(p, q)
        exact = torch.autograd.grad(value, list(w.values()), allow_unused=True)
        for which, slope, right in zip(maps, found, exact, strict=True):
            assert (slope is None) == (right is None or not right.any()), (name, which)
            if slope is not None:
                assert_close(slope.double(), right, atol=0.06, rtol=0.06, msg=lambda m, n=(name, which): f"{n}: {m}")


def test_where_all_laws_are_equal_every_match_is_zero_and_the_information_is_wyners():
    """x = √ρ z + √(1-ρ) u: the model's law is the pair's, and without noise I(X, Y; Z) = C."""
    a, b = RHO**0.5, (1 - RHO) ** 0.5
    sigma = torch.tensor([[1, RHO, a], [RHO, 1, a], [a, a, 1]], dtype=torch.float64)
    best = metrics.gaussian_common_information(RHO)
    assert metrics.gaussian_mutual_information(sigma, 2) == pytest.approx(best, rel=1e-6)
    w = numbers() | {"x_decoder": torch.tensor([a, b]).double(), "y_decoder": torch.tensor([a, b]).double()}
    p, q = (law(name, w) for name in ("data", "model"))
    made = [torch.stack([forms["x"], forms["y"]]) for forms, _ in (p, q)]
    assert_close(made[0] @ p[1] @ made[0].T, made[1] @ q[1] @ made[1].T, atol=1e-6, rtol=0)


def test_the_ratios_learn_the_exact_log_ratios():
    rate = games.adam(2e-2, (0.9, 0.999))
    game = linear(
        exact=False, weights={"joint": 1.0, "x to y": 1.0, "y to x": 1.0}, optimizer=rate, rate=games.cosine_decay
    )
    fit(game, data.Pairs(*pairs(20_000)), rounds=300, batch_size=1_000, players=["ratios"])
    torch.manual_seed(0)
    for name, value in game.estimates(*pairs(50_000, seed=1)).items():
        assert value == pytest.approx(exact_value(name, numbers()).item(), rel=0.25, abs=0.05), name
    for name, values in VALUES.items():
        assert_close(game.maps[name].weights.detach(), torch.tensor(values))  # and the maps stood still


def known(game):
    """I(X, Y; Z) of the model, from its decoders."""
    (a, b), (c, d) = (game.maps[name].weights.detach().double() for name in ("x_decoder", "y_decoder"))
    maps = torch.stack([torch.stack([a, b, b * 0]), torch.stack([c, d * 0, d]), torch.eye(3)[0].double()])
    return metrics.gaussian_mutual_information(maps @ maps.T, 2)


def test_trained_with_the_regulariser_the_model_knows_less():
    start = {n: v for n, v in VALUES.items() if n not in ("x_encoder", "y_encoder")}
    start |= {"x_decoder": (0.9, 0.4), "y_decoder": (0.9, 0.4)}
    rates = {"ratios": games.adam(3e-2, (0.5, 0.99)), "model": games.adam(5e-3, (0.5, 0.99))}
    found = []
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        settings = dict(weights=None, common_information=weight, optimizer=rates, ratio_steps=2)
        game = linear(False, values=start, **settings)
        fit(game, data.Pairs(*pairs(5_000)), rounds=250, batch_size=400)
        found.append(known(game))
    assert found[1] < found[0] - 0.1


# Permutations


def test_no_row_keeps_its_place():
    torch.manual_seed(0)
    for n in [*range(2, 40), 64, 257]:
        for _ in range(20):
            partner = wyner.deranged(n)
            assert torch.equal(partner.sort().values, torch.arange(n))
            assert not (partner == torch.arange(n)).any()


def test_two_pairs_are_enough():
    game = small(weights=EVERY, common_information=INFORMED)
    for terms in (game.ratios_loss(tied(batch(2))), game.model_loss(tied(batch(2)))):
        assert set(terms) == set(wyner.TERMS)
        assert all(term.isfinite() for term in terms.values())


def test_every_cycle_is_equally_likely():
    torch.manual_seed(0)
    cycles = [p for p in itertools.permutations(range(4)) if p[p[p[p[0]]]] == 0 and len({0, p[0], p[p[0]]}) == 3]
    counts = dict.fromkeys(cycles, 0)
    for _ in range(3_000):
        counts[tuple(wyner.deranged(4).tolist())] += 1
    assert len(counts) == 6
    assert all(400 < count < 600 for count in counts.values())


def test_information_compares_with_codes_of_other_rows():
    game = small()
    seen = {"model": {part: torch.arange(6.0)[:, None].expand(6, 2) for part in "xyzuv"}}
    handed = []
    game.ratios["information, model"].register_forward_pre_hook(lambda _, given: handed.append(given[0]))
    game.log_ratios("information, model", seen)
    at_p, at_q = handed  # a network with a hook is called for either
    assert (at_p[:, 0] == at_p[:, 4]).all()
    assert (at_q[:, 0] == at_q[:, 2]).all()  # x and y stay together
    assert (at_q[:, 0] != at_q[:, 4]).all()


# Who learns from what


def small(seed=0, width=2, **settings):
    """x of 2 coordinates, y images of 1 × 2 × 2, z of 2, u of 3, v of 1."""
    torch.manual_seed(seed)
    maps = dict(
        joint_encoder=networks.Towers(networks.mlp(6, [5], 2), None, None),
        x_encoder=networks.mlp(2, [5], 2),
        y_encoder=networks.mlp(4, [5], 2),
        u_encoder=networks.Towers(networks.mlp(4, [5], 3), None, None),
        v_encoder=networks.Towers(networks.mlp(6, [5], 1), None, None),
        x_decoder=networks.mlp(5, [5], 2),
        y_decoder=networks.mlp(3, [5], (1, 2, 2)),
        x_features=nn.Linear(2, width),
        y_features=nn.Sequential(nn.Flatten(), nn.Linear(4, width)),
        common_size=2,
        u_size=3,
        v_size=1,
        common_information=0.1,
        ratio=lambda inputs: networks.mlp(inputs, [6]),
    )
    return games.VariationalWyner(**{**maps, **settings})


def batch(n=12, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, generator=generator), torch.rand(n, 1, 2, 2, generator=generator)


REBUILT = {name: 0.5 for name in wyner.RECONSTRUCTIONS}


def test_the_terms_by_hand():
    weights = {name: 0.1 * (i + 1) for i, name in enumerate(wyner.MATCHES)}
    game = small(weights=weights, common_information=dict(zip(wyner.LAWS, (0.2, 0.3, 0.4, 0.5), strict=True)))
    x, y = batch()
    torch.manual_seed(5)
    terms = game.model_loss(tied((x, y)))
    torch.manual_seed(5)
    laws = {name: game.law(name, x, y) for name in wyner.LAWS}
    seen = {name: game.seen(parts) for name, parts in laws.items()}
    for name, (p, q, parts) in wyner.TERMS.items():
        at_p = torch.cat([seen[p][part] for part in parts], 1)
        if q == wyner.PERMUTED:
            law_weight = {"data": 0.2, "model": 0.3, "x to y": 0.4, "y to x": 0.5}[p]
            assert_close(terms[name], law_weight * kl(game.ratios[name](at_p)))
        else:
            at_q = torch.cat([seen[q][part] for part in parts], 1)
            expected = weights[name] * symmetric_kl(game.ratios[name](at_p), game.ratios[name](at_q))
            assert_close(terms[name], expected)
    torch.manual_seed(5)
    losses = game.ratios_loss(tied((x, y)))
    assert losses.keys() == terms.keys()
    for name in wyner.MATCHES:
        p, q, parts = wyner.TERMS[name]
        sides = [game.ratios[name](torch.cat([seen[side][part] for part in parts], 1)) for side in (p, q)]
        assert_close(losses[name], logistic_loss(*sides))  # whatever the weight


def test_laws_by_hand():
    game, (x, y) = small(), batch()
    maps = game.maps
    torch.manual_seed(3)
    found = game.law("x to y", x, y)
    torch.manual_seed(3)
    v, z = torch.randn(12, 1), maps["x_encoder"](x)
    assert_close(found["y"], maps["y_decoder"](torch.cat([z, v], 1)))
    assert_close(found["u"], maps["u_encoder"](z, x))
    assert found["x"] is x
    torch.manual_seed(3)
    found = game.law("y to x", x, y)
    torch.manual_seed(3)
    u, z = torch.randn(12, 3), maps["y_encoder"](y)
    assert_close(found["x"], maps["x_decoder"](torch.cat([z, u], 1)))
    assert_close(found["v"], maps["v_encoder"](z, y))
    torch.manual_seed(3)
    found = game.law("model", x, y)
    assert_close(found["x"], maps["x_decoder"](torch.cat([found["z"], found["u"]], 1)))
    assert_close(found["y"], maps["y_decoder"](torch.cat([found["z"], found["v"]], 1)))
    found = game.law("data", x, y)
    assert_close(found["z"], maps["joint_encoder"](x, y))
    assert_close(found["v"], maps["v_encoder"](found["z"], y))


def test_reconstructions_by_hand():
    game, (x, y) = small(reconstructions=REBUILT, error="l1"), batch()
    maps = game.maps

    def rebuilt(z, target):
        if target == "x":
            return (maps["x_decoder"](torch.cat([z, maps["u_encoder"](z, x)], 1)) - x).abs().sum(1).mean()
        return (maps["y_decoder"](torch.cat([z, maps["v_encoder"](z, y)], 1)) - y).abs().flatten(1).sum(1).mean()

    codes = {"x": maps["x_encoder"](x), "y": maps["y_encoder"](y), "": maps["joint_encoder"](x, y)}
    terms = game.model_loss(tied((x, y)))
    for name in ("x", "y", "x from x", "x from y", "y from x", "y from y"):
        target, _, source = name.partition(" from ")
        assert_close(terms[f"rebuilt {name}"], 0.5 * rebuilt(codes[source], target))
    drawn = game.law("model", x, y)
    z = maps["joint_encoder"](drawn["x"], drawn["y"])
    apart = (z - drawn["z"]).abs().sum(1) + (maps["u_encoder"](z, drawn["x"]) - drawn["u"]).abs().sum(1)
    apart = apart + (maps["v_encoder"](z, drawn["y"]) - drawn["v"]).abs().sum(1)
    assert_close(game.rebuilding_error("codes", {"model": drawn}, x, y), apart)


def entropy(x, y):
    return -(x * y.log() + (1 - x) * (1 - y).log()).flatten(1).sum(1)


def cosine(x, y):
    x, y = x.flatten(1), y.flatten(1)
    return 1 - (x * y).sum(1) / (x.square().sum(1) * y.square().sum(1)).sqrt()


@pytest.mark.parametrize(("error", "formula"), [("cross-entropy", entropy), ("cosine", cosine)])
def test_errors_of_reconstructions_by_hand(error, formula):
    decoders = {"x_decoder": networks.mlp(5, [5], 2, final=nn.Sigmoid)}
    decoders["y_decoder"] = nn.Sequential(networks.mlp(3, [5], (1, 2, 2)), nn.Sigmoid())
    game = small(reconstructions={"x": 2.0, "y from x": 3.0}, error=error, **decoders)
    (x, y), maps = batch(), game.maps
    x = x.sigmoid()
    terms = game.model_loss(tied((x, y)))
    z = maps["joint_encoder"](x, y)
    back = maps["x_decoder"](torch.cat([z, maps["u_encoder"](z, x)], 1))
    assert_close(terms["rebuilt x"], 2 * formula(x, back).mean())
    z = maps["x_encoder"](x)
    back = maps["y_decoder"](torch.cat([z, maps["v_encoder"](z, y)], 1))
    assert_close(terms["rebuilt y from x"], 3 * formula(y, back).mean())
    codes = [torch.randn(7, 2), torch.randn(7, 2)]
    assert_close(wyner.ERRORS["cosine"](*codes), cosine(*codes))  # of codes too
    assert small(reconstructions=REBUILT, error="cosine").model_loss(tied(batch()))["rebuilt codes"].isfinite()


def test_what_has_no_cross_entropy_is_refused():
    game = small(reconstructions={"x": 1.0}, error="cross-entropy")
    with pytest.raises(ValueError, match=r"error='cross-entropy' takes values in \[0, 1\], and x has some from -\d"):
        game.model_loss(tied(batch()))
    game = small(reconstructions={"y": 1.0}, error="cross-entropy")
    with pytest.raises(ValueError, match=r"and y_decoder gave some from .*: scale the samples, let decoders end in"):
        game.model_loss(tied(batch()))


def test_the_ratios_learn_by_their_own_losses_alone():
    game = small(weights=EVERY, common_information=INFORMED)
    sum(game.ratios_loss(tied(batch())).values()).backward()
    for name, p in game.named_parameters():
        assert (p.grad is not None) == name.startswith(("ratios", "features")), name


def test_the_maps_are_all_reached():
    game = small(average=0.9)
    sum(game.model_loss(tied(batch())).values()).backward()
    reached = {name for name, p in game.named_parameters() if p.grad is not None}
    assert {name for name in reached if name.startswith("maps")} == {
        f"maps.{n}" for n, _ in game.maps.named_parameters()
    }
    assert not any(name.startswith("averaged") for name in reached)


def test_features_learn_from_matches_and_from_information_only_where_there_is_no_match():
    game = small()
    game.ratios_loss(tied(batch()))["information, model"].backward()
    assert all(p.grad is None for p in game.features.parameters())
    weights = {"latent": 1.0, "latent x": 1.0, "latent y": 1.0}
    game = small(weights=weights, reconstructions=REBUILT, common_information={"model": 1.0})
    game.ratios_loss(tied(batch()))["information, model"].backward()
    assert all(p.grad is not None for p in game.features.parameters())


def test_one_feature_map_for_all_ratios_and_noise_on_everything():
    game, (x, y) = small(noise=3.0), batch(4_000)
    calls = []
    game.features["x"].register_forward_hook(lambda *_: calls.append(1))
    game.ratios_loss(tied((x, y)))
    assert len(calls) == 4  # once for each law, whatever the number of terms
    laws = game.law("model", x, y)
    seen = game.seen(laws)
    for code in "zuv":
        assert float((seen[code] - laws[code]).std()) == pytest.approx(3, rel=0.05)
    quiet = small(noise=0)
    assert_close(quiet.seen(laws)["y"], quiet.features["y"](laws["y"]))


@pytest.mark.parametrize("player", ["ratios", "model"])
def test_every_player_moves_and_only_itself(player):
    game = small(reconstructions=REBUILT)
    before = {name: p.clone() for name, p in game.named_parameters()}
    history = fit(game, data.Pairs(*batch(40)), rounds=3, batch_size=20, players=[player])
    for name, p in game.named_parameters():
        assert torch.equal(p, before[name]) != (name.startswith("maps") == (player == "model")), name
    assert all(column.startswith(player) for column in history.columns)


def test_terms_of_weight_zero_are_watched():
    game = small(weights={"joint": 1, "x to y": 1, "y to x": 1, "cross": 0}, common_information={"model": 0.0})
    assert set(game.estimates(*batch())) == {"joint", "x to y", "y to x", "cross", "information, model"}
    assert set(game.ratios_loss(tied(batch()))) == set(game.estimates(*batch()))
    assert set(game.model_loss(tied(batch()))) == {"joint", "x to y", "y to x"}


def test_the_default_is_the_model_of_the_paper():
    assert small().weights == {
        **{name: 1.0 for name in ("joint", "x to y", "y to x")},
        **{f"information, {law}": 0.1 for law in ("model", "x to y", "y to x")},
    }
    assert small(x_encoder=None, y_encoder=None).weights == {"joint": 1.0, "information, model": 0.1}


def test_a_plain_auto_encoder_has_one_turn():
    game = small(weights={}, common_information=0.0, reconstructions=REBUILT, x_features=None, y_features=None)
    assert [turn.player for turn in game.turns()] == ["model"]
    assert game.estimates(*batch()) == {}
    assert len(game.parted(tied(batch(1)))[0]) == 1  # nothing is permuted


def test_resumed_from_a_checkpoint_it_goes_on(tmp_path):
    source = data.Pairs(*batch(40))
    through, broken, found = small(average=0.9), small(average=0.9), small(seed=5, average=0.9)
    fit(through, source, rounds=6, batch_size=10)
    half = fit(broken, source, rounds=6, until=3, batch_size=10)
    checkpoint.save(tmp_path / "a.safetensors", broken, half)
    fit(found, source, rounds=6, batch_size=10, history=checkpoint.load(tmp_path / "a.safetensors", found))
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in through.state_dict().items())


# What the model gives


def test_codes_come_from_the_encoder_of_what_was_given():
    game, (x, y) = small(), batch()
    maps = game.maps
    both, first, second = game.encode(x, y), game.encode(x=x), game.encode(y=y)
    assert_close(both.z, maps["joint_encoder"](x, y))
    assert_close(both.v, maps["v_encoder"](both.z, y))
    assert_close(first.z, maps["x_encoder"](x))
    assert_close(first.u, maps["u_encoder"](first.z, x))
    assert first.v is None
    assert second.u is None
    assert_close(second.z, maps["y_encoder"](y))
    assert not any(code.requires_grad for code in both)


def test_joint_and_conditional_generation():
    game, (x, y) = small(), batch()
    made = game.sample(5)
    assert made.x.shape == (5, 2)
    assert made.y.shape == (5, 1, 2, 2)
    assert not made.x.requires_grad
    torch.manual_seed(1)
    one, other = game.translate(x=x).y, game.translate(x=x).y
    assert not torch.equal(one, other)  # many y to each x
    torch.manual_seed(1)
    game.noise(12, "u")
    expected = game.decode(game.encode(x=x).z, v=game.noise(12, "v")).y
    assert_close(one, expected)
    assert game.translate(y=y).x.shape == x.shape
    rebuilt = game.reconstruct(x, y)
    codes = game.encode(x, y)
    assert_close(rebuilt.x, game.maps["x_decoder"](torch.cat([codes.z, codes.u], 1)))


def test_styles_are_swapped_by_local_codes():
    game, (x, y), (a, b) = small(), batch(), batch(seed=2)
    z, local = game.encode(x, y).z, game.encode(a, b)
    swapped = game.translate(x, y, style=(a, b))
    assert_close(swapped.x, game.maps["x_decoder"](torch.cat([z, local.u], 1)))
    assert_close(swapped.y, game.maps["y_decoder"](torch.cat([z, local.v], 1)))
    across = game.translate(x=x, style=(None, b)).y
    assert_close(across, game.maps["y_decoder"](torch.cat([game.encode(x=x).z, game.encode(y=b).v], 1)))
    assert_close(game.translate(x, y, style=(x, y)).x, game.reconstruct(x, y).x)


def test_the_average_answers():
    game = small(average=0.5)
    before = [p.clone() for p in game.averaged.parameters()]
    fit(game, data.Pairs(*batch(40)), rounds=1, batch_size=8)
    for old, mean, now in zip(before, game.averaged.parameters(), game.maps.parameters(), strict=True):
        assert_close(mean, (old + now) / 2)
    x, y = batch()
    assert_close(game.encode(x, y).z, game.averaged["joint_encoder"](x, y))


# Bad input

X, Y = batch(4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (X, r"this game learns from pairs, and the batch is a Tensor, .*: give fit data\.Pairs\(x, y\)"),
        (
            (X, Y),
            r"the batch is a tuple, of which nobody knows .*; for .* JointGAN\(paired=False\), with data\.Unpaired",
        ),
        ({"x": X, "y": Y}, r"the batch is a dict of \['x', 'y'\]"),
        (tied((X, Y, X)), "a batch has 3 parts; it must have a tensor for each of 2 domains"),
        (tied((X, Y[:3])), r"pairs with \[4, 3\] rows were given; .* JointGAN\(paired=False\)"),
        (tied((X[:1], Y[:1])), "a batch of 1 pair was given; .* at least 2"),
        (tied((X[:0], Y[:0])), r"the batch of domain 0 must be .* at least one sample, not one of shape \(0, 2\)"),
        (tied((X, X)), r"y must be a tensor of shape \(n, 1, 2, 2\), not one of shape \(4, 2\)"),
    ],
)
def test_batches_that_do_not_fit(given, message):
    for loss in (small().ratios_loss, small().model_loss):
        with pytest.raises(ValueError, match=message):
            loss(given)


def test_samples_that_do_not_belong_together_are_refused_in_training():
    for source in (data.Unpaired(*batch(20)), data.Paired(*batch(20))):
        with pytest.raises(ValueError, match=r"JointGAN\(paired=False\), with data\.Unpaired\(x, y\)"):
            fit(small(), source, rounds=1, batch_size=4)
    both = data.pairs.LabelledPairs(*batch(20), (torch.zeros(20), torch.zeros(20)), (torch.arange(20),) * 2)
    assert fit(small(), both.pairs, rounds=1, batch_size=4).rounds == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(common_information=-0.1), "common_information=-0.1 was given; it must be a finite number of at least 0"),
        (dict(common_information={"model": -1}), r"common_information\['model'\]=-1 was given"),
        (dict(common_information={"joint": 1}), "common_information names 'joint'; choose from: data, model, x to y"),
        (dict(common_information=1.0, weights={}), "none of the laws it is of is matched"),
        (dict(weights={"joint": -1.0}), r"weights\['joint'\]=-1.0 was given"),
        (dict(weights={"coupled": 1.0}), "weights names 'coupled'; choose from: joint, x to y"),
        (dict(reconstructions={"z": 1.0}), "reconstructions names 'z'; choose from: x, y, x from x"),
        (dict(weights={"joint": 1.0}), "no term of .* teaches x_encoder, y_encoder: .* may be None"),
        (dict(weights={}, common_information=0), "teaches joint_encoder, x_encoder"),
        (dict(x_encoder=None, weights={"x to y": 1.0}), "weights names 'x to y', which needs an x_encoder"),
        (dict(y_encoder=None, common_information={"y to x": 1.0}), "common_information names .* needs an y_encoder"),
        (dict(x_encoder=None, reconstructions={"y from x": 1.0}), "reconstructions names .* needs an x_encoder"),
        (dict(common_size=3), r"x_decoder cannot take codes of common_size=3 and u_size=3 side by side"),
        (dict(v_size=2), r"y_decoder cannot take codes of common_size=2 and v_size=2 side by side"),
        (dict(x_encoder=networks.mlp(2, [3], 4)), r"x_encoder returned \(2, 4\) .* as common_size=2"),
        (dict(y_encoder=networks.mlp(3, [3], 2)), "y_encoder cannot take samples"),
        (dict(u_encoder=networks.mlp(2, [3], 3)), "u_encoder cannot take samples and codes"),
        (dict(v_encoder=networks.Towers(networks.mlp(6, [3], 3), None, None)), r"v_encoder returned .* as v_size=1"),
        (dict(joint_encoder=networks.Towers(networks.mlp(5, [3], 2), None, None)), "joint_encoder cannot take"),
        (dict(x_features=nn.Linear(3, 2)), r"x_features cannot take samples of shape \(2,\)"),
        (dict(weights={}, common_information=0, reconstructions=REBUILT), "x_features was given, but no term"),
        (dict(ratio=lambda inputs: nn.Linear(inputs, 1)), r"must make a network that returns a log ratio of each row"),
        (dict(ratio=lambda inputs: nn.Linear(3, 1)), r"ratio\(\d+\), for the term 'joint', made no network"),
        (dict(noise=-1), "noise=-1 was given"),
        (dict(error="huber"), "error='huber' was given; choose one of l1, l2, cross-entropy, cosine"),
        (dict(error="cross-entropy", reconstructions=REBUILT), "reconstruction of codes, which are not in"),
        (dict(average=1), "average=1 was given"),
        (dict(ratio_steps=0), "ratio_steps=0 was given"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)


def test_one_network_for_two_ratios_is_refused():
    shared = networks.mlp(2, [3])
    weights = {"latent": 1.0, "latent x": 1.0, "latent y": 1.0}
    settings = dict(weights=weights, common_information=0, reconstructions=REBUILT, x_features=None, y_features=None)
    with pytest.raises(ValueError, match="ratio gave one network twice"):
        small(ratio=lambda inputs: shared, **settings)


def test_questions_that_cannot_be_answered(unchecked):
    game, alone = small(), small(x_encoder=None, y_encoder=None)
    encode, decode, translate = (
        unchecked(getattr(games.VariationalWyner, n)) for n in ("encode", "decode", "translate")
    )
    with pytest.raises(ValueError, match="neither x nor y was given"):
        encode(game)
    with pytest.raises(ValueError, match="x was given alone, but this model has no x_encoder"):
        encode(alone, X)
    with pytest.raises(ValueError, match="4 rows of x and 2 of y"):
        encode(game, X, Y[:2])
    with pytest.raises(ValueError, match=r"z must be codes of shape \(n, common_size=2\), not of shape \(4, 3\)"):
        decode(game, torch.zeros(4, 3))
    with pytest.raises(ValueError, match="4 rows of z and 2 of u were given"):
        decode(game, torch.zeros(4, 2), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="style has 1 parts"):
        translate(game, X, style=(X,))
    with pytest.raises(ValueError, match="n=0 was given"):
        wyner.deranged(0)
    assert len(encode(alone, X, Y).z) == 4

"""AS-VAE: its terms by hand, a linear case with a known optimum, ratios that learn by nothing but their own loss."""

import functools
import itertools
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import checkpoint, fit, games, networks
from gan_course.objectives.density_ratio import logistic_loss

STD = 1.5  # of the data of the linear case
LINE = STD * torch.randn(4_000, 1, generator=torch.Generator().manual_seed(3))


class Map(nn.Module):
    """q(z|x) = N(a x, t²) as an encoder: x to the mean and log t²."""

    def __init__(self, a, t):
        super().__init__()
        self.a, self.log_variance = nn.Parameter(torch.tensor(a)), nn.Parameter(torch.tensor(2 * math.log(t)))

    def forward(self, x):
        return torch.cat([self.a * x, self.log_variance.expand_as(x)], 1)


class Scale(nn.Module):
    """The mean w z of p(x|z), and with `std` the log variance too."""

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))

    def forward(self, z):
        return self.w * z


class Quadratic(nn.Module):
    """f(x, z) with all quadratic terms: log ratios of normal laws are of this form."""

    def __init__(self, values=None):
        super().__init__()
        self.values = nn.Parameter(torch.zeros(4) if values is None else values)

    def forward(self, x, z):
        return torch.cat([x**2, x * z, z**2, torch.ones_like(x)], 1) @ self.values


def normal(variance):
    """Coefficients of x² and 1 in log N(x; 0, variance)."""
    return -0.5 / variance, -0.5 * math.log(2 * math.pi * variance)


def optimal(w, s, a, t):
    """Corollary 1.1 for the linear case: coefficients of x², xz, z², 1 of both log ratios."""
    qx, px = normal(STD**2), normal(w**2 + s**2)
    qz, pz = normal(a**2 * STD**2 + t**2), normal(1.0)
    encoder = torch.tensor([-(a**2) / (2 * t**2), a / t**2, -1 / (2 * t**2), -0.5 * math.log(2 * math.pi * t**2)])
    decoder = torch.tensor([-1 / (2 * s**2), w / s**2, -(w**2) / (2 * s**2), -0.5 * math.log(2 * math.pi * s**2)])
    first = encoder + torch.tensor([qx[0] - px[0], 0, -pz[0], qx[1] - px[1] - pz[1]])
    second = decoder + torch.tensor([-qx[0], 0, pz[0] - qz[0], pz[1] - qx[1] - qz[1]])
    return first, second


def fixed(w, s, a, t):
    """The same, compared with data and prior."""
    (first, second), qz, pz = optimal(w, s, a, t), normal(a**2 * STD**2 + t**2), normal(1.0)
    qx, px = normal(STD**2), normal(w**2 + s**2)
    first = first + torch.tensor([px[0] - qx[0], 0, 0, px[1] - qx[1]])
    return first, second + torch.tensor([0, 0, qz[0] - pz[0], qz[1] - pz[1]])


def joints(w, s, a, t):
    """The ratio of the joints themselves, the only one to learn where the encoder's density is known."""
    first, second = fixed(w, s, a, t)
    return None, second - first


def linear(w=1.0, s=0.8, a=0.3, t=0.6, ratios=None, scale="fixed", **settings):
    first, second = ratios or optimal(w, s, a, t)
    named = {"encoder_ratio": first, "decoder_ratio": second}
    parts = {name: None if values is None else Quadratic(values.clone()) for name, values in named.items()}
    parts |= {name: settings.pop(name) for name in list(parts) if name in settings}
    return games.ASVAE(Map(a, t), Scale(w), 1, games.Gaussian(s, scale), **parts, **settings)


def best(s=0.8):
    """Weight of the decoder, and slope and deviation of the encoder, with which both joint laws are equal."""
    w = math.sqrt(STD**2 - s**2)
    return dict(w=w, s=s, a=w / STD**2, t=s / STD)


def kl(one, other):
    """KL divergence of two centred normal laws of the plane, given their covariances."""
    return 0.5 * (torch.trace(torch.linalg.solve(other, one)) - 2 + torch.logdet(other) - torch.logdet(one))


def covariances(w, s, a, t):
    q = torch.stack([torch.stack([STD**2 + 0 * a, a * STD**2]), torch.stack([a * STD**2, a**2 * STD**2 + t**2])])
    p = torch.stack([torch.stack([w**2 + s**2, w]), torch.stack([w, 1 + 0 * w])])
    return q, p


@pytest.mark.parametrize(
    ("variant", "ratios"),
    [
        *itertools.product(("full", "reconstruction", "generation"), (optimal, fixed)),
        ("full", joints),
        ("generation", joints),
    ],
)
def test_the_slope_is_that_of_the_divergence_between_the_joints(variant, ratios):
    """Of both directions, of the VAE's alone, or of the other alone: whatever law the ratios have to do with."""
    unused = {"reconstruction": {"decoder_ratio": None}, "generation": {"encoder_ratio": None}}.get(variant, {})
    unused |= {"reference": "encoder"} if ratios is joints else {}
    game = linear(variant=variant, scale="learned", ratios=ratios(1.0, 0.8, 0.3, 0.6), **unused)
    torch.manual_seed(0)
    x = STD * torch.randn(400_000, 1)
    sum(game.loss(x).values()).backward()
    w, s, a, t = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.0, 0.8, 0.3, 0.6))
    q, p = covariances(w, s, a, t)
    divergences = {"reconstruction": kl(q, p), "generation": kl(p, q), "full": kl(q, p) + kl(p, q)}
    divergences[variant].backward()
    assert game.decoder.w.grad.item() == pytest.approx(w.grad.item(), abs=0.03)
    assert game.encoder.a.grad.item() == pytest.approx(a.grad.item(), abs=0.03)
    assert game.encoder.log_variance.grad.item() == pytest.approx(t.grad.item() * 0.6 / 2, abs=0.03)
    assert game.likelihood.log_std.grad.item() == pytest.approx(s.grad.item() * 0.8, abs=0.03)


def test_the_known_optimum_of_the_linear_case():
    """There the ELBO is tight, each sample's weight is log q(x) whatever its code, the value is -H(q) - H(p), and
    nothing is left to descend."""
    game = linear(**best())
    torch.manual_seed(0)
    x = STD * torch.randn(400_000, 1)
    exact = torch.distributions.Normal(0.0, STD).log_prob(x).squeeze(1)
    assert_close(game.log_weights(x), exact, atol=1e-4, rtol=1e-4)
    terms = game.loss(x)
    entropies = 0.5 * math.log(2 * math.pi * math.e * STD**2) + 0.5 * math.log(2 * math.pi * math.e)
    assert sum(terms.values()).item() == pytest.approx(entropies, abs=1e-2)
    sum(terms.values()).backward()
    for parameter in (game.decoder.w, game.encoder.a, game.encoder.log_variance):
        assert abs(parameter.grad.item()) < 0.02
    assert_close(optimal(**best())[0], optimal(**best())[1])  # equal joints have equal marginals: one ratio


@pytest.mark.parametrize(("reference", "ratios"), [("marginals", optimal), ("fixed", fixed), ("encoder", joints)])
def test_the_ratios_learn_what_corollary_1_1_says(reference, ratios):
    exact = [values for values in ratios(1.0, 0.8, 0.3, 0.6) if values is not None]
    zeros = (None, *[torch.zeros(4)] * len(exact))[-2:]
    game = linear(ratios=zeros, reference=reference, optimizer=games.adam(2e-2, (0.9, 0.999)))
    fit(game, LINE, rounds=600, batch_size=500, players=["ratios"])
    for ratio, values in zip(game.ratios.values(), exact, strict=True):
        assert_close(ratio.values.detach(), values, atol=0.25, rtol=0)
    assert game.decoder.w == 1  # and the model stood still


@pytest.mark.parametrize(
    ("variant", "reference"),
    [("full", "marginals"), ("full", "fixed"), ("full", "encoder"), ("reconstruction", "marginals")],
)
def test_training_finds_the_known_optimum(variant, reference):
    unused = {} if variant == "full" else {"decoder_ratio": None}
    zeros = None if reference == "encoder" else torch.zeros(4), torch.zeros(4)
    rates = {"ratios": games.adam(2e-2, (0.9, 0.999)), "model": games.adam(5e-3, (0.9, 0.999))}
    settings = dict(
        variant=variant, reference=reference, ratio_steps=3, optimizer=rates, rate=games.cosine_decay, **unused
    )
    game = linear(w=0.4, a=0.1, t=1.0, ratios=zeros, **settings)
    fit(game, LINE, rounds=500, batch_size=500)
    entropy = 0.5 * math.log(2 * math.pi * math.e * LINE.var().item())
    assert -game.log_weights(LINE).mean().item() == pytest.approx(entropy, abs=0.03)
    goal = best()
    assert abs(game.decoder.w.item()) == pytest.approx(goal["w"], abs=0.15)
    assert game.encoder.a.item() * game.decoder.w.sign().item() == pytest.approx(goal["a"], abs=0.1)


def pixels(n=40, seed=1):
    return torch.rand(n, 1, 2, 2, generator=torch.Generator().manual_seed(seed))


def small(variant="full", seed=0, **settings):
    torch.manual_seed(seed)
    names = {"full": ("encoder_ratio", "decoder_ratio")}
    names |= {"reconstruction": ("encoder_ratio",), "generation": ("decoder_ratio",)}
    ratios = {name: networks.JointDiscriminator(networks.mlp(7, [8])) for name in names.get(str(variant), ())}
    settings = {"latent_size": 3, "variant": variant, **ratios, **settings}
    return games.ASVAE(networks.mlp(4, [8], 6), networks.mlp(3, [8], (1, 2, 2)), **settings)


@pytest.mark.parametrize("flow", [None, "planar", "autoregressive"])
@pytest.mark.parametrize("relaxation", ["draw", "mean"])
def test_the_terms_by_hand(flow, relaxation):
    flows = {"planar": networks.PlanarFlow(3, 2), "autoregressive": networks.InverseAutoregressiveFlow(3, 2, [4])}
    game, x = small(flow=flows.get(flow), relaxation=relaxation), pixels()
    torch.manual_seed(7)
    terms = game.loss(x)
    torch.manual_seed(7)
    z = game.drawn_codes(x)
    prior = torch.randn(40, 3)
    made = game.drawn_samples(prior)
    logits = game.decoder(z)
    likelihood = (x * logits.sigmoid().log() + (1 - x) * (1 - logits.sigmoid()).log()).flatten(1).sum(1)
    expected = {
        "samples": -likelihood.mean(),
        "encoder ratio": game.ratios["encoder"](x, z).mean(),
        "codes": -game.log_posterior(made, prior).mean(),
        "decoder ratio": game.ratios["decoder"](made, prior).mean(),
    }
    assert terms.keys() == expected.keys()
    for name, term in expected.items():
        assert_close(terms[name], term, msg=name)


@pytest.mark.parametrize("flow", [None, networks.PlanarFlow(3, 2)])
def test_the_terms_by_hand_where_the_encoder_is_known(flow):
    """The VAE's bound for samples; for codes -log p(z) + g in value, and the encoder's likelihood in slope."""
    game, x = small(flow=flow, reference="encoder", encoder_ratio=None), pixels()
    torch.manual_seed(7)
    terms = game.loss(x)
    torch.manual_seed(7)
    vae = games.VAE.loss(game, x)
    prior = torch.randn(40, 3)
    made = game.drawn_samples(prior)
    assert_close(terms["samples"], vae["reconstruction"])
    assert_close(terms["encoder ratio"], vae["divergence"])
    g = game.ratios["decoder"](made, prior).mean()
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(prior).sum(1).mean()
    assert_close(terms["codes"] + terms["decoder ratio"], g - log_prior)
    encoder, decoder = list(game.encoder.parameters()), list(game.decoder.parameters())
    found = torch.autograd.grad(terms["codes"] + terms["decoder ratio"], encoder + decoder)
    wanted = torch.autograd.grad(-game.log_posterior(made.detach(), prior).mean(), encoder)
    wanted += torch.autograd.grad(g, decoder)
    for one, other in zip(found, wanted, strict=True):
        assert_close(one, other)


def test_the_ratios_losses_by_hand():
    game, x = small(), pixels()
    torch.manual_seed(7)
    terms = game.ratios_loss(x)
    torch.manual_seed(7)
    prior, codes = torch.randn(40, 3), game.drawn_codes(x)
    made, other = game.drawn_samples(prior), torch.randn(40, 3)
    f1, f2 = game.ratios["encoder"], game.ratios["decoder"]
    neighbours = torch.cat([codes[-1:], codes[:-1]])
    assert_close(terms["encoder ratio"], logistic_loss(f1(x, codes), f1(made, other)))
    assert_close(terms["decoder ratio"], logistic_loss(f2(made, prior), f2(x, neighbours)))
    game.reference = "fixed"
    torch.manual_seed(7)
    against = game.ratios_loss(x)
    torch.manual_seed(7)
    torch.randn(40, 3), game.drawn_codes(x), game.drawn_samples(prior)
    other = torch.randn(40, 3)  # data and prior
    assert_close(against["encoder ratio"], logistic_loss(f1(x, codes), f1(x, other)))
    assert_close(against["decoder ratio"], logistic_loss(f2(made, prior), f2(x, other)))
    assert all(term.grad_fn is not None for term in terms.values())
    known = small(reference="encoder", encoder_ratio=None)
    torch.manual_seed(7)
    (loss,) = known.ratios_loss(x).values()
    torch.manual_seed(7)
    prior, codes = torch.randn(40, 3), known.drawn_codes(x)  # the encoder's pairs themselves
    g = known.ratios["decoder"]
    assert_close(loss, logistic_loss(g(known.drawn_samples(prior), prior), g(x, codes)))
    assert not any(p.grad is not None for p in game.parameters())
    sum(terms.values()).backward()
    for name, p in game.named_parameters():
        assert (p.grad is None) == (not name.startswith("ratios")), name


@pytest.mark.parametrize("variant", ["full", "reconstruction", "generation"])
def test_every_player_moves_and_only_itself(variant):
    for player in ("ratios", "model"):
        game = small(variant, flow=networks.PlanarFlow(3, 2), likelihood=games.Gaussian(0.5, "learned"))
        before = {name: p.clone() for name, p in game.named_parameters()}
        fit(game, pixels(), rounds=3, batch_size=20, players=[player])
        for name, p in game.named_parameters():
            assert torch.equal(p, before[name]) != (name.startswith("ratios") == (player == "ratios")), (player, name)


def test_variants_have_the_terms_of_their_half():
    columns = {
        "full": {"samples", "codes", "encoder ratio", "decoder ratio"},
        "reconstruction": {"samples", "encoder ratio"},
        "generation": {"codes", "decoder ratio"},
    }
    for variant, names in columns.items():
        game = small(variant)
        assert set(game.loss(pixels())) == names
        ratios = {name for name in names if name.endswith("ratio")}
        assert set(fit(game, pixels(), rounds=2).columns) == {f"model/{n}" for n in names} | {
            f"ratios/{n}" for n in ratios
        }


def test_binary_pixels_pass_no_gradient_and_their_relaxations_do():
    game = small()
    z = torch.randn(20_000, 3)
    logits = game.decoder(z)
    assert not game.likelihood.sample(logits).requires_grad
    assert set(game.likelihood.sample(logits).unique().tolist()) == {0.0, 1.0}
    for temperature in (0.5, 0.01):
        game.temperature = temperature
        torch.manual_seed(2)
        made = game.drawn_samples(z)
        torch.manual_seed(2)
        relaxed = game.likelihood.relaxed_sample(logits, temperature)  # the binary concrete law
        assert torch.equal(made, relaxed)
        assert_close((made > 0.5).float().mean(0), logits.sigmoid().mean(0), atol=0.02, rtol=0)  # whatever temperature
        (slope,) = torch.autograd.grad(relaxed.sum(), logits)
        assert slope.isfinite().all()
        assert (slope != 0).any()
    assert ((made < 0.01) | (made > 0.99)).float().mean() > 0.95  # when cold, nearly pixels
    grey = small(relaxation="mean")
    assert_close(grey.drawn_samples(z), logits.sigmoid())


def test_steps_of_the_ratios_may_be_a_function_of_the_round():
    rounds = []
    game = small(ratio_steps=lambda round: rounds.append(round) or (2 if round == 0 else 1))
    fit(game, pixels(), rounds=3)
    assert set(rounds) == {0, 1, 2}


def test_resumed_from_a_checkpoint_it_goes_on(tmp_path):
    through, broken, found = small(), small(), small(seed=5)
    a = fit(through, pixels(), rounds=10, batch_size=20)
    half = fit(broken, pixels(), rounds=10, until=4, batch_size=20)
    checkpoint.save(tmp_path / "a.safetensors", broken, half)
    b = fit(found, pixels(), rounds=10, batch_size=20, history=checkpoint.load(tmp_path / "a.safetensors", found))
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in through.state_dict().items())
    assert a.columns == b.columns


def test_compiled_equals_eager(monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    plain, compiled = small("generation"), small("generation")
    fit(plain, pixels(), rounds=2, batch_size=20)
    fit(compiled, pixels(), rounds=2, batch_size=20, compile=True)
    for name, value in plain.state_dict().items():
        assert_close(compiled.state_dict()[name], value, atol=1e-5, rtol=1e-5)


def test_samples_and_reconstructions():
    game = small(flow=networks.PlanarFlow(3, 2))
    assert game.sample(5).shape == game.reconstruct(pixels(5)).shape == (5, 1, 2, 2)
    assert game.log_weights(pixels(5)).shape == (5,)
    assert not game.sample(2).requires_grad


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: small(variant="r"), "variant='r' was given; choose one of full, reconstruction, generation"),
        (lambda: small(relaxation="gumbel"), "relaxation='gumbel' was given; choose one of draw, mean"),
        (lambda: small(reference="data"), "reference='data' was given; choose one of marginals, fixed, encoder"),
        (lambda: small(reference="encoder"), "reference='encoder' takes no encoder_ratio; it learns: decoder"),
        (lambda: small("reconstruction", reference="encoder"), "has no ratio to learn: it is games.VAE"),
        (lambda: small(encoder_ratio=None), "variant='full' with reference='marginals' needs an encoder_ratio"),
        (lambda: small("generation", decoder_ratio=None), "reference='marginals' needs a decoder_ratio"),
        (lambda: small("generation", encoder_ratio=nn.Identity()), "reference='marginals' takes no encoder_ratio"),
        (lambda: small(ratio_steps=0), "ratio_steps=0 was given"),
        (lambda: small(temperature=0.0), "temperature=0.0 was given"),
        (lambda: small(latent_size=4), "the decoder cannot take codes of latent_size=4"),
        (
            lambda: games.ASVAE(nn.Linear(2, 5), nn.Linear(3, 2), 3, encoder_ratio=nn.Linear(1, 1)),
            r"must return \(2, 6\)",
        ),
        (lambda: small(flow=networks.PlanarFlow(2)), "flow"),
        (lambda: small(encoder_ratio=nn.Linear(7, 1)), "the encoder_ratio cannot score samples of shape"),
        (lambda: small().loss(pixels(1)), "a batch of 1 sample was given"),
        (lambda: small().loss(torch.rand(4, 2)), r"samples have the shape \(2,\); those of the decoder"),
        (lambda: small().loss(pixels() + 1), "outside the support of Bernoulli"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_sizes_that_disagree_between_the_two_nets():
    ratios = [networks.JointDiscriminator(networks.mlp(5, [4])) for _ in range(2)]
    with pytest.raises(ValueError, match=r"the encoder cannot take the samples of shape \(2,\) .*latent_size=3"):
        games.ASVAE(networks.mlp(2, [4], 4), networks.mlp(3, [4], 2), 3, "gaussian", *ratios)
    one = ratios[0]
    with pytest.raises(ValueError, match="encoder_ratio and decoder_ratio are one network"):
        games.ASVAE(networks.mlp(2, [4], 6), networks.mlp(3, [4], 2), 3, "gaussian", one, one)

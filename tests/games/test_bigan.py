"""Games of joint laws: closed forms on tables and lines, who gets which gradient, cycles, known pairs."""

import functools
import itertools
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import checkpoint, data, fit, games, networks, objectives
from gan_course.data import Paired, Unpaired
from gan_course.games.bigan import MAPS
from gan_course.networks import JointDiscriminator, Noisy, Stochastic
from gan_course.objectives.matching import exchanged

X = torch.randn(60, 2, generator=torch.Generator().manual_seed(1))


def parts(stochastic=False, latent=3):
    factor = 2 if stochastic else 1
    encoder, generator = networks.mlp(2, [8], factor * latent), networks.mlp(latent, [8], factor * 2)
    wrap = Stochastic if stochastic else nn.Sequential
    judge = JointDiscriminator(networks.mlp(2 + latent, [8]))
    return dict(encoder=wrap(encoder), generator=wrap(generator), discriminator=judge, latent_size=latent)


def bigan(objective="non-saturating", seed=0, stochastic=False, **settings):
    torch.manual_seed(seed)
    return games.BiGAN(**{**parts(stochastic), "objective": objective, **settings})


def alice(cycle="l2", seed=0, stochastic=False, **settings):
    torch.manual_seed(seed)
    made = {**parts(stochastic), "cycle": cycle, **settings}
    if cycle == "adversarial":
        made["cycle_discriminator"] = JointDiscriminator(networks.mlp(4, [8]))
    return games.ALICE(**made)


# --- Tables: every pair of 3 samples and 4 codes, as often as its probability says

Q = torch.tensor([[3, 1, 0, 2], [0, 4, 2, 1], [1, 1, 1, 4]])  # counts of 20
P = torch.tensor([[1, 2, 3, 1], [2, 2, 2, 1], [2, 2, 1, 1]])


class Table(nn.Module):
    """A judge that has a number for each pair, called with one-hot samples and codes."""

    def __init__(self, scores):
        super().__init__()
        self.scores = nn.Parameter(torch.as_tensor(scores, dtype=torch.float64))

    def forward(self, x, z):
        return self.scores[x.argmax(1), z.argmax(1)]


def rows(counts):
    """Samples and codes, one-hot, each pair as often as the table says."""
    cells = [cell for cell in itertools.product(range(3), range(4)) for _ in range(int(counts[cell]))]
    x, z = torch.tensor(cells).T
    return torch.cat([torch.eye(3)[x], torch.eye(4)[z]], 1).double()


def jensen_shannon(q, p):
    q, p = q / q.sum(), p / p.sum()
    m = (q + p) / 2
    return float((torch.xlogy(q, q / m) + torch.xlogy(p, p / m)).sum() / 2)


def test_the_best_judge_of_tables_is_the_log_ratio_of_joints():
    q, p = (Q + 1).double(), P.double()  # every pair is possible
    best = (q / q.sum()).log() - (p / p.sum()).log()
    scorer = networks.Joined(Table(best), (3,), (4,))
    loss = objectives.get("minimax").for_discriminator(scorer, rows(q), rows(p))["adversarial"]
    assert loss.item() == pytest.approx(math.log(4) - 2 * jensen_shannon(q, p))
    (slope,) = torch.autograd.grad(loss, scorer.discriminator.scores)
    assert slope.abs().max() < 1e-12
    other = networks.Joined(Table(best + 0.3 * torch.randn(3, 4)), (3,), (4,))
    assert objectives.get("minimax").for_discriminator(other, rows(q), rows(p))["adversarial"] > loss


def test_a_judge_of_tables_learns_the_log_ratio_and_equal_joints_leave_it_log_four():
    for q, p, expected in ((Q + 1, P, None), (P, P, math.log(4))):
        scorer = networks.Joined(Table(torch.zeros(3, 4)), (3,), (4,))
        optimizer = torch.optim.LBFGS(scorer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

        def loss(scorer=scorer, q=q, p=p):
            return objectives.get("minimax").for_discriminator(scorer, rows(q), rows(p))["adversarial"]

        def closure(optimizer=optimizer, loss=loss):
            optimizer.zero_grad()
            value = loss()
            value.backward()
            return value

        optimizer.step(closure)
        best = (q / q.sum()).log() - (p / p.sum()).log()
        assert_close(scorer.discriminator.scores.detach(), best.double(), atol=1e-4, rtol=0)
        if expected is not None:
            assert loss().item() == pytest.approx(expected)


def test_every_pairing_of_modes_matches_the_joints_and_only_the_identity_restores():
    """Five samples, five codes, both uniform. E permutes, G goes back: joints are equal whatever the permutation.

    With an encoder that forgets all, and a generator that does not listen, they are equal too.
    """
    n = 5
    for permutation in itertools.islice(itertools.permutations(range(n)), 0, None, 17):
        q = torch.zeros(n, n)
        q[torch.arange(n), torch.tensor(permutation)] = 1 / n
        p = torch.zeros(n, n)
        inverse = torch.argsort(torch.tensor(permutation))
        p[inverse, torch.arange(n)] = 1 / n
        assert torch.equal(q, p)
    independent = torch.full((n, n), 1 / n**2)
    assert jensen_shannon(independent, independent) == 0
    conditional = independent / independent.sum(0)
    entropy = -(independent * conditional.log()).sum()
    assert entropy.item() == pytest.approx(math.log(n))  # of x given z: nothing is known


def test_the_cycle_is_a_bound_on_conditional_entropy():
    q = (Q + 1).double() / (Q + 1).sum()
    posterior, other = q / q.sum(0), P.double() / P.double().sum(0)
    entropy = -(q * posterior.log()).sum()
    cycle = -(q * other.log()).sum()
    gap = (q.sum(0) * (posterior * (posterior / other).log()).sum(0)).sum()
    assert cycle.item() == pytest.approx((entropy + gap).item())
    assert cycle > entropy


# --- Lines: x ~ N(0, s²), z = ax + bε against z ~ N(0, 1), x = cz + dε


class Quadratic(nn.Module):
    """The log ratio of two normal joints."""

    def __init__(self, q, p):
        super().__init__()
        self.q = torch.distributions.MultivariateNormal(torch.zeros(2), q)
        self.p = torch.distributions.MultivariateNormal(torch.zeros(2), p)
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, x, z):
        both = torch.cat([x, z], 1)
        return self.q.log_prob(both) - self.p.log_prob(both) + self.shift


def line(slope, variance):
    """A map that draws N(slope · x, variance)."""
    layer = nn.Linear(1, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[slope], [0.0]]))
        layer.bias.copy_(torch.tensor([0.0, math.log(variance)]))
    return Stochastic(layer)


def test_on_lines_equal_joints_have_the_posterior_for_encoder():
    """s² = c² + d², and q(z|x) the posterior of x = cz + dε: slope c/s², variance d²/s²."""
    c, d = 1.5, 0.8
    s2 = c**2 + d**2
    joint = torch.tensor([[s2, c], [c, 1.0]])
    game = games.BiGAN(line(c / s2, d**2 / s2), line(c, d**2), Quadratic(joint, joint), "minimax", latent_size=1)
    torch.manual_seed(0)
    encoded, generated = (pairs.detach() for pairs in game.pairs(s2**0.5 * torch.randn(200_000, 1)))
    assert_close(encoded.T.cov(), generated.T.cov(), atol=0.03, rtol=0)
    assert_close(encoded.T.cov(), joint, atol=0.03, rtol=0)
    (loss,) = game.discriminator_loss(torch.randn(100, 1)).values()
    assert loss.item() == pytest.approx(math.log(4))


def test_on_lines_the_log_ratio_of_joints_is_the_best_judge():
    """Its loss is flat there, and is log 4 - 2 JS of the joints, by a sum over a fine grid."""
    a, b2, c, d2, s2 = 0.5, 0.4, 1.2, 0.5, 2.0
    q = torch.tensor([[s2, a * s2], [a * s2, a**2 * s2 + b2]])
    p = torch.tensor([[c**2 + d2, c], [c, 1.0]])
    game = games.BiGAN(line(a, b2), line(c, d2), Quadratic(q, p), "minimax", latent_size=1)
    torch.manual_seed(0)
    encoded, generated = (pairs.detach() for pairs in game.pairs(s2**0.5 * torch.randn(200_000, 1)))
    loss = game.objective.for_discriminator(game.scorer, encoded, generated)["adversarial"]
    (slope,) = torch.autograd.grad(loss, game.discriminator.shift)
    assert abs(slope) < 3e-3
    ticks = torch.linspace(-8, 8, 321, dtype=torch.float64)
    cells = torch.cartesian_prod(ticks, ticks)
    laws = (torch.distributions.MultivariateNormal(torch.zeros(2).double(), joint.double()) for joint in (q, p))
    masses = [law.log_prob(cells).exp() for law in laws]
    assert loss.item() == pytest.approx(math.log(4) - 2 * jensen_shannon(*masses), abs=2e-3)


# --- Who gets which gradient


@pytest.mark.parametrize("objective", [*objectives.names(), objectives.get("relativistic", average=True)], ids=str)
@pytest.mark.parametrize("stochastic", [False, True])
def test_each_turn_moves_its_own_players_and_all_of_them(objective, stochastic):
    game = bigan(objective, stochastic=stochastic)
    judge, maps = game.turns()
    assert (judge.player, maps.player) == ("discriminator", MAPS)
    mine = {id(p) for p in maps.parameters()}
    assert mine == {id(p) for network in (game.encoder, game.generator) for p in network.parameters()}
    sum(judge.loss(X[:20]).values()).backward()
    assert all(p.grad is None for p in maps.parameters())
    assert any(p.grad.abs().sum() > 0 for p in judge.parameters())
    game.zero_grad()
    before = {name: value.clone() for name, value in game.state_dict().items()}
    history = fit(game, X, rounds=2, batch_size=20)
    assert history.frame.notna().all(axis=None)
    after = game.state_dict()
    for name, value in before.items():
        last = objective in ("ebgan", "loss-sensitive") and name.endswith("layers.2.bias")  # may cancel exactly
        assert last or name == "progress" or not torch.equal(value, after[name]), name


def test_the_maps_loss_is_that_of_their_pairs_against_the_judge():
    game, x, z = bigan(), X[:10], torch.randn(10, 3)
    game.noise = lambda n: z
    real, fake = game.discriminator(x, game.encoder(x)), game.discriminator(game.generator(z), z)
    assert_close(game.maps_loss(x)["adversarial"], exchanged(game.objective, real, fake))
    softplus = nn.functional.softplus
    assert_close(game.maps_loss(x)["adversarial"], softplus(real).mean() + softplus(-fake).mean())
    assert_close(game.discriminator_loss(x)["adversarial"], softplus(-real).mean() + softplus(fake).mean())


def test_moving_the_generator_alone_is_another_game():
    """The encoder's gradient is not 0: a game that forgets it leaves the encoder where it began."""
    game = bigan()
    sum(game.maps_loss(X[:20]).values()).backward()
    assert all(p.grad.abs().sum() > 0 for p in [*game.encoder.parameters(), *game.generator.parameters()])


def test_steps_and_averages():
    game = bigan(discriminator_steps=2, generator_steps=3, average=0.5)
    assert [turn.steps for turn in game.turns()] == [2, 3]
    expected = {name: p.clone() for name, p in game.generator.named_parameters()}
    steps = []
    original = game._follow

    def watched():
        original()
        steps.append(None)
        for name, p in game.generator.named_parameters():
            expected[name] = 0.5 * expected[name] + 0.5 * p.detach()

    game._follow = watched
    fit(game, X, rounds=2, batch_size=10)
    assert len(steps) == 6
    for name, p in game.averaged_generator.named_parameters():
        assert_close(p, expected[name])
    x = X[:4]
    assert_close(game.encode(x), game.averaged_encoder(x))
    assert_close(game.reconstruct(x), game.averaged_generator(game.averaged_encoder(x)))
    assert not torch.equal(game.encode(x), game.encoder(x))


def test_weights_of_the_judge_are_clipped():
    game = bigan(objectives.get("wgan", clip=0.02))
    fit(game, X, rounds=2, batch_size=10)
    assert max(p.abs().max() for p in game.discriminator.parameters()) <= 0.02
    game = alice("adversarial", objective=objectives.get("wgan", clip=0.02))
    fit(game, X, rounds=2, batch_size=10)
    assert max(p.abs().max() for judge in game.judges() for p in judge.parameters()) <= 0.02
    assert len(game.judges()) == 2


@pytest.mark.parametrize("make", [bigan, functools.partial(alice, "adversarial")])
def test_resumed_from_a_checkpoint(make, tmp_path):
    through, broken, found = make(average=0.9), make(average=0.9), make(seed=7, average=0.9)
    fit(through, X, rounds=9)
    half = fit(broken, X, rounds=9, until=4)
    checkpoint.save(tmp_path / "a.safetensors", broken, half)
    fit(found, X, rounds=9, history=checkpoint.load(tmp_path / "a.safetensors", found))
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in through.state_dict().items())


def test_compiled_equals_eager(monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    plain, compiled = alice(), alice()
    fit(plain, X, rounds=4)
    fit(compiled, X, rounds=4, compile=True)
    for name, value in plain.state_dict().items():
        assert_close(compiled.state_dict()[name], value, atol=1e-5, rtol=1e-5)


def test_images_and_their_codes():
    torch.manual_seed(0)
    judge = JointDiscriminator(networks.mlp(9, [8]), networks.encoder(8, 1, 6, 4, normalise=False))
    game = games.BiGAN(
        networks.encoder(8, 1, 3, 4), networks.decoder(8, 1, 3, 4, nn.Sigmoid()), judge, "wgan-gp", latent_size=3
    )
    history = fit(game, data.load("digits").images, rounds=2, batch_size=8)
    assert "discriminator/gradient penalty" in history.frame
    assert game.sample(3).shape == (3, 1, 8, 8)


def test_a_linear_bigan_learns_the_inverse():
    """x = 2z + 1 + noise of 0.3, and straight maps that draw: the generator finds the line, the encoder its inverse."""
    torch.manual_seed(0)
    x = 1 + (4 + 0.3**2) ** 0.5 * torch.randn(4000, 1)

    class Square(nn.Module):
        def forward(self, both):
            pairs = [both[:, :1], both[:, 1:]]
            return torch.cat([both, both.square(), pairs[0] * pairs[1]], 1)

    judge = JointDiscriminator(nn.Sequential(Square(), nn.Linear(5, 1), nn.Flatten(0)))
    game = games.BiGAN(
        line(0.1, 1.0), line(0.5, 1.0), judge, latent_size=1, optimizer=games.adam(5e-3), rate=games.cosine_decay
    )
    fit(game, x, rounds=1500, batch_size=256)
    encoded, generated = (pairs.detach() for pairs in game.pairs(x))
    assert_close(encoded.mean(0), generated.mean(0), atol=0.25, rtol=0)
    assert_close(encoded.T.cov(), generated.T.cov(), atol=0.5, rtol=0)
    assert generated.T.cov()[0, 0].item() == pytest.approx(4.09, rel=0.15)


# --- The cycle


@pytest.mark.parametrize("stochastic", [False, True])
def test_the_cycles_terms(stochastic):
    x = X[:10]
    for cycle in ("l1", "l2", "gaussian"):
        game = alice(cycle, stochastic=stochastic, weight=0.25)
        z = game.encoder.mean(x) if stochastic else game.encoder(x)
        torch.manual_seed(5)
        loss = game.cycle_loss(x, z)
        torch.manual_seed(5)
        if cycle == "gaussian" and stochastic:
            expected = -game.generator.log_density(z, x).mean()
        else:
            apart = x - game.generator(z)
            expected = {
                "l1": apart.abs().sum(1).mean(),
                "l2": apart.square().sum(1).mean(),
                "gaussian": (apart.square().sum(1) / 2).mean() + math.log(2 * math.pi),
            }[cycle]
        assert_close(loss, expected)
        torch.manual_seed(5)
        terms = game.maps_loss(x)
        assert list(terms) == ["adversarial", "cycle"]
        if not stochastic:
            assert_close(terms["cycle"], 0.25 * expected)


def test_without_weight_it_is_ali():
    plain, cycled = bigan(), alice(weight=0.0)
    fit(plain, X, rounds=5)
    fit(cycled, X, rounds=5)
    assert_close(dict(plain.state_dict()), dict(cycled.state_dict()))


def test_the_adversarial_cycle_has_a_judge_of_its_own():
    game, x = alice("adversarial", objective="minimax", weight=2.0), X[:12]
    judge, maps = game.turns()
    assert judge.networks == game.judges()
    z = torch.randn(12, 3)
    game.noise = lambda n: z
    restored = game.generator(game.encoder(x))
    same, apart = game.judges()[1](x, x), game.judges()[1](x, restored)
    softplus = nn.functional.softplus
    terms = judge.loss(x)
    assert list(terms) == ["adversarial", "cycle adversarial"]
    assert_close(terms["cycle adversarial"], softplus(-same).mean() + softplus(apart).mean())
    assert_close(terms["adversarial"], bigan("minimax").discriminator_loss(x)["adversarial"], atol=1.0, rtol=0)
    assert_close(maps.loss(x)["cycle"], -2 * softplus(apart).mean())
    terms["cycle adversarial"].backward()
    assert all(p.grad is None for p in maps.parameters())
    assert all(p.grad is not None for p in game.judges()[1].parameters())


def test_penalties_of_both_judges_are_recorded():
    history = fit(alice("adversarial", objective="wgan-gp"), X, rounds=2, batch_size=8)
    columns = {name for name in history.frame.columns if name.startswith("discriminator/")}
    own = {"adversarial", "gradient penalty", "cycle adversarial", "cycle gradient penalty"}
    assert columns == {f"discriminator/{name}" for name in own}


def test_known_pairs_are_learned():
    """Codes that are the samples' own first coordinate, mirrored: nothing but the pairs tells of the mirror."""
    torch.manual_seed(0)
    x = torch.randn(400, 1)
    judge = JointDiscriminator(networks.mlp(2, [16]))
    game = games.ALICE(
        *(Noisy(networks.mlp(2, [32], 1), 1), Noisy(networks.mlp(2, [32], 1), 1), judge),
        **dict(latent_size=1, supervision=5.0, optimizer=games.adam(5e-3)),
    )
    source = Unpaired(samples=x, pairs=Paired(x[:50], -x[:50]), sizes=[32, 32])
    history = fit(game, source, rounds=300, batch_size=32)
    assert f"{MAPS}/supervised" in history.frame
    assert torch.corrcoef(torch.cat([x, game.encode(x)], 1).T)[0, 1] < -0.95
    terms = game.maps_loss({"samples": x[:4], "pairs": (x[:4], -x[:4])})
    assert list(terms) == ["adversarial", "cycle", "supervised"]


def test_known_pairs_by_hand():
    game, x, z = alice("l1", supervision=3.0), X[:6], torch.randn(6, 3)
    found = game.maps_loss({"samples": X[:9], "pairs": (x, z)})["supervised"]
    apart = (x - game.generator(z)).abs().sum(1) + (z - game.encoder(x)).abs().sum(1)
    assert_close(found, 3 * apart.mean())


# --- Bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(latent_size=4), "the generator cannot take codes of latent_size=4"),
        (dict(encoder=networks.mlp(2, [4], 5)), r"the encoder returned \(2, 5\).*latent_size=3"),
        (dict(generator=networks.mlp(3, [4], 7)), r"the encoder cannot take samples, of shape \(2, 7\)"),
        (dict(discriminator=networks.mlp(2, [4])), r"discriminator cannot score samples of shape \(2,\) beside \(3,\)"),
        (dict(discriminator=JointDiscriminator(networks.mlp(5, [4], 1))), "scores of shape"),
        (dict(objective="bigan"), "unknown objective 'bigan'"),
        (dict(objective=objectives.get("ebgan", pulling_away=0.1)), "pulling_away"),
        (dict(discriminator_steps=0), "discriminator_steps=0 was given"),
        (dict(generator_steps=0), "generator_steps=0 was given"),
        (dict(average=1.0), "average=1.0 was given"),
        (dict(optimizer={"discriminator": games.adam()}), "'encoder and generator' is not among them"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises((ValueError, KeyError), match=message):
        bigan(**settings).turns()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(cycle="l3"), "cycle='l3' was given; choose one of l1, l2, gaussian, adversarial"),
        (dict(cycle="l2", cycle_discriminator=nn.Identity()), "cycle='l2' takes no cycle_discriminator"),
        (dict(weight=-1.0), "weight=-1.0 was given"),
        (dict(supervision=-1.0), "supervision=-1.0 was given"),
    ],
)
def test_bad_settings_of_the_cycle(settings, message):
    with pytest.raises(ValueError, match=message):
        alice(**settings)
    with pytest.raises(ValueError, match="cycle='adversarial' needs cycle_discriminator"):
        games.ALICE(**parts(), cycle="adversarial")
    judge = JointDiscriminator(networks.mlp(5, [8]))
    with pytest.raises(ValueError, match=r"cycle_discriminator cannot score samples of shape \(2,\) beside \(2,\)"):
        games.ALICE(**parts(), cycle="adversarial", cycle_discriminator=judge)


def test_batches_that_do_not_fit():
    with pytest.raises(ValueError, match=r"samples must be a tensor of shape \(n, 2\), not one of shape \(4, 3\)"):
        bigan().discriminator_loss(torch.randn(4, 3))
    with pytest.raises(ValueError, match="supervision=1 needs batches with samples and pairs"):
        fit(alice(supervision=1.0), X, rounds=1)
    pairs = {"samples": X[:4], "pairs": (X[:4], torch.randn(4, 2))}
    with pytest.raises(ValueError, match=r"pairs hold codes of shape \(4, 2\) for 4 samples; latent_size is 3"):
        alice(supervision=1.0).maps_loss(pairs)

"""JointGAN: its laws and their order, its value, who learns from what, cycles, and data that do not fit."""

import math

import jaxtyping
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import checkpoint, data, fit, games, networks
from gan_course.objectives import joint_softmax

X, Y = torch.randn(2, 40, 2, generator=torch.Generator().manual_seed(0))
Y = Y[:, :1]


@pytest.fixture
def untyped():
    """As users have it: without jaxtyping's check, which under test would answer before our own message does."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


class Adding(nn.Module):
    """A generator whose draws can be followed: its number, plus all that it is given."""

    def __init__(self, number, size):
        super().__init__()
        self.number, self.size = nn.Parameter(torch.tensor(float(number))), size

    def forward(self, z, *others):
        told = sum(other.sum(1, keepdim=True) for other in others)
        return (self.number + told).expand(len(z), self.size) + 0 * z[:, :1]


class Constant(nn.Module):
    """A critic with the same logits for every draw."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.as_tensor(logits))

    def forward(self, *parts):
        return self.logits.expand(len(parts[0]), -1)


def networks_of(shapes=((2,), (1,)), latent=3, paired=True, width=(8,)):
    torch.manual_seed(0)
    total, joints = sum(s[0] for s in shapes), 2 * len(shapes) + paired
    generators = [
        networks.Towers(networks.mlp(latent + total - s[0], width, s[0]), *[None] * len(shapes)) for s in shapes
    ]
    return generators, networks.Towers(networks.mlp(total, width, joints), *[None] * len(shapes)), shapes


def game(paired=True, shapes=((2,), (1,)), **settings):
    return games.JointGAN(*networks_of(shapes, paired=paired), **{"latent_size": 3, "paired": paired, **settings})


def pairs(n=6):
    return {"pairs": (X[:n], Y[:n])}


def test_the_laws_stand_in_the_order_of_the_paper():
    assert [tuple(joint) for joint in game().joints] == [(0, True), (1, True), (0, False), (1, False), (None, True)]
    assert len(game(paired=False).joints) == 4
    assert str(game().joints[3]) == "made 1, then the others"


def test_what_each_law_draws():
    """Generators 10 and 100 that add what they are given: absent samples are zeros."""
    joint = games.JointGAN([Adding(10, 1), Adding(100, 1)], Constant(torch.zeros(5)), [(1,), (1,)], latent_size=3)
    x, y = torch.tensor([[1.0]]), torch.tensor([[2.0]])
    draws = [[part.item() for part in draw] for draw in joint.draws((x, y))]
    assert draws == [[1, 101], [12, 2], [10, 110], [110, 100]]
    assert [float(part) for part in joint.sample(1)] == [10, 110]
    assert [float(part) for part in joint.sample(1, first=1)] == [110, 100]
    assert float(joint.marginal(1, 1)) == 100
    assert float(joint.translate(x, 0, 1)) == 101
    assert [float(part) for part in joint.complete(y, 1)] == [12, 2]


def test_three_domains_stand_in_a_circle():
    generators = [Adding(10, 1), Adding(100, 1), Adding(1000, 1)]
    joint = games.JointGAN(generators, Constant(torch.zeros(7)), [(1,)] * 3, latent_size=3)
    real = [torch.tensor([[float(i)]]) for i in (1, 2, 3)]
    draws = [[part.item() for part in draw] for draw in joint.draws(real)]
    assert draws[:3] == [[1, 101, 1102], [1014, 2, 1002], [13, 116, 3]]
    assert draws[3] == [10, 110, 1120]
    assert len(joint.joints) == 7


def test_every_draw_has_noise_of_its_own():
    """One noise for marginal and conditional would tie what is to be independent."""
    joint, seen = game(), []
    for generator in joint.generators:
        generator.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    joint.draws((X, Y))
    assert len(seen) == 6
    assert all(not torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i])


def test_noise_may_stand_for_what_is_absent():
    joint, seen = game(absent="noise"), []
    joint.generators[0].register_forward_pre_hook(lambda module, given: seen.append(given[1]))
    joint.drawn(0, 500, {})
    assert abs(float(seen[0].std()) - 1) < 0.15
    joint.drawn(0, 40, {1: Y})
    assert torch.equal(seen[1], Y)


@pytest.mark.parametrize("paired", [True, False])
def test_the_value_without_a_clue(paired):
    """K log K, for K = 5 with pairs and 4 without."""
    k = 5 if paired else 4
    joint = game(paired)
    joint.critic = Constant(torch.zeros(k))
    batch = pairs() if paired else (X[:6], Y[:6])
    assert_close(joint.critic_loss(batch)["cross entropy"].item(), k * math.log(k), rtol=1e-6, atol=0)
    # of the four that generators make
    assert_close(joint.generator_loss(batch)["adversarial"].item(), -4 * math.log((k - 1) / k), rtol=1e-6, atol=0)


@pytest.mark.parametrize("loss", ["saturating", "non-saturating"])
def test_the_losses_by_hand(loss):
    joint = game(loss=loss)
    torch.manual_seed(1)
    draws = joint.draws((X[:6], Y[:6]))
    torch.manual_seed(1)
    term = joint.generator_loss(pairs())["adversarial"]
    g = [joint.critic(*draw).softmax(1)[:, k] for k, draw in enumerate(draws)]
    expected = sum(p.log().mean() if loss == "saturating" else -(1 - p).log().mean() for p in g)
    assert_close(term, expected)
    torch.manual_seed(1)
    found = joint.critic_loss(pairs())["cross entropy"]
    truth = joint.critic(X[:6], Y[:6]).log_softmax(1)[:, 4].mean()
    assert_close(found, -sum(p.log().mean() for p in g) - truth)


def test_one_call_of_the_critic_or_one_for_each_law_makes_no_difference():
    joint, calls = game(), []
    draws = joint.draws((X[:5], Y[:7]))  # unpaired domains may bring different numbers
    together = joint.logits(draws)
    joint.critic.register_forward_hook(lambda *_: calls.append(1))
    apart = joint.logits(draws)
    assert len(calls) == 4
    for one, other in zip(together, apart, strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("paired", [True, False])
def test_each_player_moves_its_own_networks_only(paired):
    joint = game(paired)
    turns = {turn.player: turn for turn in joint.turns()}
    assert list(turns) == ["critic", "generators"]
    batch = pairs() if paired else (X[:6], Y[:6])
    sum(turns["critic"].loss(batch).values()).backward()
    assert all(p.grad is None for p in joint.generators.parameters())
    assert all(p.grad is not None for p in joint.critic.parameters())
    joint.zero_grad()
    sum(turns["generators"].loss(batch).values()).backward()
    assert all(p.grad is not None and p.grad.any() for p in joint.generators.parameters())
    assert set(turns["generators"].parameters()) == set(joint.generators.parameters())
    assert joint.turns()[0] is not joint.turns()[0]


def test_both_generators_learn_from_a_law_that_both_have_made():
    """Through the second generator a gradient reaches the first one's marginal."""
    joint = game()
    made = joint.around(0, joint.drawn(0, 5, {}))
    made[1].sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in joint.generators[0].parameters())


def test_steps_and_terms_of_a_round():
    joint = game(paired=False, critic_steps=3, generator_steps=2, cycle=0.5)
    assert [turn.steps for turn in joint.turns()] == [3, 2]
    history = fit(joint, data.Unpaired(X, Y), rounds=2, batch_size=8, device="cpu")
    terms = {"critic/cross entropy", "generators/adversarial", "generators/cycle 0", "generators/cycle 1"}
    assert terms <= set(history.frame.columns)


@pytest.mark.parametrize("error", ["l1", "l2"])
def test_cycles_by_hand(error):
    joint = games.JointGAN(
        *([Adding(10, 1), Adding(100, 1)], Constant(torch.zeros(4)), [(1,), (1,)]),
        **dict(latent_size=3, paired=False, cycle=2.0, error=error),
    )
    x, y = torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [2.0]])
    terms = joint.generator_loss((x, y))
    assert list(terms) == ["adversarial", "cycle 0", "cycle 1"]
    gap = 110.0 if error == "l1" else 110.0**2  # there 100 are added, and back 10
    assert terms["cycle 0"].item() == pytest.approx(2 * gap)
    assert terms["cycle 1"].item() == pytest.approx(2 * gap)


def test_cycles_by_default_only_without_pairs():
    assert game().cycle == 0
    assert game(paired=False).cycle == 1
    assert list(game().generator_loss(pairs())) == ["adversarial"]
    assert list(game(cycle=0.5).generator_loss(pairs())) == ["adversarial", "cycle 0", "cycle 1"]
    assert list(game(paired=False, cycle=0.0).generator_loss((X, Y))) == ["adversarial"]


def test_an_average_of_the_generators_is_sampled():
    joint = game(average=0.5)
    before = [p.clone() for p in joint.averaged.parameters()]
    fit(joint, data.Pairs(X, Y), rounds=1, batch_size=8, device="cpu")
    for old, mean, now in zip(before, joint.averaged.parameters(), joint.generators.parameters(), strict=True):
        assert_close(mean, (old + now) / 2)
    torch.manual_seed(2)
    drawn = joint.translate(X, 0, 1)
    torch.manual_seed(2)
    assert_close(drawn, joint.averaged[1](torch.randn(40, 3), X))


def test_interrupted_training_goes_on_bit_for_bit(tmp_path):
    through, broken = game(average=0.9), game(average=0.9)
    source = data.Pairs(X, Y)
    fit(through, source, rounds=6, batch_size=8, device="cpu")
    half = fit(broken, source, rounds=6, until=3, batch_size=8, device="cpu")
    checkpoint.save(tmp_path / "a.safetensors", broken, half)
    broken = game(average=0.9)
    fit(
        broken,
        source,
        rounds=6,
        batch_size=8,
        device="cpu",
        history=checkpoint.load(tmp_path / "a.safetensors", broken),
    )
    for name, weights in through.state_dict().items():
        assert torch.equal(weights, broken.state_dict()[name]), name


def test_pairs_are_learned():
    """y = −x + noise of 0.1, x standard normal: both directions, and both marginals, from pairs."""
    torch.manual_seed(0)
    x = torch.randn(2000, 1)
    y = -x + 0.1 * torch.randn(2000, 1)
    generators, critic, shapes = networks_of(((1,), (1,)), latent=2, width=(32, 32))
    joint = games.JointGAN(generators, critic, shapes, 2, optimizer=games.adam(3e-3))
    fit(joint, data.Pairs(x, y), rounds=300, batch_size=64, device="cpu")
    for first in (0, 1):
        drawn = torch.cat(joint.sample(2000, first), 1)
        assert torch.corrcoef(drawn.T)[0, 1] < -0.6
        assert_close(drawn.std(0), torch.ones(2), atol=0.5, rtol=0)
    assert torch.corrcoef(torch.cat([x, joint.translate(x, 0, 1)], 1).T)[0, 1] < -0.6


def test_images_of_two_domains():
    generators, critic = networks.joint_images(8, (1, 3), latent_size=3, width=4, hidden=6)
    joint = games.JointGAN(generators, critic, [(1, 8, 8), (3, 8, 8)], latent_size=3)
    source = data.Pairs(torch.rand(9, 1, 8, 8), torch.rand(9, 3, 8, 8))
    history = fit(joint, source, rounds=2, batch_size=4, device="cpu")
    assert history.frame.notna().all(axis=None)
    x, y = joint.sample(5)
    assert x.shape == (5, 1, 8, 8)
    assert y.shape == (5, 3, 8, 8)
    assert len(games.JointGAN(*networks.joint_images(8, (1, 1, 1), 3, 4, 6), [(1, 8, 8)] * 3, 3).joints) == 7


# --- Bad input


def test_unpaired_data_are_refused_by_the_game_of_pairs():
    with pytest.raises(ValueError, match=r"learns from pairs.*data.Pairs\(x, y\).*JointGAN\(paired=False\)"):
        fit(game(), data.Unpaired(X, Y), rounds=1, batch_size=4, device="cpu")
    with pytest.raises(ValueError, match=r"a dict of \['x', 'y'\].*JointGAN\(paired=False\)"):
        fit(game(), data.Unpaired(x=X, y=Y), rounds=1, batch_size=4, device="cpu")
    with pytest.raises(ValueError, match="learns from pairs"):
        fit(game(), data.Paired(X, Y), rounds=1, batch_size=4, device="cpu")  # a bare tuple says nothing


def test_pairs_are_refused_by_the_unpaired_game():
    with pytest.raises(ValueError, match=r"learns from unpaired samples.*JointGAN\(paired=True\)"):
        fit(game(paired=False), data.Pairs(X, Y), rounds=1, batch_size=4, device="cpu")


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"pairs": (X[:6], Y[:5])}, r"pairs with \[6, 5\] rows were given.*JointGAN\(paired=False\)"),
        ({"pairs": (X[:6],)}, "a batch has 1 parts; it must have a tensor for each of 2 domains"),
        ({"pairs": X[:6]}, "a batch has a Tensor"),
        ({"pairs": (X[:6], X[:6])}, r"the batch of domain 1 must be a tensor of shape \(n, 1\)"),
        ({"pairs": (X[:0], Y[:0])}, "the batch of domain 0 must be a tensor"),
    ],
)
def test_batches_of_pairs_that_do_not_fit(batch, message):
    with pytest.raises(ValueError, match=message):
        game().critic_loss(batch)


@pytest.mark.parametrize(("paired", "classes"), [(True, 4), (False, 5), (True, 1)])
def test_a_critic_with_another_number_of_classes(paired, classes):
    generators, _, shapes = networks_of()
    critic = networks.Towers(networks.mlp(3, [4], classes), None, None)
    with pytest.raises(ValueError, match=rf"K={4 + paired} joint laws, and it must return \(2, {4 + paired}\)"):
        games.JointGAN(generators, critic, shapes, latent_size=3, paired=paired)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(cycle=-1.0), "cycle=-1.0 was given"),
        (dict(loss="softmax"), "loss='softmax' was given; choose one of saturating, non-saturating"),
        (dict(error="l3"), "error='l3' was given; choose one of l1, l2"),
        (dict(absent="ones"), "absent='ones' was given; choose one of zeros, noise"),
        (dict(latent_size=4), r"generators\[0\] cannot take inputs of shapes \(2, 4\), \(2, 1\)"),
        (dict(critic_steps=0), "critic_steps=0 was given"),
        (dict(generator_steps=0), "generator_steps=0 was given"),
        (dict(average=1.0), "average=1.0 was given"),
        (dict(paired=1), "paired must be True or False"),
        (dict(optimizer={"critic": games.adam()}), "'generators' is not among them"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        game(**settings).turns()


@pytest.mark.usefixtures("untyped")
def test_networks_that_cannot_play():
    generators, critic, shapes = networks_of()
    with pytest.raises(ValueError, match="1 generators and 2 shapes were given"):
        games.JointGAN(generators[:1], critic, shapes, 3)
    with pytest.raises(ValueError, match=r"generators\[1\] must be a torch.nn.Module"):
        games.JointGAN([generators[0], None], critic, shapes, 3)
    with pytest.raises(ValueError, match=r"generators\[0\] made samples of shape \(1,\); by shapes .* \(2,\)"):
        games.JointGAN([Adding(0, 1), Adding(0, 1)], critic, shapes, 3)
    with pytest.raises(ValueError, match=r"critic cannot take inputs of shapes \(2, 2\), \(2, 1\)"):
        games.JointGAN(generators, networks.Towers(networks.mlp(7, [4], 5), None, None), shapes, 3)
    with pytest.raises(ValueError, match=r"x must be a tensor of shape \(n, 2\)"):
        game().translate(Y, 0, 1)
    with pytest.raises(ValueError, match="domain=2 was given"):
        game().complete(X, 2)


def test_losses_have_the_names_of_the_objective():
    assert set(joint_softmax.LOSSES) == {"saturating", "non-saturating"}

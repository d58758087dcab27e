"""Games of translation: their losses, the history of fakes, who learns from what, and data that do not fit."""

import jaxtyping
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import checkpoint, data, fit, games, networks, objectives
from gan_course.games.translation import Pool

X, Y = torch.rand(2, 24, 1, 8, 8, generator=torch.Generator().manual_seed(0))
SHAPES = [(1, 8, 8), (1, 8, 8)]
ODD = {"pairs": (X[:6], Y[:6])}


@pytest.fixture
def untyped():
    """As users have it: without jaxtyping's check, which under test would answer before our own message does."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


class Adding(nn.Module):
    """A translation that can be followed."""

    def __init__(self, number):
        super().__init__()
        self.number = nn.Parameter(torch.tensor(float(number)))

    def forward(self, x):
        return x + self.number


class Mean(nn.Module):
    """The score of a sample is a weight times its mean."""

    def __init__(self, weight=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x):
        return self.weight * x.flatten(1).mean(1)


def pix2pix(**settings):
    torch.manual_seed(0)
    generator = networks.unet(8, 1, width=2, depth=2)
    judge = networks.patch_discriminator(2 if settings.get("conditional", True) else 1, 2, 1)
    return games.Pix2Pix(generator, judge, SHAPES, **settings)


def cyclegan(**settings):
    torch.manual_seed(0)
    generators = [networks.resnet_generator(8, 1, width=2, blocks=1, depth=1) for _ in range(2)]
    judges = [networks.patch_discriminator(1, 2, 1) for _ in range(2)]
    return games.CycleGAN(generators, judges, SHAPES, **settings)


def adding(**settings):
    """Lines: there 10 is added, and back 3 taken away; scores are values."""
    parts = [Adding(10), Adding(-3)], [Mean(), Mean()], [(1,), (1,)]
    return games.CycleGAN(*parts, **{"pool": 0, **settings})


# --- pix2pix


@pytest.mark.parametrize("conditional", [True, False])
def test_the_terms_of_pix2pix_by_hand(conditional):
    game = games.Pix2Pix(
        *(Adding(0.5), networks.patch_discriminator(2 if conditional else 1, 2, 1, norm="none"), SHAPES),
        **dict(weight=7.0, conditional=conditional),
    )
    x, y = ODD["pairs"]
    fake = game.generator(x).detach()

    def judged(answer):
        return game.discriminator(torch.cat([x, answer], 1) if conditional else answer)

    softplus = nn.functional.softplus
    expected = softplus(-judged(y)).mean() + softplus(judged(fake)).mean()
    assert_close(game.discriminator_loss(ODD)["adversarial"], expected)
    terms = game.generator_loss(ODD)
    assert list(terms) == ["adversarial", "error"]
    assert_close(terms["adversarial"], softplus(-judged(fake)).mean())
    assert_close(terms["error"], 7 * (y - x - 0.5).abs().mean())


def test_the_question_is_seen_only_by_a_conditional_discriminator():
    """Right answers to wrong questions: all the same to a discriminator that sees answers alone."""
    for conditional in (True, False):
        game = pix2pix(conditional=conditional)
        x, y = ODD["pairs"]
        right, wrong = (game.discriminator(game.judged(x, answer)) for answer in (y, y.roll(1, 0)))
        same = torch.allclose(right.roll(1, 0), wrong)
        assert same == (not conditional)


@pytest.mark.parametrize("kind", [pix2pix, cyclegan])
def test_each_player_moves_its_own_networks_only(kind):
    game = kind()
    batch = ODD if kind is pix2pix else (X[:6], Y[:5])
    judges, makers = game.turns()
    assert (judges.player, makers.player) in {("discriminator", "generator"), ("discriminators", "generators")}
    sum(judges.loss(batch).values()).backward()
    assert all(p.grad is None for p in makers.parameters())
    assert all(p.grad is not None for p in judges.parameters())
    game.zero_grad()
    sum(makers.loss(batch).values()).backward()
    assert all(p.grad is not None and p.grad.any() for p in makers.parameters() if p.ndim > 1)
    assert not set(judges.parameters()) & set(makers.parameters())
    assert game.turns()[0] is not judges


@pytest.mark.parametrize("objective", ["non-saturating", "least-squares", "wgan-gp", "hinge", "relativistic"])
@pytest.mark.parametrize("kind", ["pix2pix", "cyclegan"])
def test_any_objective(kind, objective):
    game = pix2pix(objective=objective) if kind == "pix2pix" else cyclegan(objective=objective)
    if objective == "wgan-gp":
        judges = [game.discriminator] if kind == "pix2pix" else list(game.discriminators)
        assert all(not isinstance(part, nn.BatchNorm2d) for judge in judges for part in judge.modules())
    source = data.Pairs(X, Y) if kind == "pix2pix" else data.Unpaired(X, Y)
    history = fit(game, source, rounds=1, batch_size=4, device="cpu")
    assert history.frame.notna().all(axis=None)


def test_pix2pix_learns_negatives():
    """Dark for bright, a map that any convolution has: the error falls to a fraction."""
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Conv2d(1, 8, 1), nn.ReLU(), nn.Conv2d(8, 1, 1), nn.Sigmoid())
    judge = networks.patch_discriminator(2, 4, 0, norm="none")
    game = games.Pix2Pix(generator, judge, SHAPES, weight=10.0, optimizer=games.adam(1e-2))
    before = (game.translate(X) - (1 - X)).abs().mean()
    fit(game, data.Pairs(X, 1 - X), rounds=150, batch_size=8, device="cpu")
    assert (game.translate(X) - (1 - X)).abs().mean() < before / 3


# --- CycleGAN


def test_the_terms_of_cyclegan_by_hand():
    game = adding(cycle=2.0, identity=0.5)
    x, y = torch.tensor([[1.0], [3.0]]), torch.tensor([[20.0]])
    terms = game.discriminator_loss((x, y))  # fakes of the first domain: y − 3, of the second: x + 10
    square = objectives.get("least-squares")
    assert list(terms) == ["adversarial 0", "adversarial 1"]
    assert_close(terms["adversarial 0"], square.discriminator_loss(x[:, 0], torch.tensor([17.0])))
    assert_close(terms["adversarial 1"], square.discriminator_loss(y[:, 0], torch.tensor([11.0, 13.0])))
    terms = game.generator_loss((x, y))
    assert list(terms) == ["adversarial 1", "cycle 0", "identity 0", "adversarial 0", "cycle 1", "identity 1"]
    assert_close(terms["adversarial 1"], square.generator_loss(torch.tensor([11.0, 13.0])))
    assert_close(terms["adversarial 0"], square.generator_loss(torch.tensor([17.0])))
    assert [round(terms[f"cycle {i}"].item(), 4) for i in (0, 1)] == [14.0, 14.0]  # 2 * |10 − 3|
    assert [round(terms[f"identity {i}"].item(), 4) for i in (0, 1)] == [3.0, 10.0]  # 2 * 0.5 * (3 and 10)


def test_inverses_have_no_cycle_and_the_identity_none_either():
    """Which is why there is an adversarial term: cycles alone are content with doing nothing."""
    for there, back in ((10, -10), (0, 0)):
        game = games.CycleGAN([Adding(there), Adding(back)], [Mean(), Mean()], [(1,), (1,)])
        terms = game.generator_loss((torch.randn(5, 1), torch.randn(5, 1)))
        assert terms["cycle 0"].item() == pytest.approx(0, abs=1e-5)
        assert terms["cycle 1"].item() == pytest.approx(0, abs=1e-5)
        assert "identity 0" not in terms


def test_translation_goes_both_ways():
    game = adding()
    assert_close(game.translate(torch.ones(2, 1)), torch.full((2, 1), 11.0))
    assert_close(game.translate(torch.ones(2, 1), source=1), torch.full((2, 1), -2.0))


def test_domains_of_different_shapes():
    there, back = networks.unet(8, 1, 3, width=2, depth=2), networks.unet(8, 3, 1, width=2, depth=2)
    judges = [networks.patch_discriminator(c, 2, 1) for c in (1, 3)]
    game = games.CycleGAN([there, back], judges, [(1, 8, 8), (3, 8, 8)])
    fit(game, data.Unpaired(X, torch.rand(9, 3, 8, 8)), rounds=1, batch_size=4, device="cpu")
    assert game.translate(X[:2]).shape == (2, 3, 8, 8)


@pytest.mark.parametrize("kind", [pix2pix, cyclegan])
def test_averages_translate(kind):
    game = kind(average=0.5)
    source = data.Pairs(X, Y) if kind is pix2pix else data.Unpaired(X, Y)
    before = [p.clone() for p in game.averaged.parameters()]
    fit(game, source, rounds=1, batch_size=4, device="cpu")
    moving = game.generator if kind is pix2pix else game.generators
    for old, mean, now in zip(before, game.averaged.parameters(), moving.parameters(), strict=True):
        assert_close(mean, (old + now) / 2)
    assert game.translate(X[:3]).shape == (3, 1, 8, 8)


@pytest.mark.parametrize("kind", [pix2pix, cyclegan])
def test_interrupted_training_goes_on_bit_for_bit(kind, tmp_path):
    """With the history of fakes, which is in the checkpoint."""
    settings = {} if kind is pix2pix else {"pool": 5}
    through, broken = kind(**settings), kind(**settings)
    source = data.Pairs(X, Y) if kind is pix2pix else data.Unpaired(X, Y)
    run = dict(rounds=4, batch_size=4, device="cpu")
    fit(through, source, **run)
    checkpoint.save(tmp_path / "a.safetensors", broken, fit(broken, source, until=2, **run))
    broken = kind(**settings)
    fit(broken, source, history=checkpoint.load(tmp_path / "a.safetensors", broken), **run)
    for name, weights in through.state_dict().items():
        assert torch.equal(weights, broken.state_dict()[name]), name


# --- The history of fakes


def fakes(first, n):
    return torch.arange(first, first + n, dtype=torch.float32).view(n, 1)


def test_a_pool_fills_and_hands_on_what_it_keeps():
    pool = Pool(5, (1,))
    assert_close(pool(fakes(0, 3)), fakes(0, 3))
    assert_close(pool.images, fakes(0, 3))
    assert_close(pool(fakes(3, 3)), fakes(3, 3))  # two of them fit
    assert_close(pool.images, fakes(0, 5))


def test_a_full_pool_changes_old_for_new_half_of_the_time():
    torch.manual_seed(0)
    pool, old = Pool(50, (1,)), 0
    pool(fakes(0, 50))
    for i in range(200):
        before = set(pool.images.flatten().tolist())
        new = fakes(1000 + 4 * i, 4)
        handed = pool(new)
        after = set(pool.images.flatten().tolist())
        swapped = handed != new
        old += int(swapped.sum())
        assert len(after) == 50  # nothing is lost, nothing is there twice
        assert set(handed[swapped].tolist()) == before - after
        assert set(new[swapped].tolist()) == after - before
    assert old / 800 == pytest.approx(0.5, abs=0.06)


def test_batches_larger_than_the_pool():
    pool = Pool(2, (1,))
    assert_close(pool(fakes(0, 5)), fakes(0, 5))
    handed = pool(fakes(10, 5))
    assert_close(handed[2:], fakes(12, 3))
    assert len(pool.images) == 2


def test_without_a_pool_fakes_are_new():
    assert_close(Pool(0, (1,))(fakes(0, 3)), fakes(0, 3))


def test_what_comes_out_has_no_gradient_and_what_is_kept_is_exact():
    pool = Pool(3, (2,))
    x = torch.randn(3, 2, requires_grad=True)
    assert not pool(x * 1).requires_grad
    assert torch.equal(pool.images, x)
    assert not pool.kept.is_floating_point()  # nothing takes a mean of it: not over processes either
    other = Pool(3, (2,))
    other.load_state_dict(pool.state_dict())
    assert torch.equal(other.images, x)


def test_the_discriminators_see_the_history():
    """What a discriminator is given as fake are, in time, also fakes of rounds before."""
    game = adding(pool=4)
    torch.manual_seed(0)
    for i in range(5):
        game.discriminator_loss((torch.full((2, 1), float(i)), torch.full((2, 1), float(i))))
    assert set(game.pools[1].images.flatten().tolist()) <= {10.0, 11.0, 12.0, 13.0, 14.0}
    assert set(game.pools[0].images.flatten().tolist()) <= {-3.0, -2.0, -1.0, 0.0, 1.0}
    assert int(game.pools[0].filled) == 4
    game.generator_loss((torch.full((2, 1), 99.0), torch.full((2, 1), 99.0)))
    assert 109.0 not in game.pools[1].images


# --- Bad input


def test_unpaired_data_are_refused_by_pix2pix_and_pairs_by_cyclegan():
    with pytest.raises(ValueError, match=r"learns from pairs.*data.Pairs\(x, y\).*CycleGAN"):
        fit(pix2pix(), data.Unpaired(X, Y), rounds=1, batch_size=4, device="cpu")
    with pytest.raises(ValueError, match=r"learns from unpaired samples.*Pix2Pix"):
        fit(cyclegan(), data.Pairs(X, Y), rounds=1, batch_size=4, device="cpu")
    with pytest.raises(ValueError, match=r"pairs with \[6, 5\] rows"):
        pix2pix().discriminator_loss({"pairs": (X[:6], Y[:5])})
    with pytest.raises(ValueError, match=r"the batch of domain 1 must be a tensor of shape \(n, 1, 8, 8\)"):
        cyclegan().generator_loss((X, Y[:, :, :4]))


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (pix2pix, dict(weight=-1.0), "weight=-1.0 was given"),
        (pix2pix, dict(conditional=1), "conditional must be True or False"),
        (pix2pix, dict(objective="pix2pix"), "unknown objective 'pix2pix'"),
        (pix2pix, dict(average=1.0), "average=1.0 was given"),
        (pix2pix, dict(optimizer={"generator": games.adam()}), "'discriminator' is not among them"),
        (cyclegan, dict(cycle=-1.0), "cycle=-1.0 was given"),
        (cyclegan, dict(identity=-0.5), "identity=-0.5 was given"),
        (cyclegan, dict(pool=-1), "pool=-1 was given"),
        (cyclegan, dict(average=2.0), "average=2.0 was given"),
        (cyclegan, dict(optimizer={"generators": games.adam()}), "'discriminators' is not among them"),
        (Pool, dict(size=-1, shape=(1,)), "size=-1 was given"),
    ],
)
def test_bad_settings(make, settings, message):
    with pytest.raises((ValueError, KeyError), match=message):
        make(**settings).turns()


@pytest.mark.usefixtures("untyped")
def test_networks_that_cannot_play():
    unet, judge = networks.unet(8, 1, width=2, depth=2), networks.patch_discriminator(1, 2, 1)
    with pytest.raises(ValueError, match=r"discriminator cannot take inputs of shape \(2, 8, 8\)"):
        games.Pix2Pix(unet, judge, SHAPES)
    with pytest.raises(ValueError, match=r"generator makes \(1, 8, 8\) .* it must make \(3, 8, 8\)"):
        games.Pix2Pix(unet, judge, [(1, 8, 8), (3, 8, 8)])
    with pytest.raises(ValueError, match="the other sizes must be the same"):
        games.Pix2Pix(unet, judge, [(1, 8, 8), (1, 4, 4)])
    with pytest.raises(ValueError, match="1 shapes were given"):
        games.Pix2Pix(unet, judge, SHAPES[:1])
    with pytest.raises(ValueError, match="1 generators were given"):
        games.CycleGAN([unet], [judge, judge], SHAPES)
    with pytest.raises(ValueError, match=r"discriminators\[0\] cannot take inputs of shape \(1, 8, 8\)"):
        games.CycleGAN([unet, unet], [networks.patch_discriminator(3, 2, 1)] * 2, SHAPES)
    there, back = networks.unet(8, 1, 3, width=2, depth=2), networks.unet(8, 3, 1, width=2, depth=2)
    judges = [judge, networks.patch_discriminator(3, 2, 1)]
    with pytest.raises(ValueError, match=r"identity=0\.5 was given for shapes"):
        games.CycleGAN([there, back], judges, [(1, 8, 8), (3, 8, 8)], identity=0.5)
    with pytest.raises(ValueError, match="source=2 was given"):
        cyclegan().translate(X, source=2)

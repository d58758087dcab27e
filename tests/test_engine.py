"""What makes the loop fast must not change what it computes; and nothing in it may wait for a device."""

import collections
import copy
import sys

import pytest
import torch
import torch._inductor.config
from torch import nn
from torch.nn.functional import softplus
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gan_course import checkpoint, fit, games, networks, objectives, training
from gan_course.data import Paired, Pairs, Unpaired
from gan_course.data.sources import as_source
from gan_course.objectives.base import samplewise, scores_of

X = torch.randn(100, 2, generator=torch.Generator().manual_seed(1))
IMAGES = torch.rand(40, 1, 16, 16, generator=torch.Generator().manual_seed(2))
CPU = torch.device("cpu")


def pictures(seed=0, **settings):
    torch.manual_seed(seed)
    return games.GAN(*networks.dcgan(16, 1, 3, 4), latent_size=3, **settings)


def points(objective="non-saturating", seed=0, **settings):
    torch.manual_seed(seed)
    return games.GAN(networks.mlp(3, [8], 2), networks.mlp(2, [8]), objective, latent_size=3, **settings)


def close(a, b, tolerance=1e-5):
    for name, value in a.state_dict().items():
        torch.testing.assert_close(
            b.state_dict()[name], value, atol=tolerance, rtol=tolerance, msg=lambda m, n=name: n + m
        )


# Same results


def test_fit_computes_what_the_barest_loop_computes():
    """Convolutions with channels last, fused steps, frozen opponents: against none of it, to 1e-5 after five rounds."""
    ours, bare = pictures(), pictures()
    fit(ours, IMAGES, rounds=5, batch_size=10)
    G, D = bare.generator, bare.discriminator
    optimizers = [torch.optim.Adam(net.parameters(), 2e-4, betas=(0.5, 0.999), foreach=False) for net in (D, G)]
    batches = as_source(IMAGES).stream(10, CPU, training.derived_seed(0, "data"))
    torch.manual_seed(training.derived_seed(0, "noise"))
    for _ in range(5):
        real, fake = next(batches), G(torch.randn(10, 3))
        optimizers[0].zero_grad()
        (softplus(-D(real)).mean() + softplus(D(fake.detach())).mean()).backward()
        optimizers[0].step()
        next(batches)
        optimizers[1].zero_grad()
        softplus(-D(G(torch.randn(10, 3)))).mean().backward()
        optimizers[1].step()
    bare.progress.fill_(1)
    close(bare, ours)


def test_weights_are_laid_out_for_speed_and_put_back():
    seen, game = [], pictures()

    def look(game, history):
        weight = game.discriminator.descent[2].weight
        seen.append(weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous())

    fit(game, IMAGES, rounds=2, batch_size=10, callbacks=[look])
    assert seen == [True] * 3
    assert all(p.is_contiguous() for p in game.parameters())


def test_resumed_convolutions_equal_uninterrupted_ones_bit_for_bit(tmp_path):
    """Fused steps go through memory in order: a moment stored in another order than its weight would be mixed up."""
    through, broken = pictures(), pictures()
    fit(through, IMAGES, rounds=6, batch_size=10)
    checkpoint.save(tmp_path / "a.safetensors", broken, fit(broken, IMAGES, rounds=6, until=3, batch_size=10))
    broken = pictures(seed=7)
    fit(broken, IMAGES, rounds=6, batch_size=10, history=checkpoint.load(tmp_path / "a.safetensors", broken))
    for name, value in through.state_dict().items():
        assert torch.equal(value, broken.state_dict()[name]), name


class _Separate(nn.Module):
    """The same scores, of which nothing is known."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x)


@pytest.mark.parametrize("objective", objectives.names())
def test_real_and_fake_in_one_forward_give_the_same_losses_and_gradients(objective):
    torch.manual_seed(0)
    network = networks.mlp(2, [8])
    assert samplewise(network)
    assert not samplewise(_Separate(network))
    found = []
    for scorer in (network, _Separate(network)):
        torch.manual_seed(1)
        terms = objectives.get(objective).for_discriminator(scorer, X[:7], X[7:14] + 1)
        found.append([*terms.values(), *torch.autograd.grad(sum(terms.values()), network.parameters())])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-5)


def test_one_forward_only_where_samples_do_not_see_each_other():
    calls = []
    linear = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
    assert samplewise(linear)
    for mixing in (nn.BatchNorm1d(2), nn.Dropout(0.5), nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2))):
        assert not samplewise(nn.Sequential(mixing, linear))
    assert samplewise(networks.dcgan(16, 1, 3, 4, normalise=False)[1])
    assert not samplewise(networks.dcgan(16, 1, 3, 4)[1])
    assert not samplewise(lambda x: linear(x))
    assert not samplewise(type("Mine", (type(networks.mlp(2, [3])),), {})(2, [3], None))  # a subclass may do anything
    network = networks.mlp(2, [3])
    network.register_forward_hook(lambda *_: calls.append(1))
    assert not samplewise(network)
    scores_of(network, X[:3], X[:4])
    assert len(calls) == 2


def test_reused_fakes_are_those_that_the_discriminator_saw():
    class Watched(games.GAN):
        seen: list

        def discriminator_loss(self, real, fake=None):
            self.seen.append(fake)
            return super().discriminator_loss(real, fake)

        def generator_loss(self, real, fake=None):
            self.seen.append(fake)
            return super().generator_loss(real, fake)

    torch.manual_seed(0)
    game = Watched(
        networks.mlp(3, [8], 2), networks.mlp(2, [8]), latent_size=3, discriminator_steps=2, reuse_fakes=True
    )
    game.seen, before = [], copy.deepcopy(game.state_dict())
    fit(game, X, rounds=3)
    assert [fake is None for fake in game.seen] == [True, False, False] * 3
    assert game.seen[1] is game.seen[2]
    assert game.seen[1].requires_grad
    assert all(not torch.equal(before[name], value) for name, value in game.state_dict().items())
    alone = points(reuse_fakes=True)
    fit(alone, X, rounds=2, players=["generator"])  # no fakes to take over: it makes its own
    copy.deepcopy(alone)


def test_reused_fakes_give_the_gradients_of_new_ones_from_the_same_noise():
    gradients = []
    for reuse in (False, True):
        game = points(reuse_fakes=reuse)
        judge, player = game.turns()
        torch.manual_seed(5)
        game.generator.requires_grad_(False)
        judge.loss(X[:10])
        game.generator.requires_grad_(True)
        torch.manual_seed(5)
        sum(player.loss(X[:10]).values()).backward()
        gradients.append([p.grad for p in game.generator.parameters()])
    for new, old in zip(*gradients, strict=True):
        torch.testing.assert_close(old, new)


@pytest.mark.parametrize("make", [points, pictures])
def test_bf16_is_float32_to_its_precision(make):
    """bfloat16 keeps 8 bits: losses of 20 rounds agree to 2 %, and the weights stay in float32."""
    plain, short = make(), make()
    x = X if make is points else IMAGES
    a, b = fit(plain, x, rounds=20, batch_size=20), fit(short, x, rounds=20, batch_size=20, precision="bf16")
    assert abs(b.frame / a.frame - 1).max().max() < 0.02
    assert not a.frame.equals(b.frame)
    assert all(p.dtype == torch.float32 for p in short.parameters())


def test_the_average_is_the_exponential_one():
    game, expected = points(average=0.75), None

    def follow(game, history):
        nonlocal expected
        now = [p.detach().clone() for p in game.generator.parameters()]
        expected = now if expected is None else [0.75 * e + 0.25 * n for e, n in zip(expected, now, strict=True)]

    fit(game, X, rounds=6, callbacks=[follow])
    for own, value in zip(game.averaged.parameters(), expected, strict=True):
        torch.testing.assert_close(own.detach(), value)


@pytest.mark.parametrize("simultaneous", [False, True])
def test_compiled_to_machine_code_equals_eager(simultaneous):
    """With PyTorch's own compiler, told to draw the same noise; arithmetic may be reordered: 1e-4 after five rounds."""
    plain, compiled = (points("wgan-gp", simultaneous=simultaneous) for _ in range(2))
    fit(plain, X, rounds=5)
    with torch._inductor.config.patch(fallback_random=True):
        fit(compiled, X, rounds=5, compile=True)
    close(plain, compiled, 1e-4)


# Nothing waits


class Traffic(TorchDispatchMode):
    """Counts what a GPU would have to wait for, with PyTorch's device without memory, `meta`, in its place.

    An operation that yields a number or a shape that depends on numbers raises there of itself; counted is every
    operation with a tensor of another device in it.
    """

    def __init__(self):
        super().__init__()
        self.strangers = collections.Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, torch.Tensor)]
        counter = all(t.is_cpu and t.ndim == 0 for t in tensors)  # RMSProp counts its steps on the CPU
        if any(not t.is_meta for t in tensors) and not counter:
            self.strangers[function.overloadpacket.__name__] += 1
        return result


@pytest.fixture
def on_meta(monkeypatch):
    monkeypatch.setattr(training, "training_device", lambda device: torch.device("meta"))
    monkeypatch.setattr(training, "_READ_EVERY", 1e9)
    monkeypatch.setattr(training._Match, "look", lambda self: self.history._pending.clear())  # at the end
    monkeypatch.setattr(training._Match, "keep", lambda self: None)
    for module in (
        sys.modules["torch.optim.adam"],
        sys.modules["torch.optim.optimizer"],
    ):  # fused steps have a shape function for meta
        monkeypatch.setattr(module, "_get_fused_kernels_supported_devices", lambda: ["meta"], raising=False)

    def count(game, source, rounds):
        with Traffic() as traffic:
            fit(game.to("meta"), source, rounds=rounds, batch_size=10)
        return traffic.strangers

    return count


def images_game(kind):
    encoder, decoder = networks.encoder(16, 1, 6, 4), networks.decoder(16, 1, 3, 4)
    if kind == "auto-encoder":
        return games.AutoEncoder(encoder, networks.decoder(16, 1, 6, 4), 6)
    if kind == "as-vae":
        ratios = [networks.JointDiscriminator(networks.mlp(256 + 3, [8]), nn.Flatten()) for _ in range(2)]
        game = games.ASVAE(encoder, decoder, 3, "bernoulli", *ratios)
    else:
        game = games.VAE(encoder, decoder, 3)
    game.looked_at()  # only the first batch is looked at, to tell whether it lies in the support
    return game


def codes_game(kind):
    encoder, decoder = networks.mlp(2, [8], 6), networks.mlp(3, [8], 2)
    if kind == "vae-gan":
        return games.VAEGAN(encoder, decoder, networks.mlp(2, [8, 8]), 3, average=0.9)
    judge = networks.JointDiscriminator(networks.mlp(5, [8]))
    return games.ALICE(networks.Stochastic(encoder), decoder, judge, latent_size=3, average=0.9)


def coupled_game():
    stacks = [[nn.Linear(3, 8), nn.Sequential(nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))] for _ in range(2)]
    judges = [[nn.Linear(2, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0))] for _ in range(2)]
    coupled = networks.couple(stacks, first=1), networks.couple(judges, last=1)
    return games.CoGAN(*coupled, latent_size=3, average=0.9)


def wyner_game():
    pair, own = networks.Towers(networks.mlp(4, [8], 2), None, None), (nn.Linear(4, 2), nn.Linear(4, 2))
    local = [networks.Towers(networks.mlp(4, [8], 2), None, None) for _ in range(2)]
    return games.VariationalWyner(
        *(pair, *local, *own, networks.mlp(2, [8], 2), networks.mlp(2, [8], 2)),
        *(2, 2, 2, dict.fromkeys(games.wyner.LAWS, 0.1), None),
        dict.fromkeys(games.wyner.RECONSTRUCTIONS, 1.0),
        average=0.9,
    )


def joint_game(paired):
    generators = [networks.Towers(networks.mlp(5, [8], 2), None, None) for _ in range(2)]
    critic = networks.Towers(networks.mlp(4, [8], 4 + paired), None, None)
    return games.JointGAN(generators, critic, [(2,), (2,)], latent_size=3, paired=paired, average=0.9)


def translating(kind):
    generators = [networks.mlp(2, [8], 2) for _ in range(2)]
    if kind == "pix2pix":
        return games.Pix2Pix(generators[0], networks.mlp(4, [8]), [(2,), (2,)], average=0.9)
    judges = [networks.mlp(2, [8]) for _ in range(2)]
    return games.CycleGAN(generators, judges, [(2,), (2,)], identity=0.5, pool=15, average=0.9)


def began():
    judge = networks.Reconstruction(networks.mlp(2, [8], 1), networks.mlp(1, [8], 2), "mean absolute")
    return games.BEGAN(networks.mlp(3, [8], 2), judge, latent_size=3, average=0.9)


WORDS = torch.randint(0, 4, (100, 3), generator=torch.Generator().manual_seed(3))


def words_game(kind):
    game = _words_game(kind)
    game.looked_at()  # only the first batch is looked at, to see whether its words are of the vocabulary
    return game


def _words_game(kind):
    generator = networks.RecurrentGenerator(4, 3, 3, 4)
    if kind == "likelihood":
        return games.MaximumLikelihood(generator)
    if kind in ("mean", "greedy", None):
        return games.PolicyGradient(generator, twos, kind)
    if kind == "maligan":
        judge = networks.SequenceCNN(4, 3, 3, (1, 2), 4)
        return games.MaliGAN(generator, judge, mixed=0.5, samples=2, discriminator_steps=1)
    if kind == "rankgan":
        judge = networks.SequenceCNN(4, 3, 3, (1, 2), 4)
        return games.RankGAN(generator, judge, values="sentence", discriminator_steps=1)
    if kind == "beginnings":
        judge, critic = (networks.PrefixDiscriminator(4, 3, 3, 4) for _ in range(2))
        settings = dict(values="beginnings", baseline=critic, teacher=0.5)
    else:
        judge, settings = networks.SequenceCNN(4, 3, 3, (1, 2), 4), dict(rollouts=2, baseline="mean", decay=0.2)
    return games.SeqGAN(generator, judge, discriminator_steps=1, **settings)


def twos(*lines):
    return (lines[-1] == 2).float().mean(tuple(range(1, lines[-1].ndim)))


def answering_game(kind):
    game = _answering_game(kind)
    game.looked_at()
    return game


def _answering_game(kind):
    speakers = [networks.EncoderDecoder(4, 3, 3, 4) for _ in range(2)]
    if kind == "two agents":
        return games.TwoAgents(*speakers, twos)
    if kind == "policy gradient":
        return games.PolicyGradient(speakers[0], twos)
    judge = networks.ReplyDiscriminator(4, 3, 3, 4)
    return games.ConditionalSeqGAN(speakers[0], judge, rollouts=2, teacher=0.5, discriminator_steps=1)


GAMES = {
    **{f"gan of points, {name}": (lambda name=name: points(name, average=0.9), X) for name in objectives.names()},
    "gan of images": (pictures, IMAGES),
    "gan with reused fakes": (lambda: points(reuse_fakes=True), X),
    "gan of both at once": (lambda: points("f-gan/kl", simultaneous=True, average=0.9), X),
    "clipped gradients": (lambda: points(optimizer=games.clipped(games.rmsprop(), 1.0)), X),
    "gradient descent": (lambda: points(optimizer=games.sgd(0.1, 0.9)), X),
    "began": (began, X),
    "vae": (lambda: images_game("vae"), IMAGES),
    "auto-encoder": (lambda: images_game("auto-encoder"), IMAGES),
    "as-vae": (lambda: images_game("as-vae"), IMAGES),
    "vae-gan": (lambda: codes_game("vae-gan"), X),
    "alice": (lambda: codes_game("alice"), X),
    "wyner": (wyner_game, Pairs(X, X)),
    "words by likelihood": (lambda: words_game("likelihood"), WORDS),
    **{f"policy gradient, {name}": (lambda name=name: words_game(name), WORDS) for name in ("mean", "greedy", None)},
    "policy gradient of answers": (lambda: answering_game("policy gradient"), Paired(WORDS, WORDS)),
    "two agents": (lambda: answering_game("two agents"), WORDS),
    "seqgan": (lambda: words_game("seqgan"), WORDS),
    "seqgan of answers": (lambda: answering_game("seqgan"), Paired(WORDS, WORDS)),
    "maligan": (lambda: words_game("maligan"), WORDS),
    "rankgan": (lambda: words_game("rankgan"), WORDS),
    "seqgan of beginnings": (lambda: words_game("beginnings"), WORDS),
    "cogan": (coupled_game, Unpaired(X, X)),
    "pix2pix": (lambda: translating("pix2pix"), Pairs(X, X)),
    "cyclegan": (lambda: translating("cyclegan"), Unpaired(X, X)),
    "joint gan of pairs": (lambda: joint_game(True), Pairs(X, X)),
    "joint gan without pairs": (lambda: joint_game(False), Unpaired(X, X)),
}


@pytest.mark.parametrize("name", GAMES)
def test_a_round_neither_waits_for_the_device_nor_leaves_it(name, on_meta):
    make, x = GAMES[name]
    few, many = on_meta(make(), x, 3), on_meta(make(), x, 43)
    parts = [X, X] if isinstance(x, Unpaired) else [X] if isinstance(x, Paired) else [x]  # each has its own order
    passes = sum(10 * 40 * len(make().turns()) // len(part) for part in parts)
    extra = many - few
    # Per pass through the data: its order, drawn on the CPU so that it is the same on every device, and its transfer.
    assert set(extra) <= {"randperm", "_to_copy"}, extra
    assert all(number <= passes + 1 for number in extra.values()), extra


@pytest.mark.parametrize("source", [Paired(X, X), Unpaired(X, X)])
def test_batches_of_several_tensors_stay_on_the_device(source, on_meta):
    class Pairs(games.Game):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(2, 2)

        def turns(self):
            return [games.Turn("one", [self.net], lambda pair: (self.net(pair[0]) - pair[1]).square().mean())]

    extra = on_meta(Pairs(), source, 43) - on_meta(Pairs(), source, 3)
    assert set(extra) <= {"randperm", "_to_copy"}
    assert extra["randperm"] <= 10


@pytest.mark.parametrize("fault", ["item", "branch", "new tensor"])
def test_the_count_notices_what_it_is_for(fault, on_meta):
    class Slow(games.GAN):
        def generator_loss(self, real, fake=None):
            terms = super().generator_loss(real, fake)
            if fault == "item":
                self.last = terms["adversarial"].item()
            elif fault == "branch":
                assert (terms["adversarial"] > -1e9).all()
            else:
                terms["adversarial"] = terms["adversarial"] + torch.zeros(1).sum()
            return terms

    game = Slow(networks.mlp(3, [8], 2), networks.mlp(2, [8]), latent_size=3)
    if fault == "new tensor":
        assert on_meta(game, X, 8)["add"] == 8
    else:
        with pytest.raises(RuntimeError, match="meta"):
            on_meta(game, X, 3)

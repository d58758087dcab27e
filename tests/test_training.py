"""The loop: who learns, in which order, with which random numbers; and that it can be stopped and gone on with."""

import functools
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gan_course import checkpoint, fit, games, networks, training
from gan_course.data import Loader, Paired, Unpaired
from gan_course.errors import CheckpointError, Diverged
from gan_course.games import Game, Turn

X = torch.randn(100, 2, generator=torch.Generator().manual_seed(1))


def gan(objective="non-saturating", seed=0, **settings):
    torch.manual_seed(seed)
    generator = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    return games.GAN(generator, networks.mlp(2, [8]), objective, latent_size=3, **settings)


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Recorder(Game):
    """Two players that learn nothing much, and a diary of who moved with which batch."""

    def __init__(self, steps=1, second_steps=1, optimizer=None):
        super().__init__()
        self.a, self.b, self.diary = nn.Linear(2, 1), nn.Linear(2, 1), []
        self.steps, self.second_steps = steps, second_steps
        self.optimizer = optimizer or games.sgd(0.1)
        self.register_buffer("k", torch.tensor(0.5))

    def loss(self, player, network, other, batch):
        self.diary.append((player, batch.clone()))
        assert all(p.requires_grad for p in network.parameters())
        assert not any(p.requires_grad for p in other.parameters())
        return (network(batch) + other(batch)).square().mean()

    def turns(self):
        def after():
            self.diary.append(("after", None))
            self.k.add_(1)

        return [
            Turn(
                "a", [self.a], lambda x: self.loss("a", self.a, self.b, x), self.steps, self.optimizer, after_step=after
            ),
            Turn("b", [self.b], lambda x: self.loss("b", self.b, self.a, x), self.second_steps, self.optimizer),
        ]


def test_order_steps_and_after_step():
    game = Recorder(steps=2, second_steps=lambda round: round)  # in round 0 the second player does not move
    history = fit(game, X, rounds=3, batch_size=10)
    one, two = ["a", "after"] * 2, ["b"]
    assert [who for who, _ in game.diary] == one + one + two + one + two * 2
    assert history.rounds == 3
    assert math.isnan(history.frame["b/loss"][1])
    assert history.frame["b/loss"][2:].notna().all()
    assert history.frame["k"].tolist() == [2.5, 4.5, 6.5]
    batches = [batch for who, batch in game.diary if who != "after"]
    assert all(not torch.equal(a, b) for i, a in enumerate(batches) for b in batches[:i])  # fresh at every step


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_only_the_turns_own_parameters_change_and_all_of_them_do(player):
    game = gan()
    before = weights(game)
    fit(game, X, rounds=1, players=[player])
    changed = {name for name, value in game.state_dict().items() if not torch.equal(value, before[name])}
    own = {name for name, _ in game.named_parameters() if name.startswith(player)}
    assert own <= changed
    # The generator's batch normalisation counts what it has seen, in the opponent's turn too: buffers are not frozen.
    assert all("running" in name or "num_batches" in name or name == "progress" for name in changed - own)
    assert any("running_mean" in name for name in changed)


def test_every_listed_parameter_gets_a_gradient_in_every_game():
    digits = torch.rand(20, 1, 8, 8)
    e = networks.encoder
    for game in (
        gan(),
        gan("wgan-gp"),
        games.AutoEncoder(e(8, 1, 4, 4), networks.decoder(8, 1, 4, 4), 4),
        games.VAE(e(8, 1, 8, 4), networks.decoder(8, 1, 4, 4), 4),
        games.VAEGAN(e(8, 1, 8, 4), *networks.dcgan(8, 1, 4, 4), 4),
    ):
        for turn in game.turns():
            terms = turn.loss(digits if hasattr(game, "encoder") else X)
            sum(terms.values()).backward()
            assert all(p.grad is not None for p in turn.parameters()), (type(game), turn.player)


def test_flags_modes_and_gradients_are_as_before():
    game = gan()
    game.discriminator.layers[0].weight.requires_grad_(False)
    game.generator[1].eval()
    flags = [p.requires_grad for p in game.parameters()]
    modes = [m.training for m in game.modules()]
    fit(game, X, rounds=2)
    assert flags == [p.requires_grad for p in game.parameters()]
    assert modes == [m.training for m in game.modules()]
    assert all(p.grad is None for p in game.parameters())


def test_flags_are_restored_after_an_error():
    game = gan()
    with pytest.raises(RuntimeError):
        fit(game, torch.randn(10, 3), rounds=2)
    assert all(p.requires_grad for p in game.parameters())


def test_same_seed_same_weights_other_seed_others():
    states = []
    for seed in (0, 0, 1):
        game = gan()
        fit(game, X, rounds=5, seed=seed)
        states.append(weights(game))
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


def test_training_leaves_the_worlds_randomness_alone():
    game, draws = gan(), []
    for train in (False, True):
        torch.manual_seed(5), np.random.seed(5)  # noqa: NPY002
        if train:
            fit(game, X, rounds=3)
        draws.append([*torch.rand(3).tolist(), *np.random.random(3)])  # noqa: NPY002
    assert draws[0] == draws[1]


def test_pythons_random_numbers_are_governed_too():
    """In a process of its own: the type checks of the tests draw from Python's random numbers."""
    script = """
import random, torch
from gan_course import fit, games, networks
class Jittered:
    def __iter__(self):
        return (torch.ones(4, 2) * random.random() for _ in range(3))
def play(rounds, history=None, game=None):
    torch.manual_seed(0)
    game = game or games.GAN(networks.mlp(3, [4], 2), networks.mlp(2, [4]), latent_size=3)
    return fit(game, Jittered(), rounds=8, until=rounds, history=history, device="cpu",
               callbacks=[lambda *_: random.random()]), game
random.seed(5)
expected = random.random()
random.seed(5)
through, _ = play(8)
assert random.random() == expected
part, game = play(3)
random.seed(7)
whole, _ = play(8, part, game)
assert whole.columns == through.columns
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(training.__file__).parents[1])}
    outcome = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr


def test_watching_changes_nothing():
    plain, watched, seen = gan(), gan(), []

    def nosy(game, history):
        seen.append((history.rounds, game.sample(7).shape, game.training))
        torch.randn(1000), np.random.random()  # noqa: NPY002
        history.frame  # noqa: B018

    fit(plain, X, rounds=7)
    fit(watched, X, rounds=7, callbacks=[training.every(3, nosy)])
    assert same(weights(plain), weights(watched))
    assert [rounds for rounds, _, _ in seen] == [0, 3, 6, 7]


@pytest.mark.parametrize("objective", ["non-saturating", "wgan-gp"])
@pytest.mark.parametrize("stop", [1, 4, 8])
@pytest.mark.parametrize("through_file", [False, True])
def test_interrupted_and_continued_equals_uninterrupted(objective, stop, through_file, tmp_path):
    settings = dict(rounds=10, batch_size=30, seed=3)
    through = gan(objective, average=0.9, discriminator_steps=2, rate=games.linear_decay)
    history = fit(through, X, **settings)

    class Stop:
        def __call__(self, game, history):
            if history.rounds == stop:
                os.kill(os.getpid(), signal.SIGINT)

    broken = gan(objective, average=0.9, discriminator_steps=2, rate=games.linear_decay)
    first = fit(broken, X, callbacks=[Stop()], **settings)
    # The signal arrives during the callback after round `stop`; the round that then starts is finished.
    assert first.interrupted
    assert stop <= first.rounds <= stop + 1
    if through_file:
        checkpoint.save(tmp_path / "a.safetensors", broken, first, {"objective": objective})
        broken = gan(objective, seed=99, average=0.9, discriminator_steps=2, rate=games.linear_decay)
        first = checkpoint.load(tmp_path / "a.safetensors", broken)
    second = fit(broken, X, history=first, **settings)
    assert not second.interrupted
    assert same(weights(through), weights(broken))
    assert history.frame.equals(second.frame)


def test_a_pause_is_no_break_and_schedules_reckon_with_all_rounds():
    through, paused = (gan(rate=games.linear_decay) for _ in range(2))
    fit(through, X, rounds=9)
    history = fit(paused, X, rounds=9, until=4)
    assert history.rounds == 4
    assert not history.interrupted
    fit(paused, X, rounds=9, history=history)
    assert same(weights(through), weights(paused))
    with pytest.raises(ValueError, match="until=10 was given"):
        fit(gan(), X, rounds=9, until=10)


def test_second_interrupt_raises():
    def twice(game, history):
        if history.rounds == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(gan(), X, rounds=5, callbacks=[twice])
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("n", "batch"), [(100, 33), (7, 64), (1, 5), (64, 64)])
def test_batches_pass_through_the_data_evenly(n, batch):
    class Still(Game):
        def __init__(self):
            super().__init__()
            self.net, self.seen = nn.Linear(1, 1), []

        def turns(self):
            def loss(x):
                self.seen.append(x[:, 0].clone())
                return self.net(x).mean()

            return [Turn("one", [self.net], loss)]

    game = Still()
    fit(game, torch.arange(float(n)).unsqueeze(1), rounds=12, batch_size=batch)
    assert all(len(seen) == batch for seen in game.seen)
    counts = torch.cat(game.seen).long().bincount(minlength=n)
    assert counts.max() - counts.min() <= 1  # no row twice before every row was there once


def test_unequal_batch_sizes_and_named_sources():
    labels = torch.arange(100)
    source = Unpaired(labelled=Paired(X, labels), unlabelled=X, sizes=[5, 11])
    stream = source.stream(64, torch.device("cpu"), 0)
    batch = next(stream)
    x, y = batch["labelled"]
    assert len(x) == 5
    assert torch.equal(X[y], x)
    assert batch["unlabelled"].shape == (11, 2)
    ours, theirs = zip(
        *[next(Unpaired(labels, labels).stream(50, torch.device("cpu"), s)) for s in range(3)], strict=True
    )
    assert all(not torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))  # independent draws


def test_a_loader_is_seeded_resumed_and_of_its_own_batch_size(tmp_path):
    data = torch.utils.data.TensorDataset(X)

    class First:  # DataLoader yields lists of one tensor: take it out, and add noise from global random states
        def __iter__(self):
            for (x,) in torch.utils.data.DataLoader(data, batch_size=30, shuffle=True):
                yield x + 0.1 * torch.randn_like(x) + np.random.random()  # noqa: NPY002

    through, broken = gan(), gan()
    fit(through, First(), rounds=9)
    history = fit(broken, First(), rounds=4)
    checkpoint.save(tmp_path / "a.safetensors", broken, history)
    history = checkpoint.load(tmp_path / "a.safetensors", broken)
    history.rounds = 4
    fit(broken, First(), rounds=9, history=history)
    assert same({k: v for k, v in weights(through).items()}, weights(broken))
    sizes = [len(next(s)) for s in [Loader(First()).stream(64, torch.device("cpu"), 0)] for _ in range(8)]
    assert sizes == [30, 30, 30, 10] * 2


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ((X, X), "Paired"),
        (iter([X]), "only once"),
        ((x for x in [X]), "only once"),
        ([], "no batch at all"),
        (torch.empty(0, 2), "at least one"),
        ("digits", "cannot draw batches from a str"),
        (7, "cannot draw batches from a int"),
    ],
)
def test_bad_sources(source, message):
    with pytest.raises(ValueError, match=message):
        fit(gan(), source, rounds=1)


def test_paired_and_unpaired_refuse_nonsense():
    with pytest.raises(ValueError, match="same number of rows"):
        Paired(X, X[:3])
    with pytest.raises(ValueError, match="Paired takes tensors"):
        Paired()
    with pytest.raises(ValueError, match="either positional"):
        Unpaired(X, more=X)
    with pytest.raises(ValueError, match="one positive batch size for each of 2"):
        Unpaired(X, X, sizes=[3])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(rounds=0), "rounds=0"),
        (dict(rounds=-5), "rounds=-5"),
        (dict(rounds=True), "rounds=True"),
        (dict(rounds=1, batch_size=0), "batch_size=0"),
        (dict(rounds=1, device="gpu"), "'gpu' cannot be used here; on this machine there is: cpu"),
        (dict(rounds=1, device="cuda:99"), "cannot be used here"),
        (dict(rounds=1, device="meta"), "holds no numbers"),
        (dict(rounds=1, players=["critic"]), "this game has"),
        (dict(rounds=1, precision="fp8"), "use None"),
    ],
)
def test_bad_arguments(settings, message):
    game = gan()
    before = weights(game)
    with pytest.raises(ValueError, match=message):
        fit(game, X, **settings)
    assert same(before, weights(game))


def test_finished_history_is_refused():
    game = gan()
    history = fit(game, X, rounds=3)
    with pytest.raises(ValueError, match="has 3 rounds already"):
        fit(game, X, rounds=3, history=history)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_divergence_names_the_turn_and_the_round(bad):
    class Sick(Recorder):
        def loss(self, player, network, other, batch):
            loss = super().loss(player, network, other, batch)
            moves = sum(who == "b" for who, _ in self.diary)
            return {"good": loss, "ill": loss * bad if player == "b" and moves == 4 else loss}

    with pytest.raises(Diverged, match=r"b's ill became (nan|inf) in round 4"):
        fit(Sick(), X, rounds=6)


def test_history_reads_seldom(monkeypatch):
    """The loop must not wait for the device: terms are read at the end or twice a second, not every round."""
    reads = []
    original = training.History.read
    monkeypatch.setattr(training.History, "read", lambda self: (reads.append(self.rounds), original(self))[1])
    monkeypatch.setattr(training, "_READ_EVERY", 1e9)
    fit(gan(), X, rounds=50)
    assert set(reads) == {50}


def test_history_frame():
    history = fit(gan("wgan-gp"), X, rounds=4)
    assert list(history.frame.columns) == [
        "discriminator/adversarial",
        "discriminator/gradient penalty",
        "generator/adversarial",
    ]
    assert history.frame.index.tolist() == [1, 2, 3, 4]
    assert history.frame.index.name == "round"
    assert history.frame.notna().all().all()
    assert history.seconds > 0
    assert "4 rounds" in repr(history)


def test_progress_and_rate():
    seen = []

    class Watcher(Recorder):
        def loss(self, player, network, other, batch):
            seen.append(self.progress.item())
            return super().loss(player, network, other, batch)

        def turns(self):
            return [
                Turn("a", [self.a], lambda x: self.loss("a", self.a, self.b, x), 1, games.sgd(0.1), games.linear_decay)
            ]

    game = Watcher()
    fit(game, X, rounds=4)
    assert seen == [0.0, 0.25, 0.5, 0.75]
    assert game.progress == 1
    assert [games.linear_decay(t) for t in (0, 0.25, 1)] == [1, 0.75, 0]
    assert [round(games.cosine_decay(t), 6) for t in (0, 0.5, 1)] == [1, 0.5, 0]


def test_bf16_trains_with_float32_losses():
    seen = []

    class Watcher(games.GAN):
        def discriminator_loss(self, real):
            terms = super().discriminator_loss(real)
            seen.append((self.discriminator(real).dtype, terms["adversarial"].dtype))
            return terms

    torch.manual_seed(0)
    game = Watcher(networks.mlp(3, [8], 2), networks.mlp(2, [8]), latent_size=3)
    fit(game, X, rounds=2, precision="bf16")
    assert seen == [(torch.bfloat16, torch.float32)] * 2


def test_compiled_equals_eager(monkeypatch):
    """Compilation may reorder arithmetic; after ten rounds the weights agree to 1e-4. No C++ compiler is needed."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    plain, compiled = gan("wgan-gp"), gan("wgan-gp")
    plain.generator[1] = compiled.generator[1] = nn.Identity()
    fit(plain, X, rounds=10)
    fit(compiled, X, rounds=10, compile=True)
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(compiled)[name], value, atol=1e-4, rtol=1e-4)


def test_checkpoint_refuses_what_it_cannot_read(tmp_path):
    game = gan()
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, game, fit(game, X, rounds=2), {"objective": "non-saturating", "sizes": [1, 2.5, None]})
    assert checkpoint.configuration(path) == {"objective": "non-saturating", "sizes": [1, 2.5, None]}
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
    other = games.GAN(networks.mlp(3, [9], 2), networks.mlp(2, [8]), latent_size=3)
    before = weights(other)
    with pytest.raises(CheckpointError, match="not those of the given GAN"):
        checkpoint.load(path, other)
    assert same(before, weights(other))
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        checkpoint.load(tmp_path / "b.safetensors", game)
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(path, game)
    path.write_bytes(whole.replace(b'"version":"2"', b'"version":"9"'))
    with pytest.raises(CheckpointError, match="newer gan_course"):
        checkpoint.load(path, game)
    path.write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load(path, game)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    game = gan()
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, game, fit(game, X, rounds=2))
    old = path.read_bytes()

    def broken(self, content):
        with open(self, "wb") as file:
            file.write(content[:4])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", broken)
    with pytest.raises(CheckpointError, match=r"no space left on device.*what was there before is there still"):
        checkpoint.save(path, game, fit(game, X, rounds=1))
    assert path.read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 1

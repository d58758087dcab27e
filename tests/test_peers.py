"""The rivals of the race are what their description says, and the race counts and compares rightly."""

import itertools
import json

import numpy as np
import pytest
import torch

from benchmarks import peers, rivals
from gan_course import networks


def test_the_rivals_networks_have_the_described_sizes():
    generator, critic = rivals.wgan_gp_networks()
    widths = [100, 128, 256, 512, 1024, 784]
    linear = sum(a * b + b for a, b in itertools.pairwise(widths))
    assert networks.parameters(generator) == linear + 2 * (256 + 512 + 1024)  # the first layer is not normalised
    assert networks.parameters(critic) == (784 + 1) * 512 + (512 + 1) * 256 + 256 + 1
    assert generator(torch.randn(3, 100)).shape == (3, 1, 28, 28)
    generator, discriminator = rivals.dcgan_networks()
    images = generator(torch.randn(3, 100))
    assert images.shape == (3, 1, 32, 32)
    assert discriminator(images).shape == (3,)


def test_torchgans_networks_are_those_of_its_introduction():
    generator, discriminator = rivals.torchgan_networks()
    norms = 2 * (128 + 64 + 32)
    assert networks.parameters(generator) == 16 * (100 * 128 + 128 * 64 + 64 * 32 + 32) + 1 + norms
    assert networks.parameters(discriminator) == 16 * (32 + 32 * 64 + 64 * 128 + 128) + 32 + 2 * (64 + 128)
    images = generator(torch.randn(3, 100))
    assert images.shape == (3, 1, 32, 32)
    assert discriminator(images).shape == (3,)


# What the description of each rival demands in one round, counted by hand.
# wgan_gp, a step of the critic: forward through the generator (5 layers), three times the critic (3 layers);
# backward through it with real images (3 + 2 products), fakes (3 + 3), on through the generator (5 + 4); gradient at
# the points between (3), its own backward (5), and on through the scores there (4). The step of the generator: forward
# (5 + 3), backward through the critic (3 + 3) and the generator (5 + 4). Five steps of the critic.
# dcgan: generator (3 convolutions, 1 product) once, discriminator (4 and 1) three times, backward through all of it.
# torchgan: generator (4 convolutions) and discriminator (4) in either step, the discriminator twice in its own; of the
# generator's graph in the discriminator's step nothing is run backward.
DEMANDED = {
    "PyTorch-GAN wgan_gp": {
        "matrix products": 5 * (5 + 3 * 3 + 5 + 6 + 9 + 3 + 5 + 4) + 8 + 6 + 9,
        "convolutions": 0,
        "convolutions backward": 0,
        "optimiser steps": 6,
    },
    "PyTorch-GAN dcgan": {
        "matrix products": 1 + 3 + 1 + 3 * 2,
        "convolutions": 3 + 3 * 4,
        "convolutions backward": 3 + 3 * 4,
        "optimiser steps": 2,
    },
    "torchgan DCGAN": {
        "matrix products": 0,
        "convolutions": 2 * 4 + 3 * 4,
        "convolutions backward": 4 + 3 * 4,
        "optimiser steps": 2,
    },
}


class Counted:
    """Batches that are counted as they are taken."""

    def __init__(self, batches):
        self.batches, self.taken = batches, 0

    def __iter__(self):
        return self

    def __next__(self):
        self.taken += 1
        return next(self.batches)


@pytest.mark.parametrize("name", peers.RACES)
def test_a_round_of_a_rival_costs_what_its_description_demands(name):
    race = peers.RACES[name]
    batches = Counted(peers.from_memory(torch.rand(200, 1, race.size, race.size) * 2 - 1))
    one, two = (peers.operations(lambda pair, n=n: race.rival(pair, batches, n), race.networks) for n in (1, 2))
    assert {operation: two[operation] - one[operation] for operation in one} == DEMANDED[name]
    assert batches.taken == 3 * (5 if "wgan" in name else 1)


@pytest.mark.parametrize("name", peers.RACES)
def test_a_round_of_either_has_the_same_steps_and_changes_both_networks(name):
    race = peers.RACES[name]
    images = torch.rand(200, 1, race.size, race.size) * 2 - 1
    batches = peers.from_memory(images)
    runs = {
        "rival": lambda pair: race.rival(pair, batches, 1),
        "ours": lambda pair: peers.play(race.game(pair), images, 1),
    }
    counts = {}
    for who, run in runs.items():
        pair = race.networks()
        before = [[p.clone() for p in network.parameters()] for network in pair]
        counts[who] = peers.operations(lambda _, pair=pair, run=run: run(pair), lambda: None)
        for network, old in zip(pair, before, strict=True):
            assert any(not torch.equal(p, q) for p, q in zip(network.parameters(), old, strict=True))
    assert counts["ours"]["optimiser steps"] == counts["rival"]["optimiser steps"] == (6 if "wgan" in name else 2)


@pytest.mark.parametrize("name", peers.RACES)
def test_both_sides_have_the_same_optimiser_settings(name, monkeypatch):
    race = peers.RACES[name]
    images = torch.rand(200, 1, race.size, race.size) * 2 - 1
    made = []

    def adam(parameters, lr, betas, **_):
        parameters = list(parameters)
        made.append((sum(p.numel() for p in parameters), lr, tuple(betas)))
        return torch.optim.SGD(parameters, lr)

    monkeypatch.setattr(torch.optim, "Adam", adam)
    race.rival(race.networks(), peers.from_memory(images), 1)
    theirs, made = sorted(made), []
    peers.play(race.game(race.networks()), images, 1)
    assert len(theirs) == 2
    assert sorted(made) == theirs


def test_torchgan_trains_without_leaving_a_trace(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pair = rivals.torchgan_networks()
    batches = peers.from_memory(torch.rand(200, 1, 32, 32) * 2 - 1)
    rivals.torchgan_dcgan(pair, batches, 2)
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().out == ""


def test_the_rival_of_the_race_pays_for_gradients_it_throws_away():
    race = peers.RACES["PyTorch-GAN wgan_gp"]
    images = torch.rand(200, 1, 28, 28) * 2 - 1
    mine = peers.operations(lambda pair: peers.play(race.game(pair), images, 1), race.networks)
    assert mine["matrix products"] < DEMANDED["PyTorch-GAN wgan_gp"]["matrix products"]


def test_the_interval_covers_the_median_and_shrinks_with_more_pairs():
    ratios = np.random.default_rng(0).normal(1.5, 0.1, 400)
    few, many = peers.interval(ratios[:20]), peers.interval(ratios)
    assert few[0] <= np.median(ratios[:20]) <= few[1]
    assert many[1] - many[0] < few[1] - few[0]
    assert peers.interval(np.full(5, 2.0)) == (2.0, 2.0)


def test_both_loadings_give_the_same_kind_of_batches():
    one = next(peers.from_pictures(32))
    other = next(peers.from_memory(peers.load(32)))
    assert one.shape == other.shape == (peers.BATCH, 1, 32, 32)
    for batch in (one, other):
        assert batch.min() >= -1
        assert batch.max() <= 1


WGAN, DCGAN, TORCHGAN = peers.RACES


@pytest.fixture
def raced(monkeypatch):
    """Races that are not run; the list of those that would have been."""
    names = []

    def race(name, loading, pairs, **where):
        if (name, loading) == (TORCHGAN, "own"):
            raise KeyboardInterrupt
        names.append((name, loading))
        return {"race": name, "loading": loading, "pairs": pairs, "run": len(names), **peers.circumstances("cpu")}

    monkeypatch.setattr(peers, "race", race)
    return names


def test_a_cut_run_keeps_what_was_finished_and_goes_on_from_there(raced, tmp_path):
    out = tmp_path / "races" / "peers.json"
    keys = [(WGAN, "memory"), (TORCHGAN, "own"), (DCGAN, "memory")]
    with pytest.raises(KeyboardInterrupt):
        peers.run(keys, 2, out)
    assert list(peers.finished(out)) == keys[:1]
    peers.run([keys[0], keys[2]], 2, out, resume=True)
    assert raced == [keys[0], keys[2]]
    assert list(peers.finished(out)) == [keys[0], keys[2]]


def test_some_races_replace_theirs_and_keep_the_others(raced, tmp_path):
    out = tmp_path / "peers.json"
    keys = [(WGAN, "memory"), (WGAN, "own"), (DCGAN, "memory")]
    peers.run(keys, 2, out)
    peers.run(keys[1:2], 2, out)
    assert [race["run"] for race in json.loads(out.read_text())["races"]] == [1, 4, 3]


@pytest.mark.parametrize("change", [{"pairs": 3}, {"device": "an abacus"}, {"versions": {}}])
def test_a_race_under_other_circumstances_is_run_anew(raced, tmp_path, change):
    out = tmp_path / "peers.json"
    peers.run([(WGAN, "memory")], 2, out)
    (race,) = peers.finished(out).values()
    out.write_text(json.dumps({"races": [race | change]}))
    peers.run([(WGAN, "memory")], 2, out, resume=True)
    assert len(raced) == 2


@pytest.mark.parametrize(("options", "message"), [("--pairs 0", "at least one pair"), ("--resume", "--out")])
def test_options_that_cannot_be_right_are_refused(monkeypatch, capsys, options, message):
    monkeypatch.setattr("sys.argv", ["peers", *options.split()])
    with pytest.raises(SystemExit):
        peers.main()
    assert message in capsys.readouterr().err

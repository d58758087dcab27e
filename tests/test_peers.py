"""The rivals of the race are what their description says, and the race counts and compares rightly."""

import itertools

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


@pytest.mark.parametrize("name", peers.RACES)
def test_a_round_of_either_has_the_same_steps_and_changes_both_networks(name):
    rival, make, game, size, _ = peers.RACES[name]
    images = torch.rand(200, 1, size, size) * 2 - 1
    batches = peers.from_memory(images)
    runs = {"rival": lambda pair: rival(pair, batches, 1), "ours": lambda pair: peers.play(game(pair), images, 1)}
    counts = {}
    for who, run in runs.items():
        pair = make()
        before = [[p.clone() for p in network.parameters()] for network in pair]
        counts[who] = peers.operations(lambda _, pair=pair, run=run: run(pair), lambda: None)
        for network, old in zip(pair, before, strict=True):
            assert any(not torch.equal(p, q) for p, q in zip(network.parameters(), old, strict=True))
    assert counts["ours"]["optimiser steps"] == counts["rival"]["optimiser steps"] == (6 if "wgan" in name else 2)


def test_the_rival_of_the_race_pays_for_gradients_it_throws_away():
    rival, make, game, _, _ = peers.RACES["PyTorch-GAN wgan_gp"]
    images = torch.rand(200, 1, 28, 28) * 2 - 1
    batches = peers.from_memory(images)
    theirs = peers.operations(lambda pair: rival(pair, batches, 1), make)
    mine = peers.operations(lambda pair: peers.play(game(pair), images, 1), make)
    assert mine["matrix products"] < theirs["matrix products"]


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

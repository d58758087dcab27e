"""Networks are tried when a game is made: what fails, even without a word, is an error that says who and what."""

import re

import pytest
import torch
from torch import nn

from gan_course import games, networks
from gan_course.checks import explained, one_of


class Speechless(nn.Module):
    """Fails without a message, as an assert in a student's network does."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, *x):
        raise AssertionError


def pair():
    return networks.JointDiscriminator(networks.mlp(5, [8]))


def wyner(**changes):
    sizes = {"common_size": 2, "u_size": 1, "v_size": 1}
    maps = {
        "x_decoder": networks.mlp(3, [4], 5),
        "y_decoder": networks.mlp(3, [4], 6),
        "joint_encoder": networks.JointDiscriminator(networks.mlp(11, [4], 2)),
        "x_encoder": networks.mlp(5, [4], 2),
        "y_encoder": networks.mlp(6, [4], 2),
        "u_encoder": networks.JointDiscriminator(networks.mlp(7, [4], 1)),
        "v_encoder": networks.JointDiscriminator(networks.mlp(8, [4], 1)),
    }
    return games.VariationalWyner(**{**maps, **changes}, **sizes)


CODES = networks.mlp(2, [4], 6), networks.mlp(3, [4], 2)
COUPLED = networks.couple([[nn.Linear(3, 4), nn.Linear(4, 2)] for _ in range(2)], first=1)
JUDGES = networks.couple([[nn.Linear(2, 4), nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))] for _ in range(2)], last=1)
MUTE = networks.couple([[nn.Identity(), Speechless()] for _ in range(2)], last=1)


@pytest.mark.parametrize(
    ("make", "who"),
    [
        (lambda: games.VAE(CODES[0], Speechless(), 3, "gaussian"), "the decoder cannot take codes of latent_size=3"),
        (lambda: games.VAE(Speechless(), CODES[1], 3, "gaussian"), "the encoder cannot take the samples of shape (2,)"),
        (
            lambda: games.ASVAE(*CODES, 3, "gaussian", Speechless(), pair()),
            "the encoder_ratio cannot score samples of shape (2,) with codes of latent_size=3",
        ),
        (lambda: games.VAEGAN(CODES[0], Speechless(), networks.mlp(2, [4]), 3), "the decoder cannot take codes"),
        (
            lambda: games.VAEGAN(*CODES, nn.Sequential(Speechless()), 3, layer="0"),
            "the discriminator cannot score samples",
        ),
        (lambda: games.BiGAN(Speechless(), CODES[1], pair(), latent_size=3), "the encoder cannot take samples"),
        (
            lambda: games.BiGAN(networks.mlp(2, [4], 3), CODES[1], Speechless(), latent_size=3),
            "the discriminator cannot score samples of shape (2,) beside (3,)",
        ),
        (lambda: games.CoGAN(COUPLED, MUTE, latent_size=3), "the discriminators cannot take the generators' images"),
        (
            lambda: games.JointGAN([Speechless(), Speechless()], nn.Identity(), [(2,), (2,)], latent_size=3),
            "generators[0] cannot take inputs of shapes (2, 3), (2, 2)",
        ),
        (
            lambda: games.Pix2Pix(Speechless(), Speechless(), [(1, 8, 8), (1, 8, 8)]),
            "the generator cannot take inputs of shape (1, 8, 8)",
        ),
        (lambda: wyner(x_encoder=Speechless()), "x_encoder cannot take samples and codes"),
        (lambda: wyner(x_features=Speechless()), "x_features cannot take samples of shape (5,)"),
        (lambda: wyner(ratio=lambda n: Speechless()), "made no network of"),
    ],
)
def test_a_network_that_fails_without_a_word_is_named(make, who):
    with pytest.raises(ValueError, match=f"{re.escape(who)}.*AssertionError"):
        make()


def test_of_a_long_error_the_first_line_is_told():
    with pytest.raises(ValueError, match=r"^it cannot: first, so do that$"), explained("it cannot", ", so do that"):
        raise RuntimeError("first\nsecond")


@pytest.mark.parametrize("given", ["c", "", None, 1, ["a"]])
def test_one_of_names_what_is_allowed(given):
    with pytest.raises(ValueError, match=re.escape(f"way={given!r} was given; choose one of a, b, or none")):
        one_of("way", given, {"a": 1, "b": 2}, ", or none")
    assert one_of("way", "b", iter("ab")) == "b"

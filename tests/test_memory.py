"""Training holds no more memory after many rounds than after a few."""

import torch

from benchmarks import scaling
from gan_course import games

ALLOWED = 5.0  # megabytes


class Hoarder(games.GAN):
    """Keeps ten kilobytes of every round."""

    def __init__(self, *networks):
        super().__init__(*networks, latent_size=1)
        self.hoard = []

    def generator_loss(self, real):
        self.hoard.append(torch.zeros(2_500))
        return super().generator_loss(real)


def hoarding_game():
    game = scaling.smallest_game()
    return Hoarder(game.generator, game.discriminator)


def growth(rows):
    """Megabytes from the second look to the highest; the first is before the first round."""
    assert rows[0]["rounds"] == 0
    return max(row["MB"] for row in rows[1:]) - rows[1]["MB"]


def test_20_000_rounds_hold_what_1_000_hold():
    rows = scaling.memory()
    assert [row["rounds"] for row in rows] == list(range(0, 21_000, 1_000))
    assert growth(rows) < ALLOWED


def test_a_game_that_hoards_is_found_out():
    assert growth(scaling.memory(2_000, 1_000, hoarding_game)) > ALLOWED

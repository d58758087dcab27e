"""The pictures: what they show is what was given, in the house style."""

import matplotlib

matplotlib.use("Agg")

import inspect
import io
import itertools
import math
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.quiver import Quiver
from torch import nn

from gan_course import games, plotting


@pytest.fixture(autouse=True)
def _close_figures():
    with plt.rc_context():
        yield
    plt.close("all")


def unchecked(function):
    """The function without the check of shapes that only tests put around it, which would answer first."""
    return inspect.unwrap(function)


class Linear(nn.Module):
    """d(x) = w·x + b with w = (2, -1), b = 0.5."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([[2.0, -1.0]]))
            self.layer.bias.fill_(0.5)

    def forward(self, x):
        return self.layer(x).squeeze(-1)


def linear_game(objective="non-saturating"):
    torch.manual_seed(0)
    return games.GAN(nn.Linear(3, 2), Linear(), objective=objective, latent_size=3)


@pytest.mark.parametrize(
    ("objective", "factor"),
    [
        ("non-saturating", lambda d: torch.sigmoid(-d)),
        ("minimax", lambda d: torch.sigmoid(d)),
        ("wgan-gp", torch.ones_like),
    ],
)
def test_pull_is_minus_the_gradient_of_each_sample(objective, factor):
    game, x = linear_game(objective), torch.randn(7, 2)
    expected = factor(game.discriminator(x).detach())[:, None] * torch.tensor([2.0, -1.0])
    torch.testing.assert_close(plotting.pull(game, torch.randn(3, 2), x), expected)


def test_pull_leaves_the_game_as_it_was():
    game = linear_game()
    game.train()
    plotting.pull(game, torch.randn(5, 2), torch.randn(5, 2))
    assert all(parameter.grad is None for parameter in game.parameters())
    assert all(module.training for module in game.modules())


def test_surface_is_the_probability_on_the_grid_upwards():
    values = plotting.surface(linear_game(), extent=2.0, side=5)
    # Row 4 is x2 = 2, column 1 is x1 = -1: d = -2 - 2 + 0.5.
    assert values[4, 1] == pytest.approx(1 / (1 + math.exp(3.5)), rel=1e-5)
    assert values[0, 4] == pytest.approx(1 / (1 + math.exp(-6.5)), rel=1e-5)


def test_plane_shows_both_samples_the_arrows_and_the_boundary():
    game, real, fake = linear_game(), torch.randn(50, 2), torch.randn(40, 2)
    ax = plotting.plane(game, real, fake, extent=2.0, arrows=12, title="The plane")
    (arrows,) = [artist for artist in ax.collections if isinstance(artist, Quiver)]
    assert arrows.N == 12
    np.testing.assert_allclose(arrows.XY, fake[:12].numpy(), rtol=1e-6)
    np.testing.assert_allclose(np.arctan2(arrows.V, arrows.U), math.atan2(-1, 2), rtol=1e-5)
    points = {c.get_label(): c for c in ax.collections if c.get_label() in ("real", "generated")}
    assert [to_hex(points[name].get_facecolor()[0]).upper() for name in ("real", "generated")] == [
        plotting.REAL,
        plotting.FAKE,
    ]
    np.testing.assert_allclose(points["generated"].get_offsets(), fake.numpy(), rtol=1e-6)
    assert ax.get_title(loc="left") == "The plane" or ax.get_title() == "The plane"
    assert ax.get_xlim() == (-2, 2)
    # The boundary is where d = 0: x2 = 2 x1 + 0.5.
    contours = [c for c in ax.collections if hasattr(c, "levels")]
    corners = np.concatenate([path.vertices for path in contours[0].get_paths()])
    np.testing.assert_allclose(corners[:, 1], 2 * corners[:, 0] + 0.5, atol=0.02)


def test_plane_refuses_what_is_not_in_the_plane():
    with pytest.raises(ValueError, match=r"fake must be points of the plane.*\(4, 3\)"):
        unchecked(plotting.plane)(linear_game(), torch.randn(5, 2), torch.randn(4, 3))
    with pytest.raises(ValueError, match="extent"):
        plotting.plane(linear_game(), torch.randn(5, 2), torch.randn(4, 2), extent=0.0)


def test_smoothing_by_hand():
    np.testing.assert_allclose(plotting.smooth([1.0, 3.0, 5.0], 0.5), [1, (0.5 + 3) / 1.5, (0.25 + 1.5 + 5) / 1.75])
    np.testing.assert_allclose(plotting.smooth([4.0] * 6, 0.9), 4.0)
    np.testing.assert_allclose(plotting.smooth([1.0, 7.0], 0.0), [1, 7])
    with pytest.raises(ValueError, match="below 1, not 1"):
        plotting.smooth([1.0], 1.0)


def history(**columns):
    return SimpleNamespace(frame=pd.DataFrame(columns, index=range(1, 5)))


def test_loss_curves_name_the_players_and_the_reference():
    record = history(
        **{"discriminator/adversarial": [1.0, 3, 5, 7], "generator/adversarial": [2.0] * 4, "k": [0.0] * 4}
    )
    ax = plotting.loss_curves(record, smoothing=0.5, reference={"log 4": math.log(4)})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["discriminator", "generator"]
    assert [text.get_text() for text in ax.texts] == ["log 4"]
    raw, smoothed = ax.lines[:2]
    assert raw.get_alpha() < 0.5
    np.testing.assert_allclose(raw.get_ydata(), [1, 3, 5, 7])
    np.testing.assert_allclose(smoothed.get_ydata(), plotting.smooth([1, 3, 5, 7], 0.5))
    assert ax.lines[-1].get_ydata()[0] == pytest.approx(math.log(4))
    assert ax.get_xlabel() == "round"


def test_loss_curves_tell_the_terms_of_one_player_apart_and_leave_gaps_out():
    record = history(**{"critic/adversarial": [1.0, float("nan"), 3, 4], "critic/penalty": [0.0] * 4})
    ax = plotting.loss_curves(record)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["critic: adversarial", "critic: penalty"]
    assert len({line.get_color() for line in ax.lines}) == 2
    assert list(ax.lines[0].get_xdata()) == [1, 3, 4]


def test_loss_curves_refuse_terms_that_nobody_recorded():
    with pytest.raises(ValueError, match=r"\['generator/x'\].*generator/adversarial"):
        plotting.loss_curves(history(**{"generator/adversarial": [1.0] * 4}), terms=["generator/x"])


def test_image_grid_puts_every_image_in_its_place():
    images = torch.arange(5.0).div(5).reshape(5, 1, 1, 1).expand(5, 1, 3, 4)
    picture = plotting.image_grid(images, columns=2).images[0].get_array()
    assert picture.shape == (3 * 4 - 1, 2 * 5 - 1)
    assert picture[0, 0] == 0
    assert picture[4, 5] == pytest.approx(0.6)
    assert picture[8, 5] == 1  # the place of the sixth stays empty


def test_image_grid_shows_colour_and_refuses_flat_images():
    assert plotting.image_grid(torch.rand(2, 3, 4, 4)).images[0].get_array().shape == (4, 9, 3)
    for wrong in (torch.rand(5, 64), torch.rand(0, 1, 8, 8), torch.rand(2, 2, 4, 4)):
        with pytest.raises(ValueError, match="shape"):
            unchecked(plotting.image_grid)(wrong)
    with pytest.raises(ValueError, match="columns"):
        plotting.image_grid(torch.rand(2, 1, 4, 4), columns=0)


def test_image_rows_carry_their_names():
    ax = plotting.image_rows({"real": torch.zeros(3, 1, 4, 4), "generated": torch.ones(2, 1, 4, 4)})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["real", "generated"]
    assert ax.images[0].get_array().shape == (9, 9)
    with pytest.raises(ValueError, match="one shape"):
        plotting.image_rows({"a": torch.zeros(3, 1, 4, 4), "b": torch.zeros(3, 1, 5, 5)})


def test_bars_stand_side_by_side_in_house_colours():
    ax = plotting.bars({"real": [0.5, 0.5], "generated": [0.9, 0.1]}, labels=["a", "b"], reference={"uniform": 0.5})
    assert [round(bar.get_height(), 6) for bar in ax.patches] == [0.5, 0.5, 0.9, 0.1]
    assert [to_hex(bar.get_facecolor()).upper() for bar in ax.patches[1:3]] == [plotting.REAL, plotting.FAKE]
    edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(edges))
    with pytest.raises(ValueError, match=r"\[1, 2\]"):
        plotting.bars({"a": [1.0], "b": [1.0, 2.0]})


def test_histogram_is_a_density_and_lines_keep_their_values():
    ax = plotting.histogram({"real": torch.randn(500)}, bins=20)
    assert sum(bar.get_height() * bar.get_width() for bar in ax.patches) == pytest.approx(1)
    ax = plotting.lines([0, 1], {"q": [2.0, 3.0]})
    assert list(ax.lines[0].get_ydata()) == [2, 3]


def test_every_picture_draws_where_it_is_told_and_stays_small():
    plotting.style()
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    assert plotting.plane(linear_game(), torch.randn(3000, 2), 500, ax=axes[0]) is axes[0]
    assert plotting.image_grid(torch.rand(64, 1, 28, 28), ax=axes[1]) is axes[1]
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert len(file.getvalue()) < 300_000
    assert to_hex(figure.get_facecolor()) == "#ffffff"  # opaque, also on a dark page

"""The consistency term against its expectation on critics whose dropout is known."""

import warnings

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import games, networks, objectives
from gan_course.errors import ConstraintWarning
from gan_course.objectives.penalties import ConsistencyPenalty, GradientPenalty

P = 0.3


class Critic(nn.Module):
    """d(x) = w · h with features h = dropout(x)."""

    def __init__(self, w):
        super().__init__()
        self.dropout, self.w = nn.Dropout(P), w

    def features_and_scores(self, x):
        h = self.dropout(x.flatten(1))
        return h, h @ self.w

    def forward(self, x):
        return self.features_and_scores(x)[1]


W = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
X = torch.tensor([[1.0, 2.0, -1.0]], dtype=torch.float64)


def test_the_expectation_on_a_linear_critic():
    """A dropped unit is 0 or x/(1-p): two passes differ by 2 Var, w·x weighing the scores and 1/m the features."""
    torch.manual_seed(0)
    many = X.expand(400_000, 3)
    variance = X.square()[0] * P / (1 - P)
    scores, features = 2 * (W.square() * variance).sum(), 2 * variance.mean()
    plain = ConsistencyPenalty(1.0, features=0.0)(Critic(W), many)
    both = ConsistencyPenalty(2.0)(Critic(W), many)
    assert plain.item() == pytest.approx(scores.item(), rel=0.01)
    assert both.item() == pytest.approx(2 * (scores + 0.1 * features).item(), rel=0.01)


@pytest.mark.parametrize("margin", [0.0, 3.0])
def test_every_number_of_a_batch(margin):
    real = torch.randn(50, 3, dtype=torch.float64)
    torch.manual_seed(1)
    (h1, d1), (h2, d2) = (Critic(W).features_and_scores(real) for _ in range(2))
    each = (d1 - d2) ** 2 + 0.1 * ((h1 - h2) ** 2).mean(1) - margin
    torch.manual_seed(1)
    found = ConsistencyPenalty(2.0, margin)(Critic(W), real)
    assert_close(found, 2 * each.clamp(min=0).mean())
    assert (each < 0).any() == (margin > 0)  # the maximum is taken for each sample, not of the mean


def test_both_passes_are_of_real_samples_and_learn():
    torch.manual_seed(0)
    critic = networks.mlp(2, [8], activation=lambda: nn.Sequential(nn.ReLU(), nn.Dropout(0.5)))
    seen = []
    critic.layers[0].register_forward_hook(lambda layer, given, out: seen.append(given[0]))
    real = torch.randn(6, 2)
    ConsistencyPenalty()(critic, real, torch.full((6, 2), torch.nan)).backward()
    assert [torch.equal(x, real) for x in seen] == [True, True]
    assert critic.layers[0].weight.grad.abs().sum() > 0


def test_scores_alone_where_the_scorer_shows_no_features():
    torch.manual_seed(0)
    critic, real = Critic(W), torch.randn(9, 3, dtype=torch.float64)
    torch.manual_seed(1)
    alone = ConsistencyPenalty()(lambda x: critic(x), real)
    torch.manual_seed(1)
    assert_close(alone, ConsistencyPenalty(features=0.0)(critic, real))


@pytest.mark.parametrize("network", [networks.mlp(12, [5]), networks.dcgan(8, 3, 2, 4, normalise=False)[1]])
def test_the_features_of_our_networks_are_what_the_last_layer_is_given(network):
    x = torch.rand(4, 3, 8, 8) if hasattr(network, "end") else torch.rand(4, 12)
    last = network.end if hasattr(network, "end") else network.layers[-1]
    features, scores = network.features_and_scores(x)
    assert_close(scores, last(features).squeeze(1))
    assert_close(scores, network(x))


def test_it_composes_with_gradient_penalty_and_objective():
    terms = objectives.wasserstein.Wasserstein([GradientPenalty(), ConsistencyPenalty()]).for_discriminator(
        Critic(W), X, X + 1
    )
    assert list(terms) == ["adversarial", "gradient penalty", "consistency"]


def game(discriminator, objective):
    return games.GAN(networks.mlp(2, [4], 2), discriminator, objective, latent_size=2)


def warned(call) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    assert all(warning.category is ConstraintWarning for warning in found)
    return [str(warning.message) for warning in found]


def with_dropout(p):
    return networks.mlp(2, [4], activation=lambda: nn.Sequential(nn.ReLU(), nn.Dropout(p)))


def test_a_critic_without_dropout_is_warned_of():
    objective = objectives.get("hinge", penalties=[ConsistencyPenalty()])
    (text,) = warned(lambda: game(networks.mlp(2, [4]), objective))
    assert "no dropout" in text
    assert "Put nn.Dropout" in text
    assert len(warned(lambda: game(with_dropout(0.0), objective))) == 1
    assert warned(lambda: game(with_dropout(0.1), objective)) == []
    x = torch.randn(5, 2)
    assert ConsistencyPenalty()(networks.mlp(2, [4]), x).item() == 0


@pytest.mark.parametrize("name", ["wgan-gp", "dragan"])
def test_batch_normalisation_is_warned_of_with_the_layers_name(name):
    normalised = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1), nn.Flatten(0))
    (text,) = warned(lambda: game(normalised, name))
    assert "discriminator's 1:" in text
    assert "normalise=False" in text
    (text,) = warned(lambda: game(networks.dcgan(28, 1, 2, 2)[1], name))
    assert "descent.3" in text
    for free in (nn.LayerNorm(4), nn.GroupNorm(2, 4)):
        layers = nn.Sequential(nn.Linear(2, 4), free, nn.ReLU(), nn.Linear(4, 1), nn.Flatten(0))
        assert warned(lambda layers=layers: game(layers, name)) == []
    assert warned(lambda: game(normalised, "hinge")) == []


def test_batch_normalisation_does_mix_the_slopes():
    """What the warning says: another sample of the batch changes the slope of this one."""
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1), nn.Flatten(0)).double()
    plain = nn.Sequential(*[part for part in critic if not isinstance(part, nn.BatchNorm1d)])
    x = torch.randn(6, 2, dtype=torch.float64)
    other = x.clone()
    other[5] += 3
    for scorer, same in ((plain, True), (critic, False)):
        first, second = (objectives.penalties.gradient_norms(scorer, batch)[0] for batch in (x, other))
        assert torch.isclose(first, second, rtol=1e-6) == same


@pytest.mark.parametrize("setting", ["weight", "margin", "features"])
def test_bad_settings(setting):
    for value in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"{setting}="):
            ConsistencyPenalty(**{setting: value})
    with pytest.raises(ValueError, match="real must be a tensor"):
        ConsistencyPenalty()(Critic(W), torch.zeros(0, 3))
    with pytest.raises(ValueError, match="one score per sample"):
        ConsistencyPenalty()(lambda x: x, torch.zeros(4, 3))

"""The gradient penalty against its exact value on critics whose slope is known."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import objectives
from gan_course.objectives.penalties import DraganPenalty, GradientPenalty, gradient_norms


def linear(w):
    return lambda x: x.flatten(1) @ w


@pytest.mark.parametrize("norm", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("n", [1, 64])
def test_linear_critic(norm, n):
    """(|w| - 1)² exactly, whatever the batch: one norm over the whole batch would charge 49 at norm 1, n = 64."""
    w = torch.randn(12, dtype=torch.float64)
    w = norm * w / w.norm()
    real, fake = torch.randn(2, n, 3, 2, 2, dtype=torch.float64)
    assert_close(GradientPenalty(10.0)(linear(w), real, fake), torch.tensor(10 * (norm - 1) ** 2, dtype=torch.float64))


@pytest.mark.parametrize("norm", [0.0, 0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_to_five_places_in_either_precision(norm, dtype):
    """Penalties of weight 10 on ten thousand coordinates; 1e-4 inside the root, as one finds it, would be seen."""
    torch.manual_seed(0)
    w = torch.randn(10_000, dtype=torch.float64)
    scorer = linear((norm * w / w.norm()).to(dtype))
    real, fake = torch.randn(2, 4, 10_000, dtype=dtype)
    for penalty in (GradientPenalty(10.0), DraganPenalty(10.0)):
        assert abs(penalty(scorer, real, fake).item() - 10 * (norm - 1) ** 2) < 1e-5
    one_sided = GradientPenalty(10.0, one_sided=True)(scorer, real, fake)
    assert abs(one_sided.item() - 10 * max(0.0, norm - 1) ** 2) < 1e-5
    spoilt = 10 * ((norm**2 + 1e-4) ** 0.5 - 1) ** 2
    assert norm == 1.0 or abs(spoilt - 10 * (norm - 1) ** 2) > 1e-4


def test_norm_runs_over_all_coordinates_of_a_sample():
    """A norm over channels only would give 1 per pixel, and a penalty of 0."""
    x = torch.randn(5, 1, 3, 3, dtype=torch.float64)
    assert_close(gradient_norms(lambda x: x.flatten(1).sum(1), x), torch.full((5,), 3.0, dtype=torch.float64))


def test_constant_critic_costs_its_weight_and_has_a_finite_gradient():
    w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    real, fake = torch.randn(2, 8, 2, dtype=torch.float64)
    penalty = GradientPenalty(10.0)(linear(w), real, fake)
    penalty.backward()
    assert penalty.item() == pytest.approx(10.0)
    assert w.grad.isfinite().all()


def test_points_lie_between_real_and_fake_one_alpha_per_sample():
    seen = []

    def scorer(x):
        seen.append(x.detach().clone())
        return x.flatten(1).sum(1)

    real, fake = torch.zeros(200, 2, 3), torch.ones(200, 2, 3)
    GradientPenalty()(scorer, real, fake)
    alphas = seen[0]
    assert (alphas == alphas[:, :1, :1]).all()  # the same within a sample
    assert alphas[:, 0, 0].unique().numel() > 150  # another in every sample
    assert 0 <= alphas.min() < 0.1
    assert 0.9 < alphas.max() <= 1


def test_gradient_reaches_the_critic_by_finite_differences():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0)).double()
    real, fake = torch.randn(2, 6, 2, dtype=torch.float64)

    def penalty(w):
        torch.manual_seed(1)
        scorer = lambda x: torch.func.functional_call(critic, {"0.weight": w}, x)  # noqa: E731
        return GradientPenalty(2.0)(scorer, real, fake)

    assert torch.autograd.gradcheck(penalty, critic[0].weight.detach().requires_grad_(True))


def test_compiled_path_gives_the_same():
    critic = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0)).double()
    x = torch.randn(6, 2, dtype=torch.float64)
    compiled = torch.compile(lambda x: gradient_norms(critic, x), backend="eager")
    assert_close(compiled(x), gradient_norms(critic, x))


def test_without_gradient_recording_it_still_measures():
    with torch.no_grad():
        norms = gradient_norms(linear(torch.tensor([3.0, 4.0])), torch.randn(4, 2))
    assert_close(norms, torch.full((4,), 5.0))
    assert not norms.requires_grad


def test_terms_are_named_and_composed():
    real, fake = torch.randn(2, 8, 2)
    terms = objectives.get("wgan-gp").for_discriminator(linear(torch.tensor([3.0, 4.0])), real, fake)
    assert set(terms) == {"adversarial", "gradient penalty"}
    assert terms["gradient penalty"].item() == pytest.approx(160, rel=1e-5)
    any_objective = objectives.get("non-saturating")
    any_objective.penalties = (GradientPenalty(1.0),)
    assert any_objective.for_discriminator(linear(torch.ones(2)), real, fake)["gradient penalty"].item() > 0


def test_bad_input():
    with pytest.raises(ValueError, match=r"weight=.* was given; it must be a finite number of at least 0"):
        GradientPenalty(-1.0)
    with pytest.raises(ValueError, match=r"weight=.* was given; it must be a finite number of at least 0"):
        GradientPenalty(float("nan"))
    with pytest.raises(ValueError, match="make both batches of one shape"):
        GradientPenalty()(linear(torch.ones(2)), torch.zeros(4, 2), torch.zeros(5, 2))

"""Least squares, hinge, clipping and the penalties on slopes, against what is known of them."""

import math

import pytest
import torch
from separating import P, Q, spread
from torch import nn
from torch.testing import assert_close

from gan_course import networks, objectives
from gan_course.objectives import energy
from gan_course.objectives.penalties import DraganPenalty, GradientPenalty, ZeroCentredPenalty


def best_by_descent(objective, start):
    """The scores that minimise the discriminator's loss, and the loss."""
    scores = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([scores], max_iter=300, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = objective.discriminator_loss(*spread(scores))
        value.backward()
        return value

    optimizer.step(loss)
    return scores.detach(), loss().detach()


def linear(w):
    return lambda x: x.flatten(1) @ w


# Least squares


@pytest.mark.parametrize("codes", [(-1, 1, 0), (0, 1, 1), (-2, 0.5, 0.25)])
def test_the_best_scores_of_least_squares(codes):
    a, b, c = codes
    scores, _ = best_by_descent(objectives.get("least-squares", a=a, b=b, c=c), torch.zeros(4, dtype=torch.float64))
    assert_close(scores, (b * P + a * Q) / (P + Q), atol=1e-7, rtol=1e-7)


def test_the_generators_least_squares_are_a_chi_square_for_some_codes():
    """With b - c = 1 and b - a = 2; the codes (0, 1, 1) give another number."""
    chi = ((P - Q) ** 2 / (P + Q)).sum()

    def twice(a, b, c):
        best = (b * P + a * Q) / (P + Q)
        objective = objectives.get("least-squares", a=a, b=b, c=c)
        return 2 * sum(objective.generator_loss(scores) for scores in spread(best))

    assert_close(twice(-1, 1, 0), chi)
    assert_close(twice(0, 2, 1), chi)
    assert not torch.isclose(twice(0, 1, 1), chi)


def test_least_squares_of_equal_laws():
    half = torch.full((6,), 0.5)
    objective = objectives.get("least-squares")
    assert objective.discriminator_loss(half, half).item() == pytest.approx(0.25)
    assert objective.generator_loss(half).item() == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (dict(a=1, b=0), "must lie above a"),
        (dict(a=0, b=1, c=0), "must lie above a"),
        (dict(c=math.nan), "c=nan was given"),
        (dict(b=True), "b=True was given"),
    ],
)
def test_codes_that_cannot_be_are_refused(codes, words):
    with pytest.raises(ValueError, match=words):
        objectives.get("least-squares", **codes)


# Hinge


def test_the_best_hinge_loss_is_two_minus_twice_the_total_variation():
    objective = objectives.get("hinge")
    best = (P - Q).sign()
    total_variation = (P - Q).abs().sum() / 2
    loss = objective.discriminator_loss(*spread(best))
    assert_close(loss, 2 - 2 * total_variation)
    for _ in range(200):
        other = objective.discriminator_loss(*spread(3 * torch.randn(4, dtype=torch.float64)))
        assert other >= loss - 1e-12
    zero = torch.zeros(5)
    assert objective.discriminator_loss(zero, zero).item() == 2


def test_the_hinge_generator_has_no_margin():
    """A hinge on the generator's side, a usual slip, would leave good fakes without a slope."""
    scores = torch.tensor([-5.0, 0.0, 5.0], requires_grad=True)
    (slope,) = torch.autograd.grad(objectives.get("hinge").generator_loss(scores), scores)
    assert_close(slope, torch.full((3,), -1 / 3))


# Relativistic


def test_relativistic_losses_are_logarithms_of_compared_probabilities():
    real, fake = torch.randn(2, 9, dtype=torch.float64)
    paired, average = objectives.get("relativistic"), objectives.get("relativistic", average=True)
    assert_close(paired.discriminator_loss(real, fake), -(real - fake).sigmoid().log().mean())
    assert_close(paired.generator_loss(fake, real), -(fake - real).sigmoid().log().mean())
    above, below = (real - fake.mean()).sigmoid(), (fake - real.mean()).sigmoid()
    assert_close(average.discriminator_loss(real, fake), -above.log().mean() - (1 - below).log().mean())
    assert_close(average.generator_loss(fake, real), -(1 - above).log().mean() - below.log().mean())
    zero = torch.zeros(4)
    assert paired.discriminator_loss(zero, zero).item() == pytest.approx(math.log(2))
    assert average.discriminator_loss(zero, zero).item() == pytest.approx(math.log(4))


@pytest.mark.parametrize("average", [False, True])
def test_a_shift_of_all_scores_is_nothing_to_a_relativistic_game(average):
    real, fake = torch.randn(2, 9, dtype=torch.float64)
    objective = objectives.get("relativistic", average=average)
    assert_close(objective.discriminator_loss(real + 5, fake + 5), objective.discriminator_loss(real, fake))
    assert_close(objective.generator_loss(fake + 5, real + 5), objective.generator_loss(fake, real))


def test_the_relativistic_generator_sees_real_samples():
    real, fake = torch.randn(2, 6, 2)
    scorer = lambda x: x.sum(1)  # noqa: E731
    terms = objectives.get("relativistic").for_generator(scorer, real, fake)
    assert_close(terms["adversarial"], nn.functional.softplus(scorer(real) - scorer(fake)).mean())
    with pytest.raises(ValueError, match="real_scores is None"):
        objectives.get("relativistic").generator_loss(fake[:, 0])
    with pytest.raises(ValueError, match="pair by pair: got scores"):
        objectives.get("relativistic").for_discriminator(scorer, real, fake[:3])
    objectives.get("relativistic", average=True).for_discriminator(scorer, real, fake[:3])


# Energies


def test_the_best_energies():
    """0 where real samples are the more frequent, the margin elsewhere; no others cost less."""
    objective, margin = objectives.get("ebgan", margin=3.0), 3.0
    best = -margin * (P < Q).double()
    loss = objective.discriminator_loss(*spread(best))
    assert_close(loss, margin * (1 - (P - Q).abs().sum() / 2))
    for _ in range(200):
        assert objective.discriminator_loss(*spread(-5 * torch.rand(4, dtype=torch.float64))) >= loss - 1e-12


@pytest.mark.parametrize(
    ("codes", "value"),
    [
        (torch.eye(8), 0.0),
        (torch.ones(8, 8), 1.0),
        (torch.tensor([[1.0, 2.0], [-2.0, -4.0]]), 1.0),
        (torch.tensor([[1.0, 0.0], [1.0, 1.0]]), 0.5),
        (torch.zeros(3, 2), 0.0),
    ],
)
def test_pulling_away(codes, value):
    assert energy.pulling_away(codes).item() == pytest.approx(value, abs=1e-6)
    codes.requires_grad_()
    (slope,) = torch.autograd.grad(energy.pulling_away(codes), codes)
    assert slope.isfinite().all()


def test_a_single_code_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        energy.pulling_away(torch.ones(1, 8))


def test_an_auto_encoder_as_discriminator():
    torch.manual_seed(0)
    network = networks.Reconstruction(networks.mlp(6, [5], 3), networks.mlp(3, [5], 6))
    x = torch.randn(7, 6)
    assert_close(network(x), -(network.decoder(network.encoder(x)) - x).norm(dim=1))
    assert (network(x) <= 0).all()
    objective = objectives.get("ebgan", pulling_away=0.1)
    terms = objective.for_generator(network, x, x)
    assert_close(terms["pulling away"], 0.1 * energy.pulling_away(network.encoder(x)))
    assert list(objectives.get("ebgan").for_generator(network, x, x)) == ["adversarial"]
    with pytest.raises(ValueError, match="no method codes"):
        objective.for_generator(lambda x: x.sum(1), x, x)
    exact = networks.Reconstruction(nn.Identity(), nn.Identity())  # energy 0, and a slope of 0 rather than NaN
    x.requires_grad_()
    assert_close(torch.autograd.grad(exact(x).sum(), x)[0], torch.zeros_like(x))


# Loss-sensitive


def test_the_loss_sensitive_game_runs_to_the_wasserstein_game():
    real, fake = torch.randn(2, 9, 4, dtype=torch.float64)
    scorer = linear(torch.randn(4, dtype=torch.float64))
    margins = 0.5 * (real - fake).abs().sum(1)
    wasserstein = objectives.get("wgan").for_discriminator(scorer, real, fake)["adversarial"]

    def loss(**settings):
        objective = objectives.get("loss-sensitive", distance=0.5, **settings)
        return objective.for_discriminator(scorer, real, fake)["adversarial"]

    assert_close(loss(slope=1.0), margins.mean() + wasserstein)
    excess = margins - scorer(real) + scorer(fake)
    assert_close(loss(), excess.clamp(min=0).mean())
    assert_close(loss(slope=0.3), torch.maximum(excess, 0.3 * excess).mean())
    assert_close(loss(data=2.0), loss() - 2 * scorer(real).mean())
    assert_close(objectives.get("loss-sensitive").generator_loss(scorer(fake)), -scorer(fake).mean())


def test_a_margin_that_is_kept_costs_nothing():
    objective = objectives.get("loss-sensitive", distance=1.0)
    real, fake = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    assert objective.for_discriminator(lambda x: x[:, 0], real, fake)["adversarial"].item() == 0
    assert objective.for_discriminator(lambda x: x[:, 0] / 2, real, fake)["adversarial"].item() == 1.5


# Clipping


def test_every_weight_is_clipped_after_a_step():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    before = [weight.detach().clone() for weight in critic.parameters()]
    objectives.get("wgan", clip=0.25).constrain(critic)
    for weight, old in zip(critic.parameters(), before, strict=True):
        assert torch.equal(weight, old.clamp(-0.25, 0.25))
    assert any((old.abs() > 0.25).any() for old in before)


@pytest.mark.parametrize("clip", [0.0, -1.0, math.inf])
def test_clipping_at_no_positive_number_is_refused(clip):
    with pytest.raises(ValueError, match="clip="):
        objectives.get("wgan", clip=clip)


# Penalties


def unit(norm):
    w = torch.randn(12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return norm * w / w.norm()


@pytest.mark.parametrize(("norm", "two", "one", "slide"), [(0.5, 0.25, 0, 0), (3.0, 4, 4, 2), (1.0, 0, 0, 0)])
def test_one_side_is_squared_too(norm, two, one, slide):
    """The slides' one-sided penalty is not squared (see test_errata.py)."""
    real, fake = torch.randn(2, 8, 3, 2, 2, dtype=torch.float64)
    for one_sided, expected in ((False, two), (True, one)):
        found = GradientPenalty(1.0, one_sided)(linear(unit(norm)), real, fake)
        assert found.item() == pytest.approx(expected, abs=1e-12)
    assert max(0.0, norm - 1) == slide


@pytest.mark.parametrize("norm", [0.0, 0.5, 3.0])
def test_linear_critics_cost_what_they_should(norm):
    real = torch.randn(9, 3, 2, 2, dtype=torch.float64)
    scorer = linear(unit(norm))
    assert DraganPenalty(10.0)(scorer, real).item() == pytest.approx(10 * (norm - 1) ** 2, abs=1e-10)
    assert ZeroCentredPenalty(10.0)(scorer, real).item() == pytest.approx(5 * norm**2, abs=1e-10)


@pytest.mark.parametrize("penalty", [DraganPenalty(), ZeroCentredPenalty()])
def test_fakes_play_no_part(penalty):
    real, curved = torch.randn(9, 4), lambda x: x.square().sum(1)
    found = []
    for fake in (torch.zeros(9, 4), torch.full((2, 3), torch.nan), None):
        torch.manual_seed(0)
        found.append(penalty(curved, real, fake).item())
    assert found[0] == found[1] == found[2]


def test_where_dragan_looks():
    """Between a real sample and that sample plus noise from 0 to half a standard deviation of the whole batch."""
    seen = []

    def scorer(x):
        seen.append(x.detach().clone())
        return x.flatten(1).sum(1)

    real = 3 * torch.randn(4000, 2, 3)
    DraganPenalty()(scorer, real)
    shift, half = seen[0] - real, real.std(correction=0) / 2
    assert (shift >= 0).all()
    assert 0.95 * half < shift.max() <= half
    assert shift.mean().item() == pytest.approx(half.item() / 4, rel=0.05)
    share = shift / half  # one alpha for all coordinates of a sample ties them together
    assert torch.corrcoef(share.flatten(1).T)[0, 1] > 0.3


def test_r1_is_a_mean_over_samples_of_squares_over_coordinates():
    x = torch.tensor([[1.0, 2.0], [3.0, 0.0]], dtype=torch.float64)
    assert ZeroCentredPenalty(2.0)(lambda x: x.square().sum(1), x).item() == pytest.approx((4 * 5 + 4 * 9) / 2)


@pytest.mark.parametrize("name", objectives.names())
def test_penalties_compose_with_any_objective(name):
    own = {penalty.name for penalty in objectives.get(name).penalties}
    penalties = [p for p in (GradientPenalty(1.0), DraganPenalty(2.0), ZeroCentredPenalty(3.0)) if p.name not in own]
    x = torch.randn(6, 2)
    terms = objectives.get(name, penalties=penalties).for_discriminator(lambda x: x.sum(1), x, x + 1)
    assert set(terms) == {"adversarial", "gradient penalty", "DRAGAN penalty", "R1"}
    assert terms["R1"].item() == pytest.approx(3.0)
    with pytest.raises(ValueError, match="R1 stands twice"):
        objectives.get(name, penalties=[*penalties, ZeroCentredPenalty()])


@pytest.mark.parametrize("penalties", [[GradientPenalty], ["R1"], [lambda scorer, real, fake: 0]])
def test_what_is_no_penalty_is_refused(penalties):
    with pytest.raises(ValueError, match="it must be a list of penalties, such as"):
        objectives.get("hinge", penalties=penalties)


def test_dragan_is_the_non_saturating_game_with_its_penalty():
    """Not the saturating one, as the slides have it (see test_errata.py)."""
    real, fake = torch.randn(2, 7)
    ours, saving = objectives.get("dragan", weight=3.0), objectives.get("non-saturating")
    assert ours.penalties[0].weight == 3.0
    assert_close(ours.discriminator_loss(real, fake), saving.discriminator_loss(real, fake))
    assert_close(ours.generator_loss(fake), saving.generator_loss(fake))


def test_bounds_of_the_slope_by_spectral_normalisation():
    """torch's parametrisation, after enough power iterations, divides by the largest singular value."""
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(20, 30), n_power_iterations=20)
    for _ in range(20):
        layer(torch.randn(2, 20))
    top = torch.linalg.svdvals(layer.parametrizations.weight.original)[0]
    layer.eval()
    assert_close(layer.weight, layer.parametrizations.weight.original / top, rtol=1e-4, atol=1e-6)
    assert torch.linalg.svdvals(layer.weight)[0].item() == pytest.approx(1, abs=1e-4)

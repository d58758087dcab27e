"""Objectives, penalties and likelihoods, given anything: finite terms and slopes, or a refusal.

Promised for for_discriminator and for_generator: from finite scores up to 1e6 in magnitude (in half precision all that
there are), finite terms with finite gradients. For the formulas, which check nothing: from finite floats up to 1e30,
never NaN. For the games of f-divergences, whose formulas are exponentials: both from scores up to 50.
"""

import math

import fuzzing
import pytest
import torch
from fuzzing import HALF, NOT_TENSORS, REAL, answer, anything, finite, tensors
from hypothesis import given
from hypothesis import strategies as st

from gan_course import objectives
from gan_course.objectives import joint_softmax, likelihood, penalties

NAMES = objectives.names()


def rows(x: torch.Tensor) -> torch.Tensor:
    """Each sample as one row, of however many coordinates."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


SCORERS = {
    "sum": lambda x: rows(x).sum(1),
    "column": lambda x: rows(x).sum(1, keepdim=True),
    "patches": lambda x: rows(x).sum(1)[:, None, None, None].expand(-1, 1, 2, 2),
    "no patches": lambda x: rows(x).sum(1)[:, None, None, None].expand(-1, 1, 0, 2),
    "square": lambda x: rows(x).square().sum(1),
    "root": lambda x: rows(x).float().abs().add(1e-6).sqrt().sum(1),
    "constant": lambda x: torch.zeros(len(x)),
    "detached": lambda x: rows(x.detach()).sum(1),
    "learned constant": lambda x: torch.nn.Parameter(torch.ones(len(x))),
    "one number": lambda x: x.sum(),
    "whole numbers": lambda x: torch.ones(len(x), dtype=torch.long),
    "complex": lambda x: torch.ones(len(x), dtype=torch.complex64),
    "a list": lambda x: [0.0] * len(x),
    "nothing": lambda x: None,
}
EXPONENTIAL = 50.0
ARGUMENTS = ("real", "fake", "scores", "weight", "std", "objective")


def slopes(terms, *inputs) -> list:
    """The gradients of the sum of the terms with respect to the inputs."""
    total = sum(terms.values())
    if not terms or not total.requires_grad:
        return []
    return [g for g in torch.autograd.grad(total, inputs, allow_unused=True) if g is not None]


@given(st.sampled_from(NAMES), st.sampled_from(sorted(SCORERS)), anything(), anything())
def test_any_batches(name, scorer, real, fake):
    objective, scorer = objectives.get(name), SCORERS[scorer]
    for call in (objective.for_discriminator, objective.for_generator):
        terms = answer(ARGUMENTS, call, scorer, real, fake)
        if terms is not None and finite(real, fake) and finite(*(scores := [scorer(real), scorer(fake)])):
            small = not name.startswith("f-gan/") or max(s.abs().max() for s in scores) <= EXPONENTIAL
            assert not small or not any(term.isnan() for term in terms.values())


@given(
    st.sampled_from(NAMES),
    st.sampled_from(["sum", "patches", "square"]),
    st.sampled_from((*HALF, *REAL)),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.data(),
)
def test_finite_scores_give_finite_terms_and_slopes(name, scorer, dtype, shape, data):
    largest = 1e6 if scorer != "square" else 1e3
    most = EXPONENTIAL if name.startswith("f-gan/") else torch.finfo(dtype).max
    largest = min(largest, (most / 700) ** (1 if scorer != "square" else 0.5))
    real, fake = (data.draw(tensors([dtype], shape, largest)).requires_grad_(True) for _ in range(2))
    objective = objectives.get(name)
    for call in (objective.for_discriminator, objective.for_generator):
        terms = call(SCORERS[scorer], real, fake)
        assert all(term.shape == () and finite(term) for term in terms.values()), terms
        assert all(term.dtype in REAL for term in terms.values())
        assert finite(*slopes(terms, real, fake))


@given(st.sampled_from(NAMES), st.data())
def test_formulas_never_turn_finite_scores_into_nan(name, data):
    largest = EXPONENTIAL if name.startswith("f-gan/") else 1e30
    real_scores, fake_scores = (data.draw(tensors((*HALF, *REAL), largest=largest)) for _ in range(2))
    objective = objectives.get(name)
    real_scores, fake_scores = real_scores.requires_grad_(True), fake_scores.requires_grad_(True)
    if not real_scores.numel() or not fake_scores.numel():
        return  # for_discriminator and for_generator refuse them, see above
    terms = {
        "discriminator": answer(("scores",), objective.discriminator_loss, real_scores, fake_scores),
        "generator": answer(("scores",), objective.generator_loss, fake_scores, real_scores),
    }
    terms = {player: term for player, term in terms.items() if term is not None}
    assert terms or name == "relativistic"
    assert not any(term.isnan() for term in terms.values())
    assert not any(slope.isnan().any() for slope in slopes(terms, real_scores, fake_scores))


@given(st.sampled_from(NAMES), st.sampled_from([dict(), dict(weight=1.0), dict(wait=1.0)]), fuzzing.SETTINGS)
def test_any_settings(name, settings, value):
    settings = {key: value for key in settings}
    objective = answer(("setting", *settings), objectives.get, name, **settings)
    x = torch.ones(3, 2)
    if objective is not None:
        assert finite(*objective.for_discriminator(SCORERS["sum"], x, -x).values())


@given(fuzzing.SETTINGS)
def test_any_name(name):
    assert answer(("objective",), objectives.get, name) is None


@given(tensors(REAL, dims=(1, 4), sizes=(1, 4), largest=1e6), st.sampled_from(["sum", "square"]))
def test_gradient_norms(points, scorer):
    norms = penalties.gradient_norms(SCORERS[scorer], points)
    exact = torch.ones_like(points) if scorer == "sum" else 2 * points
    torch.testing.assert_close(norms, rows(exact).double().norm(dim=1).to(norms), rtol=1e-5, atol=1e-12)


@given(st.sampled_from(sorted(SCORERS)), anything())
def test_the_consistency_term_of_anything(scorer, real):
    term = answer(ARGUMENTS, penalties.ConsistencyPenalty(), SCORERS[scorer], real)
    assert term is None or term.shape == ()


@pytest.mark.parametrize("dtype", HALF)
def test_a_steep_critic_in_half_precision_has_a_finite_penalty(dtype):
    x = torch.ones(2, 3, dtype=dtype)
    term = penalties.GradientPenalty(1.0)(lambda x: 1000 * x.sum(1), x, x)
    assert float(term) == pytest.approx((1000 * 3**0.5 - 1) ** 2, rel=1e-2)


@pytest.mark.parametrize("scorer", ["constant", "detached", "learned constant"])
def test_a_score_without_a_slope_is_refused_by_the_penalty(scorer):
    with pytest.raises(ValueError, match="no gradient with respect to the samples"):
        penalties.GradientPenalty()(SCORERS[scorer], torch.ones(2, 3), torch.ones(2, 3))


@given(st.sampled_from((*HALF, *REAL)), st.lists(st.integers(1, 5), min_size=1, max_size=3), fuzzing.NUMBERS, st.data())
def test_likelihoods(dtype, shape, std, data):
    a, b = (data.draw(tensors([dtype], shape, 1e30)) for _ in range(2))
    found = [likelihood.bernoulli_nll(a, b.sigmoid()), answer(("std",), likelihood.gaussian_nll, a, b, std)]
    found.append(likelihood.gaussian_kl(rows(a), rows(b)))
    assert not any(nll.isnan().any() for nll in found if nll is not None)


@pytest.mark.parametrize(
    "penalty", [penalties.GradientPenalty(), penalties.DraganPenalty(), penalties.ZeroCentredPenalty()]
)
def test_whole_numbers_have_no_slope(penalty):
    x = torch.ones(3, 2, dtype=torch.long)
    with pytest.raises(ValueError, match=r"real samples of torch.int64 .* use \.float\(\)"):
        penalty(lambda x: x.float().sum(1), x, x)


SETTINGS = {
    "f-gan/alpha": ["alpha", "generator"],
    "f-gan/weighted-jensen-shannon": ["weight"],
    "least-squares": ["a", "b", "c"],
    "relativistic": ["average"],
    "ebgan": ["margin", "pulling_away"],
    "loss-sensitive": ["distance", "slope", "data"],
    "wgan": ["clip"],
    "wgan-gp": ["weight", "one_sided"],
    "dragan": ["weight"],
}


@given(st.data(), st.sampled_from(sorted(SETTINGS)))
def test_settings_of_ones_own(data, name):
    setting = data.draw(st.sampled_from(SETTINGS[name]))
    value = data.draw(fuzzing.SETTINGS | st.floats(0, 2))
    setting = data.draw(st.sampled_from([setting, "penalties"]))
    objective = answer([*SETTINGS[name], "penalties"], objectives.get, name, **{setting: value})
    x = torch.ones(3, 2) / 10
    if objective is not None and (setting in ("generator", "penalties") or abs(float(value)) < 20):
        assert finite(*objective.for_discriminator(SCORERS["sum"], x, -x).values())


@given(st.sampled_from(objectives.fgan.names()), tensors(REAL, dims=(0, 3), special=True), tensors(REAL, dims=(0, 3)))
def test_divergences_between_anything(name, p, q):
    divergence = objectives.fgan.divergence(name)
    found = answer(("p", "q"), divergence.between, p, q)
    assert found is None or not found.isnan().any()
    laws = [(row.double().abs() + 1e-3) / (row.double().abs() + 1e-3).sum(-1, keepdim=True) for row in (q,) if q.ndim]
    for law in laws:
        if law.numel():
            assert (divergence.between(law, law) > -1.4).all()


@given(st.sampled_from(objectives.fgan.names()), tensors(REAL, special=True))
def test_conjugates_of_anything(name, t):
    found = answer(("t",), objectives.fgan.divergence(name).conjugate, t)
    assert found is None or not found[t.isfinite()].isnan().any()


@pytest.mark.parametrize("divergence", ["kl", None, 3])
def test_a_game_of_no_divergence(divergence):
    with pytest.raises(ValueError, match="divergence must be a Divergence"):
        objectives.fgan.FGAN(divergence)


RATIOS = [*("logistic_loss", "kl_loss", "reverse_kl_loss", "pearson_loss"), *("symmetric_kl", "jensen_shannon")]


@given(
    st.sampled_from(["value", "critic_loss", "saturating_loss", "non_saturating_loss"]),
    st.lists(tensors(REAL, largest=1e6, dims=(0, 3), sizes=(0, 4)), max_size=3) | anything(),
)
def test_a_softmax_of_many_laws_of_anything(name, logits):
    found = answer(("logits", *(f"logits[{k}]" for k in range(3))), getattr(joint_softmax, name), logits)
    assert found is None or (found.shape == () and finite(found))


@given(st.sampled_from(["optimal_critic", "optimal_value"]), anything())
def test_tables_of_laws_of_anything(name, laws):
    found = answer(("laws",), getattr(joint_softmax, name), laws)
    assert found is None or finite(found)


@given(
    st.sampled_from([*RATIOS, "kl", "reverse_kl", "pearson"]),
    tensors(largest=40.0, dims=(0, 2)) | NOT_TENSORS,
    st.data(),
)
def test_density_ratios_of_anything(name, at_p, data):
    given_both = [at_p, data.draw(tensors(largest=40.0, shape=[3]))] if name in RATIOS else [at_p]
    found = answer(("at_p", "at_q"), getattr(objectives.density_ratio, name), *given_both)
    if found is not None:
        assert found.shape == ()
        assert finite(found.float()) or at_p.dtype in HALF

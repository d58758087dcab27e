"""The critic of many joint laws: its value, its optimum on finite tables, and what generators descend."""

import itertools
import math

import jaxtyping
import pytest
import torch
from torch.testing import assert_close

from gan_course.objectives import joint_softmax
from gan_course.objectives.joint_softmax import critic_loss, non_saturating_loss, optimal_critic, optimal_value, value


@pytest.fixture
def untyped():
    """As users have it: without jaxtyping's check, which under test would answer before our own message does."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def tables(k, *cells, seed=0):
    p = torch.rand(k, *cells, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return p / p.flatten(1).sum(1).view(k, *[1] * len(cells))


def batches(k, n=(3, 5, 2, 4, 6), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n[i], k, generator=generator, dtype=torch.float64) for i in range(k)]


def exact(laws, probabilities):
    """The value of a critic on tables, by its definition."""
    return (laws * probabilities.log()).sum()


@pytest.mark.parametrize("k", [2, 4, 5, 7])
def test_a_clueless_critic_has_the_value_minus_k_log_k(k):
    logits = [torch.zeros(n, k, dtype=torch.float64) for n in range(1, k + 1)]
    assert_close(value(logits).item(), -k * math.log(k))
    assert_close(critic_loss(logits).item(), k * math.log(k))
    assert_close(joint_softmax.log_probabilities(logits[1]), torch.full((2, k), -math.log(k), dtype=torch.float64))
    assert_close(non_saturating_loss(logits).item(), -k * math.log((k - 1) / k))


@pytest.mark.parametrize("k", [2, 4, 5])
def test_equal_laws_have_the_least_value_and_laws_apart_the_greatest(k):
    law = tables(1, 3, 4)
    assert_close(optimal_value(law.repeat(k, 1, 1)).item(), -k * math.log(k))
    assert_close(optimal_value(torch.eye(k, dtype=torch.float64)).item(), 0.0)
    some = optimal_value(tables(k, 3, 4)).item()
    assert -k * math.log(k) < some < 0


def test_numbers_of_the_paper():
    assert optimal_value(tables(1, 6).repeat(5, 1)).item() == pytest.approx(-8.0472, abs=1e-4)
    assert optimal_value(tables(1, 6).repeat(4, 1)).item() == pytest.approx(-5.5452, abs=1e-4)


def test_the_value_is_divergences_from_the_mean_law():
    p = tables(5, 4, 3)
    mean = p.mean(0)
    divergences = (p * (p / mean).log()).flatten(1).sum(1)
    assert_close(optimal_value(p), -5 * math.log(5) + divergences.sum())


def test_the_best_critic_is_each_laws_share_and_no_other_does_better():
    p = tables(4, 3, 3)
    best = optimal_critic(p)
    assert_close(best, p / p.sum(0))
    assert_close(exact(p, best), optimal_value(p))
    logits = best.log().requires_grad_(True)
    found = exact(p, logits.softmax(0))
    assert_close(torch.autograd.grad(found, logits)[0], torch.zeros_like(p), atol=1e-12, rtol=0)
    for seed in range(20):
        noise = torch.randn(p.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert exact(p, (best.log() + 0.3 * noise).softmax(0)) < optimal_value(p)


def test_cells_that_no_law_reaches():
    p = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]])
    assert_close(optimal_critic(p)[:, 2], torch.zeros(2))
    assert optimal_value(p).isfinite()


def test_of_two_laws_it_is_the_logistic_game():
    first, second = batches(2)
    d, e = first[:, 0] - first[:, 1], second[:, 0] - second[:, 1]
    softplus = torch.nn.functional.softplus
    assert_close(critic_loss([first, second]), softplus(-d).mean() + softplus(e).mean())
    assert_close(non_saturating_loss([first, second]), softplus(d).mean() + softplus(-e).mean())
    assert_close(joint_softmax.saturating_loss([first, second]), -critic_loss([first, second]))


def test_laws_may_be_renamed():
    """The softmax favours no class: laws and logits in another order have the same losses."""
    logits = batches(5)
    for order in list(itertools.permutations(range(5)))[::17]:
        renamed = [logits[k][:, list(order)] for k in order]
        for loss in (critic_loss, joint_softmax.saturating_loss, non_saturating_loss):
            assert_close(loss(renamed), loss(logits))


def test_each_law_counts_by_its_mean():
    """However many draws there are of it."""
    logits = batches(4)
    assert_close(critic_loss([*logits[:3], logits[3].repeat(6, 1)]), critic_loss(logits))


def test_a_number_added_to_all_logits_changes_nothing():
    logits = batches(4)
    for loss in (critic_loss, non_saturating_loss):
        assert_close(loss([a + 7.0 for a in logits]), loss(logits))


def test_the_gradients_in_the_laws_own_logit():
    """1 − g vanishes where the critic is sure, g does not."""
    a = torch.tensor([[9.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    g = a.softmax(1)[0, 0].item()
    assert_close(torch.autograd.grad(joint_softmax.saturating_loss([a]), a)[0][0, 0].item(), 1 - g)
    assert_close(torch.autograd.grad(non_saturating_loss([a]), a)[0][0, 0].item(), g)
    assert 1 - g < 0.001 < 0.99 < g


def test_what_no_generator_makes_may_be_left_out():
    logits = batches(5)
    by_hand = sum(-(1 - a.softmax(1)[:, k]).log().mean() for k, a in enumerate(logits[:4]))
    assert_close(non_saturating_loss(logits[:4]), by_hand)


def test_extreme_logits_have_finite_losses_and_slopes():
    a = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    for loss in joint_softmax.LOSSES.values():
        found = loss([a])
        assert found.isfinite()
        assert torch.autograd.grad(found, a)[0].isfinite().all()


def laws(x_given, y_given, x, y):
    """The four laws that generators make, from tables of their conditionals and marginals, with data q(x) and q(y)."""
    q = torch.tensor([0.5, 0.5], dtype=torch.float64)
    return torch.stack([q[:, None] * y_given, q * x_given, x[:, None] * y_given, y * x_given])


def softmaxed(*logits):
    """Conditionals of x given y (columns) and of y given x (rows), marginals of x and of y."""
    return logits[0].softmax(0), logits[1].softmax(1), logits[2].softmax(0), logits[3].softmax(0)


ZERO = [torch.zeros(*shape, dtype=torch.float64) for shape in [(2, 2), (2, 2), (2,), (2,)]]


def slopes(logits, pairs=None):
    logits = [a.clone().requires_grad_(True) for a in logits]
    made = laws(*softmaxed(*logits))
    found = optimal_value(made if pairs is None else torch.cat([made, pairs[None]]))
    return found.item(), torch.cat([g.flatten() for g in torch.autograd.grad(found, logits)])


def test_without_pairs_the_product_of_the_marginals_is_an_equilibrium():
    """Independent bits reach the least value, and so does any matching: here bits that are equal, or opposite."""
    found, slope = slopes(ZERO)
    assert found == pytest.approx(-4 * math.log(4))
    assert_close(slope, torch.zeros_like(slope), atol=1e-12, rtol=0)
    for sign in (20.0, -20.0):
        same = sign * torch.eye(2, dtype=torch.float64)
        found, slope = slopes([same, same, *ZERO[2:]])
        assert found == pytest.approx(-4 * math.log(4), abs=1e-6)
        assert float(slope.abs().max()) < 1e-6


def test_with_pairs_only_their_law_is_one():
    """The same product is no stationary point once true pairs are a law: and the value is least at them alone."""
    pairs = torch.tensor([[0.45, 0.05], [0.05, 0.45]], dtype=torch.float64)
    found, slope = slopes(ZERO, pairs)
    assert found > -5 * math.log(5) + 0.1
    assert float(slope.abs().max()) > 0.01
    right = (pairs / 0.5).log()
    found, slope = slopes([right, right, *ZERO[2:]], pairs)
    assert found == pytest.approx(-5 * math.log(5))
    assert_close(slope, torch.zeros_like(slope), atol=1e-12, rtol=0)


def test_cycles_exclude_independence_and_leave_every_matching():
    """Of five modes: the share of cycles x -> y -> x' that end elsewhere: 4/5 if independent, 0 for 120 matchings."""

    def cost(y_given, x_given):  # x_given: columns are laws of x
        return 1 - (y_given * x_given).sum().item() / 5

    uniform = torch.full((5, 5), 0.2, dtype=torch.float64)
    assert cost(uniform, uniform) == pytest.approx(0.8)
    matchings = list(itertools.permutations(range(5)))
    assert len(matchings) == 120
    for matching in matchings:
        y_given = torch.eye(5, dtype=torch.float64)[list(matching)]
        assert cost(y_given, y_given) == 0
        assert_close(optimal_value((y_given / 5).repeat(4, 1, 1)).item(), -4 * math.log(4))


# --- Bad input


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (torch.zeros(3, 2), "logits must be a list"),
        ([], "logits must be a list"),
        ([torch.zeros(3)], r"logits\[0\] must be floating-point numbers of shape \(n, classes\)"),
        ([torch.zeros(0, 2)], r"logits\[0\] must be"),
        ([torch.zeros(3, 2), None], r"logits\[1\] must be .* not a NoneType"),
        ([torch.zeros(3, 2), torch.zeros(3, 3)], r"logits\[1\] has 3 classes"),
        ([torch.zeros(3, 1)], r"logits\[0\] has 1 classes"),
        ([torch.zeros(3, 2)] * 3, r"logits\[0\] has 2 classes, for 3 laws"),
    ],
)
def test_logits_that_are_none(logits, message):
    for loss in (value, critic_loss, joint_softmax.saturating_loss, non_saturating_loss):
        with pytest.raises(ValueError, match=message):
            loss(logits)


def test_the_critic_needs_draws_of_every_law():
    with pytest.raises(ValueError, match="logits of 4 laws were given, and each has 5 classes"):
        critic_loss(batches(5)[:4])


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[0.5, 0.5]], "laws must be floating-point tables"),
        (torch.tensor([0.5, 0.5]), "laws must be floating-point tables"),
        (torch.tensor([[0.5, 0.5]]), "at least 2"),
        (torch.tensor([[0.5, 0.6], [0.5, 0.5]]), "each table sums to 1"),
        (torch.tensor([[1.5, -0.5], [0.5, 0.5]]), "no cell below 0"),
    ],
)
def test_tables_that_are_no_laws(table, message):
    for function in (optimal_critic, optimal_value):
        with pytest.raises(ValueError, match=message):
            function(table)

"""Errata of the sources: each formula as it is printed, typed once more, fails the assertion that the right one passes.

The page `book/errata.md` tells them one by one and names these tests. `right` is the package's formula where it has
it. "The slides" are lee2018slides.
"""

import math

import pytest
import torch
from separating import LOG2, TIMES, P, Q, greatest, js, kl, numbers, separates, slope, spread
from torch import nn
from torch.nn.functional import logsigmoid, softplus
from torch.testing import assert_close

from gan_course import metrics, objectives
from gan_course.objectives import fgan
from gan_course.objectives.likelihood import gaussian_nll
from gan_course.objectives.penalties import GradientPenalty

FAKES = numbers(-6.0, -1.0, 0.0, 2.0)  # scores of fakes


# The game of the slides


def test_the_generators_first_step():
    """The slides' first algorithm: G is to maximise the mean of log D(G(z)), and the step has a minus sign."""
    saving = objectives.get("non-saturating")

    def printed(scores):
        return scores - 0.1 * slope(lambda scores: logsigmoid(scores).mean(), scores)

    def right(scores):
        return scores - 0.1 * slope(saving.generator_loss, scores)

    def check(step):
        assert (step(FAKES) > FAKES).all(), "the fakes' scores fell"

    separates(check, right, printed, "the fakes' scores fell")


def test_the_constant_that_is_counted_once():
    """The derivation of max V: ½ within both logarithms, and beside them +2 log ½ and −2 log 2."""

    def printed(p, q):
        middle = (p + q) / 2
        integrals = (p * (p / 2 / middle).log()).sum() + (q * (q / 2 / middle).log()).sum()
        return integrals + 2 * math.log(1 / 2) - 2 * LOG2

    def right(p, q):
        return -2 * LOG2 + 2 * fgan.divergence("weighted-jensen-shannon", weight=0.5).between(p, q)

    def check(value):
        best = -objectives.get("minimax").discriminator_loss(*spread(P.log() - Q.log()))
        assert_close(value(P, Q), best, msg=lambda _: f"off by {(value(P, Q) - best) / LOG2:.6f} log 2")

    separates(check, right, printed, r"off by -4\.000000 log 2")


def test_the_largest_value_is_no_divergence_yet():
    """The slides' algorithm of the theory part: V(G, D*) "is the JS divergence"."""

    def printed(p, q):
        return js(p, q)

    def right(p, q):
        return 2 * js(p, q) - 2 * LOG2

    def check(value):
        best = -objectives.get("minimax").discriminator_loss(*spread(P.log() - Q.log()))
        assert_close(value(P, Q), best, msg=f"the largest V is {best:.3f}, and a divergence is never negative")

    separates(check, right, printed, r"the largest V is -1\.\d+, and a divergence is never negative")


def test_the_minimax_discriminators_sign():
    """The slides' table of losses, MM GAN: + E log(1 − D) of the fakes in a loss to be minimised."""

    def printed(real, fake):
        return -logsigmoid(real).mean() + logsigmoid(-fake).mean()

    def check(loss):
        up = slope(lambda real: loss(real, FAKES), FAKES)
        down = slope(lambda fake: loss(FAKES, fake), FAKES)
        assert (up < 0).all(), "scores of real samples fall"
        assert (down > 0).all(), "scores of fakes rise"

    separates(check, objectives.get("minimax").discriminator_loss, printed, "scores of fakes rise")


def test_the_non_saturating_generators_sign():
    """The slides' table of losses, NS GAN: E log D of the fakes, to be minimised."""

    def printed(fake):
        return logsigmoid(fake).mean()

    def check(loss):
        assert (slope(loss, FAKES) < 0).all(), "the generator lowers its fakes' scores"

    separates(check, objectives.get("non-saturating").generator_loss, printed, "lowers its fakes' scores")


# f-divergences


@pytest.mark.parametrize("name", ["pearson", "neyman"])
def test_pearson_and_neyman_exchanged(name):
    """The slides' table of f-divergences: each of the two integrals stands beside the other's f."""
    f = {"pearson": lambda u: (u - 1) ** 2, "neyman": lambda u: (1 - u) ** 2 / u}[name]
    printed = {
        "pearson": lambda p, q: ((q - p) ** 2 / p).sum(),
        "neyman": lambda p, q: ((p - q) ** 2 / q).sum(),
    }[name]
    p, q = numbers(0.5, 0.3, 0.2), numbers(0.2, 0.2, 0.6)

    def check(integral):
        expected = (q * f(p / q)).sum()
        assert_close(integral(p, q), expected, msg=f"∫ q f(p/q) is {expected:.6f}")
        assert_close(fgan.divergence(name).f(p / q), f(p / q))  # the f themselves are right

    separates(check, fgan.divergence(name).between, printed, rf"∫ q f\(p/q\) is {(q * f(p / q)).sum():.6f}")


def test_twice_the_jensen_shannon_divergence():
    """The slides' table of f-divergences: the integral has a factor ½ that its f has not."""
    row = fgan.divergence("jensen-shannon")

    def printed(p, q):
        return (p * (2 * p / (p + q)).log() + q * (2 * q / (p + q)).log()).sum() / 2

    def check(integral):
        u = P / Q
        expected = (Q * (-(u + 1) * ((1 + u) / 2).log() + u * u.log())).sum()
        ratio = expected / integral(P, Q)
        assert_close(ratio, torch.ones_like(ratio), msg=f"∫ q f(p/q) is {ratio:.6f} times that")

    separates(check, row.between, printed, r"∫ q f\(p/q\) is 2\.000000 times that")
    half = fgan.divergence("weighted-jensen-shannon", weight=0.5)
    assert_close(half.f(P / Q), row.f(P / Q) / 2)  # the f of the divergence itself, and its conjugate
    assert_close(half.conjugate(FAKES[:3]), row.conjugate(2 * FAKES[:3]) / 2)


def test_the_smallest_value_of_the_row_gan():
    """The slides ask for f(1) = 0 and conclude that 0 is the smallest value; the row GAN has f(1) = −2 log 2."""
    row = fgan.divergence("gan")

    def check(smallest):
        equal, other = row.between(P, P).item(), row.between(P, Q).item()
        assert equal == pytest.approx(smallest()), f"equal laws have {equal:.4f}"
        assert other > smallest()

    separates(check, lambda: -math.log(4), lambda: 0.0, r"equal laws have -1\.3863")
    assert_close(row.f(numbers(1.0)), numbers(-2 * LOG2))


CONJUGATES = {
    "reverse-kl": lambda t: -1 - (-t).log(),
    "neyman": lambda t: 2 - 2 * (1 - t).sqrt(),
    "squared-hellinger": lambda t: t / (1 - t),
    "jensen-shannon": lambda t: -(2 - t.exp()).log(),
    "weighted-jensen-shannon": lambda t: 0.5 * (0.5 / (1 - 0.5 * (t / 0.5).exp())).log(),
    "gan": lambda t: -(1 - t.exp()).log(),
}


@pytest.mark.parametrize("name", CONJUGATES)
def test_conjugates_without_their_domain(name):
    """The slides' table of conjugates: raw outputs of D are put into formulas that hold on a half-line only."""
    row = fgan.divergence(name)

    def printed(scores):
        real, fake = spread(scores)
        return real.mean() - CONJUGATES[name](fake).mean()

    def right(scores):
        return -fgan.FGAN(row).discriminator_loss(*spread(scores))

    def check(value):
        generator = torch.Generator().manual_seed(0)
        for _ in range(100):
            found = value(3 * torch.randn(4, dtype=torch.float64, generator=generator))
            assert found.isfinite(), "scores without a value"
            assert found <= row.between(P, Q), "more than the divergence"

    separates(check, right, printed, "scores without a value|more than the divergence")
    inside = row.optimal(P / Q)
    assert_close(CONJUGATES[name](inside), row.conjugate(inside))  # within the domain they are right


def test_total_variation_without_its_bound():
    """The slides' table of conjugates: f*(t) = t, without |t| ≤ ½."""
    total_variation = metrics.total_variation(P, Q)

    def printed(scores):
        real, fake = spread(scores)
        return real.mean() - fake.mean()

    def right(scores):
        return -objectives.get("f-gan/total-variation").discriminator_loss(*spread(scores))

    def check(value):
        scores = (P - Q).sign()
        assert value(scores) > 0
        for size in (1, 10, 1000):
            assert value(size * scores) <= total_variation + 1e-12, "more than the total variation"
        assert_close(value(1000 * scores).item(), total_variation)

    separates(check, right, printed, "more than the total variation")


def test_the_original_game_is_one_of_them():
    """The slides say that the original GAN has another V: so it is with T = D, but not with T = log D."""

    def printed(real, fake):
        real, fake = real.sigmoid(), fake.sigmoid()
        return real.mean() - CONJUGATES["gan"](fake).mean()

    def right(real, fake):
        return -objectives.get("f-gan/gan").discriminator_loss(real, fake)

    def check(value):
        original = logsigmoid(FAKES).mean() + logsigmoid(-FAKES).mean()
        assert_close(value(FAKES, FAKES), original, msg="not the V of the original GAN")

    separates(check, right, printed, "not the V of the original GAN")


# The Wasserstein game


def test_a_value_function_has_two_arguments():
    """The slides on WGAN: V(G, D) = max over D, whose left side has a D that its right side has not."""
    real, fake = numbers(0.0, 1.0, 5.0), numbers(-2.0, 0.0, 3.0)
    distance = (real - fake).abs().mean().item()  # of sorted points

    def printed(critic):
        return distance

    def right(critic):
        return -objectives.get("wgan").discriminator_loss(critic(real), critic(fake)).item()

    def check(value):
        assert value(lambda x: x) == pytest.approx(distance)  # the best critic's
        assert value(lambda x: x / 2) == pytest.approx(distance / 2), "whatever D, one value"
        assert value(torch.zeros_like) == 0

    separates(check, right, printed, "whatever D, one value")


def test_smoothness_keeps_the_scores_finite():
    """A remark on the slides of WGAN: to keep D smooth is said to force D to ±∞. It is what prevents that."""

    def gap(smooth, steps):
        """Of the scores of a real and a fake sample at distance 1, after so many steps of a linear critic."""
        objective = objectives.get("wgan-gp" if smooth else "wgan")
        real, fake = torch.ones(1, 1).double(), torch.zeros(1, 1).double()

        def loss(w):
            return sum(objective.for_discriminator(lambda x: x @ w, real, fake).values())

        w = numbers(0.0)
        for _ in range(steps):
            w = w - 0.02 * slope(loss, w)
        return w.item()

    def printed(smooth):
        return smooth

    def right(smooth):
        return not smooth

    def check(runs_away):
        for smooth in (True, False):
            found = gap(smooth, 100) > 1.5 * gap(smooth, 50)
            assert found == runs_away(smooth), f"smooth: {smooth}, runs away: {found}"

    separates(check, right, printed, "smooth: True, runs away: False")


def test_no_logarithm_in_the_wasserstein_game():
    """The slides' algorithm of WGAN: the generator's step has logarithms of scores, which may be negative."""

    def printed(fake):
        return -fake.log().mean()

    def finite(loss):
        assert loss(FAKES).isfinite(), "the logarithm of a negative score"

    def alike(loss):
        scores = numbers(0.1, 1.0, 50.0)
        assert_close(slope(loss, scores), torch.full_like(scores, -1 / 3), msg="every fake must weigh the same")

    right = objectives.get("wgan").generator_loss
    separates(finite, right, printed, "the logarithm of a negative score")
    separates(alike, right, printed, "every fake must weigh the same")


@pytest.mark.parametrize(("norm", "paper", "slides"), [(0.5, 0.25, 0.0), (3.0, 4.0, 2.0)])
def test_the_gradient_penalty_has_two_sides_and_a_square(norm, paper, slides):
    """The slides on WGAN-GP: the excess of the slope over 1, where the paper has the square of the difference."""
    real, fake = torch.randn(2, 8, 2, dtype=torch.float64)
    critic = lambda x: norm * x @ numbers(0.6, 0.8)  # noqa: E731

    def printed(critic, real, fake):
        x = (real + fake) / 2
        norms = slope(lambda x: critic(x).sum(), x).norm(dim=1)
        return (norms - 1).clamp(min=0).mean()

    def check(penalty):
        found = penalty(critic, real, fake).item()
        assert found == pytest.approx(paper), f"{found:.2f} is charged"

    separates(check, GradientPenalty(1.0), printed, f"{slides:.2f} is charged")
    one_sided = GradientPenalty(1.0, one_sided=True)(critic, real, fake).item()
    assert one_sided == pytest.approx(max(0.0, norm - 1) ** 2)  # the variant with one side has the square too


def test_two_losses_of_one_name():
    """The slides' table of losses: the row WGAN GP defines its loss, once more, as that of WGAN, plus the penalty."""
    real, fake = torch.randn(2, 64, 2, dtype=torch.float64)
    critic = lambda x: 3 * x @ numbers(0.6, 0.8)  # noqa: E731

    def terms(name):
        return objectives.get(name).for_discriminator(critic, real, fake)

    def printed():
        table = {"wgan": sum(terms("wgan").values())}
        table["wgan"] = table["wgan"] + terms("wgan-gp")["gradient penalty"]
        return table

    def right():
        return {name: sum(terms(name).values()) for name in ("wgan", "wgan-gp")}

    def check(table):
        assert_close(table()["wgan"], critic(fake).mean() - critic(real).mean(), msg="the loss of WGAN has a penalty")
        assert_close(table()["wgan-gp"] - table()["wgan"], numbers(40.0)[0])

    separates(check, right, printed, "the loss of WGAN has a penalty")


# The other rows of the slides' table of losses


def test_the_signs_of_least_squares():
    """The slides' table of losses, LS GAN: a minus before (D(x) − 1)², for both players."""

    def printed(real, fake=None):
        return -(real - 1).square().mean() + (0 if fake is None else fake.square().mean())

    least = objectives.get("least-squares")

    def right(real, fake=None):
        return 2 * (least.generator_loss(real) if fake is None else least.discriminator_loss(real, fake))

    def check(loss):
        targets = torch.ones(4).double(), torch.zeros(4).double()
        for _ in range(20):
            assert loss(*torch.randn(2, 4, dtype=torch.float64)) >= loss(*targets), "real samples are driven from 1"
            assert loss(torch.randn(4, dtype=torch.float64)) >= loss(targets[0]), "the generator is driven from 1"

    separates(check, right, printed, "driven from 1")
    assert (slope(printed, FAKES) > 0)[:3].all()  # and where a fake has less than 1, the generator lowers it


def test_dragans_generator_does_not_saturate():
    """The slides' table of losses: DRAGAN's generator has the negative of the discriminator's loss.

    The code of its authors, and that of the study from which the table comes, minimise −E log D.
    """
    minimax = objectives.get("minimax")

    def printed(fake):
        return -minimax.discriminator_loss(FAKES, fake)

    def check(loss):
        found = slope(loss, numbers(-20.0))
        assert found < -0.99, f"against a discriminator that wins the slope is {found.item():.1e}"

    separates(check, objectives.get("dragan").generator_loss, printed, r"the slope is -2\.1e-09")


# Evaluation and what follows


@pytest.mark.parametrize("classes", [2, 10])
def test_the_inception_score_is_an_exponential_of_a_mean(classes):
    """The slides on evaluation: a sum over all pictures, and no exponential."""
    sure = torch.eye(classes, dtype=torch.float64).repeat(5, 1)  # five perfect pictures of each class

    def printed(probabilities):
        marginal = probabilities.mean(0)
        return torch.xlogy(probabilities, probabilities).sum() - torch.xlogy(marginal, marginal).sum()

    def right(probabilities):
        return metrics.inception_score(probabilities).mean

    def check(score):
        assert float(score(sure)) == pytest.approx(classes), f"{classes} perfect classes have {score(sure):.4f}"
        unsure = torch.full((20, classes), 1 / classes).double()
        assert float(score(unsure)) == pytest.approx(1), f"no class at all has {score(unsure):.4f}"

    separates(check, right, printed, rf"{classes} perfect classes have {math.log(classes):.4f}")


def test_a_probability_is_never_negative():
    """The slides on rewards: D(c, x) < 0 for a bad answer. As a probability it needs a baseline to be that."""
    judged = numbers(0.1, 0.9)  # D of a bad answer, of a good one

    def step(weight):
        """The log-probabilities of both answers after one sampled step of REINFORCE on each."""
        moved = []
        for answer in (0, 1):
            logits = torch.zeros(2, dtype=torch.float64)
            up = slope(lambda logits, answer=answer: logits.log_softmax(0)[answer], logits)
            moved.append((logits + weight(judged[answer]) * up).log_softmax(0)[answer])
        return torch.stack(moved)

    def check(weight):
        bad, good = step(weight)
        assert good > -LOG2
        assert bad < -LOG2, "a bad answer becomes likelier"

    separates(check, lambda judged_answer: judged_answer - judged.mean(), lambda d: d, "a bad answer becomes likelier")


def test_the_auto_encoder_that_looks_through_the_discriminator():
    """The slides on VAE-GAN: an error of pixels, where the paper measures in a layer of the discriminator."""
    layer = nn.AvgPool2d(2)  # what the discriminator's layer sees: texture moves within its windows unseen
    x = torch.eye(2).repeat(4, 4)[None, None].double()
    moved = x.roll(1, -1)  # the same chequers, one pixel on

    def printed(x, reconstruction):
        return (reconstruction - x).norm()

    def right(x, reconstruction):
        seen = layer(x), layer(reconstruction)
        return (gaussian_nll(seen[1], seen[0]) - gaussian_nll(seen[0], seen[0])).sum()

    def check(error):
        assert error(x, x) == 0
        assert error(x, torch.zeros_like(x)) > 0
        assert error(x, moved) == 0, "the same texture, elsewhere, is an error"

    separates(check, right, printed, "the same texture, elsewhere, is an error")


# The other source papers


def test_the_joint_critic_maximises():
    """The appendix of JointGAN (pu2018jointgan), equation 1: min over the f_k; its solution is the maximum."""
    generator = torch.Generator().manual_seed(0)
    laws = torch.rand(5, 6, dtype=torch.float64, generator=generator).add(0.05)
    laws = laws / laws.sum(1, keepdim=True)

    def value(f):
        return (laws * (f / f.sum(0)).log()).sum()

    others = [value(laws * torch.rand(5, 6, generator=generator).double().add(0.1)) for _ in range(200)]

    def check(optimum):
        best = value(3 * laws)  # f_k = C p_k, the solution of the appendix, with any C
        assert_close(optimum([best, *others]), best, msg="the solution is at the other end")

    separates(check, max, min, "the solution is at the other end")
    assert_close(value(laws), sum(kl(law, laws.mean(0)) for law in laws) - 5 * math.log(5))


def test_the_value_of_cogan_is_turned_round():
    """CoGAN (liu2016cogan), equations 1 and 3: V holds −log, and so it is max over g, min over f. No error, a trap.

    With this V and the usual order of the players, the generators learn to be found out.
    """

    def value(real, fake):
        """Of one of the two domains."""
        return softplus(-real).mean() + softplus(fake).mean()

    def paper(scores):
        return scores + 0.1 * slope(lambda fake: value(FAKES, fake), scores)

    def usual(scores):
        return scores - 0.1 * slope(lambda fake: value(FAKES, fake), scores)

    def check(step):
        assert (step(FAKES) > FAKES).all(), "the generators are found out"

    separates(check, paper, usual, "the generators are found out")
    even = torch.zeros(4).double()
    assert_close(2 * value(even, even), numbers(4 * LOG2)[0])  # at the end, of both domains
    assert_close(value(FAKES, FAKES), objectives.get("minimax").discriminator_loss(FAKES, FAKES))


def test_ratios_are_learned_by_the_logistic_objective():
    """AS-VAE (pu2017asvae), equation 12, taken by the letter: linear in the ratio networks, and so without a maximum.

    As the text around it says, they maximise (5) and (6), whose optimum is the logarithm of the ratio.
    """
    best = P.log() - Q.log()

    def printed(f):
        real, _ = spread(f)
        return real.mean()  # the only term of −L_VAExz that has this f

    def right(f):
        return -objectives.get("minimax").discriminator_loss(*spread(f))

    def check(value):
        for c in (1.0, 10.0, 100.0):
            assert value(best) > value(best + c), "higher ratios are always better"
            assert value(best) > value(best - c)

    separates(check, right, printed, "higher ratios are always better")
    assert_close(greatest(right), 2 * js(P, Q) - 2 * LOG2)


def test_the_posters_jensen_shannon_divergence():
    """The poster on Wyner's common information (ryu2022wyner): D_JS is a maximum of logarithms of probabilities."""

    def printed(times):
        """The maximum over log r, which lies at log p/q."""
        p, q = (t.double() / t.sum() for t in times)
        log_r = p.log() - q.log()
        return (p * logsigmoid(log_r)).sum() + (q * logsigmoid(-log_r)).sum()

    def right(times):
        """With the constant that the authors' code adds, and a half."""
        return (printed(times) + 2 * LOG2) / 2

    def check(divergence):
        assert_close(divergence(TIMES[:1] * 2), numbers(0.0)[0], msg="equal laws are apart")
        assert_close(divergence(TIMES), fgan.divergence("weighted-jensen-shannon", weight=0.5).between(P, Q))

    separates(check, right, printed, "equal laws are apart")

"""The adversarial formulas against closed forms and exact gradients."""

import math

import pytest
import torch
from torch.testing import assert_close

from gan_course import objectives

LOG4 = math.log(4)


def table(seed: int = 0, n: int = 6):
    """Two laws on n symbols, in float64."""
    generator = torch.Generator().manual_seed(seed)
    p, q = torch.rand(2, n, generator=generator, dtype=torch.float64).add(0.05)
    return p / p.sum(), q / q.sum()


def js(p, q):
    m = (p + q) / 2
    return 0.5 * (p * (p / m).log()).sum() + 0.5 * (q * (q / m).log()).sum()


def kl(p, q):
    return (p * (p / q).log()).sum()


class Expectation(torch.Tensor):
    """Scores whose mean is taken under a law, so that a formula of means becomes an exact expectation."""

    weights: torch.Tensor

    def mean(self, *args, **kwargs):
        return (self.as_subclass(torch.Tensor) * self.weights).sum()

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        out = super().__torch_function__(function, types, args, kwargs or {})
        sources = [a for a in args if isinstance(a, Expectation)]
        if isinstance(out, Expectation) and sources:
            out.weights = sources[0].weights
        return out


def under(scores, weights):
    out = scores.as_subclass(Expectation)
    out.weights = weights
    return out


@pytest.mark.parametrize("seed", range(5))
def test_optimal_scores_give_the_jensen_shannon_divergence(seed):
    p, q = table(seed)
    best = (p.log() - q.log()).requires_grad_(True)
    loss = objectives.get("minimax").discriminator_loss(under(best, p), under(best, q))
    (slope,) = torch.autograd.grad(loss, best)
    assert_close(slope.as_subclass(torch.Tensor), torch.zeros(6, dtype=torch.float64), atol=1e-12, rtol=0)
    assert_close(-loss.as_subclass(torch.Tensor), -LOG4 + 2 * js(p, q))


def test_undecided_discriminator():
    zero = torch.zeros(7)
    for name in ("minimax", "non-saturating"):
        assert objectives.get(name).discriminator_loss(zero, zero).item() == pytest.approx(LOG4, abs=1e-6)
    assert objectives.get("non-saturating").generator_loss(zero).item() == pytest.approx(math.log(2), abs=1e-6)
    assert objectives.get("minimax").generator_loss(zero).item() == pytest.approx(-math.log(2), abs=1e-6)


def test_losses_equal_the_logarithms_of_probabilities():
    real, fake = torch.randn(2, 50, dtype=torch.float64)
    value = real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean()
    assert_close(objectives.get("minimax").discriminator_loss(real, fake), -value)
    assert_close(objectives.get("minimax").generator_loss(fake), (1 - fake.sigmoid()).log().mean())
    assert_close(objectives.get("non-saturating").generator_loss(fake), -fake.sigmoid().log().mean())


def test_slopes_of_the_generators_losses():
    scores = torch.linspace(-30, 30, 61, dtype=torch.float64).requires_grad_(True)
    for name, slope in (("minimax", -scores.sigmoid()), ("non-saturating", scores.sigmoid() - 1)):
        (found,) = torch.autograd.grad(objectives.get(name).generator_loss(scores) * 61, scores)
        assert_close(found, slope.detach())
    # Saturation is at D(G(z)) near 0: there the minimax slope is gone and the other is at its largest.
    assert -scores.sigmoid()[0] > -1e-12
    assert (scores.sigmoid() - 1)[0] < -0.999


def test_extreme_scores_stay_finite():
    scores = torch.tensor([-1e4, -80.0, 80.0, 1e4], requires_grad=True)
    for name in ("minimax", "non-saturating", "hinge", "least-squares", "dragan", "wgan", "f-gan/gan"):
        objective = objectives.get(name)
        loss = objective.discriminator_loss(scores, scores) + objective.generator_loss(scores)
        (slope,) = torch.autograd.grad(loss, scores)
        assert loss.isfinite()
        assert slope.isfinite().all()


@pytest.mark.parametrize("seed", range(3))
def test_non_saturating_descends_kl_minus_two_js(seed):
    """With D frozen at its optimum (Arjovsky and Bottou, 2017), on a finite table in float64."""
    p, _ = table(seed)
    logits = torch.randn(6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed), requires_grad=True)
    q = logits.softmax(0)
    best = (p.log() - q.log()).detach()
    (ours,) = torch.autograd.grad((q * torch.nn.functional.softplus(-best)).sum(), logits, retain_graph=True)
    (theory,) = torch.autograd.grad(kl(q, p) - 2 * js(p, q), logits)
    assert_close(ours, theory)


def test_one_step_of_the_generator_raises_its_score():
    """The sign that the slides' first algorithm has lowers it (see test_errata.py)."""
    for name in objectives.names():
        score = torch.tensor([-0.3], dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(objectives.get(name).generator_loss(score, torch.zeros(1).double()), score)
        assert (score - 0.1 * slope).item() > score.item(), name


def test_discriminator_pushes_real_up_and_fake_down():
    """With the sign that the slides have the score of a fake would rise (see test_errata.py)."""
    for name in objectives.names():
        real, fake = torch.full((2, 4), 0.3, dtype=torch.float64).requires_grad_(True).unbind()
        up, down = torch.autograd.grad(objectives.get(name).discriminator_loss(real, fake), (real, fake))
        assert (up < 0).all(), name
        assert (down > 0).all(), name


def test_wasserstein_of_a_translation():
    """d(x) = x is the optimal critic of a translated law: the loss is minus the distance."""
    x = torch.randn(100, dtype=torch.float64)
    objective = objectives.get("wgan-gp")
    assert_close(objective.discriminator_loss(x + 3, x), torch.tensor(-3.0, dtype=torch.float64))
    assert_close(objective.generator_loss(x), -x.mean())


@pytest.mark.parametrize("shape", [(8, 1), (1, 8), (8, 2), (7,), (8, 2, 3, 3), ()])
def test_mismatched_scores_are_refused(shape):
    objective = objectives.get("non-saturating")
    samples = torch.randn(8, 2)
    with pytest.raises(ValueError, match=r"allowed are \(8,\)"):
        objective.for_discriminator(lambda x: torch.zeros(shape), samples, samples)
    with pytest.raises(ValueError, match="scores of shape"):
        objective.for_generator(lambda x: torch.zeros(shape), None, samples)


def test_patches_are_allowed():
    samples = torch.randn(8, 2)
    terms = objectives.get("minimax").for_discriminator(lambda x: torch.zeros(8, 1, 3, 4), samples, samples)
    assert terms["adversarial"].item() == pytest.approx(LOG4)


@pytest.mark.parametrize("name", objectives.names())
def test_gradients_by_finite_differences(name):
    """The slopes of both losses in every score, and of all terms in the weights of a smooth critic, penalties too."""
    objective = objectives.get(name)
    scores = [torch.randn(5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(objective.discriminator_loss, scores)
    assert torch.autograd.gradcheck(lambda real, fake: objective.generator_loss(fake, real), scores)

    real, fake = torch.randn(2, 5, 3, dtype=torch.float64)
    weights = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((3, 4), (4,))]

    def terms(first, second):
        torch.manual_seed(0)  # penalties draw their points
        return sum(objective.for_discriminator(lambda x: (x @ first).tanh() @ second, real, fake).values())

    assert torch.autograd.gradcheck(terms, weights)


def test_registry():
    divergences = [f"f-gan/{name}" for name in objectives.fgan.names()]
    others = [
        "dragan",
        "ebgan",
        "hinge",
        "least-squares",
        "loss-sensitive",
        "minimax",
        "non-saturating",
        "relativistic",
        "wgan",
        "wgan-gp",
    ]
    assert objectives.names() == sorted(divergences + others)
    for name in objectives.names():
        assert objectives.get(name).name == name
        assert objectives.get(name).source
    with pytest.raises(KeyError, match=r"choose one of: .*minimax, non-saturating, relativistic, wgan, wgan-gp"):
        objectives.get("spectral")
    with pytest.raises(ValueError, match="no setting lambda"):
        objectives.get("wgan-gp", **{"lambda": 3})
    assert objectives.get("wgan-gp", weight=3.0).penalties[0].weight == 3.0

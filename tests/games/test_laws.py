"""Laws of a sample given its code."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal
from torch.testing import assert_close

from gan_course import games
from gan_course.games.laws import LAWS, law
from gan_course.objectives.likelihood import bernoulli_nll, gaussian_nll

MANY = 200_000


def test_laws_by_name():
    assert sorted(LAWS) == ["bernoulli", "discretised-logistic", "gaussian"]
    for name, kind in LAWS.items():
        assert type(law(name)) is kind
    mine = games.Gaussian(0.5)
    assert law(mine) is mine
    with pytest.raises(ValueError, match=r"likelihood 'poisson' is unknown; choose one of \['bernoulli'"):
        law("poisson")


def test_log_probabilities_are_those_of_the_objectives():
    logits, x = torch.randn(4, 1, 3, 3), torch.rand(4, 1, 3, 3)
    assert torch.equal(games.Bernoulli().log_probability(logits, x), -bernoulli_nll(logits, x))
    assert torch.equal(games.Gaussian(0.3).log_probability(logits, x), -gaussian_nll(logits, x, 0.3))


def test_grey_levels_are_the_expectation_over_drawn_pixels():
    logits, grey = torch.tensor([[0.7, -1.3]]), torch.tensor([[0.2, 0.9]])
    bernoulli, expected = games.Bernoulli(), 0.0
    for first in (0.0, 1.0):
        for second in (0.0, 1.0):
            x = torch.tensor([[first, second]])
            weight = torch.where(x == 1, grey, 1 - grey).prod()
            expected += float(weight * bernoulli.log_probability(logits, x))
    assert bernoulli.log_probability(logits, grey).item() == pytest.approx(expected, rel=1e-6)


def test_bernoulli_draws():
    torch.manual_seed(0)
    logits = torch.tensor([[-1.0, 0.0, 2.0]]).expand(MANY, 3).requires_grad_()
    bernoulli = games.Bernoulli()
    x = bernoulli.sample(logits)
    assert not x.requires_grad
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert_close(x.mean(0), bernoulli.mean(logits).detach()[0], atol=0.005, rtol=0)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_relaxed_bernoulli_pixels_exceed_a_half_as_often_as_pixels_are_one(temperature):
    torch.manual_seed(0)
    logits = torch.tensor([[-1.0, 0.0, 2.0]]).expand(MANY, 3)
    x = games.Bernoulli().relaxed_sample(logits, temperature)
    assert ((x >= 0) & (x <= 1)).all()
    assert_close((x > 0.5).float().mean(0), logits[0].sigmoid(), atol=0.005, rtol=0)


def test_relaxed_bernoulli_pixels_become_pixels_as_the_temperature_falls():
    torch.manual_seed(0)
    logits = torch.full((MANY, 1), 0.4)
    distance = [
        float((x - x.round()).abs().mean())
        for x in (games.Bernoulli().relaxed_sample(logits, t) for t in (1, 0.1, 0.01))
    ]
    assert distance[0] > 0.2
    assert distance[0] > 5 * distance[1] > 25 * distance[2]


def test_relaxed_draws_have_the_gradient_of_their_mean():
    torch.manual_seed(0)
    parameter = torch.tensor(0.3, requires_grad=True)
    gaussian = games.Gaussian(0.5, scale="learned")
    x = gaussian.relaxed_sample(parameter.expand(MANY, 1))
    x.square().mean().backward()  # E x² = μ² + s²
    assert parameter.grad.item() == pytest.approx(0.6, abs=0.01)
    assert gaussian.log_std.grad.item() == pytest.approx(2 * 0.25, abs=0.01)
    logits = torch.tensor(0.3, requires_grad=True)
    games.Bernoulli().relaxed_sample(logits.expand(MANY, 1), 0.1).mean().backward()
    assert logits.grad.item() == pytest.approx(0.2445, rel=0.05)  # σ(0.3) (1 - σ(0.3))


@pytest.mark.parametrize("scale", ["fixed", "learned", "predicted"])
def test_gaussian_laws(scale):
    torch.manual_seed(0)
    gaussian = games.Gaussian(0.7, scale)
    mean, x = torch.randn(2, 6, 2, 3)
    log_variance = torch.randn(6, 2, 3) if scale == "predicted" else torch.full((6, 2, 3), 2 * math.log(0.7))
    parameters = torch.cat([mean, log_variance], 1) if scale == "predicted" else mean
    gaussian.check_parameters(parameters, x)
    exact = Independent(Normal(mean, (0.5 * log_variance).exp()), 2)
    assert_close(gaussian.log_probability(parameters, x), exact.log_prob(x))
    assert torch.equal(gaussian.mean(parameters), mean)
    draws = gaussian.sample(parameters[:1].expand(MANY // 4, *parameters.shape[1:]))
    assert not draws.requires_grad
    assert_close(draws.mean(0), mean[0], atol=0.06, rtol=0)
    assert_close(draws.std(0), (0.5 * log_variance[0]).exp(), atol=0.06, rtol=0)
    assert len(list(gaussian.parameters())) == (scale == "learned")


def test_discretised_logistic_draws_have_their_probabilities():
    torch.manual_seed(0)
    logistic = games.DiscretisedLogistic(channels=2, levels=5, scale=0.2)
    with torch.no_grad():
        logistic.log_scale.copy_(torch.tensor([0.1, 0.4]).log())
    mean = torch.tensor([[0.3, 0.9]])
    draws = logistic.sample(mean.expand(MANY, 2))
    assert not draws.requires_grad
    for channel in range(2):
        for level in torch.linspace(0, 1, 5):
            alone = games.DiscretisedLogistic(levels=5, scale=float(logistic.log_scale[channel].exp().detach()))
            p = alone.log_probability(mean[:, [channel]], level.view(1, 1)).exp().item()
            assert (draws[:, channel] - level).abs().lt(1e-6).float().mean().item() == pytest.approx(p, abs=0.005)


def test_discretised_logistic_scales_are_of_the_channels():
    logistic = games.DiscretisedLogistic(channels=3, scale=0.1)
    parameters, x = torch.rand(2, 3, 4, 4), (torch.rand(2, 3, 4, 4) * 255).round() / 255
    logistic.check(x)
    logistic.log_probability(parameters, x).sum().backward()
    assert (logistic.log_scale.grad != 0).all()
    with torch.no_grad():
        logistic.log_scale[1] = math.log(0.9)
    parts = [games.DiscretisedLogistic(scale=scale) for scale in (0.1, 0.9, 0.1)]
    alone = sum(p.log_probability(parameters[:, [i]], x[:, [i]]) for i, p in enumerate(parts))
    assert_close(logistic.log_probability(parameters, x), alone)
    assert logistic.mean(parameters * 4 - 2).min() == 0
    draws = logistic.relaxed_sample(parameters)
    assert draws.requires_grad
    assert ((draws >= 0) & (draws <= 1)).all()


@pytest.mark.parametrize(
    ("which", "x", "message"),
    [
        (
            games.Bernoulli(),
            torch.tensor([[1.5]]),
            r"from 1.5 to 1.5, outside the support of Bernoulli; allowed: \[0, 1\]",
        ),
        (games.Bernoulli(), torch.tensor([[-0.1]]), "outside the support of Bernoulli"),
        (games.Bernoulli(), torch.tensor([[1]]), "x is of torch.int64"),
        (games.Bernoulli(), torch.zeros(0, 3), "x must be a tensor of shape"),
        (games.Gaussian(), torch.tensor([[math.nan]]), "x holds NaN or infinity"),
        (games.DiscretisedLogistic(), torch.full((1, 1, 2), 2.0), "outside the support of DiscretisedLogistic"),
        (games.DiscretisedLogistic(), torch.full((1, 1, 2), 0.5), "values between grey levels, off by up to 0.5"),
        (games.DiscretisedLogistic(3), torch.full((1, 1, 2), 1.0), r"this law is for \(n, channels=3, ...\)"),
    ],
)
def test_data_outside_the_support(which, x, message):
    with pytest.raises(ValueError, match=message):
        which.check(x)


def test_data_inside_the_support():
    games.Bernoulli().check(torch.tensor([[0.0, 0.5, 1.0]]))
    games.Gaussian().check(torch.tensor([[-1e6, 1e6]]))
    games.DiscretisedLogistic().check(torch.arange(256.0)[None, None] / 255)
    games.DiscretisedLogistic(levels=17).check(torch.arange(17.0)[None, None] / 16)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: games.Gaussian(0.0), "std=0.0 was given"),
        (lambda: games.Gaussian(1e-12), "std=1e-12 was given; it must be from 1e-9 to 1e9"),
        (lambda: games.Gaussian(scale="free"), "scale='free' was given; choose one of fixed, learned, predicted"),
        (lambda: games.DiscretisedLogistic(0), "channels=0 was given"),
        (lambda: games.DiscretisedLogistic(levels=1), "levels=1 was given; it must be a whole number of at least 2"),
        (lambda: games.DiscretisedLogistic(scale=-1.0), "scale=-1.0 was given"),
        (lambda: games.DiscretisedLogistic(scale=1e-12), "scale=1e-12 was given; it must be at least 1e-9"),
        (lambda: games.Bernoulli().relaxed_sample(torch.zeros(1, 1), 0.0), "temperature=0.0 was given"),
        (lambda: games.Bernoulli().relaxed_sample(torch.zeros(1, 1), 1e-9), "it must be at least 1e-6"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_parameters_that_would_broadcast_are_refused():
    x = torch.rand(4, 1, 2, 2)
    for shape in ((4, 1, 1, 2), (1, 1, 2, 2), (4, 4)):
        with pytest.raises(ValueError, match=r"Bernoulli needs \(4, 1, 2, 2\)"):
            games.Bernoulli().check_parameters(torch.zeros(shape), x)
    with pytest.raises(ValueError, match=r"Gaussian needs \(4, 2, 2, 2\)"):
        games.Gaussian(scale="predicted").check_parameters(torch.zeros(4, 1, 2, 2), x)


def test_a_law_says_what_it_lacks():
    x = torch.zeros(1, 1)
    for call in (lambda: games.Law().log_probability(x, x), lambda: games.Law().mean(x)):
        with pytest.raises(TypeError, match=r"Law defines no (log_probability|mean)\(\)"):
            call()
    for call in (games.Law().sample, games.Law().relaxed_sample):
        with pytest.raises(TypeError, match=r"Law defines no (relaxed_)?sample\(\)"):
            call(x)

"""Bugs of widely used code: each, typed from its description, fails the assertion that the right formula passes.

The page `book/errata.md` says where each was seen and names these tests. `right` is the package's formula where it
has it, else torch's own function.
"""

import math

import pytest
import torch
from separating import LOG2, P, Q, greatest, numbers, separates, slope, spread
from torch import nn
from torch.nn.functional import cross_entropy, gumbel_softmax, one_hot, relu
from torch.testing import assert_close

from gan_course import metrics, networks, objectives
from gan_course.data import toy
from gan_course.games import wyner
from gan_course.objectives import began, energy, fgan
from gan_course.objectives.penalties import DraganPenalty, GradientPenalty


def linear(w):
    """A critic whose slope is w everywhere."""
    return lambda x: x.flatten(1) @ w


def gradient(critic, x):
    return slope(lambda x: critic(x).sum(), x)


def unit(*shape):
    """A slope of norm 1."""
    return torch.full((math.prod(shape),), math.prod(shape) ** -0.5, dtype=torch.float64)


def charges_nothing(critic, real, fake=None):
    """A check that a penalty is 0 for a critic whose slope is 1 everywhere."""

    def check(penalty):
        found = penalty(critic, real, real if fake is None else fake).item()
        assert abs(found) < 1e-12, f"a slope of 1 is charged {found:.4f}"

    return check


# Penalties


@pytest.mark.parametrize("right", [GradientPenalty(1.0), DraganPenalty(1.0)], ids=repr)
def test_one_norm_for_the_whole_batch(right):
    """A norm over all 64 samples together is 8 where each slope is 1."""

    def rival(critic, real, fake):
        return (gradient(critic, real).norm() - 1).square()

    check = charges_nothing(linear(unit(2)), torch.randn(64, 2, dtype=torch.float64))
    separates(check, right, rival, r"a slope of 1 is charged 49\.0000")


def test_one_norm_for_each_pixel():
    """A norm over the channels of each pixel, and the mean of them, where an image has one slope."""

    def rival(critic, real, fake):
        return (gradient(critic, real).norm(dim=1) - 1).square().mean()

    images = torch.randn(5, 3, 4, 4, dtype=torch.float64)
    check = charges_nothing(linear(unit(3, 4, 4)), images)
    separates(check, DraganPenalty(1.0), rival, r"a slope of 1 is charged 0\.5625")
    check(GradientPenalty(1.0))


def test_a_number_inside_the_root():
    """1e-4 added under the root of the norm: no longer the formula, by 4e-4 of it."""
    real = torch.randn(8, 2, dtype=torch.float64)

    def rival(critic, real, fake):
        return 10 * ((1e-4 + gradient(critic, real).square().sum(1)).sqrt() - 1).square().mean()

    def check(penalty):
        found = penalty(linear(unit(2) / 2), real, real).item()
        assert found == pytest.approx(2.5, abs=1e-5), f"{found:.4f} instead of 2.5"

    separates(check, GradientPenalty(10.0), rival, r"2\.4990 instead of 2\.5")


def test_dragan_penalises_the_score():
    """The slope of the probability is at most a quarter of the score's, and can hardly be 1."""
    real = torch.randn(8, 2, dtype=torch.float64)

    def rival(critic, real, fake):
        return DraganPenalty(1.0)(lambda x: critic(x).sigmoid(), real)

    separates(charges_nothing(linear(unit(2)), real), DraganPenalty(1.0), rival, r"a slope of 1 is charged 0\.[5-9]")
    assert rival(linear(unit(2)), real, None) >= (1 - 1 / 4) ** 2


def test_dragan_looks_around_real_samples():
    """With fakes in the interpolation it is the penalty of WGAN-GP."""
    real = torch.randn(8, 2, dtype=torch.float64)

    def check(penalty):
        found = []
        for fake in (real + 1, real + 100):
            torch.manual_seed(0)
            found.append(penalty(lambda x: x.square().sum(1), real, fake).item())
        assert found[0] == found[1], "fakes play a part"

    separates(check, DraganPenalty(1.0), GradientPenalty(1.0), "fakes play a part")


def test_dragan_learns_to_tell_real_from_fake():
    """The penalty alone is back-propagated: a critic that points the wrong way with slope 1 stays as it is."""
    real, fake = numbers(1.0, 2.0)[:, None], numbers(-1.0, -2.0)[:, None]
    objective = objectives.get("dragan")

    def right(w):
        return sum(objective.for_discriminator(linear(w), real, fake).values())

    def rival(w):
        terms = objective.for_discriminator(linear(w), real, fake)
        return terms["adversarial"].detach() + terms["DRAGAN penalty"]

    def check(loss):
        w = numbers(-1.0)
        assert (w - 0.1 * slope(loss, w)).item() > -1 + 1e-6, "the discriminator does not move"

    separates(check, right, rival, "the discriminator does not move")


# Energies


def pulls_away(value):
    """Orthogonal codes 0; equal or opposite ones 1."""
    for codes, expected in ((torch.eye(8), 0), (torch.ones(16, 8), 1), (numbers(1.0, -2.0)[:, None], 1)):
        found = value(codes).item()
        assert found == pytest.approx(expected, abs=1e-6), f"{found:.3f} instead of {expected}"


def test_pulling_away_norms_each_code():
    """Normalised over the batch instead, and with the diagonal: 1/7 for orthogonal codes, 4/15 for equal ones."""

    def rival(codes):
        directions = codes / codes.norm(dim=0, keepdim=True)
        return (directions @ directions.T).square().sum() / (len(codes) * (len(codes) - 1))

    separates(pulls_away, energy.pulling_away, rival, r"0\.143 instead of 0")
    assert rival(torch.ones(16, 8)).item() == pytest.approx(4 / 15)


def test_pulling_away_squares_the_cosine():
    """Without the square opposite codes are the best of all: −1."""

    def rival(codes):
        directions = codes / codes.norm(dim=1, keepdim=True)
        return ((directions @ directions.T).sum() - len(codes)) / (len(codes) * (len(codes) - 1))

    separates(pulls_away, energy.pulling_away, rival, r"-1\.000 instead of 1")


def test_both_ways_of_the_energys_gradient():
    """The fake is detached where it is the target: of an auto-encoder that halves, the gradient has the wrong sign."""
    half = nn.Linear(2, 2, bias=False).double()
    half.weight.data.copy_(torch.eye(2) / 2)
    network = networks.Reconstruction(nn.Identity(), half)
    fake = numbers(3.0, 4.0)[None]

    def right(fake):
        return objectives.get("ebgan").generator_loss(network(fake))

    def rival(fake):
        return (half(fake) - fake.detach()).norm(dim=1).mean()

    def check(loss):
        after = fake - 0.1 * slope(loss, fake)
        assert right(after) < right(fake), "the fake's energy rises"
        assert_close(slope(loss, fake), fake / 10)  # the energy is half of the norm

    separates(check, right, rival, "the fake's energy rises")


def test_the_controller_of_began_is_bounded():
    """k moves without bounds: below 0 the discriminator is trained to reconstruct fakes too."""

    def rival(k, real, fake, diversity, gain):
        return k + gain * (diversity * real - fake)

    def check(update):
        for real, fake, end in ((0.1, 1.0, 0.0), (1.0, 0.0, 1.0)):
            k = torch.tensor(0.5)
            for _ in range(500):
                k = update(k, torch.tensor(real), torch.tensor(fake), 0.5, 0.01)
            assert k.item() == pytest.approx(end), f"k is {k.item():.2f}"

    separates(check, began.controlled, rival, r"k is -4\.25")


# Losses


def test_one_softmax_is_enough():
    """Probabilities are given to a cross-entropy that takes logits: no answer costs less than 1.461."""

    def rival(logits, classes):
        return cross_entropy(logits.softmax(1), classes)

    def check(loss):
        certain, classes = 50 * torch.eye(10), torch.arange(10)
        found = loss(certain, classes).item()
        assert found < 1e-6, f"certainty costs {found:.3f}"
        wrong = slope(lambda logits: loss(logits, classes.roll(1)), certain)
        assert wrong.abs().max() > 0.09, "and errors have no slope"

    separates(check, cross_entropy, rival, r"certainty costs 1\.461")
    assert math.log(1 + 9 / math.e) == pytest.approx(1.461, abs=5e-4)


def test_the_wasserstein_loss_has_no_margin():
    """What is called Wasserstein is the hinge loss."""
    x = numbers(0.0, 1.0)

    def check(loss):
        found = loss(x + 3, x).item()
        assert found == pytest.approx(-3), f"a distance of 3 gives {found:.2f}"

    rival = objectives.get("hinge").discriminator_loss
    assert_close(rival(x + 3, x), relu(1 - (x + 3)).mean() + relu(1 + x).mean())
    separates(check, objectives.get("wgan").discriminator_loss, rival, r"a distance of 3 gives 1\.50")


def test_a_critics_score_is_not_cut():
    """A ReLU at the end of the critic: samples that it scores below 0 have one score, and no slope."""
    critic = networks.mlp(1, [1])
    for weight, value in zip(critic.parameters(), (1.0, 10.0, 1.0, -10.0), strict=True):
        nn.init.constant_(weight, value)  # d(x) = x where x is above -10
    real, fake = torch.tensor([[-2.0], [-1.0]]), torch.tensor([[-5.0], [-4.0]])

    def check(critic):
        found = -objectives.get("wgan").discriminator_loss(critic(real), critic(fake)).item()
        assert found == pytest.approx(3), f"a distance of 3 is taken for {found:.2f}"

    separates(check, critic, nn.Sequential(critic, nn.ReLU()), r"a distance of 3 is taken for -?0\.00")


def reaches(name):
    """A check that the largest value of a bound is the divergence."""
    divergence = fgan.divergence(name).between(P, Q).item()

    def check(bound):
        found = greatest(lambda scores: bound(*spread(scores))).item()
        assert found == pytest.approx(divergence, rel=1e-5), f"{found:.4f} instead of {divergence:.4f}"

    return check


def bound(name):
    """The package's."""
    return lambda real, fake: -objectives.get(name).discriminator_loss(real, fake)


def test_no_sigmoid_before_the_activation():
    """Scores pass through a sigmoid first: T stays between 0 and 1, and the bound below the divergence."""

    def rival(real, fake):
        return bound("f-gan/kl")(real.sigmoid(), fake.sigmoid())

    separates(reaches("kl"), bound("f-gan/kl"), rival, r"0\.1718 instead of 0\.4564")


def test_the_logarithm_of_the_row_jensen_shannon():
    """Without its logarithms the row estimates another divergence: 1 + the squared Hellinger distance."""

    def rival(real, fake):
        return (2 - (1 + (-real).exp())).mean() + (2 - fake.exp()).mean()

    separates(reaches("jensen-shannon"), bound("f-gan/jensen-shannon"), rival, r"1\.\d+ instead of 0\.")
    reaches_another = 1 + fgan.divergence("squared-hellinger").between(P, Q)
    assert_close(greatest(lambda scores: rival(*spread(scores))), reaches_another, rtol=1e-5, atol=0)


def test_activations_rise():
    """−eᵛ for the reverse KL divergence, 1 − eᵛ for the Hellinger distance: real samples get the lower scores."""

    def check(activation):
        v = torch.linspace(-3, 3, 7).double()
        assert (activation(v).diff() > 0).all(), "a higher score counts less"

    rivals = {"reverse-kl": lambda v: -v.exp(), "squared-hellinger": lambda v: 1 - v.exp()}
    for name, rival in rivals.items():
        separates(check, fgan.divergence(name).activation, rival, "a higher score counts less")


# Networks


def test_batch_normalisation_by_keyword():
    """`BatchNorm2d(n, 0.8)` sets the number under the root, not the momentum."""
    x = 0.5 * torch.randn(64, 3, 8, 8)

    def check(layer):
        assert layer(x).var().item() == pytest.approx(1, abs=1e-3), f"variance {layer(x).var():.1f}"

    separates(check, nn.BatchNorm2d(3, momentum=0.2), nn.BatchNorm2d(3, 0.8), r"variance 0\.2")


def test_coupled_discriminators_share_their_last_layers():
    """The first layers are shared and the last are not: the reverse of CoGAN."""

    def right():
        last = nn.Linear(3, 1)
        return nn.Sequential(nn.Linear(4, 3), last), nn.Sequential(nn.Linear(4, 3), last)

    def rival():
        first = nn.Linear(4, 3)
        return nn.Sequential(first, nn.Linear(3, 1)), nn.Sequential(first, nn.Linear(3, 1))

    def check(make):
        one, other = make()
        one(torch.randn(5, 4)).sum().backward()
        assert other[0].weight.grad is None, "what is low-level in one domain is learned by the other"
        assert other[-1].weight.grad is not None, "what is high-level is not shared"

    separates(check, right, rival, "what is low-level in one domain is learned by the other")


def test_coupled_discriminators_are_logistic():
    """Squares instead of logarithms: at the end of the game the value is no longer 4 log 2."""
    even = torch.zeros(4).double()

    def check(loss):
        best = -greatest(lambda scores: -loss(scores, scores)).item()  # of equal laws, in one of the two domains
        assert 2 * best == pytest.approx(4 * LOG2), f"the value is {2 * best:.3f}"
        assert loss(even, even).item() == pytest.approx(best)

    def rival(real, fake):
        return (real - 1).square().mean() + fake.square().mean()

    separates(check, objectives.get("minimax").discriminator_loss, rival, r"the value is 1\.000")


# Sequences


def test_maligan_weighs_by_the_ratio():
    """With weights D instead of D / (1 − D), the best discriminator does not make it maximum likelihood."""
    best = P / (P + Q)

    def check(weights):
        def surrogate(logits):
            w = Q * weights(best)
            return (w / w.sum() * logits.log_softmax(0)).sum()

        likelihood = slope(lambda logits: (P * logits.log_softmax(0)).sum(), Q.log())
        assert_close(slope(surrogate, Q.log()), likelihood, msg="not the gradient of the likelihood")

    separates(check, lambda d: d / (1 - d), lambda d: d, "not the gradient of the likelihood")


def test_gumbel_noise_belongs_to_the_logits():
    """Noise on the hidden state, before the output layer: tokens do not follow the softmax of the logits."""
    torch.manual_seed(0)
    hidden, output = numbers(0.0, 0.0), torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, -1.0]]).double()

    def right(n):
        return gumbel_softmax((hidden @ output).expand(n, 3), hard=True)

    def rival(n):
        noise = -(-torch.rand(n, 2).double().clamp(min=1e-12).log()).log()
        return one_hot(((hidden + noise) @ output).argmax(1), 3)

    def check(tokens):
        found, expected = tokens(40_000).double().mean(0), (hidden @ output).softmax(0)
        assert_close(found, expected, atol=0.01, rtol=0, msg=f"the first is drawn {found[0]:.2f} of the times")

    separates(check, right, rival, r"the first is drawn 0\.\d+ of the times")


# Common information


def test_no_row_keeps_its_own_code():
    """`torch.randperm` for codes of other rows: one row in n keeps its own, and the estimate cannot exceed log n."""
    n, joint = 4, torch.eye(8).double() / 8  # Z = (X, Y), three fair bits of them
    product = torch.full((8, 8), 1 / 64).double()

    def rival(n):
        return torch.randperm(n)

    def check(permutation):
        torch.manual_seed(0)
        kept = torch.stack([permutation(n) == torch.arange(n) for _ in range(4_000)]).double().mean()
        mixed = kept * joint + (1 - kept) * product  # the law of rows with permuted codes
        found = torch.xlogy(joint, joint / mixed).sum()  # what the best ratio says
        assert found == pytest.approx(3 * LOG2), f"{found / LOG2:.1f} of 3 bits"

    separates(check, wyner.deranged, rival, r"1\.[5-6] of 3 bits")


# Data and evaluation


def test_the_ring_closes_only_once():
    """`linspace(0, 2π, 8)` has both ends of the circle: seven modes, one of them twice as heavy."""

    def rival(modes):
        angles = torch.linspace(0, 2 * math.pi, modes)
        return 2 * torch.stack([angles.cos(), angles.sin()], dim=1)

    def check(centers):
        found = centers(8)
        later = (found[:, None] - found).norm(dim=2).triu(1) + torch.ones(8, 8).tril()  # distances to those after it
        distinct = int((later > 1e-4).all(1).sum())
        assert distinct == 8, f"{distinct} modes"
        assert_close(found.mean(0), torch.zeros(2), atol=1e-6, rtol=0)

    separates(check, toy.ring_centers, rival, "7 modes")


def test_the_inception_score_of_parts():
    """A mean over ten parts of the sample cannot exceed the size of a part. No bug, a trap: it depends on N."""
    sure = torch.eye(100).double()  # one perfect picture of each of 100 classes

    def right(probabilities):
        return metrics.inception_score(probabilities).mean

    def rival(probabilities):
        with pytest.warns(UserWarning, match="the score cannot exceed 10"):
            return metrics.inception_score(probabilities, splits=10).mean

    def check(score):
        assert score(sure) == pytest.approx(100), f"100 perfect classes have {score(sure):.1f}"

    separates(check, right, rival, r"100 perfect classes have 10\.0")

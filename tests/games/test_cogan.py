"""The game of several domains: its value, its constraint, who learns from what, and the ways back to latents."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import data, fit, games, networks, objectives


class Scores(nn.Module):
    """A score (n,) that is the same for every sample."""

    def __init__(self, value=0.0):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, x):
        return self.value.expand(len(x))


def players(first=1, last=1, domains=2, latent=2, sample=3, features=4, end=nn.Identity):
    """Perceptrons of two blocks each; a discriminator's last block is linear."""
    generators = [
        [nn.Sequential(nn.Linear(latent, 5), nn.Tanh()), nn.Sequential(nn.Linear(5, sample), end())]
        for _ in range(domains)
    ]
    discriminators = [
        [nn.Sequential(nn.Linear(sample, features), nn.Tanh()), nn.Sequential(nn.Linear(features, 1), nn.Flatten(0))]
        for _ in range(domains)
    ]
    return networks.couple(generators, first=first), networks.couple(discriminators, last=last)


def game(first=1, last=1, domains=2, **settings):
    return games.CoGAN(*players(first, last, domains), latent_size=2, **settings)


def batch(n=6, domains=2):
    return tuple(torch.randn(n, 3) for _ in range(domains))


@pytest.mark.parametrize("domains", [2, 3])
def test_the_value_at_the_optimum_is_two_log_two_for_each_domain(domains):
    """Optimal scores are 0 where the laws are equal: V = 4 log 2 for two domains (liu2016cogan, with its signs)."""
    coupled = game(domains=domains)
    coupled.discriminators = networks.couple([[nn.Identity(), Scores()] for _ in range(domains)], last=1)
    terms = coupled.discriminator_loss(batch(domains=domains))
    assert list(terms) == [f"adversarial {i}" for i in range(domains)]
    assert_close(sum(terms.values()).item(), 2 * domains * math.log(2))
    assert_close(sum(coupled.generator_loss(batch(domains=domains)).values()).item(), domains * math.log(2))


@pytest.mark.parametrize("objective", ["non-saturating", "least-squares", "wgan-gp", "relativistic", "hinge"])
@pytest.mark.parametrize("last", [0, 1, 2])
def test_the_loss_is_the_sum_of_the_domains_losses(objective, last):
    """Whichever way the samples go through the discriminators."""
    coupled = game(last=last, objective=objective)
    real, seed = batch(), torch.get_rng_state()
    terms = coupled.discriminator_loss(real)
    torch.set_rng_state(seed)
    fake = [x.detach() for x in coupled.generators(coupled.noise(6))]
    plain = objectives.get(objective)
    for i in range(2):
        for name, term in plain.for_discriminator(coupled.scorer(i), real[i], fake[i]).items():
            assert_close(terms[f"{name} {i}"], term)
    torch.set_rng_state(seed)
    for name, term in coupled.generator_loss(real).items():
        i = int(name[-1])
        assert_close(term, plain.for_generator(coupled.scorer(i), real[i], fake[i])["adversarial"])


def test_all_samples_go_through_the_discriminators_at_once():
    coupled, calls = game(), []
    coupled.discriminators.shared[-1].register_forward_hook(lambda _, x, __: calls.append(len(x[0])))
    coupled.discriminator_loss(batch())
    coupled.generator_loss(batch())
    assert calls == [4 * 6, 2 * 6]  # real samples and fakes of both domains, and the fakes of both


def test_with_batch_normalisation_each_batch_is_judged_by_itself():
    """Real samples and fakes in one batch would be told apart by what normalisation makes of them together."""
    generators, _ = players()
    own = [[nn.Linear(3, 4), nn.BatchNorm1d(4)], [nn.Linear(3, 4), nn.BatchNorm1d(4)]]
    ends = [[*blocks, nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))] for blocks in own]
    coupled = games.CoGAN(generators, networks.couple(ends, last=2), latent_size=2)
    real, seed = batch(), torch.get_rng_state()
    terms = coupled.discriminator_loss(real)
    torch.set_rng_state(seed)
    fake = [x.detach() for x in coupled.generators(coupled.noise(6))]
    apart = objectives.get("non-saturating").for_discriminator(coupled.scorer(1), real[1], fake[1])
    assert_close(terms["adversarial 1"], apart["adversarial"])


def test_shared_layers_stay_the_same_and_the_others_part():
    coupled = game(first=1, last=1)
    fit(coupled, data.Unpaired(*batch(40)), rounds=5, batch_size=8, device="cpu")
    for network, shared in ((coupled.generators, 0), (coupled.discriminators, 1)):
        one, other = network.blocks(0), network.blocks(1)
        assert one[shared] is other[shared]
        assert not torch.equal(one[1 - shared][0].weight, other[1 - shared][0].weight)


def test_domains_of_different_sizes_and_channels_are_played_together():
    """28 grey pixels and 14 coloured ones, with first and last blocks of their own."""

    def generator(channels, doublings):
        wide = nn.Sequential(nn.Linear(3, 2 * 49), nn.Unflatten(1, (2, 7, 7)), nn.ReLU())
        climb = [nn.ConvTranspose2d(2, 2, 4, stride=2, padding=1) for _ in range(doublings)]
        return [wide, nn.Sequential(*climb, nn.Conv2d(2, channels, 3, padding=1), nn.Sigmoid())]

    def discriminator(channels, stride):
        own = nn.Sequential(nn.Conv2d(channels, 2, 4, stride=stride, padding=1), nn.AdaptiveMaxPool2d(7), nn.ReLU())
        return [own, nn.Sequential(nn.Flatten(), nn.Linear(2 * 49, 1), nn.Flatten(0))]

    generators = networks.couple([generator(1, 2), generator(3, 1)], first=1)
    discriminators = networks.couple([discriminator(1, 2), discriminator(3, 1)], last=1)
    coupled = games.CoGAN(generators, discriminators, latent_size=3, average=0.9)
    before = [p.clone() for p in coupled.turns()[0].parameters() + coupled.turns()[1].parameters()]
    real = torch.rand(20, 1, 28, 28), torch.rand(12, 3, 14, 14)
    history = fit(coupled, data.Unpaired(*real), rounds=2, batch_size=4, device="cpu")
    assert history.rounds == 2
    after = coupled.turns()[0].parameters() + coupled.turns()[1].parameters()
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert [tuple(x.shape) for x in coupled.sample(5)] == [(5, 1, 28, 28), (5, 3, 14, 14)]
    assert coupled.transform(real[1][:2], 1, 0, steps=2, starts=1).shape == (2, 1, 28, 28)


def test_with_all_layers_shared_the_generators_are_one():
    coupled = game(first=2)
    one, other = coupled.sample(5)
    assert torch.equal(one, other)


def test_one_noise_goes_into_all_generators():
    coupled = game(domains=3)
    z = coupled.noise(4)
    for domain, x in enumerate(coupled.generate(z)):
        assert_close(x, coupled.generators.only(z, domain))
    torch.manual_seed(0)
    drawn = coupled.sample(4)
    torch.manual_seed(0)
    assert_close(drawn, coupled.generate(coupled.noise(4)))


def test_without_sharing_the_product_of_the_marginals_is_as_good_as_any_joint_law():
    """k = 0: two generators of points on {0, 1} reach the same value whether their bits agree or are independent."""

    class Bits(nn.Module):
        def __init__(self, coordinate):
            super().__init__()
            self.coordinate = coordinate

        def forward(self, z):
            return (z[:, self.coordinate : self.coordinate + 1] > 0).float()

    values = []
    for coordinates in [(0, 0), (0, 1)]:  # the same bit in both domains, or two of their own
        generators = networks.couple([[Bits(c)] for c in coordinates], first=0)
        discriminators = networks.couple([[nn.Linear(1, 1), nn.Flatten(0)] for _ in range(2)], last=0)
        for stack in discriminators.own:
            nn.init.zeros_(stack[0].weight), nn.init.zeros_(stack[0].bias)
        coupled = games.CoGAN(generators, discriminators, latent_size=2)
        real = tuple(torch.tensor([[0.0], [1.0]]).repeat(500, 1) for _ in range(2))
        terms = coupled.discriminator_loss(real)
        loss = sum(terms.values())
        slopes = torch.autograd.grad(loss, list(discriminators.parameters()))
        assert max(float(s.abs().max()) for s in slopes) < 0.1  # zero scores are optimal against either
        values.append(loss.item())
        first, second = coupled.sample(4_000)
        agree = float((first == second).float().mean())
        assert agree == pytest.approx(1.0 if coordinates == (0, 0) else 0.5, abs=0.03)
    assert values == pytest.approx([4 * math.log(2)] * 2)


def test_each_player_moves_its_own_networks_only():
    coupled = game(classifier=nn.Linear(4, 3))
    turns = {turn.player: turn for turn in coupled.turns()}
    assert list(turns) == ["discriminator", "generator"]
    of = {name: set(turn.parameters()) for name, turn in turns.items()}
    assert of["generator"] == set(coupled.generators.parameters())
    assert of["discriminator"] == {*coupled.discriminators.parameters(), *coupled.classifier.parameters()}
    x, y = batch()
    labelled = ((x, torch.zeros(6, dtype=torch.int64)), y)
    for name, turn in turns.items():
        coupled.zero_grad()
        sum(turn.loss(labelled).values()).backward()
        assert all(p.grad is not None for p in of[name])


def test_the_classifier_learns_from_the_labelled_domain_alone():
    coupled = game(classifier=nn.Linear(4, 3), classification=2.0)
    (x, y), labels = batch(), torch.tensor([0, 1, 2, 0, 1, 2])
    terms = coupled.discriminator_loss(((x, labels), y))
    logits = coupled.classifier(coupled.features(x, 0))
    assert_close(terms["classification"], 2 * nn.functional.cross_entropy(logits, labels))
    slope = torch.autograd.grad(terms["classification"], coupled.discriminators.own[1].parameters(), allow_unused=True)
    assert all(s is None or not s.any() for s in slope)
    assert_close(coupled.predict(y, 1), coupled.classifier(coupled.features(y, 1)).argmax(1))


def test_matched_features_are_the_discriminators_affair():
    coupled, real = game(matching=0.5), batch()
    seed = torch.get_rng_state()
    terms = coupled.discriminator_loss(real)
    torch.set_rng_state(seed)
    one, other = (x.detach() for x in coupled.generators(coupled.noise(6)))
    gap = (coupled.features(one, 0) - coupled.features(other, 1)).square().sum(1).mean()
    assert_close(terms["matching"], 0.5 * gap)
    assert "matching" not in coupled.generator_loss(batch())


def test_terms_of_features_do_not_depend_on_the_way():
    """With an objective that calls the discriminators itself the same terms come out."""
    classifier, networks_ = nn.Linear(4, 3), players()
    both = [
        games.CoGAN(*networks_, objective, latent_size=2, classifier=classifier, matching=1.0)
        for objective in ("non-saturating", "relativistic")
    ]
    (x, y), labels = batch(), torch.tensor([0, 1, 2, 0, 1, 2])
    found = []
    for coupled in both:
        torch.manual_seed(0)
        found.append(coupled.discriminator_loss(((x, labels), y)))
    for name in ("classification", "matching"):
        assert_close(found[0][name], found[1][name])


def test_an_average_of_the_generators_is_sampled():
    coupled = game(average=0.5)
    before = [p.clone() for p in coupled.averaged.parameters()]
    fit(coupled, data.Unpaired(*batch(40)), rounds=1, batch_size=8, device="cpu")
    for old, mean, now in zip(before, coupled.averaged.parameters(), coupled.generators.parameters(), strict=True):
        assert_close(mean, (old + now) / 2)
    z = coupled.noise(3)
    assert_close(coupled.generate(z)[1], coupled.averaged.only(z, 1))


def test_priors():
    uniform = game().noise(20_000)
    assert -1 <= uniform.min() < -0.99 < 0.99 < uniform.max() <= 1
    assert_close(uniform.var().item(), 1 / 3, atol=0.01, rtol=0)
    assert_close(game(prior="normal").noise(20_000).var().item(), 1.0, atol=0.03, rtol=0)


# --- Bad input -----------------------------------------------------------------------------------------------------

X, LABELS = torch.randn(4, 3), torch.zeros(4, dtype=torch.int64)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (X, "a batch has a Tensor; it must have a tensor for each of 2 domains"),
        ((X,), "a batch has 1 parts"),
        ((X, X, X), "a batch has 3 parts"),
        ((X, (X, LABELS)), "labels were given to domain 1, but there is no classifier"),
        (((X, LABELS), X), "labels were given to domain 0, but there is no classifier"),
        ((X, X[:0]), "the batch of domain 1 must be a tensor"),
    ],
)
def test_batches_that_do_not_fit(given, message):
    with pytest.raises(ValueError, match=message):
        game().discriminator_loss(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((X, X), "domain 0, which came without labels"),
        (((X, LABELS), (X, LABELS)), "labels were given to domain 1, but only domain 0 is labelled: give its images"),
    ],
)
def test_labels_of_the_unlabelled_domain_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        game(classifier=nn.Linear(4, 3)).parted(given)


def test_networks_that_cannot_play():
    generators, discriminators = players()
    with pytest.raises(ValueError, match="generators share their last blocks"):
        games.CoGAN(discriminators, discriminators, latent_size=2)
    with pytest.raises(ValueError, match="discriminators share their first blocks"):
        games.CoGAN(generators, generators, latent_size=2)
    with pytest.raises(ValueError, match="generators of 2 domains and discriminators of 3"):
        games.CoGAN(generators, players(domains=3)[1], latent_size=2)
    with pytest.raises(ValueError, match="prior='cauchy' was given; choose one of uniform, normal"):
        game(prior="cauchy")
    with pytest.raises(ValueError, match="has no classifier"):
        game().predict(X, 1)


@pytest.mark.parametrize(
    ("make", "made_for"),
    [
        (players, r"2x5 and 2x5"),
        (lambda: networks.cogan_narrow(latent_size=64), r"2x5 and 64x512"),
        (lambda: networks.cogan_digits(latent_size=64), r"\[64, 1, 1\].*\(5\)"),
        (lambda: networks.cogan_faces(latent_size=64, width=2), "2x5 and 64x"),
    ],
)
def test_another_latent_size_than_the_networks_is_refused_at_once(make, made_for):
    with pytest.raises(ValueError, match=f"the generators cannot take latents of latent_size=5: .*{made_for}.*Give la"):
        games.CoGAN(*make(), latent_size=5)


def test_discriminators_of_other_images_are_refused_at_once():
    (generators, _), (_, discriminators) = players(), players(sample=4)
    with pytest.raises(
        ValueError, match=r"the discriminators cannot take the generators' images: domain 0's own block"
    ):
        games.CoGAN(generators, discriminators, latent_size=2)


def test_making_a_game_draws_no_random_number_and_moves_no_statistics():
    both = networks.cogan_faces(width=2, latent_size=3)  # with batch normalisation and dropout
    before = [{name: x.clone() for name, x in part.state_dict().items()} for part in both]
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    games.CoGAN(*both, latent_size=3)
    assert torch.equal(torch.rand(2), expected)
    for part, old in zip(both, before, strict=True):
        assert all(torch.equal(old[name], x) for name, x in part.state_dict().items())
        assert all(module.training for module in part.modules())


# --- Back to latents -----------------------------------------------------------------------------------------------


def linear(prior):
    """Generators that are linear maps, whose inverse is known."""
    torch.manual_seed(3)
    generators = networks.couple([[nn.Linear(2, 4)], [nn.Linear(2, 3)]], first=0)
    discriminators = networks.couple([[nn.Linear(4, 1), nn.Flatten(0)], [nn.Linear(3, 1), nn.Flatten(0)]], last=0)
    return games.CoGAN(generators, discriminators, latent_size=2, prior=prior)


@pytest.mark.parametrize("prior", ["uniform", "normal"])
def test_inversion_finds_the_latent(prior):
    coupled = linear(prior)
    z = 0.8 * torch.rand(5, 2) - 0.4
    x, y = coupled.generate(z)
    found = coupled.invert(x, 0)
    assert_close(found.latents, z, atol=1e-3, rtol=0)
    assert float(found.errors.max()) < 1e-6
    assert_close(coupled.transform(x, 0, 1), y, atol=1e-3, rtol=0)
    assert all(p.grad is None for p in coupled.parameters())
    assert all(p.requires_grad for p in coupled.parameters())


def test_inversion_of_what_cannot_be_drawn_says_how_far_off_it_is():
    coupled = linear("normal")
    x = coupled.generate(torch.zeros(1, 2))[0] + torch.tensor([[3.0, -1.0, 2.0, 0.5]])
    map_, shift = coupled.generators.own[0][0].weight, coupled.generators.own[0][0].bias
    best = torch.linalg.lstsq(map_, (x - shift).T).solution  # the least squares that there are
    residual = (map_ @ best + shift[:, None] - x.T).square().mean()
    assert_close(coupled.invert(x, 0).errors[0], residual.detach(), atol=1e-4, rtol=1e-4)


def test_the_best_of_several_starts_is_kept():
    coupled = games.CoGAN(*players(first=1, end=nn.Sigmoid), latent_size=2)
    x = torch.rand(6, 3)
    torch.manual_seed(0)
    alone = coupled.invert(x, 1, steps=3, starts=1).errors
    torch.manual_seed(0)
    assert (coupled.invert(x, 1, steps=3, starts=4).errors <= alone).all()


def test_inversion_stays_inside_the_uniform_prior():
    coupled = linear("uniform")
    x = coupled.generators.only(torch.tensor([[5.0, 0.0]]), 0).detach()
    assert float(coupled.invert(x, 0).latents.abs().max()) <= 1


def test_inversion_of_images_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"x has images of shape \(3,\); those of domain 0 are \(4,\)"):
        linear("normal").invert(torch.randn(2, 3), 0)
    with pytest.raises(ValueError, match="target=2"):
        linear("normal").transform(torch.randn(2, 4), 0, 2)
    with pytest.raises(ValueError, match="steps=0"):
        linear("normal").invert(torch.randn(2, 4), 0, steps=0)

"""The variational auto-encoder: its bound in a case with a known optimum, its laws and its flow."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal
from torch.testing import assert_close

from gan_course import fit, games, networks
from gan_course.objectives.densities import importance_bound, standard_log_density

W = torch.tensor([[1.5, 0.0], [0.0, -0.7], [0.0, 0.0]])  # orthogonal columns: the posterior is a diagonal Gaussian
S = 0.4
B = torch.tensor([0.3, -0.2, 0.1])
PRECISION = 1 + W.square().sum(0) / S**2


def factor_analysis(sharper: float = 1.0, flow: nn.Module | None = None) -> games.VAE:
    """x = Wz + b + N(0, s²): a VAE that holds the exact posterior, or one with `sharper` times its variance."""
    encoder, decoder = nn.Linear(3, 4), nn.Linear(2, 3)
    with torch.no_grad():
        decoder.weight.copy_(W)
        decoder.bias.copy_(B)
        encoder.weight[:2] = (W / S**2 / PRECISION).T
        encoder.bias[:2] = -encoder.weight[:2] @ B
        encoder.weight[2:] = 0
        encoder.bias[2:] = (sharper / PRECISION).log()
    return games.VAE(encoder, decoder, 2, games.Gaussian(S), flow=flow)


def data(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    law = MultivariateNormal(B, W @ W.T + S**2 * torch.eye(3))
    torch.manual_seed(0)
    x = law.sample((n,))
    return x, law.log_prob(x)


def test_the_bound_is_tight_at_the_true_posterior():
    game, (x, log_p) = factor_analysis(), data(500)
    assert_close(game.log_weights(x), log_p, atol=2e-5, rtol=0)  # for every draw, not only on average
    loss = sum(game.loss(x).values())
    many = torch.stack([sum(game.loss(x).values()) for _ in range(200)]).mean()
    assert loss.item() == pytest.approx(-log_p.mean().item(), abs=0.2)
    assert many.item() == pytest.approx(-log_p.mean().item(), abs=0.02)


def test_the_gap_is_the_divergence_of_the_posteriors():
    sharper = 0.25
    game, (x, log_p) = factor_analysis(sharper), data(500)
    gap = 2 * 0.5 * (sharper - 1 - math.log(sharper))  # two coordinates
    weights = torch.stack([game.log_weights(x) for _ in range(400)])
    assert (log_p - weights.mean(0)).mean().item() == pytest.approx(gap, abs=0.02)
    bounds = [(log_p - importance_bound(weights[:k])).mean().item() for k in (1, 10, 100)]
    assert bounds[0] > bounds[1] > bounds[2] > 0


def test_training_finds_the_optimum_of_probabilistic_pca():
    x, _ = data(20_000)
    torch.manual_seed(0)
    game = games.VAE(nn.Linear(3, 4), nn.Linear(2, 3), 2, games.Gaussian(1.0, "learned"), games.adam(0.01))
    fit(game, x, rounds=1500, batch_size=256)
    values = torch.linalg.eigvalsh(x.T.cov())  # the noise's variance is the mean of the eigenvalues left out
    best = -0.5 * (values[1:].log().sum() + values[0].log() + 3 + 3 * math.log(2 * math.pi)).item()
    assert game.likelihood.log_std.exp().item() == pytest.approx(values[0].sqrt().item(), abs=0.02)
    bound = torch.stack([game.log_weights(x) for _ in range(20)]).mean().item()
    assert bound < best + 0.005
    assert bound == pytest.approx(best, abs=0.02)
    covariance = game.decoder.weight @ game.decoder.weight.T + game.likelihood.log_std.exp() ** 2 * torch.eye(3)
    assert_close(covariance.detach(), x.T.cov(), atol=0.12, rtol=0)


@pytest.mark.parametrize("flow", [None, networks.PlanarFlow(2, 3), networks.InverseAutoregressiveFlow(2, 2, [8])])
def test_weights_agree_with_the_posterior_of_given_codes(flow):
    torch.manual_seed(0)
    if flow is not None:
        with torch.no_grad():
            for p in flow.parameters():
                p.add_(0.3 * torch.randn_like(p))
    game, (x, _) = factor_analysis(2.0, flow), data(50)
    torch.manual_seed(3)
    weights = game.log_weights(x)
    torch.manual_seed(3)
    mean, log_variance = game.encode(x)
    z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
    if flow is not None:
        z = flow(z)[0]
    log_posterior = game.log_posterior(x, z.detach())
    expected = game.likelihood.log_probability(game.decoder(z), x) + standard_log_density(z) - log_posterior
    assert_close(weights, expected.detach(), atol=1e-3, rtol=1e-4)
    torch.manual_seed(3)
    terms = game.loss(x)
    assert_close(terms["reconstruction"], -game.likelihood.log_probability(game.decoder(z), x).mean())
    if flow is not None:
        assert_close(terms["divergence"], (log_posterior - standard_log_density(z)).mean(), atol=1e-3, rtol=1e-4)
        assert_close(-sum(terms.values()).detach(), weights.mean(), atol=1e-4, rtol=1e-4)


def test_the_posterior_with_a_flow_is_a_density():
    torch.manual_seed(0)
    flow = networks.PlanarFlow(2, 4)
    with torch.no_grad():
        for p in flow.parameters():
            p.add_(0.5 * torch.randn_like(p))
    game, (x, _) = factor_analysis(1.0, flow), data(1)
    grid = torch.linspace(-6, 6, 481)
    z = torch.cartesian_prod(grid, grid)
    with torch.no_grad():
        density = game.log_posterior(x.expand(len(z), 3), z).exp()
    assert (density.sum() * (grid[1] - grid[0]) ** 2).item() == pytest.approx(1.0, abs=2e-3)


def test_a_flow_tightens_the_bound_of_a_posterior_that_is_no_gaussian():
    torch.manual_seed(0)
    angle = 2 * math.pi * torch.rand(4000, 1)
    x = torch.cat([angle.cos(), angle.sin()], 1).prod(1, keepdim=True) + 0.05 * torch.randn(4000, 1)

    class Product(nn.Module):
        """One number is seen of two: its posterior is a pair of crescents."""

        def forward(self, z):
            return z.prod(1, keepdim=True)

    bounds = {}
    for name, flow in (("none", None), ("flow", networks.InverseAutoregressiveFlow(2, 2, [16]))):
        torch.manual_seed(1)
        game = games.VAE(networks.mlp(1, [32], 4), Product(), 2, games.Gaussian(0.1), games.adam(3e-3), flow=flow)
        fit(game, x, rounds=1500, batch_size=128)
        bounds[name] = torch.stack([game.log_weights(x) for _ in range(50)]).mean().item()
    assert bounds["flow"] > bounds["none"] + 0.1


@pytest.mark.parametrize("likelihood", ["discretised-logistic", games.Gaussian(0.5, "learned"), games.Bernoulli()])
def test_laws_learn_with_the_networks(likelihood):
    torch.manual_seed(0)
    x = torch.rand(64, 1, 8, 8).round()
    game = games.VAE(networks.encoder(8, 1, 6, 8), networks.decoder(8, 1, 3, 8), 3, likelihood)
    before = [p.detach().clone() for p in game.likelihood.parameters()]
    history = fit(game, x, rounds=60)
    loss = history.frame.sum(axis=1)
    assert loss.iloc[-10:].mean() < loss.iloc[:10].mean()
    assert all(not torch.equal(a, b) for a, b in zip(before, game.likelihood.parameters(), strict=True))
    assert game.sample(5).shape == game.reconstruct(x[:5]).shape == (5, 1, 8, 8)


def test_a_flow_learns_with_the_networks():
    torch.manual_seed(0)
    x, flow = torch.rand(64, 1, 8, 8).round(), networks.PlanarFlow(3, 2)
    game = games.VAE(networks.encoder(8, 1, 6, 8), networks.decoder(8, 1, 3, 8), 3, flow=flow)
    before = [p.detach().clone() for p in flow.parameters()]
    history = fit(game, x, rounds=20)
    assert all(not torch.equal(a, b) for a, b in zip(before, flow.parameters(), strict=True))
    assert list(history.frame.columns) == ["vae/reconstruction", "vae/divergence"]
    assert game.sample(5).shape == game.reconstruct(x[:5]).shape == (5, 1, 8, 8)


def test_the_defaults_are_what_they_were():
    torch.manual_seed(0)
    game, x = games.VAE(nn.Linear(5, 4), nn.Linear(2, 5), 2), torch.rand(6, 5)
    torch.manual_seed(1)
    terms = game.loss(x)
    torch.manual_seed(1)
    mean, log_variance = game.encoder(x).chunk(2, 1)
    z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
    logits = game.decoder(z)
    nll = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
    assert_close(terms["reconstruction"], nll)
    assert_close(terms["divergence"], divergence)
    assert list(game.state_dict()) == [
        *("progress", "encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"),
    ]


def test_bad_data_and_parts():
    game = games.VAE(nn.Linear(3, 4), nn.Linear(2, 3), 2)
    with pytest.raises(ValueError, match="outside the support of Bernoulli"):
        fit(game, torch.randn(10, 3), rounds=1)
    with pytest.raises(ValueError, match="outside the support of Bernoulli"):
        game.log_weights(torch.full((2, 3), 1.5))
    with pytest.raises(ValueError, match=r"for latent_size=3 it must return \(2, 6\)"):
        games.VAE(nn.Linear(3, 4), nn.Linear(3, 3), 3)
    with pytest.raises(ValueError, match="the decoder cannot take codes of latent_size=2: "):
        games.VAE(nn.Linear(3, 4), nn.Linear(3, 3), 2)
    with pytest.raises(ValueError, match=r"the encoder cannot take the samples of shape \(1,\) that the decoder makes"):
        games.VAE(nn.Linear(3, 4), nn.Linear(2, 1), 2)
    with pytest.raises(ValueError, match="the decoder returned parameters of shape"):
        games.VAE(networks.mlp(3, [4], 4), networks.mlp(2, [4], (1, 3)), 2).loss(torch.rand(2, 3))
    with pytest.raises(
        ValueError, match=r"z must be codes of shape \(2, 2\), one for each sample, not of shape \(2, 3\)"
    ):
        game.log_posterior(torch.rand(2, 3), torch.zeros(2, 3))


class Squashed(nn.Module):
    """A flow that forgets the shape of its log determinants."""

    def forward(self, z):
        return z, torch.zeros(())

    inverse = forward


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (networks.PlanarFlow(3), "flow cannot take codes of latent_size=2"),
        (nn.Identity(), "flow is a Identity without an inverse"),
        (Squashed(), r"flow returned \(\(2, 2\), \(\)\) for 2 codes of latent_size=2; it must return"),
    ],
)
def test_bad_flows(flow, message):
    with pytest.raises(ValueError, match=message):
        games.VAE(nn.Linear(3, 4), nn.Linear(2, 3), 2, flow=flow)

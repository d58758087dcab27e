"""The mathematics of AS-VAE (Pu et al., 2017) on finite tables, where every expectation is a sum."""

import pytest
import torch
from torch.nn.functional import softplus
from torch.testing import assert_close

X, Z = 5, 3  # symbols of a sample, symbols of a code


class Table:
    """Joint laws of a sample and its code: q(x) q_φ(z|x), from the encoder, and p(z) p_θ(x|z), from the decoder."""

    def __init__(self, seed=0):
        draw = torch.Generator().manual_seed(seed)
        self.data, self.prior = (torch.randn(n, generator=draw).double().softmax(0) for n in (X, Z))
        self.phi = torch.randn(X, Z, generator=draw).double().requires_grad_(True)
        self.theta = torch.randn(X, Z, generator=draw).double().requires_grad_(True)

    def laws(self):
        """log q(z|x), log p(x|z), and the joint laws q(x, z) and p(x, z), all as tables of x and z."""
        encoder, decoder = self.phi.log_softmax(1), self.theta.log_softmax(0)
        return encoder, decoder, self.data[:, None] * encoder.exp(), self.prior * decoder.exp()

    def ratios(self):
        """Corollary 1.1: f1* = log q(x, z) - log p(x) p(z) and f2* = log p(x, z) - log q(x) q(z)."""
        _, _, q, p = self.laws()
        first = q.log() - (p.sum(1, keepdim=True) * self.prior).log()
        return first, p.log() - (self.data[:, None] * q.sum(0)).log()


def kl(p, q):
    return (p * (p / q).log()).sum()


def entropy(p):
    return -(p * p.log()).sum()


def reach(value, **variables):
    """Maximise a function of tables; returns the tables at its maximum."""
    tables = list(variables.values())
    settings = dict(max_iter=1_000, tolerance_grad=1e-12, tolerance_change=1e-15, line_search_fn="strong_wolfe")
    optimizer = torch.optim.LBFGS(tables, **settings)

    def closure():
        optimizer.zero_grad()
        loss = -value(*tables)
        loss.backward()
        return loss

    optimizer.step(closure)
    return [table.detach() for table in tables]


def free():
    return torch.zeros(X, Z, dtype=torch.float64, requires_grad=True)


def test_lemma_1():
    """max over f of E_p log σ(f) + E_q log(1 - σ(f)) is attained at log p(x, z) - log q(x, z)."""
    _, _, q, p = (law.detach() for law in Table().laws())
    (found,) = reach(lambda f: -(p * softplus(-f)).sum() - (q * softplus(f)).sum(), f=free())
    assert_close(found, (p / q).log(), atol=1e-5, rtol=0)


def test_corollary_1_1():
    """The second terms draw sample and code independently, so that a sum over three variables is one over two."""
    table = Table(1)
    encoder, decoder, q, p = (law.detach() for law in table.laws())

    def first(f):  # x ~ p(x|z'), z' ~ p(z), and z ~ p(z) once more
        fakes = torch.einsum("a,xa,z,xz->", table.prior, decoder.exp(), table.prior, softplus(f))
        return -(q * softplus(-f)).sum() - fakes

    def second(f):  # z ~ q(z|x'), x' ~ q(x), and x ~ q(x) once more
        fakes = torch.einsum("a,az,x,xz->", table.data, encoder.exp(), table.data, softplus(f))
        return -(p * softplus(-f)).sum() - fakes

    for objective, optimum in zip((first, second), table.ratios(), strict=True):
        (found,) = reach(objective, f=free())
        assert_close(found, optimum.detach(), atol=1e-5, rtol=0)
    product = p.sum(1, keepdim=True) * table.prior
    f = torch.randn(X, Z, dtype=torch.float64)
    assert_close(first(f), -(q * softplus(-f)).sum() - (product * softplus(f)).sum())  # (17) of the paper's appendix


def halves(table):
    """(8) and (9) by their definitions."""
    _, _, q, p = table.laws()
    return (table.data * p.sum(1).log()).sum() - kl(q, p), (table.prior * q.sum(0).log()).sum() - kl(p, q)


def objective(table, ratios):
    """(10), with given ratios."""
    encoder, decoder, q, p = table.laws()
    return (q * (decoder - ratios[0])).sum() + (p * (encoder - ratios[1])).sum()


@pytest.mark.parametrize("seed", range(5))
def test_the_identities_behind_8_and_9(seed):
    """L_x = E_q[log p(x|z) - f1*], L_z = E_p[log q(z|x) - f2*], and L_x falls short of the ELBO by KL(q(x) || p(x))."""
    table = Table(seed)
    encoder, decoder, q, p = table.laws()
    first, second = table.ratios()
    for_data, for_codes = halves(table)
    assert_close((q * (decoder - first)).sum(), for_data)
    assert_close((p * (encoder - second)).sum(), for_codes)
    elbo = (q * (decoder + table.prior.log() - encoder)).sum()
    assert_close(for_data, elbo - kl(table.data, p.sum(1)))
    assert for_data < elbo


@pytest.mark.parametrize("seed", range(5))
def test_the_decomposition_of_proposition_1(seed):
    """With the optimal ratios (10) is four divergences, turned round, and the two entropies."""
    table = Table(seed)
    _, _, q, p = table.laws()
    divergences = kl(q, p) + kl(p, q) + kl(table.data, p.sum(1)) + kl(table.prior, q.sum(0))
    value = objective(table, table.ratios())
    assert_close(value, -divergences - entropy(table.data) - entropy(table.prior))
    assert value < -entropy(table.data) - entropy(table.prior)


@pytest.mark.parametrize("seed", range(3))
def test_the_maximum_of_proposition_1(seed):
    """Ascent reaches -H(q) - H(p), and there both joint laws are one."""
    table = Table(seed)
    best = -entropy(table.data) - entropy(table.prior)
    reach(lambda *_: sum(halves(table)), phi=table.phi, theta=table.theta)
    _, _, q, p = table.laws()
    assert_close(sum(halves(table)).detach(), best, atol=1e-8, rtol=0)
    assert_close(q, p, atol=1e-4, rtol=0)


def test_every_coupling_of_data_and_prior_is_a_maximum():
    """One in which codes say all that they can of the sample, and one in which they say nothing."""
    table = Table(2)
    best = -entropy(table.data) - entropy(table.prior)
    alone = table.data[:, None] * table.prior
    shift = 0.9 * min(alone[0, 0], alone[1, 1])  # mass moved along a cycle leaves both marginals as they are
    bound = alone.clone()
    bound[:2, :2] += shift * torch.tensor([[-1.0, 1.0], [1.0, -1.0]])
    for joint in (alone, bound):
        with torch.no_grad():
            table.phi.copy_(joint.log())
            table.theta.copy_(joint.log())
        assert_close(sum(halves(table)), best)
    information = [kl(joint, alone) for joint in (alone, bound)]
    assert information[0] == 0
    assert information[1] > 0.03


def gradients(value, table):
    found = torch.autograd.grad(value, [table.phi, table.theta], retain_graph=True, allow_unused=True)
    return [torch.zeros_like(table.phi) if slope is None else slope for slope in found]


@pytest.mark.parametrize("seed", range(5))
def test_the_gap_of_the_practical_gradient(seed):
    """With the ratios held still at their optimum, two terms of the gradient of (8) + (9) are missing."""
    table = Table(seed)
    _, _, q, p = table.laws()
    practical = gradients(objective(table, [ratio.detach() for ratio in table.ratios()]), table)
    whole = gradients(sum(halves(table)), table)
    missing = (table.data * p.sum(1).log()).sum() + (table.prior * q.sum(0).log()).sum()
    for slope, exact, gap in zip(practical, whole, gradients(missing, table), strict=True):
        assert_close(slope + gap, exact)
        assert gap.abs().max() > 1e-2


@pytest.mark.parametrize("seed", range(5))
def test_the_practical_gradient_is_that_of_the_symmetric_divergence(seed):
    """And that of its first half alone, AS-VAE-r, is the VAE's: the ELBO's."""
    table = Table(seed)
    encoder, decoder, q, p = table.laws()
    first, second = (ratio.detach() for ratio in table.ratios())
    elbo = (q * (decoder + table.prior.log() - encoder)).sum()
    pairs = [
        (objective(table, (first, second)), -kl(q, p) - kl(p, q)),
        ((q * (decoder - first)).sum(), elbo),
        ((p * (encoder - second)).sum(), -kl(p, q)),
    ]
    for practical, whole in pairs:
        for slope, exact in zip(gradients(practical, table), gradients(whole, table), strict=True):
            assert_close(slope, exact)


@pytest.mark.parametrize("seed", range(5))
def test_compared_with_a_fixed_law_nothing_is_missing(seed):
    """Ratios to q(x) p(z), which no network moves: the practical gradient is the whole one, of the same divergences,
    and the maximum stays what it was."""
    table = Table(seed)
    encoder, _, q, p = table.laws()
    reference = (table.data[:, None] * table.prior).log()
    ratios = q.log() - reference, p.log() - reference
    assert_close(ratios[0], encoder - table.prior.log())  # no law of samples is left in it
    whole = objective(table, ratios)
    assert_close(whole, -kl(q, p) - kl(p, q) - entropy(table.data) - entropy(table.prior))
    practical = objective(table, [ratio.detach() for ratio in ratios])
    for slope, exact in zip(gradients(practical, table), gradients(whole, table), strict=True):
        assert_close(slope, exact)

"""Games of one: models that learn without an opponent."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course.checks import explained, instance, whole
from gan_course.games.base import (
    Game,
    OptimizerFactory,
    Turn,
    adam,
    check_learning,
    check_parts,
    constant,
    evaluating,
    trying,
    zeros,
)
from gan_course.games.laws import Law, law
from gan_course.objectives.densities import gaussian_log_density, standard_log_density
from gan_course.objectives.likelihood import gaussian_kl


class AutoEncoder(Game):
    r"""An encoder and a decoder that reconstruct: $\min \mathbb E_p\|x - \mathrm{dec}(\mathrm{enc}(x))\|^2$.

    As a generator it decodes latents from the normal distribution that has the codes' mean and covariance, which
    `fit` follows in two buffers: without them there would be no law to draw codes from.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        latent_size: int,
        optimizer: OptimizerFactory | None = None,
        rate: Callable[[float], float] = constant,
    ):
        """`encoder`: samples to codes `(n, latent_size)`; `decoder`: codes to samples (not logits)."""
        super().__init__()
        check_parts(encoder=encoder, decoder=decoder)
        check_learning(optimizer, rate)
        whole("latent_size", latent_size)
        self.encoder, self.decoder, self.latent_size = encoder, decoder, latent_size
        self.optimizer, self.rate = optimizer or adam(1e-3, (0.9, 0.999)), rate
        self.register_buffer("code_mean", torch.zeros(latent_size))
        self.register_buffer("code_covariance", torch.eye(latent_size))

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        """Squared error per sample, summed over its coordinates."""
        codes = self.encoder(x)
        with torch.no_grad():
            centred = codes - codes.mean(0)
            self.code_mean.lerp_(codes.mean(0).to(self.code_mean), 0.01)
            self.code_covariance.lerp_((centred.T @ centred / len(codes)).to(self.code_covariance), 0.01)
        return {"reconstruction": (x - self.decoder(codes)).square().flatten(1).sum(1).mean()}

    def turns(self) -> list[Turn]:
        """One player."""
        return [Turn("auto-encoder", [self.encoder, self.decoder], self.loss, optimizer=self.optimizer, rate=self.rate)]

    def reconstruct(self, x: Tensor) -> Tensor:
        """What the decoder makes of the codes of `x`."""
        with evaluating(self):
            return self.decoder(self.encoder(x.to(self.device)))

    def sample(self, n: int) -> Tensor:
        """Decoded draws from the normal law fitted to the codes."""
        values, vectors = torch.linalg.eigh(self.code_covariance.double())
        root = (vectors * values.clamp_min(0).sqrt()).float()
        with evaluating(self):
            return self.decoder(self.code_mean + torch.randn(n, self.latent_size, device=self.device) @ root.T)


class VAE(Game):
    r"""The variational auto-encoder [kingma2014autoencoding, rezende2014stochastic].

    $$-\log p(x) \le \mathbb E_{q(z\mid x)}[-\log p(x\mid z)] + \mathrm{KL}(q(z\mid x)\,\|\,N(0, I)),\qquad
      z = \mu(x) + \sigma(x)\,\varepsilon.$$

    With a flow $f$ the codes are $z = f(z_0)$ of such a Gaussian $z_0$ [rezende2015flows], and the divergence is
    estimated by the same draw: $\log q(z\mid x) - \log p(z)$ with
    $\log q(z\mid x) = \log N(z_0; \mu, \sigma^2) - \log|\det\partial f/\partial z_0|$.

    Data outside the likelihood's support are refused: on the CPU in every batch, on an accelerator in the first, as
    each look makes it wait.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        latent_size: int,
        likelihood: str | Law = "bernoulli",
        optimizer: OptimizerFactory | None = None,
        rate: Callable[[float], float] = constant,
        flow: nn.Module | None = None,
    ):
        r"""A variational auto-encoder.

        Args:
            encoder: from samples to `(n, 2 latent_size)`: the means and the log variances.
            decoder: from latents to the parameters of the likelihood: logits for `bernoulli`, means for `gaussian` and
                `discretised-logistic`.
            latent_size: coordinates of a latent vector.
            likelihood: `bernoulli`, `gaussian` (unit variance), `discretised-logistic` (256 levels, one channel), or
                a law with settings of its own, such as `games.Gaussian(0.1)`; what it learns, it learns with the rest.
            optimizer: makes the optimiser; Adam with 1e-3 by default.
            rate: factor on the learning rate as a function of progress.
            flow: of the codes, such as `networks.PlanarFlow(latent_size, 8)`: `flow(z)` gives the codes and
                $\log|\det|$ of shape `(n,)`, `flow.inverse(codes)` gives `z` and the same. By default there is none.

        Raises:
            ValueError: for encoders, decoders and flows that do not fit each other or the latent size.
        """
        super().__init__()
        check_parts(encoder=encoder, decoder=decoder)
        check_learning(optimizer, rate)
        whole("latent_size", latent_size)
        self.likelihood = law(likelihood)
        if flow is not None:
            check_flow(flow, latent_size)
        self.encoder, self.decoder, self.latent_size = encoder, decoder, latent_size
        self.flow, self.rate = flow, rate
        self.optimizer = optimizer or adam(1e-3, (0.9, 0.999))
        self._try_maps()

    def _try_maps(self) -> None:
        """Decoder and encoder on two zeros: what does not fit is an error here, in words."""
        with trying(self.encoder, self.decoder, self.likelihood):
            with explained(f"the decoder cannot take codes of latent_size={self.latent_size}"):
                x = self.likelihood.mean(self.decoder(zeros(self.decoder, 2, self.latent_size)))
            self.shape = tuple(x.shape[1:])
            with explained(
                f"the encoder cannot take the samples of shape {self.shape} that the decoder makes",
                f"; encoder, decoder and latent_size={self.latent_size} must agree",
            ):
                self.encode(x)

    def encode(self, x: Tensor) -> tuple[Float[Tensor, "n latent"], Float[Tensor, "n latent"]]:
        """Means and log variances of $q(z|x)$; with a flow, of what goes into it."""
        out = self.encoder(x)
        if tuple(out.shape) != (len(x), 2 * self.latent_size):
            raise ValueError(
                f"the encoder returned {tuple(out.shape)} for {len(x)} samples; for latent_size={self.latent_size} it "
                f"must return {(len(x), 2 * self.latent_size)}, the means and the log variances"
            )
        mean, log_variance = out.chunk(2, 1)
        return mean, log_variance

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        """The negative evidence lower bound in nats per sample, in its two terms, with one draw of the latents."""
        self._check_data(x)
        z, divergence = self._codes_and_divergence(x)
        parameters = self.decoder(z)
        self.likelihood.check_parameters(parameters, x)
        return {
            "reconstruction": -self.likelihood.log_probability(parameters, x).mean(),
            "divergence": divergence.mean(),
        }

    def _codes_and_divergence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        r"""A code of each sample, and $\mathrm{KL}(q(z\mid x)\,\|\,p(z))$: by formula, or with a flow by that draw."""
        mean, log_variance = self.encode(x)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        if self.flow is None:
            return z, gaussian_kl(mean, log_variance)
        before = gaussian_log_density(z, mean, log_variance)
        z, log_determinant = self.flow(z)
        return z, before - log_determinant - standard_log_density(z)

    def turns(self) -> list[Turn]:
        """One player."""
        parts = [self.encoder, self.decoder, self.likelihood, *([self.flow] if self.flow is not None else [])]
        return [Turn("vae", parts, self.loss, optimizer=self.optimizer, rate=self.rate)]

    def log_weights(self, x: Float[Tensor, "n *sample"]) -> Float[Tensor, " n"]:
        r"""$\log\frac{p(x\mid z)\,p(z)}{q(z\mid x)}$ of one draw $z\sim q(z\mid x)$ for each sample.

        Their mean is the evidence lower bound; `metrics.likelihood_bound` takes this method, and draws as often as it
        likes. In evaluation mode and without gradient.

        Raises:
            ValueError: if data lie outside the support of the likelihood.
        """
        self.likelihood.check(x)
        with evaluating(self):
            x = x.to(self.device)
            mean, log_variance = self.encode(x)
            z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
            log_posterior = gaussian_log_density(z, mean, log_variance)
            if self.flow is not None:
                z, log_determinant = self.flow(z)
                log_posterior = log_posterior - log_determinant
            parameters = self.decoder(z)
            self.likelihood.check_parameters(parameters, x)
            return self.likelihood.log_probability(parameters, x) + standard_log_density(z) - log_posterior

    def log_posterior(self, x: Float[Tensor, "n *sample"], z: Float[Tensor, "n latent"]) -> Float[Tensor, " n"]:
        r"""$\log q(z\mid x)$ of any codes, drawn from it or not, with its gradient; a flow is inverted."""
        if not isinstance(z, Tensor) or tuple(z.shape) != (len(x), self.latent_size):
            given = f"of shape {tuple(z.shape)}" if isinstance(z, Tensor) else f"a {type(z).__name__}"
            raise ValueError(f"z must be codes of shape {(len(x), self.latent_size)}, one for each sample, not {given}")
        mean, log_variance = self.encode(x)
        if self.flow is None:
            return gaussian_log_density(z, mean, log_variance)
        before, log_determinant = self.flow.inverse(z)
        return gaussian_log_density(before, mean, log_variance) - log_determinant

    def _check_data(self, x: Tensor) -> None:
        """Refuse data outside the support."""
        if self.to_look(x):
            self.likelihood.check(x)
            self.looked_at()

    def _mean(self, z: Tensor) -> Tensor:
        return self.likelihood.mean(self.decoder(z))

    def reconstruct(self, x: Tensor) -> Tensor:
        """The decoder's means at the means of $q(z|x)$; with a flow, at what it makes of the Gaussian's means."""
        with evaluating(self):
            z = self.encode(x.to(self.device))[0]
            return self._mean(z if self.flow is None else self.flow(z)[0])

    def sample(self, n: int) -> Tensor:
        """The decoder's means at latents from N(0, I): pictures of means, not draws of every pixel."""
        with evaluating(self):
            return self._mean(torch.randn(n, self.latent_size, device=self.device))


def check_flow(flow: object, latent_size: int) -> None:
    """Refuse what is no flow of codes of that size: it is tried, there and back, on two of them."""
    instance("flow", flow, nn.Module, "a torch.nn.Module such as networks.PlanarFlow, or None")
    if not callable(getattr(flow, "inverse", None)):
        raise ValueError(
            f"flow is a {type(flow).__name__} without an inverse(); it needs one, which gives (z, log_determinant) of "
            "codes, such as that of networks.PlanarFlow"
        )
    z = zeros(flow, 2, latent_size)
    for name, direction in (("flow", flow), ("flow.inverse", flow.inverse)):
        cannot = f"{name} cannot take codes of latent_size={latent_size}"
        with explained(cannot, "; make the flow for this size"), evaluating(flow):
            found = direction(z)
        right = isinstance(found, tuple) and len(found) == 2 and all(isinstance(part, Tensor) for part in found)
        if not right or found[0].shape != z.shape or found[1].shape != (2,):
            given = tuple(tuple(part.shape) for part in found) if right else f"a {type(found).__name__}"
            raise ValueError(
                f"{name} returned {given} for 2 codes of latent_size={latent_size}; it must return codes of shape "
                f"(2, {latent_size}) and log determinants of shape (2,)"
            )

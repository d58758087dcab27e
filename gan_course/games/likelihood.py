"""Games of one: models that learn without an opponent."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course.checks import whole
from gan_course.games.base import (
    Game,
    OptimizerFactory,
    Turn,
    adam,
    check_learning,
    check_parts,
    constant,
    evaluating,
)
from gan_course.objectives.likelihood import bernoulli_nll, gaussian_kl, gaussian_nll

_LIKELIHOODS = {"bernoulli": bernoulli_nll, "gaussian": gaussian_nll}


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
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        latent_size: int,
        likelihood: str = "bernoulli",
        optimizer: OptimizerFactory | None = None,
        rate: Callable[[float], float] = constant,
    ):
        r"""A variational auto-encoder.

        Args:
            encoder: from samples to `(n, 2 latent_size)`: the means and the log variances.
            decoder: from latents to samples: logits for `bernoulli`, means for `gaussian`.
            latent_size: coordinates of a latent vector.
            likelihood: `bernoulli` or `gaussian` (unit variance).
            optimizer: makes the optimiser; Adam with 1e-3 by default.
            rate: factor on the learning rate as a function of progress.
        """
        super().__init__()
        check_parts(encoder=encoder, decoder=decoder)
        check_learning(optimizer, rate)
        whole("latent_size", latent_size)
        if not isinstance(likelihood, str) or likelihood not in _LIKELIHOODS:
            raise ValueError(f"likelihood {likelihood!r} is unknown; choose one of {sorted(_LIKELIHOODS)}")
        self.encoder, self.decoder, self.latent_size, self.likelihood = encoder, decoder, latent_size, likelihood
        self.optimizer, self.rate = optimizer or adam(1e-3, (0.9, 0.999)), rate

    def encode(self, x: Tensor) -> tuple[Float[Tensor, "n latent"], Float[Tensor, "n latent"]]:
        """Means and log variances of $q(z|x)$."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return mean, log_variance

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        """The negative evidence lower bound in nats per sample, in its two terms, with one draw of the latents."""
        mean, log_variance = self.encode(x)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        return {
            "reconstruction": _LIKELIHOODS[self.likelihood](self.decoder(z), x).mean(),
            "divergence": gaussian_kl(mean, log_variance).mean(),
        }

    def turns(self) -> list[Turn]:
        """One player."""
        return [Turn("vae", [self.encoder, self.decoder], self.loss, optimizer=self.optimizer, rate=self.rate)]

    def _mean(self, z: Tensor) -> Tensor:
        out = self.decoder(z)
        return out.sigmoid() if self.likelihood == "bernoulli" else out

    def reconstruct(self, x: Tensor) -> Tensor:
        """The decoder's means at the means of $q(z|x)$."""
        with evaluating(self):
            return self._mean(self.encode(x.to(self.device))[0])

    def sample(self, n: int) -> Tensor:
        """The decoder's means at latents from N(0, I): pictures of means, not draws of every pixel."""
        with evaluating(self):
            return self._mean(torch.randn(n, self.latent_size, device=self.device))

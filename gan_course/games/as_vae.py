"""The adversarial symmetric variational auto-encoder: a VAE whose divergences are learned ratios of joint laws."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course.checks import explained, instance, number, one_of, whole
from gan_course.games.base import OptimizerFactory, Turn, adam, check_learning, chosen, constant, trying, zeros
from gan_course.games.laws import Law
from gan_course.games.likelihood import VAE
from gan_course.objectives.base import checked
from gan_course.objectives.densities import standard_log_density
from gan_course.objectives.density_ratio import logistic_loss

HALVES = {"full": ("encoder", "decoder"), "reconstruction": ("encoder",), "generation": ("decoder",)}
"""Which joint laws a variant draws from, and so which of the two ratios it learns."""
RELAXATIONS = ("draw", "mean")
REFERENCES = ("marginals", "fixed", "encoder")


class ASVAE(VAE):
    r"""The adversarial symmetric VAE (pu2017asvae): bounds for samples and for codes, with learned log ratios.

    The encoder's joint law is $q_\phi(x, z) = q(x)\,q_\phi(z\mid x)$ with the data's $q(x)$, the decoder's is
    $p_\theta(x, z) = p(z)\,p_\theta(x\mid z)$. With ratio networks $f_1$ and $f_2$ the model maximises

    $$\mathcal L(\theta, \phi) =
      \mathbb E_{q_\phi(x, z)}\big[\log p_\theta(x\mid z) - f_1(x, z)\big]
      + \mathbb E_{p_\theta(x, z)}\big[\log q_\phi(z\mid x) - f_2(x, z)\big],$$

    while each ratio network minimises a logistic loss of its own, `objectives.density_ratio.logistic_loss`, for

    $$f_1^* = \log\frac{q_\phi(x, z)}{p_\theta(x)\,p(z)},\qquad f_2^* = \log\frac{p_\theta(x, z)}{q(x)\,q_\phi(z)}.$$

    In the second law of each, sample and code are drawn independently. Both draws are reparameterised, so that the
    model descends through them: $z = z_\phi(x, \varepsilon)$, through the flow if there is one, and
    $x = x_\theta(z, \xi)$. Where $p_\theta(x\mid z)$ is discrete, $x$ has no gradient, and `relaxation` says what takes
    its place, there and in what the ratios see.

    The ratios stand still in the model's turn. Then, at their optimum, what the model descends is the gradient of
    $\mathrm{KL}(q_\phi\,\|\,p_\theta) + \mathrm{KL}(p_\theta\,\|\,q_\phi)$; of its first part alone, the VAE's, for
    `reconstruction` (the paper's AS-VAE-r), and of its second alone for `generation` (AS-VAE-g).

    That gradient is not the one of $\mathcal L$ with the ratios that belong to every $\theta, \phi$, as the laws that
    they are compared with move too. With `reference="fixed"`, which is ours and not the paper's, both joint laws are
    compared with the one law that no network moves, data and prior drawn independently:

    $$f_1^* = \log\frac{q_\phi(z\mid x)}{p(z)},\qquad f_2^* = \log\frac{p_\theta(x, z)}{q(x)\,p(z)}.$$

    Then both gradients are the same, $\mathcal L = -\mathrm{KL}(q_\phi\,\|\,p_\theta) -
    \mathrm{KL}(p_\theta\,\|\,q_\phi) - H(q) - H(p)$, and the first ratio compares codes of the same samples, as in
    mescheder2017avb.

    With `reference="encoder"`, ours too, nothing is learned that is known. The density of the encoder's codes is, so
    that the first ratio, the same as above, needs no network: the first half is the VAE. The second compares the two
    joint laws with each other, as ALI does,

    $$f_2^* = \log\frac{p_\theta(x, z)}{q(x)\,p(z)}
      = \log\frac{q_\phi(z\mid x)}{p(z)} + g^*(x, z),\qquad
      g^* = \log\frac{p_\theta(x, z)}{q_\phi(x, z)},$$

    and only $g$ is learned. Objective and gradient are those of `fixed`.

    A round is `ratio_steps` of the ratios, then one of the model. Bounds on the likelihood, codes, reconstructions and
    samples are those of `VAE`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        latent_size: int,
        likelihood: str | Law = "bernoulli",
        encoder_ratio: nn.Module | None = None,
        decoder_ratio: nn.Module | None = None,
        variant: str = "full",
        ratio_steps: int | Callable[[int], int] = 1,
        relaxation: str = "draw",
        temperature: float = 0.5,
        reference: str = "marginals",
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
        flow: nn.Module | None = None,
    ):
        r"""An adversarial symmetric VAE; what is not named here is as in `VAE`.

        Args:
            encoder: as in `VAE`.
            decoder: as in `VAE`.
            latent_size: as in `VAE`.
            likelihood: as in `VAE`; $p_\theta(x\mid z)$.
            encoder_ratio: $f_1$, called with samples and codes, to scores `(n,)`: `networks.JointDiscriminator`. For
                `full` and `reconstruction`, unless the reference is `encoder`.
            decoder_ratio: $f_2$, or $g$ where the reference is `encoder`, likewise. For `full` and `generation`.
            variant: `full`, `reconstruction` or `generation`: both halves of the objective, its first or its second.
            ratio_steps: the ratios' steps in a round, or a function of the round, counted from 0.
            relaxation: what stands for $x\sim p_\theta(x\mid z)$: `draw`, the law's `relaxed_sample`, which for normal
                laws is an exact draw and for pixels that are 0 or 1 the binary concrete law; or `mean`, the law's
                mean, as grey levels are taken for means: then the decoder is deterministic where it is compared.
            temperature: of the binary concrete law.
            reference: what each joint law is compared with: `marginals`, the product of the other law's marginals, as
                in the paper; `fixed`, data and prior; or `encoder`: the first with data and prior, by its known
                density, the second with the first.
            optimizer: makes both optimisers, or a dict with the keys `ratios` and `model`; Adam with 1e-3 for the
                ratios and 5e-4 for the model by default.
            rate: factor on both learning rates as a function of progress.
            flow: as in `VAE`; codes of the prior, which the flow did not make, go through its inverse.

        Raises:
            ValueError: for a variant that does not exist, a ratio network that it needs and has not or has and does
                not need, networks whose sizes disagree, and a reconstruction half with the reference `encoder`, which
                has nothing to learn by a ratio: it is `VAE`.
        """
        super().__init__(encoder, decoder, latent_size, likelihood, None, rate, flow)
        check_learning(optimizer, rate)
        one_of("variant", variant, HALVES)
        one_of("relaxation", relaxation, RELAXATIONS)
        one_of("reference", reference, REFERENCES)
        self.variant, self.relaxation, self.reference = variant, relaxation, reference
        if number("temperature", temperature, positive=True) < 1e-6:
            raise ValueError(f"temperature={temperature} was given; it must be at least 1e-6")
        self.temperature = float(temperature)
        self.ratio_steps = ratio_steps if callable(ratio_steps) else whole("ratio_steps", ratio_steps)
        self.ratios = nn.ModuleDict()
        learned = [half for half in HALVES[variant] if (half, reference) != ("encoder", "encoder")]
        if not learned:
            raise ValueError(
                f"variant={variant!r} with reference='encoder' has no ratio to learn: it is games.VAE; take that, or "
                "another reference"
            )
        for half, ratio in (("encoder", encoder_ratio), ("decoder", decoder_ratio)):
            if (half in learned) != (ratio is not None):
                asked = f"needs {'an' if half == 'encoder' else 'a'}" if ratio is None else "takes no"
                raise ValueError(
                    f"variant={variant!r} with reference={reference!r} {asked} {half}_ratio; it learns: "
                    f"{', '.join(learned)}"
                )
            if ratio is not None:
                instance(f"{half}_ratio", ratio, nn.Module, "a torch.nn.Module")
                self.ratios[half] = ratio
        if len(set(map(id, self.ratios.values()))) < len(self.ratios):
            raise ValueError("encoder_ratio and decoder_ratio are one network; they learn two ratios: give two")
        self.optimizer = optimizer or {"ratios": adam(1e-3), "model": adam(5e-4)}
        self._try_ratios()

    def _try_ratios(self) -> None:
        """Every ratio network on two zeros: what does not fit is an error here, in words."""
        with trying(*self.ratios.values()):
            x, z = (zeros(self.decoder, 2, *shape) for shape in (self.shape, (self.latent_size,)))
            for half, ratio in self.ratios.items():
                with explained(
                    f"the {half}_ratio cannot score samples of shape {self.shape} with codes of "
                    f"latent_size={self.latent_size}"
                ):
                    checked(ratio(x, z), 2)

    def noise(self, n: int) -> Float[Tensor, "n latent"]:
        """`n` codes from the prior, on the game's device."""
        return torch.randn(n, self.latent_size, device=self.device)

    def drawn_codes(self, x: Float[Tensor, "n *sample"]) -> Float[Tensor, "n latent"]:
        r"""$z_\phi(x, \varepsilon)$, one code for each sample, with its gradient."""
        mean, log_variance = self.encode(x)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        return z if self.flow is None else self.flow(z)[0]

    def drawn_samples(self, z: Float[Tensor, "n latent"]) -> Float[Tensor, "n *sample"]:
        r"""$x_\theta(z, \xi)$, one sample for each code, with its gradient, by the relaxation chosen."""
        parameters = self.decoder(z)
        if self.relaxation == "mean":
            return self.likelihood.mean(parameters)
        return self.likelihood.relaxed_sample(parameters, self.temperature)

    def ratios_loss(self, x: Float[Tensor, "n *sample"]) -> dict[str, Tensor]:
        """The logistic loss of each ratio on a batch; no gradient reaches the model.

        Raises:
            ValueError: for a batch of one, in which no sample has the code of another.
        """
        self._check_batch(x)
        with torch.no_grad():
            prior, codes = self.noise(len(x)), self.drawn_codes(x)
            made = self.drawn_samples(prior)
            if self.reference == "encoder":
                against = {"decoder": (x, codes)}
            elif self.reference == "fixed":
                other = x, self.noise(len(x))
                against = {"encoder": other, "decoder": other}
            else:  # the samples made with new codes, and each code with the sample of its neighbour
                against = {"encoder": (made, self.noise(len(x))), "decoder": (x, codes.roll(1, 0))}
        own = {"encoder": (x, codes), "decoder": (made, prior)}
        return {
            f"{half} ratio": logistic_loss(*(checked(ratio(*pair), len(x)) for pair in (own[half], against[half])))
            for half, ratio in self.ratios.items()
        }

    def loss(self, x: Float[Tensor, "n *sample"]) -> dict[str, Tensor]:
        r"""$-\mathcal L$ on a batch, in its terms: how well each map gives back the other's draws, and the ratios."""
        self._check_batch(x)
        terms = {}
        known = self.reference == "encoder"
        if "encoder" in HALVES[self.variant]:
            z, divergence = self._codes_and_divergence(x) if known else (self.drawn_codes(x), None)
            parameters = self.decoder(z)
            self.likelihood.check_parameters(parameters, x)
            terms["samples"] = -self.likelihood.log_probability(parameters, x).mean()
            ratio = divergence if known else checked(self.ratios["encoder"](x, z), len(x))
            terms["encoder ratio"] = ratio.mean()
        if "decoder" in HALVES[self.variant]:
            z = self.noise(len(x))
            made = self.drawn_samples(z)
            ratio = checked(self.ratios["decoder"](made, z), len(x))
            if known:  # what is known of the ratio cancels what comes through the samples; the encoder's part stays
                posterior = self.log_posterior(made.detach(), z)
                ratio = ratio + posterior.detach() - standard_log_density(z)
            else:
                posterior = self.log_posterior(made, z)
            terms["codes"] = -posterior.mean()
            terms["decoder ratio"] = ratio.mean()
        return terms

    def _check_batch(self, x: Tensor) -> None:
        self._check_data(x)
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"samples have the shape {tuple(x.shape[1:])}; those of the decoder have {self.shape}")
        if len(x) < 2:
            raise ValueError("a batch of 1 sample was given; independent pairs of sample and code need at least 2")

    def turns(self) -> list[Turn]:
        """The ratios' turn, then the model's."""
        model = [part for part in (self.encoder, self.decoder, self.likelihood, self.flow) if part is not None]
        return [
            Turn(
                "ratios",
                list(self.ratios.values()),
                self.ratios_loss,
                steps=self.ratio_steps,
                optimizer=chosen(self.optimizer, "ratios"),
                rate=self.rate,
            ),
            Turn("model", model, self.loss, optimizer=chosen(self.optimizer, "model"), rate=self.rate),
        ]

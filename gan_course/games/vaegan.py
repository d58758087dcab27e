"""The game of three: a variational auto-encoder whose likelihood is a distance in a layer of the discriminator."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course.checks import explained, instance, number
from gan_course.games.base import (
    OptimizerFactory,
    Turn,
    adam,
    check_average,
    check_learning,
    check_parts,
    chosen,
    constant,
    follow,
    lagged,
    still,
    trying,
    zeros,
)
from gan_course.games.codes import CodeModel
from gan_course.objectives.base import checked
from gan_course.objectives.likelihood import gaussian_kl
from gan_course.objectives.similarity import decoder_loss, discriminator_loss, feature_error


class VAEGAN(CodeModel):
    r"""Encoder, decoder and discriminator (larsen2016autoencoding): pixels are compared as the discriminator sees them.

    With $z = \mu(x) + \sigma(x)\,\varepsilon$, the reconstruction $\tilde x = \mathrm{dec}(z)$ and the layer $f_l$ of
    the discriminator, the terms are

    $$\mathcal L_{\text{prior}} = \mathrm{KL}(q(z\mid x)\,\|\,N(0, I)), \qquad
      \mathcal L_{\text{sim}} = \frac1{2s^2}\,\mathbb E\,\|f_l(x) - f_l(\tilde x)\|^2,$$

    and the logarithmic losses of `objectives.similarity`, in which draws from the prior *and* reconstructions are
    fakes. Who descends what, with the others standing still:

    * the discriminator its own loss, and nothing of $\mathcal L_{\text{sim}}$, which it would make small by seeing
      nothing;
    * the encoder $\mathcal L_{\text{prior}} + \mathcal L_{\text{sim}}$, and nothing of the adversarial losses;
    * the decoder $\gamma\,\mathcal L_{\text{sim}}$ and its adversarial loss.

    `sample` decodes codes from N(0, I), `encode` gives the means of $q(z\mid x)$, `reconstruct` decodes these.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        discriminator: nn.Module,
        latent_size: int,
        similarity: float = 1e-2,
        std: float = 1.0,
        layer: str | None = None,
        reconstructions: bool = True,
        saturating: bool = False,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
        average: float | None = None,
    ):
        r"""A game of three.

        Args:
            encoder: from samples to `(n, 2 latent_size)`: the means and the log variances.
            decoder: from codes to samples (not logits).
            discriminator: from samples to scores `(n,)`.
            latent_size: coordinates of a code.
            similarity: $\gamma$, the weight of the reconstruction against the adversarial loss, for the decoder alone.
                Features are summed, not averaged, so that it must be smaller where a layer has more of them.
            std: $s$, the error of a feature that counts as one, in the features' own unit; 1 in the paper. The smaller
                it is, the more the encoder tells about a sample, at the price of codes further from the prior.
            layer: $l$, the name of a module inside the discriminator whose output is compared, such as `"descent.3"`
                (`[name for name, _ in discriminator.named_modules()]` lists them). By default what the last layer is
                given, if the discriminator has `features_and_scores`, as the networks of the course do.
            reconstructions: whether reconstructions are shown to the discriminator as fakes, as in the paper. The
                authors' program shows it draws from the prior only.
            saturating: the decoder's adversarial loss as printed in the paper instead of the non-saturating one.
            optimizer: makes all optimisers, or a dict with the keys `discriminator`, `encoder` and `decoder`; Adam by
                default.
            rate: factor on all learning rates as a function of progress.
            average: if given, codes and samples come from averages of encoder and decoder over the rounds that keep
                this share of themselves at each step.

        Raises:
            ValueError: if the networks do not fit together, or the discriminator has no such layer.
        """
        super().__init__(encoder, decoder, latent_size, numbers_per_coordinate=2)
        check_parts(discriminator=discriminator)
        check_learning(optimizer, rate)
        self.similarity = number("similarity", similarity)
        self.std = number("std", std, positive=True)
        if not 1e-9 <= self.std <= 1e9:
            raise ValueError(f"std={std} was given; it must be from 1e-9 to 1e9, in the unit of the features")
        instance("reconstructions", reconstructions, bool, "True or False")
        instance("saturating", saturating, bool, "True or False")
        check_average(average)
        self.reconstructions, self.saturating = reconstructions, saturating
        self.discriminator, self.layer = discriminator, _layer(discriminator, layer)
        self._try()
        self.optimizer, self.rate, self.average = optimizer or adam(), rate, average
        self.averaged_encoder = None if average is None else lagged(encoder)
        self.averaged_decoder = None if average is None else lagged(decoder)

    def _try(self) -> None:
        """Let the discriminator see two samples of zeros: scores and features have the right shapes."""
        with trying(self.discriminator):
            x = zeros(self.discriminator, 2, *self.shape)
            with explained(f"the discriminator cannot score samples of shape {self.shape}, which the decoder made"):
                features, scores = self.features_and_scores(x)
                checked(scores, 2)
        if not isinstance(features, Tensor) or features.ndim < 2 or len(features) != 2:
            given = f"of shape {tuple(features.shape)}" if isinstance(features, Tensor) else type(features).__name__
            raise ValueError(f"layer {self.layer!r} gives {given} for 2 samples; it must give features (2, ...)")

    def in_use(self) -> tuple[nn.Module, nn.Module]:
        """The averages where the game keeps them, else the players themselves."""
        return (self.encoder, self.decoder) if self.average is None else (self.averaged_encoder, self.averaged_decoder)

    def code_of(self, x: Float[Tensor, "n *sample"]) -> Float[Tensor, "n latent"]:
        r"""$\mu(x)$, the mean of $q(z\mid x)$."""
        encoder, _ = self.in_use()
        return encoder(x).chunk(2, 1)[0]

    def posterior(self, x: Float[Tensor, "n *sample"]) -> tuple[Float[Tensor, "n latent"], Float[Tensor, "n latent"]]:
        r"""The means and the log variances of $q(z\mid x)$, with their gradients."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return mean, log_variance

    def draw(self, x: Float[Tensor, "n *sample"]) -> Float[Tensor, "n latent"]:
        r"""One code of each sample, $z\sim q(z\mid x)$, with its gradient."""
        mean, log_variance = self.posterior(x)
        return mean + (0.5 * log_variance).exp() * torch.randn_like(mean)

    def features_and_scores(self, x: Float[Tensor, "n *sample"]) -> tuple[Tensor, Tensor]:
        """What layer $l$ of the discriminator makes of samples, and their scores, of one pass."""
        if self.layer is None:
            return self.discriminator.features_and_scores(x)
        kept: list[Tensor] = []
        handle = self.discriminator.get_submodule(self.layer).register_forward_hook(
            lambda module, inputs, output: kept.append(output.clone())  # the next layer may work in place
        )
        try:
            scores = self.discriminator(x)
        finally:
            handle.remove()
        return kept[0], scores

    def discriminator_loss(self, real: Tensor) -> dict[str, Tensor]:
        """The adversarial loss on data, draws and reconstructions, which carry no gradient to the other two."""
        self.check_samples(real)
        with torch.no_grad():
            fakes = [self.decoder(self.noise(len(real)))]
            if self.reconstructions:
                fakes.append(self.decoder(self.draw(real)))
        return {"adversarial": discriminator_loss(*(self._scores(x) for x in (real, *fakes)))}

    def encoder_loss(self, real: Tensor) -> dict[str, Tensor]:
        """The divergence of the codes from the prior, and the error in the features, through a decoder at rest."""
        self.check_samples(real)
        mean, log_variance = self.posterior(real)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        with still(self.decoder, self.discriminator):
            features, _ = self.features_and_scores(real)
            reconstructed, _ = self.features_and_scores(self.decoder(z))
        return {
            "divergence": gaussian_kl(mean, log_variance).mean(),
            "similarity": feature_error(features, reconstructed, self.std).mean(),
        }

    def decoder_loss(self, real: Tensor) -> dict[str, Tensor]:
        """The weighted error in the features, and the adversarial loss of draws and reconstructions."""
        self.check_samples(real)
        with torch.no_grad():
            z = self.draw(real)
        with still(self.discriminator):
            features, _ = self.features_and_scores(real)
            reconstructed, scores = self.features_and_scores(self.decoder(z))
            drawn_scores = self._scores(self.decoder(self.noise(len(real))))
        return {
            "similarity": self.similarity * feature_error(features, reconstructed, self.std).mean(),
            "adversarial": decoder_loss(drawn_scores, scores if self.reconstructions else None, self.saturating),
        }

    def _scores(self, x: Tensor) -> Tensor:
        return checked(self.discriminator(x), len(x))

    def turns(self) -> list[Turn]:
        """The discriminator's turn, then the encoder's and the decoder's."""
        losses = {
            "discriminator": (self.discriminator, self.discriminator_loss, None),
            "encoder": (self.encoder, self.encoder_loss, self._follow("encoder")),
            "decoder": (self.decoder, self.decoder_loss, self._follow("decoder")),
        }
        return [
            Turn(player, [network], loss, 1, chosen(self.optimizer, player), self.rate, after)
            for player, (network, loss, after) in losses.items()
        ]

    def _follow(self, player: str) -> Callable[[], None] | None:
        if self.average is None:
            return None
        return lambda: follow(getattr(self, f"averaged_{player}"), getattr(self, player), self.average)


def _layer(discriminator: nn.Module, layer: object) -> str | None:
    instance("layer", layer, (str, type(None)), "the name of a module inside the discriminator, or None")
    if layer is None:
        if not callable(getattr(discriminator, "features_and_scores", None)):
            raise ValueError(
                f"layer=None was given, and the discriminator, a {type(discriminator).__name__}, has no "
                "features_and_scores; name one of its modules, such as layer='0'"
            )
        return None
    names = [name for name, _ in discriminator.named_modules() if name]
    if layer not in names:
        raise ValueError(f"layer={layer!r} was given, but the discriminator has no such module; choose one of {names}")
    return layer

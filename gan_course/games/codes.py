"""What models with codes share: an encoder from samples to codes, a decoder back, and the checks that they agree."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_course.checks import explained, instance, whole
from gan_course.games.base import Game, check_parts, evaluating, trying, zeros
from gan_course.networks.joint import Stochastic


class CodeModel(Game):
    r"""A model with codes: $x\mapsto z$ by an encoder, $z\mapsto x$ by a decoder, and a prior $p(z) = N(0, I)$.

    Both maps are tried once when the model is made: a size that does not fit is an error there, in words, and the
    shape of a sample is known from then on, as `shape`.

    Subclasses say what they minimise in `turns`. Where a map draws its output (`networks.Stochastic`), training uses
    draws, and `encode` and `reconstruct` the mean; `sample` draws. A subclass whose maps return something else than
    codes and samples (means and log variances, logits of pixels) overrides `code_of` and `sample_of`.
    """

    shape: tuple[int, ...]

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        latent_size: int,
        numbers_per_coordinate: int = 1,
        called: str = "decoder",
    ):
        """A model with codes.

        Args:
            encoder: from samples to `(n, numbers_per_coordinate * latent_size)`.
            decoder: from codes `(n, latent_size)` to samples, or to what describes their law.
            latent_size: coordinates of a code.
            numbers_per_coordinate: 1 for a code itself, 2 for means and log variances.
            called: the decoder's name in messages, as the user knows it.

        Raises:
            ValueError: if one of them cannot take what the other gives, with both sizes.
        """
        super().__init__()
        instance("called", called, str, "the decoder's name")
        check_parts(encoder=encoder, **{called: decoder})
        self.latent_size = whole("latent_size", latent_size, most=10**6)
        whole("numbers_per_coordinate", numbers_per_coordinate)
        self.encoder, self.decoder = encoder, decoder
        with trying(encoder, decoder):
            x = self._tried(called, decoder, zeros(decoder, 2, self.latent_size))
            self.shape = tuple(x.shape[1:])
            z = self._tried("encoder", encoder, x)
        expected = (2, numbers_per_coordinate * self.latent_size)
        if tuple(z.shape) != expected:
            raise ValueError(
                f"the encoder returned {tuple(z.shape)} for 2 samples of shape {self.shape}, which the {called} made; "
                f"it must return {expected}, of latent_size={self.latent_size} times "
                f"numbers_per_coordinate={numbers_per_coordinate}: give encoder and {called} one size of codes"
            )

    def _tried(self, name: str, network: nn.Module, given: Tensor) -> Tensor:
        """What a network makes of two zeros; its errors in words."""
        what = f"codes of latent_size={self.latent_size}" if given.ndim == 2 and name != "encoder" else "samples"
        advice = f". latent_size, the {name} and the network before it must agree"
        with explained(f"the {name} cannot take {what}, of shape {tuple(given.shape)}", advice):
            out = network(given)
        if not isinstance(out, Tensor) or out.ndim < 2 or len(out) != 2 or not out.is_floating_point():
            given_back = f"{tuple(out.shape)} of {out.dtype}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
            raise ValueError(f"the {name} returned {given_back} for 2 inputs; it must be numbers of shape (2, ...)")
        return out

    def noise(self, n: int) -> Float[Tensor, "n latent"]:
        """`n` codes from the prior, on the game's device."""
        return torch.randn(n, self.latent_size, device=self.device)

    def in_use(self) -> tuple[nn.Module, nn.Module]:
        """The encoder and the decoder that answer outside training: an average of them where a model keeps one."""
        return self.encoder, self.decoder

    def code_of(self, x: Float[Tensor, "n *sample"]) -> Float[Tensor, "n latent"]:
        """The code of each sample by the encoder in use: the mean of its law where the encoder draws."""
        encoder, _ = self.in_use()
        return encoder.mean(x) if isinstance(encoder, Stochastic) else encoder(x)

    def sample_of(self, z: Float[Tensor, "n latent"], mean: bool = False) -> Float[Tensor, "n *sample"]:
        """The sample of each code by the decoder in use; `mean`: of its law, where the decoder draws."""
        _, decoder = self.in_use()
        return decoder.mean(z) if mean and isinstance(decoder, Stochastic) else decoder(z)

    def encode(self, x: Float[Tensor, "n *sample"]) -> Float[Tensor, "n latent"]:
        """Codes of samples, in evaluation mode and without gradient.

        Raises:
            ValueError: if the samples' shape is not that of the model.
        """
        self.check_samples(x)
        with evaluating(self):
            return self.code_of(x.to(self.device))

    def decode(self, z: Float[Tensor, "n latent"]) -> Float[Tensor, "n *sample"]:
        """Samples of codes, in evaluation mode and without gradient.

        Raises:
            ValueError: if the codes are not of the model's latent size.
        """
        if not isinstance(z, Tensor) or z.ndim != 2 or z.shape[1] != self.latent_size:
            given = f"of shape {tuple(z.shape)}" if isinstance(z, Tensor) else f"a {type(z).__name__}"
            raise ValueError(f"z must be codes of shape (n, latent_size={self.latent_size}), not {given}")
        with evaluating(self):
            return self.sample_of(z.to(self.device))

    def reconstruct(self, x: Float[Tensor, "n *sample"]) -> Float[Tensor, "n *sample"]:
        """What the decoder makes of the codes of samples: means, where the maps draw."""
        z = self.encode(x)
        with evaluating(self):
            return self.sample_of(z, mean=True)

    def sample(self, n: int) -> Float[Tensor, "n *sample"]:
        """`n` samples of codes from the prior."""
        return self.decode(self.noise(n))

    def check_samples(self, x: object) -> None:
        """Refuse what is no batch of samples of the model's shape."""
        if not isinstance(x, Tensor) or x.ndim == 0 or len(x) == 0 or tuple(x.shape[1:]) != self.shape:
            given = f"one of shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise ValueError(f"samples must be a tensor of shape (n, {', '.join(map(str, self.shape))}), not {given}")

"""Networks with no idea of adversaries."""

from gan_course.networks.convolutional import dcgan, decoder, encoder, parameters
from gan_course.networks.mlp import Fourier, Residual, mlp

__all__ = ["Fourier", "Residual", "dcgan", "decoder", "encoder", "mlp", "parameters"]

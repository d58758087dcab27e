"""Networks with no idea of adversaries."""

from gan_course.networks.convolutional import dcgan, decoder, encoder, parameters
from gan_course.networks.flows import Flow, InverseAutoregressiveFlow, PlanarFlow
from gan_course.networks.joint import Joined, JointDiscriminator, Noisy, Stochastic
from gan_course.networks.mlp import Fourier, Reconstruction, Residual, mlp
from gan_course.networks.normalisation import spectral

__all__ = [
    "Flow",
    "Fourier",
    "InverseAutoregressiveFlow",
    "Joined",
    "JointDiscriminator",
    "Noisy",
    "PlanarFlow",
    "Reconstruction",
    "Residual",
    "Stochastic",
    "dcgan",
    "decoder",
    "encoder",
    "mlp",
    "parameters",
    "spectral",
]

"""Networks with no idea of adversaries."""

from gan_course.networks.convolutional import dcgan, decoder, encoder, parameters
from gan_course.networks.coupled import (
    Conditioned,
    Coupled,
    cogan_digits,
    cogan_faces,
    cogan_narrow,
    cogan_rotation,
    conditional_digits,
    couple,
)
from gan_course.networks.flows import Flow, InverseAutoregressiveFlow, PlanarFlow
from gan_course.networks.joint import Joined, JointDiscriminator, Noisy, Stochastic
from gan_course.networks.joint_images import joint_images
from gan_course.networks.judges import Highway, PrefixDiscriminator, ReplyDiscriminator, SequenceCNN, seqgan
from gan_course.networks.mlp import Fourier, Reconstruction, Residual, mlp
from gan_course.networks.normalisation import spectral
from gan_course.networks.recurrent import EncoderDecoder, RecurrentGenerator, SequenceGenerator, oracle, tempered
from gan_course.networks.towers import Towers
from gan_course.networks.translation import (
    PatchDiscriminator,
    ResNetGenerator,
    UNet,
    patch_discriminator,
    patch_size,
    resnet_generator,
    unet,
)

__all__ = [
    "Conditioned",
    "Coupled",
    "EncoderDecoder",
    "Flow",
    "Fourier",
    "Highway",
    "InverseAutoregressiveFlow",
    "Joined",
    "JointDiscriminator",
    "Noisy",
    "PatchDiscriminator",
    "PlanarFlow",
    "PrefixDiscriminator",
    "Reconstruction",
    "RecurrentGenerator",
    "ReplyDiscriminator",
    "ResNetGenerator",
    "Residual",
    "SequenceCNN",
    "SequenceGenerator",
    "Stochastic",
    "Towers",
    "UNet",
    "cogan_digits",
    "cogan_faces",
    "cogan_narrow",
    "cogan_rotation",
    "conditional_digits",
    "couple",
    "dcgan",
    "decoder",
    "encoder",
    "joint_images",
    "mlp",
    "oracle",
    "parameters",
    "patch_discriminator",
    "patch_size",
    "resnet_generator",
    "seqgan",
    "spectral",
    "tempered",
    "unet",
]

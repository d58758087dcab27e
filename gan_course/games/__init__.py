"""Games: networks that play by an objective, in turns."""

from gan_course.games.alone import DiscriminatorAlone
from gan_course.games.as_vae import ASVAE
from gan_course.games.base import (
    Batch,
    Game,
    Turn,
    adam,
    clipped,
    constant,
    cosine_decay,
    evaluating,
    follow,
    lagged,
    linear_decay,
    rmsprop,
    sgd,
    still,
)
from gan_course.games.began import BEGAN
from gan_course.games.bigan import ALICE, BiGAN
from gan_course.games.codes import CodeModel
from gan_course.games.cogan import CoGAN
from gan_course.games.conditional import ConditionalGAN
from gan_course.games.gan import GAN
from gan_course.games.joint import JointGAN
from gan_course.games.laws import Bernoulli, DiscretisedLogistic, Gaussian, Law
from gan_course.games.likelihood import VAE, AutoEncoder
from gan_course.games.translation import CycleGAN, Pix2Pix
from gan_course.games.vaegan import VAEGAN
from gan_course.games.words import (
    ConditionalSeqGAN,
    MaliGAN,
    MaximumLikelihood,
    PolicyGradient,
    RankGAN,
    SeqGAN,
    TwoAgents,
)
from gan_course.games.wyner import VariationalWyner

__all__ = [
    "ALICE",
    "ASVAE",
    "BEGAN",
    "GAN",
    "VAE",
    "VAEGAN",
    "AutoEncoder",
    "Batch",
    "Bernoulli",
    "BiGAN",
    "CoGAN",
    "CodeModel",
    "ConditionalGAN",
    "ConditionalSeqGAN",
    "CycleGAN",
    "DiscretisedLogistic",
    "DiscriminatorAlone",
    "Game",
    "Gaussian",
    "JointGAN",
    "Law",
    "MaliGAN",
    "MaximumLikelihood",
    "Pix2Pix",
    "PolicyGradient",
    "RankGAN",
    "SeqGAN",
    "Turn",
    "TwoAgents",
    "VariationalWyner",
    "adam",
    "clipped",
    "constant",
    "cosine_decay",
    "evaluating",
    "follow",
    "lagged",
    "linear_decay",
    "rmsprop",
    "sgd",
    "still",
]

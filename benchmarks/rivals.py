"""The loops of other projects, re-typed from the description of what they do, as the rivals of `benchmarks.peers`.

PyTorch-GAN's scripts `wgan_gp` and `dcgan`: batches come from a `DataLoader` over torchvision's MNIST, picture by
picture through PIL; fakes carry their graph in the discriminator's step, which runs back into the generator for
nothing; the discriminator is not frozen in the generator's step and collects gradients that are thrown away; Adam is
the default one. What a script does beside training (printing, pictures) is left out.

torchgan is no re-typed loop but the installed package (the extra `bench`): see `torchgan_dcgan`.
"""

import contextlib
import io
import itertools
import os
import tempfile
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

Pair = tuple[nn.Module, nn.Module]

BATCH = 64
TORCHGAN_RATES = (1e-4, 3e-4)  # of generator and discriminator, in its introduction to MNIST


class Shaped(nn.Module):
    """Outputs in the shape of images."""

    def __init__(self, network: nn.Module, shape: tuple[int, ...]):
        """`shape`: channels, height, width."""
        super().__init__()
        self.network, self.shape = network, shape

    def forward(self, z: Tensor) -> Tensor:
        """The images of the latents."""
        return self.network(z).unflatten(1, self.shape)


class Scores(nn.Module):
    """Scores of shape `(n,)`, of images in any shape."""

    def __init__(self, network: nn.Module):
        """`network`: ends in one number per sample."""
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """One score per sample."""
        return self.network(x).flatten()


def wgan_gp_networks() -> Pair:
    """The perceptrons of the script `wgan_gp`: 100-128-256-512-1024-784 and 784-512-256-1."""
    widths = [100, 128, 256, 512, 1024]
    layers: list[nn.Module] = []
    for i, (inside, outside) in enumerate(itertools.pairwise(widths)):
        layers.append(nn.Linear(inside, outside))
        if i:
            layers.append(nn.BatchNorm1d(outside))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
    generator = nn.Sequential(*layers, nn.Linear(1024, 784), nn.Tanh())
    hidden = [
        nn.Linear(784, 512),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Linear(512, 256),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    return Shaped(generator, (1, 28, 28)), Scores(nn.Sequential(nn.Flatten(), *hidden, nn.Linear(256, 1)))


def dcgan_networks() -> Pair:
    """The convolutions of the script `dcgan` for 32×32: upsampling in the generator, dropout in the discriminator."""
    generator = nn.Sequential(
        *(nn.Linear(100, 128 * 8 * 8), nn.Unflatten(1, (128, 8, 8)), nn.BatchNorm2d(128)),
        *(nn.Upsample(scale_factor=2), nn.Conv2d(128, 128, 3, padding=1), nn.BatchNorm2d(128)),
        *(nn.LeakyReLU(0.2, inplace=True), nn.Upsample(scale_factor=2), nn.Conv2d(128, 64, 3, padding=1)),
        *(nn.BatchNorm2d(64), nn.LeakyReLU(0.2, inplace=True), nn.Conv2d(64, 1, 3, padding=1), nn.Tanh()),
    )
    layers: list[nn.Module] = []
    for inside, outside in ((1, 16), (16, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(inside, outside, 3, 2, 1), nn.LeakyReLU(0.2, inplace=True), nn.Dropout2d(0.25)]
        if inside > 1:
            layers.append(nn.BatchNorm2d(outside))
    return generator, Scores(nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 2 * 2, 1)))


def place(pair: Pair) -> torch.device:
    """The device of the networks, to which the scripts move batches and noise as they go."""
    return next(pair[0].parameters()).device


def optimizers(pair: Pair) -> list[torch.optim.Optimizer]:
    """Both scripts' Adam."""
    return [torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999)) for network in pair]


def wgan_gp(pair: Pair, batches: Iterator[Tensor], rounds: int) -> None:
    """The script `wgan_gp`: `rounds` steps of the generator, each after five of the critic."""
    (generator, critic), device = pair, place(pair)
    for_generator, for_critic = optimizers(pair)
    for step in range(5 * rounds):
        real = next(batches).to(device)
        for_critic.zero_grad()
        fake = generator(_normal(len(real), device))
        loss = -critic(real).mean() + critic(fake).mean() + 10 * _penalty(critic, real.data, fake.data)
        loss.backward()
        for_critic.step()
        for_generator.zero_grad()
        if step % 5 == 4:
            fake = generator(_normal(len(real), device))
            (-critic(fake).mean()).backward()
            for_generator.step()


def _normal(n: int, device: torch.device) -> Tensor:
    return torch.tensor(np.random.normal(0, 1, (n, 100)), dtype=torch.float32, device=device)  # noqa: NPY002


def _penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    alpha = torch.tensor(np.random.random((len(real), 1, 1, 1)), dtype=torch.float32, device=real.device)  # noqa: NPY002
    between = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    scores = critic(between)
    (gradient,) = torch.autograd.grad(scores, between, torch.ones_like(scores), create_graph=True, retain_graph=True)
    return ((gradient.flatten(1).norm(2, dim=1) - 1) ** 2).mean()


def dcgan(pair: Pair, batches: Iterator[Tensor], rounds: int) -> None:
    """The script `dcgan`: in every round a step of the generator, then one of the discriminator on the same fakes."""
    (generator, discriminator), device = pair, place(pair)
    for_generator, for_discriminator = optimizers(pair)
    entropy = nn.BCELoss()
    for _ in range(rounds):
        real = next(batches).to(device)
        valid, false = torch.ones(len(real), device=device), torch.zeros(len(real), device=device)
        for_generator.zero_grad()
        fake = generator(_normal(len(real), device))
        entropy(discriminator(fake).sigmoid(), valid).backward()
        for_generator.step()
        for_discriminator.zero_grad()
        on_real = entropy(discriminator(real).sigmoid(), valid)
        on_fake = entropy(discriminator(fake.detach()).sigmoid(), false)
        ((on_real + on_fake) / 2).backward()
        for_discriminator.step()


def _torchgan() -> ModuleType:
    """torchgan, which reads its switches for TensorBoard, Visdom and the console when it is imported: all off."""
    os.environ |= {"TENSORBOARD_LOGGING": "0", "VISDOM_LOGGING": "0", "CONSOLE_LOGGING": "0"}
    import torchgan

    return torchgan


def torchgan_networks() -> Pair:
    """torchgan's own DCGAN for 32×32, in the widths of its introduction to MNIST: 32, 64 and 128 channels."""
    models = _torchgan().models
    return models.DCGANGenerator(100, 32, 1, step_channels=32), models.DCGANDiscriminator(32, 1, step_channels=32)


class Batches:
    """So many batches of a stream: an epoch, as torchgan's `Trainer` wants it."""

    def __init__(self, batches: Iterator[Tensor], rounds: int, batch_size: int):
        """`batch_size`: of the fakes in the generator's step, which the `Trainer` takes from its loader."""
        self.batches, self.rounds, self.batch_size = batches, rounds, batch_size

    def __iter__(self) -> Iterator[Tensor]:
        return itertools.islice(self.batches, self.rounds)


def torchgan_dcgan(pair: Pair, batches: Iterator[Tensor], rounds: int) -> None:
    """One epoch of torchgan's `Trainer`: in every round a step of the generator, then one of the discriminator.

    The `Trainer` trains with today's torch as it is. What it does at the end of an epoch is left out, for it is beside
    training: the models are saved, and samples drawn, with an argument of torchvision's `make_grid` that is gone. Left
    out too are the sums of squared gradients that it logs after every step. Its records of the losses stay.
    """
    torchgan = _torchgan()
    trainer = torchgan.trainer.Trainer(
        {
            name: {
                "name": lambda network=network: network,
                "optimizer": {"name": torch.optim.Adam, "args": {"lr": rate, "betas": (0.5, 0.999)}},
            }
            for name, network, rate in zip(("generator", "discriminator"), pair, TORCHGAN_RATES, strict=True)
        },
        [torchgan.losses.MinimaxGeneratorLoss(), torchgan.losses.MinimaxDiscriminatorLoss()],
        device=place(pair),
        epochs=1,
        checkpoints=f"{tempfile.gettempdir()}/gan",  # folders that it would make
        recon=tempfile.gettempdir(),
    )
    trainer.save_model = trainer.logger.run_end_epoch = lambda *_: None
    trainer.logger.get_grad_viz().update_grads = lambda *_: None
    with contextlib.redirect_stdout(io.StringIO()):
        trainer(Batches(batches, rounds, BATCH))

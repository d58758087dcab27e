"""What the processes of one training share: means over all of them, and the decisions they must take together.

`fit` uses them when it is called inside a process group of `torch.distributed`, whoever made it (`torchrun`, Lightning
Fabric, `gan-course train --devices`). Alone, a process pays nothing for them.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_course.errors import CourseError, ProcessLost


def start(devices: int | None = None, nodes: int | None = None, device: str | None = None) -> str | None:
    """Make this process one of several that train together, and return the device that it is to train on.

    Started by `torchrun`, it joins the processes of that. Otherwise it starts as many more of the running command on
    this machine as are missing to `devices`; on each of several machines the command is given once, with
    `$MASTER_ADDR`, `$MASTER_PORT` and `$NODE_RANK` (see the page *Many machines* of the book). Alone, nothing happens.

    Args:
        devices: processes on this machine, each on a device of its own; on the CPU, each with its share of the cores.
        nodes: machines.
        device: `cpu` or `cuda`; by default GPUs where there are any.

    Raises:
        ValueError: for numbers that cannot be right; the message says what is there.
        CourseError: if lightning-fabric is not installed.
    """
    for name, value in (("devices", devices), ("nodes", nodes)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value} was given; it must be at least 1")
    begun = "TORCHELASTIC_RUN_ID" in os.environ
    if begun:
        size, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        if devices not in (None, here) or nodes not in (None, size // here):
            raise ValueError(
                f"torchrun has started {here} processes on each of {size // here} machines: give no others"
            )
        devices, nodes = here, size // here
    devices, nodes = devices or 1, nodes or 1
    if not begun and devices * nodes == 1:
        return device
    if device not in (None, "cpu", "cuda"):
        raise ValueError(f"device={device!r} was given for {devices * nodes} processes; give 'cpu' or 'cuda', or none")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and devices > torch.cuda.device_count():
        raise ValueError(f"devices={devices} was given; this machine has {torch.cuda.device_count()} GPUs")
    if device == "cpu" and devices > (cores := os.cpu_count() or 1):
        raise ValueError(f"devices={devices} was given; this machine has {cores} cores, and each process needs one")
    try:
        from lightning_fabric import Fabric
    except ImportError:
        raise CourseError(
            "several processes need lightning-fabric, which is not installed: pip install 'gan-course[scale]'"
        ) from None
    fabric = Fabric(accelerator=device, devices=devices, num_nodes=nodes, strategy="ddp")
    fabric.launch()
    return str(fabric.device)


class Processes:
    """The processes that train together: `rank` is the number of this one, counted from 0, of `size`."""

    def __init__(self):
        """Those of the default process group, or this one alone."""
        together = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if together else 0
        self.size = distributed.get_world_size() if together else 1

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Put the mean over all processes into each tensor, by one sum of all of them in a row."""
        tensors = list(tensors)
        if self.size == 1 or not tensors:
            return
        with torch.no_grad():
            row = torch.cat([tensor.flatten() for tensor in tensors])
            self._together(distributed.all_reduce, row)
            row /= self.size
            for tensor, part in zip(tensors, row.split([tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(part.view(tensor.shape))

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Put the first process's values into every process's tensors."""
        if self.size > 1:
            for tensor in tensors:
                whole = tensor.detach().contiguous()
                self._together(distributed.broadcast, whole, 0)
                tensor.detach().copy_(whole)

    def agree(self, value: Any) -> Any:
        """The first process's value, whatever the others' is."""
        values = [value]
        if self.size > 1:
            self._together(distributed.broadcast_object_list, values, 0)
        return values[0]

    def gather(self, value: Any) -> list:
        """The values of all processes, in the order of their ranks."""
        values = [value]
        if self.size > 1:
            values = [None] * self.size
            self._together(distributed.all_gather_object, values, value)
        return values

    def _together(self, call: Callable, *arguments) -> None:
        try:
            call(*arguments)
        except RuntimeError as error:
            raise ProcessLost(
                f"process {self.rank} of {self.size} lost another one that it trains with, so training stops; what the "
                f"other one said is in its own output. Go on from the last checkpoint. ({str(error).splitlines()[0]})"
            ) from error


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient, and the gradient of that."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        total = x.contiguous().clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, slope: Tensor) -> Tensor:
        return _Sum.apply(slope)


class SynchronisedBatchNorm(_BatchNorm):
    r"""Batch normalisation by the mean $\mu$ and variance $\sigma^2$ of the batches of all processes together.

    $$y = \gamma\,\frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta$$

    Gradients flow through the statistics, across the processes. PyTorch's own `SyncBatchNorm` refuses the CPU.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes after the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """The normalised batch, of the same shape `(n, channels, ...)`."""
        if not self.training or Processes().size == 1:
            return super().forward(x)
        axes = [0, *range(2, x.ndim)]
        shape = [1, -1] + [1] * (x.ndim - 2)
        wide = x.float()
        sums = torch.cat([wide.sum(axes), wide.new_full((1,), x.numel() / x.shape[1])])
        sums = _Sum.apply(sums)
        n, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        centred = wide - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(axes)) / n
        if self.track_running_stats:
            with torch.no_grad():
                self.num_batches_tracked += 1
                share = 1 / self.num_batches_tracked if self.momentum is None else torch.tensor(self.momentum)
                share = share.to(mean)
                self.running_mean.lerp_(mean, share)
                self.running_var.lerp_(variance * n / (n - 1), share)
        y = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)


def synchronise(module: nn.Module) -> None:
    """From now on, every batch normalisation in the module is one over all processes; its numbers stay."""
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.__class__ = SynchronisedBatchNorm

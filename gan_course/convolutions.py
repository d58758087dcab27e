"""Convolutions at the two ends of an image network, made faster on the CPU.

PyTorch's CPU kernels (oneDNN) are good at convolutions between many channels and slow at the ends of the networks:

- Where the many channels of features become the few of an image: in a generator's last convolution, and in the
  gradient that a discriminator's first one hands back to the images. All these are the same map, a transposed
  convolution. Here it is one matrix product: every position of the features gives a patch of the image, and the patches
  are added up.
- Where an image has shrunk to one pixel, or begins as one: there a convolution is a matrix product and nothing else.
- Where a vector becomes an image by `Unflatten`: its channels should come last, as in all layers after it.

Values, gradients and gradients of gradients are PyTorch's, but for the order in which numbers are added.
"""

import contextlib
import functools
from collections.abc import Iterator

import torch
from torch import Tensor, nn

FEW = 3  # channels of an image, at most, for which this is the faster way
NARROW = 6  # pixels, at most, of a kernel for which it is with a stride of 1
BROAD = 4  # pixels, at least, of a kernel of stride 1 for which the gradient of the images is


@contextlib.contextmanager
def faster(network: nn.Module) -> Iterator[None]:
    """Inside, the convolutions of the network go the faster way where there is one."""
    ways = {
        nn.Conv2d.forward: _conv2d,
        nn.ConvTranspose2d.forward: _conv_transpose2d,
        nn.Unflatten.forward: _unflatten,
    }
    changed = [module for module in network.modules() if type(module).forward in ways and "forward" not in vars(module)]
    for module in changed:
        module.forward = functools.partial(ways[type(module).forward], module)
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _unflatten(module: nn.Unflatten, x: Tensor) -> Tensor:
    y = nn.Unflatten.forward(module, x)
    return y.contiguous(memory_format=torch.channels_last) if y.ndim == 4 else y


def _conv2d(module: nn.Conv2d, x: Tensor) -> Tensor:
    weight, bias, stride, padding = module.weight, module.bias, module.stride, module.padding
    if x.ndim != 4 or not _plain(module):
        return nn.Conv2d.forward(module, x)
    if x.shape[2:] == weight.shape[2:] and padding == (0, 0):
        pixels = x.permute(0, 2, 3, 1).flatten(1), weight.permute(0, 2, 3, 1).flatten(1)
        return nn.functional.linear(*pixels, bias)[:, :, None, None]
    if module.in_channels <= FEW and stride[0] == stride[1] and (stride[0] > 1 or min(weight.shape[2:]) >= BROAD):
        return _Gather.apply(x, weight, bias, stride, padding)
    if module.out_channels <= FEW < module.in_channels and stride == (1, 1) and max(weight.shape[2:]) <= NARROW:
        transposed = tuple(k - 1 - p for k, p in zip(weight.shape[2:], padding, strict=True))
        if min(transposed) >= 0:
            return _with(bias, _Spread.apply(x, weight.transpose(0, 1).flip(2, 3), stride, transposed, (0, 0)))
    return nn.Conv2d.forward(module, x)


def _conv_transpose2d(module: nn.ConvTranspose2d, x: Tensor, output_size: list[int] | None = None) -> Tensor:
    weight, stride, padding, more = module.weight, module.stride, module.padding, module.output_padding
    if x.ndim != 4 or output_size is not None or not _plain(module):
        return nn.ConvTranspose2d.forward(module, x, output_size)
    if x.shape[2:] == (1, 1) and padding == more == (0, 0):
        y = x.flatten(1) @ weight.permute(0, 2, 3, 1).flatten(1)
        return _with(module.bias, y.unflatten(1, (*weight.shape[2:], -1)).permute(0, 3, 1, 2))
    if module.out_channels <= FEW and stride[0] == stride[1] > 1:
        return _with(module.bias, _Spread.apply(x, weight, stride, padding, more))
    return nn.ConvTranspose2d.forward(module, x)


def _plain(module: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    zeros = module.padding_mode == "zeros" and isinstance(module.padding, tuple)
    return zeros and module.groups == 1 and module.dilation == (1, 1)


def _with(bias: Tensor | None, y: Tensor) -> Tensor:
    return y if bias is None else y + bias[:, None, None]


class _Spread(torch.autograd.Function):
    """A transposed convolution, from features `(n, c, h, w)` to images `(n, few, ., .)`."""

    @staticmethod
    def forward(x, weight, stride, padding, output_padding):
        (n, c, height, width), (_, few, *kernel), s = x.shape, weight.shape, stride[0]
        # The kernel is cut into blocks of s × s, filled up with zeros: block (a, b) of the patch of position (i, j)
        # falls on block (i + a, j + b) of the image. A block's pixels are channels until all is added up.
        rows, columns = (-(-(k + more) // s) for k, more in zip(kernel, output_padding, strict=True))
        filled = nn.functional.pad(weight, (0, columns * s - kernel[1], 0, rows * s - kernel[0]))
        blocks = filled.view(c, few, rows, s, columns, s).permute(2, 4, 1, 3, 5, 0).reshape(-1, c)
        patches = (blocks @ x.flatten(2)).view(n, rows, columns, few * s * s, height, width)
        image = x.new_zeros(n, few * s * s, height + rows - 1, width + columns - 1)
        for a in range(rows):
            for b in range(columns):
                image[:, :, a : a + height, b : b + width] += patches[:, a, b]
        seen = [
            slice(p, (many - 1) * s - p + k + more)
            for many, p, k, more in zip((height, width), padding, kernel, output_padding, strict=True)
        ]
        image = nn.functional.pixel_shuffle(image, s)[:, :, *seen]
        return image.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def setup_context(context, inputs, output):
        x, weight, *context.settings = inputs
        context.save_for_backward(x, weight)

    @staticmethod
    def backward(context, gradient):
        stride, padding, output_padding = context.settings
        needed = [*context.needs_input_grad[:2], False]
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient, *context.saved_tensors, None, stride, padding, (1, 1), True, output_padding, 1, needed
        )
        return of_x, of_weight, None, None, None


class _Gather(torch.autograd.Function):
    """A convolution, from images `(n, few, ., .)` to features `(n, c, h, w)`."""

    @staticmethod
    def forward(x, weight, bias, stride, padding):
        return nn.functional.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def setup_context(context, inputs, output):
        x, weight, bias, *context.settings = inputs
        context.sizes = None if bias is None else list(bias.shape)
        context.save_for_backward(x, weight)

    @staticmethod
    def backward(context, gradient):
        (x, weight), (stride, padding) = context.saved_tensors, context.settings
        of_x, of_weight, of_bias = None, None, None
        if context.needs_input_grad[0]:
            left = [
                full - ((many - 1) * s - 2 * p + k)
                for full, many, s, p, k in zip(
                    x.shape[2:], gradient.shape[2:], stride, padding, weight.shape[2:], strict=True
                )
            ]
            of_x = _Spread.apply(gradient, weight, stride, padding, left)
        if any(needed := context.needs_input_grad[1:3]):
            _, of_weight, of_bias = torch.ops.aten.convolution_backward(
                gradient, x, weight, context.sizes, stride, padding, (1, 1), False, (0, 0), 1, (False, *needed)
            )
        return of_x, of_weight, of_bias, None, None

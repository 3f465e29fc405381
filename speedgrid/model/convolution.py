"""A convolution with all that follows it in one: a batch norm before it is folded, a sum and an activation after it.

What computes it is given from outside (`kernel`): by default its definition, operator by operator.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn import functional

# The activations that may be part of a convolution. All work in place, because what they are given is nobody else's.
ACTIVATIONS: dict[str | None, Callable[[torch.Tensor], torch.Tensor]] = {
    None: lambda values: values,
    "relu": torch.relu_,
    "relu6": lambda values: functional.relu6(values, inplace=True),
    "hardswish": lambda values: functional.hardswish(values, inplace=True),
    "silu": lambda values: functional.silu(values, inplace=True),
}


class Convolution(nn.Module):
    """The activation of a convolution of `images` plus its bias, and plus `added` where something is added.

    weight: [channels out, channels in of a group, height, width]. bias: [channels out] or None. kernel: computes it,
    given this, the images and what is added. plainly: why no fused kernel computes it; "" where one does.
    """

    def __init__(self, layer: nn.Conv2d):
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.stride, self.dilation, self.groups = layer.stride, layer.dilation, layer.groups
        padding = symmetric_padding(layer)
        assert padding is not None  # fusion.odd() says so
        self.padding = padding
        self.activation: str | None = None
        self.kernel: Kernel = define
        self.plainly = "no kernel was asked for"

    def forward(self, images: torch.Tensor, added: Any = None) -> torch.Tensor:
        """Return the result of the kernel, [batch_size, channels out, height, width]."""
        return self.kernel(self, images, added)

    @property
    def how(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]:
        """Stride, padding, dilation and groups, in the order in which torch's convolutions take them."""
        return self.stride, self.padding, self.dilation, self.groups

    @property
    def depthwise(self) -> bool:
        """Whether each channel is convolved by itself."""
        return self.groups > 1 and self.weight.shape[1] == 1

    def fold(self, norm: nn.BatchNorm2d) -> None:
        """Take over the batch norm that follows, in float64: it is rounded once, when this is converted."""
        assert norm.running_mean is not None  # fusion.foldable() says so
        assert norm.running_var is not None
        scale = (norm.running_var.double() + norm.eps).rsqrt()
        scale = scale if norm.weight is None else scale * norm.weight.double()
        mean = norm.running_mean.double()
        shift = (-mean if self.bias is None else self.bias.double() - mean) * scale
        self.weight = constant(self.weight.double() * scale.view(-1, 1, 1, 1))
        self.bias = constant(shift if norm.bias is None else shift + norm.bias.double())

    def take_bias(self, other: "Convolution") -> None:
        """Add the bias of another convolution, whose result is added to this one's, here and not there."""
        if other.bias is not None:
            bias = other.bias.double()
            self.bias = constant(bias if self.bias is None else self.bias.double() + bias)
            other.bias = None

    def output_shape(self, shape: torch.Size) -> tuple[int, ...]:
        """Return the shape of the result for images of `shape`, both [batch_size, channels, height, width]."""
        sides = zip(shape[2:], self.weight.shape[2:], self.stride, self.padding, self.dilation, strict=True)
        sizes = ((n + 2 * pad - dilation * (k - 1) - 1) // stride + 1 for n, k, stride, pad, dilation in sides)
        return (shape[0], self.weight.shape[0], *sizes)


Kernel: TypeAlias = Callable[[Convolution, torch.Tensor, Any], torch.Tensor]


def define(one: Convolution, images: torch.Tensor, added: Any) -> torch.Tensor:
    """Return the result by definition: convolve, add, activate, one operator after another."""
    result = functional.conv2d(images, one.weight, one.bias, *one.how)
    if added is not None:
        alike = torch.is_tensor(added) and (added.shape, added.dtype) == (result.shape, result.dtype)
        result = result.add_(added) if alike else result + added
    return ACTIVATIONS[one.activation](result)


def symmetric_padding(layer: nn.Conv2d) -> tuple[int, ...] | None:
    """Return how much a convolution pads on both sides of each direction, or None where the two sides differ."""
    if not isinstance(layer.padding, str):
        return layer.padding
    if layer.padding == "valid":
        return (0,) * len(layer.kernel_size)
    whole = [dilation * (size - 1) for dilation, size in zip(layer.dilation, layer.kernel_size, strict=True)]
    return None if any(one % 2 for one in whole) else tuple(one // 2 for one in whole)


def constant(values: torch.Tensor) -> nn.Parameter:
    """Return a parameter that is not trained."""
    return nn.Parameter(values.detach(), requires_grad=False)

"""Operators of ONNX in the type of their operands, by PyTorch's kernels: those that onnx's reference does slowly.

onnx.reference computes most operators with numpy in whatever type it is given. Convolutions, pools and resizing take it
minutes, and its Erf, Gelu and grouped ConvTranspose are of float32 or wrong. Those are here; what neither knows is left
to ONNX Runtime, node by node and in float32 (speedgrid.evidence.graph.elsewhere).
"""

from typing import Any

import numpy as np
import torch
from onnx.reference.op_run import OpRun
from torch.nn import functional

from speedgrid.evidence.graph.elsewhere import by_onnxruntime
from speedgrid.evidence.graph.interpolation import interpolated

DIMENSIONS = {1: "1d", 2: "2d", 3: "3d"}


def tensor(values: np.ndarray | None) -> torch.Tensor | None:
    """Return an array as a tensor."""
    if values is None:
        return None
    values = np.ascontiguousarray(values)
    return torch.from_numpy(values if values.flags.writeable else values.copy())


def kernel(name: str, image: np.ndarray) -> Any:
    """Return a function of torch.nn.functional by the number of an image's axes, such as conv2d."""
    return getattr(functional, name + DIMENSIONS[image.ndim - 2])


def padded(shape: tuple[int, ...], size: list[int], steps: list[int], auto_pad: str, pads: list[int] | None):
    """Return the padding before and after each axis of an image of a shape, as ONNX's `auto_pad` and `pads` say.

    size: of the window, with its dilation. steps: its strides.
    """
    if auto_pad.startswith("SAME"):
        whole = [
            max(0, (-(-extent // step) - 1) * step + window - extent)
            for extent, window, step in zip(shape, size, steps, strict=True)
        ]
        less, more = [one // 2 for one in whole], [one - one // 2 for one in whole]
        return (less, more) if auto_pad == "SAME_UPPER" else (more, less)
    pads = pads or [0] * (2 * len(shape))
    return list(pads[: len(shape)]), list(pads[len(shape) :])


def widened(image: torch.Tensor, before: list[int], after: list[int], value: float = 0.0) -> torch.Tensor:
    """Return an image with padding of one value around its last axes."""
    around = [one for pair in zip(reversed(before), reversed(after), strict=True) for one in pair]
    return functional.pad(image, around, value=value) if any(around) else image


class Conv(OpRun):
    """Convolution of 1, 2 or 3 dimensions."""

    def _run(
        self, X, W, B=None, auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None, pads=None, strides=None
    ):
        axes = X.ndim - 2
        dilations, strides = dilations or [1] * axes, strides or [1] * axes
        size = [(extent - 1) * by + 1 for extent, by in zip(W.shape[2:], dilations, strict=True)]
        before, after = padded(X.shape[2:], size, strides, auto_pad or "NOTSET", pads)
        image = widened(tensor(X), before, after)
        made = kernel("conv", X)(image, tensor(W), tensor(B), tuple(strides), 0, tuple(dilations), group or 1)
        return (made.numpy(),)


class ConvTranspose(OpRun):
    """Transposed convolution: the whole of it is computed, and what padding takes is cut off."""

    def _run(
        self,
        X,
        W,
        B=None,
        auto_pad="NOTSET",
        dilations=None,
        group=1,
        kernel_shape=None,
        output_padding=None,
        output_shape=None,
        pads=None,
        strides=None,
    ):
        axes = X.ndim - 2
        dilations, strides = dilations or [1] * axes, strides or [1] * axes
        added = output_padding or [0] * axes
        whole = kernel("conv_transpose", X)(
            tensor(X), tensor(W), None, tuple(strides), 0, 0, group or 1, tuple(dilations)
        )
        whole = widened(whole, [0] * axes, list(added))
        automatic = auto_pad or "NOTSET"
        if automatic.startswith("SAME") and not output_shape:
            output_shape = [extent * step for extent, step in zip(X.shape[2:], strides, strict=True)]
        if output_shape:
            cut = [have - want for have, want in zip(whole.shape[2:], output_shape[-axes:], strict=True)]
            less, more = [one // 2 for one in cut], [one - one // 2 for one in cut]
            before, after = (less, more) if automatic == "SAME_UPPER" else (more, less)
        else:
            before, after = padded(X.shape[2:], [1] * axes, strides, "NOTSET", pads)
        made = widened(whole, [-one for one in before], [-one for one in after])
        if B is not None:
            made = made + torch.tensor(B).view(1, -1, *[1] * axes)
        return (np.ascontiguousarray(made.numpy()),)


class MatMul(OpRun):
    """Product over the last axis of the left and the last but one of the right operand."""

    def _run(self, a, b):
        return (torch.matmul(tensor(a), tensor(b)).numpy(),)


class MaxPool(OpRun):
    """The largest number of each window; where its place is asked for too, ONNX Runtime finds it."""

    def _run(
        self,
        x,
        auto_pad="NOTSET",
        ceil_mode=0,
        dilations=None,
        kernel_shape=None,
        pads=None,
        storage_order=0,
        strides=None,
    ):
        if len(self.onnx_node.output) > 1 or x.dtype.kind != "f":
            return by_onnxruntime(self, x)
        axes = x.ndim - 2
        dilations, strides = dilations or [1] * axes, strides or [1] * axes
        size = [(extent - 1) * by + 1 for extent, by in zip(kernel_shape, dilations, strict=True)]
        before, after = padded(x.shape[2:], size, strides, auto_pad or "NOTSET", pads)
        image, own = tensor(x), tuple(before)
        if before != after or any(2 * one > extent for one, extent in zip(before, kernel_shape, strict=True)):
            image, own = widened(image, before, after, -np.inf), (0,) * axes
        window = tuple(kernel_shape)
        made = kernel("max_pool", x)(image, window, tuple(strides), own, tuple(dilations), bool(ceil_mode))
        return (made.numpy(),)


class AveragePool(OpRun):
    """The mean of each window, with its padding or without."""

    def _run(
        self,
        x,
        auto_pad="NOTSET",
        ceil_mode=0,
        count_include_pad=0,
        dilations=None,
        kernel_shape=None,
        pads=None,
        strides=None,
    ):
        axes = x.ndim - 2
        strides = strides or [1] * axes
        before, after = padded(x.shape[2:], list(kernel_shape), strides, auto_pad or "NOTSET", pads)
        if any(one != 1 for one in dilations or ()) or (ceil_mode and before != after):
            return by_onnxruntime(self, x)
        pool, window, strides = kernel("avg_pool", x), tuple(kernel_shape), tuple(strides)
        if before == after and all(2 * one <= extent for one, extent in zip(before, window, strict=True)):
            return (pool(tensor(x), window, strides, tuple(before), bool(ceil_mode), bool(count_include_pad)).numpy(),)
        made = pool(widened(tensor(x), before, after), window, strides, 0, bool(ceil_mode))
        if not count_include_pad:
            made = made / pool(widened(torch.ones_like(tensor(x)), before, after), window, strides, 0, bool(ceil_mode))
        return (made.numpy(),)


class BatchNormalization(OpRun):
    """A scale and a shift of each channel, as of inference: onnx's own takes any older node for one that trains."""

    def _run(self, X, scale, B, mean, var, epsilon=1e-5, momentum=0.9, training_mode=0, spatial=1):
        if training_mode or spatial == 0:
            return by_onnxruntime(self, X, scale, B, mean, var)
        factor = scale / np.sqrt(var + epsilon)
        broadcast = (1, -1, *[1] * (X.ndim - 2))
        return (((X - mean.reshape(broadcast)) * factor.reshape(broadcast) + B.reshape(broadcast)).astype(X.dtype),)


class Erf(OpRun):
    """The error function."""

    def _run(self, x):
        return (torch.erf(tensor(x)).numpy(),)


class Gelu(OpRun):
    """The product of a number and its share of a normal distribution."""

    def _run(self, x, approximate="none"):
        return (functional.gelu(tensor(x), approximate=approximate or "none").numpy(),)


class HardSigmoid(OpRun):
    """A line, cut off at 0 and 1."""

    def _run(self, x, alpha=0.2, beta=0.5):
        return ((x * alpha + beta).clip(0, 1).astype(x.dtype),)


class HardSwish(OpRun):
    """The product of a number and a line cut off at 0 and 1."""

    def _run(self, x):
        return ((x * (x / 6 + 0.5).clip(0, 1)).astype(x.dtype),)


class Einsum(OpRun):
    """Products and sums over named axes."""

    def _run(self, *given, equation=None):
        return (torch.einsum(equation, *map(tensor, given)).numpy(),)


class Resize(OpRun):
    """An image of another size; what is asked for with rare attributes, ONNX Runtime does."""

    def _run(self, X, *given, **attributes):
        made = interpolated(X, self.onnx_node, given, attributes)
        return by_onnxruntime(self, X, *given) if made is None else (made,)


OPERATORS = (
    Conv,
    ConvTranspose,
    MatMul,
    MaxPool,
    AveragePool,
    BatchNormalization,
    Erf,
    Gelu,
    HardSigmoid,
    HardSwish,
    Einsum,
    Resize,
)

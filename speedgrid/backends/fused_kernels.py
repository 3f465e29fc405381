"""The kernels that compute a convolution with what follows it in one: cuDNN's on a GPU, oneDNN's on a CPU.

What the kernels of a device are asked is declared in Kernels. A kernel is tried when its convolution is first called.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, Protocol

import torch

from speedgrid.launcher.outputs import one_line
from speedgrid.model.convolution import ACTIVATIONS, Convolution, constant, define


class Kernels(Protocol):
    """The questions that the kernels of a device are asked."""

    def refusal(self, one: Convolution) -> str:
        """Return why no kernel computes a convolution, or ""."""

    def compute(self, one: Convolution, images: torch.Tensor, added: Any) -> torch.Tensor:
        """Return the result of a convolution; raises RuntimeError where the library has no kernel for it."""

    def prepare(self, one: Convolution, images: torch.Tensor) -> None:
        """Lay the weights of a convolution out as its kernel reads them; `images` are such as it will be given."""


class Cudnn:
    """cuDNN's convolution with bias, sum and ReLU; of a ReLU6 the upper bound is an operator of its own.

    https://docs.nvidia.com/deeplearning/cudnn/backend/latest/developer/graph-api.html#supported-graph-patterns
    """

    def refusal(self, one: Convolution) -> str:
        """Return why cuDNN does not fuse a convolution, or ""."""
        if one.activation not in ("relu", "relu6"):
            return f"cuDNN fuses ReLU alone, and after it comes {one.activation or 'none'}"
        return "it is depthwise" if one.depthwise else ""

    def compute(self, one: Convolution, images: torch.Tensor, added: Any) -> torch.Tensor:
        """Return the result of a convolution by cuDNN."""
        if added is None:
            result = torch.cudnn_convolution_relu(images, one.weight, one.bias, *one.how)
        else:
            result = torch.cudnn_convolution_add_relu(images, one.weight, added, 1.0, one.bias, *one.how)
        return result.clamp_(max=6) if one.activation == "relu6" else result

    def prepare(self, one: Convolution, images: torch.Tensor) -> None:
        """Do nothing: cuDNN reads weights as torch has them."""


# What oneDNN calls an activation, with its bounds.
ONE_DNN: dict[str | None, tuple[str, list[float]]] = {
    None: ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
    "hardswish": ("hardswish", []),
    "silu": ("swish", []),
}


class OneDnn:
    """oneDNN's convolution with bias, sum and activation, as Inductor uses it on CPUs.

    https://uxlfoundation.github.io/oneDNN/dev_guide_attributes_post_ops.html
    """

    def refusal(self, one: Convolution) -> str:
        """Return why oneDNN does not fuse a convolution, or ""."""
        return "" if torch.backends.mkldnn.is_available() else "this torch has no oneDNN"

    def compute(self, one: Convolution, images: torch.Tensor, added: Any) -> torch.Tensor:
        """Return the result of a convolution by oneDNN."""
        stride, padding, dilation, groups = one.how
        convolve = torch.ops.mkldnn._convolution_pointwise
        shape = (one.weight, one.bias, padding, stride, dilation, groups)
        if added is None:
            return convolve(images, *shape, *ONE_DNN[one.activation], "")
        # After a sum torch lets oneDNN apply a ReLU, and no other activation.
        fused = "relu" if one.activation == "relu" else None
        result = convolve.binary(images, added, *shape, "add", 1.0, fused, [], "")
        return result if fused else ACTIVATIONS[one.activation](result)

    def prepare(self, one: Convolution, images: torch.Tensor) -> None:
        """Lay the weights of a convolution out once, as oneDNN wants them for these images."""
        stride, padding, dilation, groups = one.how
        lay_out = torch.ops.mkldnn._reorder_convolution_weight
        one.weight = constant(lay_out(one.weight, padding, stride, dilation, groups, images.shape))


KERNELS: dict[str, Kernels] = {"cuda": Cudnn(), "cpu": OneDnn()}


def give(convolutions: Iterable[Convolution], kernels: Kernels) -> None:
    """Give convolutions fused kernels, which are tried when they are first called."""
    for one in convolutions:
        one.plainly = kernels.refusal(one)
        one.kernel = define if one.plainly else partial(first, kernels)


def first(kernels: Kernels, one: Convolution, images: torch.Tensor, added: Any) -> torch.Tensor:
    """Return the result of the first call, and settle which kernel computes the further ones."""
    one.plainly = unlike(one, images, added)
    if not one.plainly:
        try:
            result = kernels.compute(one, images, added)
            kernels.prepare(one, images)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            one.plainly = one_line(error)
        else:
            one.kernel = kernels.compute
            return result
    one.kernel = define
    return define(one, images, added)


def unlike(one: Convolution, images: torch.Tensor, added: Any) -> str:
    """Return why a fused kernel cannot be given these tensors, or ""."""
    if images.dim() != 4:
        return f"its images have {images.dim()} dimensions"
    if added is None:
        return ""
    if not torch.is_tensor(added) or added.shape != one.output_shape(images.shape) or added.dtype != images.dtype:
        return "what is added to it has another shape or type"
    return ""

"""Read a user's checkpoint: the state dict of a model that is in it, or one sentence on what is wrong.

No code in it runs, and no more is read than its file has.
"""

from collections.abc import Collection
from pathlib import Path

import torch

from speedgrid.model.checkpoint import WeightsError, parts, tensors
from speedgrid.model.described import Part

__all__ = ["WeightsError", "odd", "read", "refuse_numbers"]


def read(
    path: str | Path, model: str, names: Collection[str], model_bytes: float = float("inf")
) -> tuple[dict[str, torch.Tensor], Part]:
    """Return the state dict in a checkpoint that has the names of a model, and which part of the file it is.

    names: of the model's own. model_bytes: of the model in float32. The file is a state dict, or wraps one
    as speedgrid.model.checkpoint.parts knows; it is read as plain data. Raises WeightsError if it is unreadable,
    carries code, holds no weights of this model, or more than it may.
    """
    state, part = parts.take(str(path), tensors.read(path, model_bytes), model, names)
    for name, value in state.items():
        if problem := odd(value):
            raise WeightsError(f"{path} has the tensor {name!r}, which {problem}; weights are plain real numbers.")
    return state, part


def odd(value: torch.Tensor) -> str | None:
    """Return the reason why a tensor is no weights, or None."""
    if value.is_meta:
        return "has a shape and no numbers (device meta)"
    if value.layout != torch.strided or value.is_nested:
        return f"is not dense ({str(value.layout).removeprefix('torch.')})"
    if value.is_quantized or value.is_complex():
        return f"is of type {str(value.dtype).removeprefix('torch.')}"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"has {value.numel():,} numbers and stores fewer"
    return None


def refuse_numbers(path: str | Path, model: torch.nn.Module) -> None:
    """Raise WeightsError for the first weight of a model, read from `path`, with an infinite number or none."""
    for name, value in model.state_dict().items():
        if value.is_floating_point() and (count := int((~torch.isfinite(value)).sum())):
            raise WeightsError(
                f"{path} has {count:,} of {value.numel():,} numbers in {name!r} that are NaN or infinite in float32; "
                "take a checkpoint from before training diverged."
            )

"""What a model's module is called with, and what it returns, as tensors: of one image, or several of each."""

from typing import Any

import numpy as np
import torch

from speedgrid.data import arrays
from speedgrid.data.inputs import Bound, Input
from speedgrid.data.resolution import Resolution, size_of
from speedgrid.grid import Cell
from speedgrid.model import sources


def inputs_of(name: str, resolution: Resolution) -> list[Bound]:
    """Return the inputs of a model: as they are declared, or one image."""
    declared = sources.find(name).inputs or (Input("images", ("batch", 3, "height", "width")),)
    return [one.bound(size_of(resolution)) for one in declared]


def empty_inputs(cell: Cell, device: str, dtype: str, memory_format: str = "contiguous_format") -> list[torch.Tensor]:
    """Return tensors for the inputs of a cell's model, those of floats in `dtype`; images in the memory format."""
    found = []
    for one in inputs_of(cell.model, cell.resolution):
        kind = getattr(torch, dtype if "float" in one.dtype else one.dtype)
        layout = memory_format if len(one.shape) == 4 else "contiguous_format"
        shape = (cell.batch_size, *one.row)
        found.append(torch.empty(shape, dtype=kind, device=device, memory_format=getattr(torch, layout)))
    return found


def tensors(result: Any) -> dict[str, torch.Tensor]:
    """Return the outputs of a model by name: of a dictionary its keys, else numbers; the only one has no name."""
    if torch.is_tensor(result):
        return {"": result}
    named = result.items() if isinstance(result, dict) else ((f"output{at}", one) for at, one in enumerate(result))
    found = {}
    for name, one in named:
        for inner, tensor in tensors(one).items():
            found[".".join(filter(None, (str(name), inner)))] = tensor
    return found


def fed(rows: np.ndarray, dtype: torch.dtype) -> list[torch.Tensor]:
    """Return rows of inputs as the tensors that a model is called with, floats among them in `dtype`."""
    made = [torch.from_numpy(np.ascontiguousarray(one)) for one in arrays.fields(rows).values()]
    return [one.to(dtype) if one.is_floating_point() else one for one in made]

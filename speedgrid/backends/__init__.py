"""One module per runtime, each with the same few names; speedgrid.backends.variants names the ways to run them.

    PACKAGES                                   what its numbers depend on, for the environment fingerprint
    IMPORTS                                    what it imports on each device: memory is counted from after the imports
    ARTIFACT                                   what it loads: weights, onnx, or what a rule compiled for it
    available(device) -> reason or None        can it run here at all
    unsupported(cell, device) -> reason or None   can it do this precision on this device
    load(cell, device, artifact, options) -> Session

`options` has the settings of the cell's variant under `settings`. Importing a module of this package imports neither
torch nor the runtime: that happens in `load`.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from speedgrid.backends.variants import VARIANTS
from speedgrid.grid import Axes, cells
from speedgrid.machine import graphics
from speedgrid.model.sources import find
from speedgrid.record import Status

# What is made of an ONNX file; all else is made of a torch module.
FROM_ONNX = ("onnx", "tensorrt")


def get(name: str):
    """Return the module that runs a variant. Raises KeyError if there is no such variant."""
    return import_module(f"speedgrid.backends.{VARIANTS[name].module}")


def settings(name: str) -> dict[str, Any]:
    """Return the settings of a variant, as plain JSON values."""
    return VARIANTS[name].settings


def refusal(cell, device: str) -> tuple[Status, str] | None:
    """Return (status, reason) if a cell cannot be measured on `device`, or None if it can."""
    module = get(cell.backend)
    if reason := module.available(device):
        return "unavailable", reason
    if reason := unsupported(cell, device):
        return "unsupported", reason
    return None


def fixed(cell, described: Mapping[str, Any]) -> tuple[Status, str] | None:
    """Return (status, reason) if a cell has another batch size than the one that its file fixes, or None.

    described: the description of an ONNX file.
    """
    batch = described.get("batch")
    if batch in (None, cell.batch_size):
        return None
    return "unsupported", f"the file fixes batch = {batch}; a shape with the name batch in its inputs opens it"


def able(precision: str, axes: Axes, device: str) -> bool:
    """Say whether `device` and one of a grid's backends have a precision, as far as they know before they try."""
    first = {axis: values[:1] for axis, values in axes.items()}
    grid = cells(first | {"backend": axes["backend"], "precision": [precision]})
    return any(refusal(cell, device) is None for cell in grid)


def unsupported(cell, device: str) -> str | None:
    """Return why the hardware or the backend of a cell cannot run the cell on `device`, or None if they can."""
    if not find(cell.model).module and get(cell.backend).ARTIFACT not in FROM_ONNX:
        return f"{VARIANTS[cell.backend].label} runs PyTorch modules, and {cell.model} is an ONNX file"
    return graphics.lacking(cell.precision, device) or get(cell.backend).unsupported(cell, device)

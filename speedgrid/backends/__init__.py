"""One module per backend, each with the same few names.

    PACKAGES                                   what its numbers depend on, for the environment fingerprint
    CODE                                       library files that make its numbers, so that an edit re-measures it
    IMPORTS                                    what it imports on each device: memory is counted from after the imports
    available(device) -> reason or None        can it run here at all
    unsupported(cell, device) -> reason or None   can it do this precision on this device
    load(cell, device, artifact, options) -> Session

Importing a module of this package imports neither torch nor the runtime: that happens in `load`.
"""

from importlib import import_module

from speedgrid import environment
from speedgrid.grid import cells


def get(name: str):
    """Return the module of a backend."""
    return import_module(f"speedgrid.backends.{name}")


def refusal(cell, device: str) -> tuple[str, str] | None:
    """Return (status, reason) if a cell cannot be measured on `device`, or None if it can."""
    module = get(cell.backend)
    if reason := module.available(device):
        return "unavailable", reason
    if reason := unsupported(cell, device):
        return "unsupported", reason
    return None


def able(precision: str, axes: dict[str, list], device: str) -> bool:
    """Say whether `device` and one of a grid's backends have a precision, as far as they know before they try."""
    first = {axis: values[:1] for axis, values in axes.items()}
    grid = cells(first | {"backend": axes["backend"], "precision": [precision]})
    return any(refusal(cell, device) is None for cell in grid)


def unsupported(cell, device: str) -> str | None:
    """Return why the hardware or the backend of a cell cannot do it on `device`, or None if they can."""
    return environment.lacking(cell.precision, device) or get(cell.backend).unsupported(cell, device)

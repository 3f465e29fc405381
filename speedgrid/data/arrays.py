"""Arrays in .npy files: images, and outputs of models for them.

Where a model has several inputs or outputs, its array is a structured one: a row for each image, and in it a field for
each input or output.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from speedgrid.launcher.reading import REMEDY, FileError, reason, require_regular


def read(path: str | Path) -> np.ndarray:
    """Return the array in a .npy file without reading it before it is needed: images at 512 pixels are 200 MB.

    Raises FileError for a file that is cut off, or none.
    """
    try:
        require_regular(path, math.inf)
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise FileError(f"{path} cannot be read as an array of numpy ({reason(error)}); {REMEDY}.") from None


def fields(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the fields of a structured array by name; an array of one kind is its own only field, without a name."""
    return {name: rows[name] for name in rows.dtype.names} if rows.dtype.names else {"": rows}


def joined(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return arrays with as many rows as each other as one: the only one, or a structured array with their fields."""
    first = next(iter(parts.values()))
    if len(parts) == 1:
        return first
    rows = np.empty(len(first), [(name, one.dtype, one.shape[1:]) for name, one in parts.items()])
    for name, one in parts.items():
        rows[name] = one
    return rows

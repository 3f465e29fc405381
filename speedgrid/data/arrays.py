"""Arrays in .npy files: images, and outputs of models for them."""

from pathlib import Path

import numpy as np

from speedgrid.launcher.reading import REMEDY, FileError, reason


def read(path: str | Path) -> np.ndarray:
    """Return the array in a .npy file without reading it before it is needed: images at 512 pixels are 200 MB.

    Raises FileError for a file that is cut off, or none.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise FileError(f"{path} cannot be read as an array of numpy ({reason(error)}); {REMEDY}.") from None

"""Arrays in .npy files: images, and outputs of models for them."""

from pathlib import Path

import numpy as np


def read(path: str | Path) -> np.ndarray:
    """Return the array in a .npy file without reading it before it is needed: images at 512 pixels are 200 MB."""
    return np.load(path, mmap_mode="r")

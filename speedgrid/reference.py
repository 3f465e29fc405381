"""The right answer: the model's outputs in float64 on the CPU, for images that every backend is then given."""

from pathlib import Path

import numpy as np

from speedgrid.images import images
from speedgrid.threads import physical_cores

BATCH = 8


def compute(model: str, weights: str, resolution: int, seed: int, count: int) -> np.ndarray:
    """Return the logits of images 0 to `count` in float64, [count, classes]."""
    import torch

    from speedgrid import models

    torch.set_num_threads(physical_cores())
    module = models.load(model, weights).double()
    with torch.inference_mode():
        parts = [
            module(torch.from_numpy(images(seed, resolution, start, min(BATCH, count - start))).double())
            for start in range(0, count, BATCH)
        ]
    return torch.cat(parts).numpy()


def write(path: str | Path, logits: np.ndarray, seed: int, resolution: int) -> None:
    """Save reference logits with what makes their images."""
    np.savez(path, logits=logits, seed=seed, resolution=resolution)


def read(path: str | Path) -> tuple[np.ndarray, int]:
    """Return (logits [count, classes], seed) of a file that `write` made."""
    with np.load(path) as content:
        return content["logits"], int(content["seed"])

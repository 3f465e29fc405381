"""The right answer: the model's outputs in float64 on the CPU, for images that every backend is then given."""

from pathlib import Path

import numpy as np

from speedgrid.threads import shared_cores

# Images at once: float64 convolutions gain nothing from a batch (8 at once take 10 % longer than 1 on 2 cores).
BATCH = 1
# Images of the simulation: enough for a figure that is good to three decibels.
SIMULATED = 8


def compute(model: str, weights: str, images: np.ndarray) -> np.ndarray:
    """Return the logits of `images`, float32 [count, 3, height, width], as float64 [count, classes]."""
    import torch

    from speedgrid import models

    torch.set_num_threads(shared_cores())
    module = models.load(model, weights).double()
    with torch.inference_mode():
        parts = [
            module(torch.from_numpy(images[start : start + BATCH]).double()) for start in range(0, len(images), BATCH)
        ]
    return torch.cat(parts).numpy()


def prepare(model: str, weights: str, images: str, logits: str, expected: str) -> None:
    """Write the float64 logits of `images` (.npy both) and the SNR that each precision is expected to have (JSON)."""
    from speedgrid.record import write_json
    from speedgrid.rounding import expected_snr

    made = np.load(images)
    answers = compute(model, weights, made)
    np.save(logits, answers)
    write_json(expected, expected_snr(model, weights, made[:SIMULATED], answers[:SIMULATED]))


def read(path: str | Path) -> np.ndarray:
    """Return the array in a .npy file without reading it before it is needed: images at 512 pixels are 200 MB."""
    return np.load(path, mmap_mode="r")

"""The weights of one resolution: the user's checkpoint where there is one, else seeded ones."""

import hashlib
from pathlib import Path

import torch

from speedgrid import models
from speedgrid.threads import shared_cores


def prepare(model: str, checkpoint: str | None, seed: int, resolution: int, output: str) -> dict:
    """Write a plain float32 state dict to `output` and describe where it came from.

    Raises models.WeightsError if the checkpoint cannot be used.
    """
    torch.set_num_threads(shared_cores())
    module = models.load(model, checkpoint) if checkpoint else models.seeded(model, seed, resolution)
    torch.save(module.state_dict(), output)
    return {
        "model": model,
        "resolution": resolution,
        "source": str(checkpoint) if checkpoint else f"seeded, seed {seed}",
        "own": bool(checkpoint),
        "sha256": hashlib.sha256(Path(checkpoint or output).read_bytes()).hexdigest(),
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "classes": models.classes(module),
    }

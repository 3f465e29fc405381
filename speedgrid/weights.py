"""The weights of one resolution: the user's checkpoint where there is one, else seeded ones."""

import hashlib
from pathlib import Path

import torch

from speedgrid import models
from speedgrid.record import one_line
from speedgrid.threads import shared_cores


def prepare(model: str, checkpoint: str | None, seed: int, resolution: int, output: str) -> dict:
    """Write a plain float32 state dict to `output` and describe where it came from.

    Raises models.WeightsError if the checkpoint cannot be used, or the model cannot take images of this resolution.
    """
    torch.set_num_threads(shared_cores())
    try:
        module = models.load(model, checkpoint) if checkpoint else models.seeded(model, seed, resolution)
        with torch.inference_mode():
            module(torch.zeros(1, 3, resolution, resolution))
    except (RuntimeError, AssertionError) as error:
        raise models.WeightsError(
            f"{model} does not run on images of {resolution} x {resolution} pixels ({one_line(error)}); "
            "put others into grid.<device>.resolution."
        ) from error
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

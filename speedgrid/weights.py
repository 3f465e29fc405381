"""The weights of one resolution: the user's checkpoint where there is one, else trained on digits, else seeded."""

import hashlib
import json
from pathlib import Path

import torch

from speedgrid import models
from speedgrid.data.digits import Digits
from speedgrid.threads import shared_cores
from speedgrid.training import calibration


def prepare(
    model: str,
    checkpoint: str | None,
    seed: int,
    resolution: int,
    output: str,
    trained: str | None = None,
    training: str | None = None,
) -> dict:
    """Write a plain float32 state dict to `output` and describe where it came from.

    trained: weights of speedgrid.training, for whoever has no checkpoint; their batch-norm statistics are taken anew
    at this resolution. training: how they were trained (JSON). Raises models.WeightsError if the checkpoint cannot be
    used.
    """
    torch.set_num_threads(shared_cores())
    how = json.loads(Path(training).read_text()) if trained and not checkpoint else None
    if checkpoint:
        source, module = str(checkpoint), models.load(model, checkpoint)
    elif trained:
        source, module = f"trained on handwritten digits, seed {seed}", models.load(model, trained)
        models.calibrate(module, calibration(Digits(seed), resolution))
    else:
        source, module = f"seeded, seed {seed}", models.seeded(model, seed, resolution)
    torch.save(module.state_dict(), output)
    return {
        "model": model,
        "resolution": resolution,
        "source": source,
        "own": bool(checkpoint),
        "trained": how,
        "sha256": hashlib.sha256(Path(checkpoint or output).read_bytes()).hexdigest(),
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "classes": models.classes(module),
    }

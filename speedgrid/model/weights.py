"""The weights of one resolution: the user's checkpoint where there is one, else trained on digits, else seeded."""

import hashlib
from pathlib import Path

import torch

from speedgrid.data.digits import Digits
from speedgrid.data.resolution import Resolution, side_of
from speedgrid.launcher.outputs import one_line, replacing
from speedgrid.launcher.reading import read_json
from speedgrid.machine.threads import shared_cores
from speedgrid.model import modules as models
from speedgrid.model import sources, tensors
from speedgrid.model.described import Origin, Part, Training
from speedgrid.model.training import LARGEST, calibration, takes


def prepare(
    model: str,
    checkpoint: str | None,
    seed: int,
    resolution: Resolution,
    output: str,
    trained: str | None = None,
    training: str | None = None,
) -> Origin:
    """Write a plain float32 state dict to `output` and return the description of its origin.

    trained: weights of speedgrid.model.training, for whoever has no checkpoint; their batch-norm statistics are taken
    anew at a small resolution. training: how they were trained (JSON). Raises models.WeightsError if the checkpoint
    cannot be used, or the model cannot take images of this resolution.
    """
    torch.set_num_threads(shared_cores())
    how = read_json(training, Training) if training and trained and not checkpoint else None
    try:
        source, module, part = make(model, checkpoint, seed, resolution, trained)
        with torch.inference_mode():
            module(*tensors.fed(models.rows_of(model, seed, resolution, 0, 1), torch.float32))
    except (RuntimeError, AssertionError, ValueError, TypeError, IndexError) as error:
        if takes(model, resolution):  # the size is not what was wrong
            raise
        raise refused_size(model, resolution, error) from error
    with replacing(output) as temporary:
        torch.save(module.state_dict(), temporary)
    origin: Origin = {
        "model": model,
        "resolution": resolution,
        "source": source,
        "own": bool(checkpoint) or sources.find(model).gives_weights,
        "trained": how,
        "sha256": hashlib.sha256(Path(checkpoint or output).read_bytes()).hexdigest(),
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "classes": models.classes(module),
    }
    return origin | {"part": part} if part else origin


def refused_size(model: str, resolution: Resolution, error: BaseException) -> models.WeightsError:
    """Return the error on a resolution that a model does not run at."""
    return models.WeightsError(
        f"config key grid.<device>.resolution has {resolution}, at which {model} does not run ({one_line(error)}); "
        f"with {model} in models it must {wanted(model)}."
    )


def wanted(model: str) -> str:
    """Return the resolutions that a model runs at, in words: one size alone, or a smallest size."""
    smallest = sources.find(model).smallest_resolution()
    return f"have {smallest} or more" if takes(model, 2 * smallest) else f"be [{smallest}]"


def make(
    model: str, checkpoint: str | None, seed: int, resolution: Resolution, trained: str | None
) -> tuple[str, torch.nn.Module, Part | None]:
    """Return the origin of the weights of a model, in words, the model with them, and what of the file was taken."""
    if checkpoint:
        return str(checkpoint), *models.load_part(model, checkpoint)
    if trained:
        module = models.load(model, trained)
        if side_of(resolution) < LARGEST:
            models.calibrate(module, calibration(Digits(seed), resolution))
        return f"trained on handwritten digits, seed {seed}", module, None
    if (given := sources.find(model)).gives_weights:
        torch.manual_seed(seed)
        return " ".join([*given.files(), f"as its source gives them, seed {seed}"]), models.build(model), None
    return f"seeded, seed {seed}", models.seeded(model, seed, resolution), None

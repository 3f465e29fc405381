"""How often a session's best class is right: measured once for each model, backend and precision.

The session is loaded from the same artifact, by the same module, as the one that is timed, and given images that
neither training nor calibration has seen. What it costs in right answers is seen against the float32 model on the
same images, image by image, so that chance in the choice of images mostly cancels.
"""

import json
import traceback
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from speedgrid.data import DataError
from speedgrid.data.sequence import batch
from speedgrid.evidence import reference
from speedgrid.grid import Cell
from speedgrid.machine import environment, gpus
from speedgrid.machine.device import nvml
from speedgrid.machine.threads import shared_cores
from speedgrid.measure import cell as measure

# Images at once for the float32 model.
BATCH = 16


def classify(model: str, weights: str, origin: str, images: str, about: str) -> dict:
    """Return the classes that the float32 model on the CPU gives the evaluation images, and the right ones.

    weights, images: files. origin, about: their descriptions (JSON). `labels` are None where the images have none, or
    none that these weights were made for. Raises DataError if a label is no class of the model.
    """
    import torch

    from speedgrid.model import torchvision as models
    from speedgrid.precision import set_torch_math

    made, known = json.loads(Path(origin).read_text()), json.loads(Path(about).read_text())
    labels = known.pop("labels")
    if not (made["own"] if known["source"] != "digits" else made["trained"]):
        labels = None
    if labels and max(labels) >= made["classes"]:
        raise DataError(
            f"config key data.images: {known['source']} has images of class {max(labels)}, but {made['source']} tells "
            f"{made['classes']} classes apart, 0 to {made['classes'] - 1}; give weights for these classes, or call the "
            "folders by the numbers of theirs."
        )
    set_torch_math("fp32")
    torch.set_num_threads(shared_cores())
    module, pictures = models.load(model, weights), reference.read(images)
    with torch.inference_mode():
        found = [
            module(torch.from_numpy(np.array(pictures[start : start + BATCH]))).argmax(dim=1)
            for start in range(0, len(pictures), BATCH)
        ]
    return {"model": model, "images": known, "labels": labels, "predicted": torch.cat(found).tolist()}


@nvml()
def evaluate(cell: Cell, device: str, inputs: dict, options: dict) -> dict:
    """Return the record of one evaluation; whatever goes wrong becomes a status and a reason.

    inputs: files: `artifact` (what the backend loads), `build` (the record of the engine's build, or None), `images`
    (float32 [count, 3, resolution, resolution]), `answers` (of `classify`); `died`: how an earlier try ended, where
    a signal killed it. options: `cpu_threads` and what else the backend is asked for.
    """
    options = measure.complete(cell, options)
    with gpus.working():
        machine = environment.describe(device)
        answers = json.loads(Path(inputs["answers"]).read_text())
        record = {
            "cell": asdict(cell),
            "status": "ok",
            "reason": "",
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "fingerprint": environment.fingerprint(machine, cell.backend),
            "command": environment.command(),
            "images": answers["images"],
            "labels": answers["labels"],
            "expected": answers["predicted"],
            "predicted": None,
        }
        if refusal := measure.refuse(cell, device, inputs, measure.read_build(inputs)):
            return record | dict(zip(("status", "reason"), refusal, strict=True))
        try:
            session, _ = measure.load(
                cell, device, machine.get("gpu_uuid"), inputs["artifact"], options, measure.Laps()
            )
            return record | predictions(session, reference.read(inputs["images"]))
        except Exception as error:
            status, reason = measure.explain(error)
            return record | {"status": status, "reason": reason, "traceback": traceback.format_exc()}


def predictions(session, images: np.ndarray) -> dict:
    """Return the class that a session gives each image, float32 [count, 3, height, width]; or what is wrong."""
    outputs = []
    for start in range(0, len(images), session.shape[0]):
        session.feed(batch(images, start, session.shape[0]))
        session.poison()
        with session.active():
            session.run()
        outputs.append(session.output()[: len(images) - start])
    found = np.concatenate(outputs)
    if not np.isfinite(found).all():
        return {"status": "wrong_result", "reason": "an output is missing or not finite"}
    return {"predicted": found.argmax(axis=1).tolist()}

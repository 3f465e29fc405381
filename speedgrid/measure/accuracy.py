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

from speedgrid.backends.fingerprint import fingerprint
from speedgrid.data.sequence import batch
from speedgrid.evidence import reference
from speedgrid.grid import Cell
from speedgrid.machine import environment, gpus
from speedgrid.machine.device import nvml
from speedgrid.measure import loading


@nvml()
def evaluate(cell: Cell, device: str, inputs: dict, options: dict) -> dict:
    """Return the record of one evaluation; whatever goes wrong becomes a status and a reason.

    inputs: files: `artifact` (what the backend loads), `build` (the record of the engine's build, or None), `images`
    (float32 [count, 3, resolution, resolution]), `answers` (of `classify`); `died`: how an earlier try ended, where
    a signal killed it. options: `cpu_threads` and what else the backend is asked for.
    """
    options = loading.complete(cell, options)
    with gpus.working():
        machine = environment.describe(device)
        answers = json.loads(Path(inputs["answers"]).read_text())
        record = {
            "cell": asdict(cell),
            "status": "ok",
            "reason": "",
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "fingerprint": fingerprint(machine, cell.backend),
            "command": environment.command(),
            "images": answers["images"],
            "labels": answers["labels"],
            "expected": answers["predicted"],
            "predicted": None,
        }
        if refusal := loading.refuse(cell, device, inputs, loading.read_build(inputs)):
            return record | dict(zip(("status", "reason"), refusal, strict=True))
        try:
            session, _ = loading.load(
                cell, device, machine.get("gpu_uuid"), inputs["artifact"], options, loading.Laps()
            )
            return record | predictions(session, reference.read(inputs["images"]))
        except Exception as error:
            status, reason = loading.explain(error)
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

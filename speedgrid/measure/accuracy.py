"""How often a session's best class is right: measured once for each model, backend and precision.

The session is loaded from the same artifact, by the same module, as the one that is timed, and given images that
neither training nor calibration has seen. What it costs in right answers is seen against the float32 model on the
same images, image by image, so that chance in the choice of images mostly cancels.
"""

import traceback
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np

from speedgrid import InputError, backends
from speedgrid.backends.fingerprint import fingerprint
from speedgrid.backends.session import Options
from speedgrid.data import arrays
from speedgrid.data.sequence import batch
from speedgrid.evidence.evaluation import Answers, Evaluation
from speedgrid.grid import Cell
from speedgrid.launcher.reading import read_json
from speedgrid.machine import environment, gpus
from speedgrid.machine.device import nvml
from speedgrid.measure import loading
from speedgrid.measure.loading import Files
from speedgrid.record import Status


@nvml()
def evaluate(cell: Cell, device: str, files: Files, cpu_threads: int, died: str | None = None) -> Evaluation:
    """Return the record of one evaluation; whatever goes wrong becomes a status and a reason.

    files: with `answers`, as of speedgrid.evidence.classes. cpu_threads: 0 stands for all physical cores. died: how an
    earlier try ended, where a signal killed it; then nothing is evaluated. `predicted` is None where an output was
    missing or not finite.
    """
    with gpus.working():
        machine = environment.describe(device)
        answers = read_json(files.answers, Answers)
        record: Evaluation = {
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
        refusal: tuple[Status, str] | None = (
            ("failed", died) if died else loading.refuse(cell, device, files.read_build())
        )
        if refusal:
            return record | {"status": refusal[0], "reason": refusal[1]}
        options = Options(cpu_threads=loading.threads(cpu_threads), settings=backends.settings(cell.backend))
        try:
            session, _ = loading.load(cell, device, machine.get("gpu_uuid"), files, options, loading.Laps())
            return record | {"predicted": predictions(session, arrays.read(files.images))}
        except InputError:  # a damaged file says nothing of the cell
            raise
        except Exception as error:
            status, reason = loading.explain(error)
            return record | {"status": status, "reason": reason, "traceback": traceback.format_exc()}


def predictions(session, images: np.ndarray) -> list[int] | None:
    """Return the class that a session gives each image, float32 [count, 3, height, width].

    None if an output is missing or not finite.
    """
    outputs = []
    for start in range(0, len(images), session.shape[0]):
        session.feed(batch(images, start, session.shape[0]))
        session.poison()
        with session.active():
            session.run()
        outputs.append(session.output()[: len(images) - start])
    found = np.concatenate(outputs)
    return found.argmax(axis=1).tolist() if np.isfinite(found).all() else None

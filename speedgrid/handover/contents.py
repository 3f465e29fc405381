"""What a folder that is handed over says of its model: model.json, the reference images, the requirements."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speedgrid.data import arrays
from speedgrid.data.preprocessing import MEAN, RESIZED_OVER_CROPPED, STD
from speedgrid.data.resolution import size_of
from speedgrid.data.source import Images
from speedgrid.evidence.snr import decibels
from speedgrid.grid import Cell
from speedgrid.handover import recipes
from speedgrid.handover.recipes import Recipe
from speedgrid.handover.winner import HandoverError
from speedgrid.machine import environment
from speedgrid.model import sources
from speedgrid.record import Machine, Record, Seen

# Reference images in a folder, at most: at 512 pixels they are 50 MB.
KEPT = 16


@dataclass(frozen=True)
class Files:
    """The files that a folder is made of. artifact: what was timed. images, logits: of the reference, as .npy.

    described: the description of these images.
    """

    artifact: Path
    images: Path
    logits: Path
    described: Path

    def require(self) -> None:
        """Raise HandoverError for a file that is not there any more."""
        for path in (self.artifact, self.images, self.logits, self.described):
            if not path.is_file() or not path.stat().st_size:
                raise HandoverError(
                    f"{path}, of what was timed, is not there any more; `snakemake {path}` makes it again, and "
                    "`snakemake` then measures it again."
                )


def reference(files: Files, seen: Seen) -> tuple[dict[str, np.ndarray], float]:
    """Return reference inputs and their right outputs, and the SNR in dB that the timed session had on them.

    Arrays are called inputs0, inputs1 ... and outputs0 ...; those of several are fields of a structured array.
    """
    right, errors = arrays.read(files.logits), seen.errors
    count = min(KEPT, len(right), errors.images if errors else KEPT)
    found = {
        f"{kind}{number}": np.array(one)
        for kind, rows in (("inputs", arrays.read(files.images)[:count]), ("outputs", right[:count]))
        for number, one in enumerate([rows[name] for name in rows.dtype.names] if rows.dtype.names else [rows])
    }
    if errors:
        noise, signal = np.linalg.norm(errors.noise[:count]), np.linalg.norm(errors.signal[:count])
        return found, decibels(float(noise / max(signal, np.finfo(float).tiny)))
    if seen.parity is None:
        raise HandoverError(f"nothing is known of the answers that {files.artifact} gave; measure again.")
    return found, seen.parity.snr_db


def about(
    found: Record, seen: Seen, made: Recipe, row: Any, images: Images, classes: int, snr_db: float
) -> dict[str, Any]:
    """Return the content of model.json: what the program reads, and the figures of the report, as plain JSON values."""
    cell = found.cell
    figures = {name: None if pd.isna(row[name]) else float(row[name]) for name in FIGURES}
    for end in ("low", "high"):
        if figures[f"latency_ms_{end}"] is None:
            figures[f"latency_ms_{end}"] = figures["latency_ms"]
    return {
        "model": cell.model,
        "task": sources.find(cell.model).task,
        "backend": cell.backend,
        "precision": cell.precision,
        "resolution": cell.resolution,
        "batch_size": cell.batch_size,
        "device": found.asked.device,
        "threads": found.asked.cpu_threads,
        "file": made.file,
        "dtype": seen.dtype,
        "settings": made.settings,
        "inputs": recipes.inputs(found, seen),
        "classes": class_names(images, classes),
        "preprocessing": preprocessing(cell) if recipes.takes_photographs(found) else None,
        "report": {
            "device_name": found.environment["device_name"],
            "measured_at": found.measured_at,
            **figures,
            "snr_db": snr_db,
        },
    }


FIGURES = (
    "latency_ms",
    "latency_ms_low",
    "latency_ms_high",
    "throughput_fps",
    "memory_mb",
    "energy_mj_per_image",
    "top1",
    "top1_agreement",
)


def preprocessing(cell: Cell) -> dict[str, Any]:
    """Return the steps by which a photograph becomes an input, as speedgrid.data.folder makes it.

    crop: height and width that are taken from its middle. resize: it is made as large as these times that first. mean,
    deviation: of values from 0 to 1, by channel.
    """
    return {
        "resize": RESIZED_OVER_CROPPED,
        "crop": list(size_of(cell.resolution)),
        "mean": list(MEAN),
        "deviation": list(STD),
    }


def class_names(images: Images, classes: int) -> list[str] | None:
    """Return the names of a model's classes in order: those of the user's class folders, where there are as many.

    images: the description of those that were given. None where they have no classes, or folders that are called by
    the numbers of their classes.
    """
    folders = images.get("class_folders") or []
    if images.get("numbered") or len(folders) != classes:
        return None
    return [one["name"] for one in sorted(folders, key=lambda one: one["number"])]


def requirements(made: Recipe, machine: Machine) -> list[str]:
    """Return the packages that a folder needs, each with the version that was measured."""
    wanted = (*made.packages, *recipes.EVERYWHERE)
    known = environment.versions(wanted) | machine["packages"]
    return [f"{name}=={known[name]}" for name in wanted if name in known]

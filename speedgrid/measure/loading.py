"""How a cell is loaded: whether it can run, what it is loaded from, and what to say when it fails."""

import os
import time
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NotRequired, TypedDict

from speedgrid import backends
from speedgrid.backends.session import Options, Session, UnsupportedError
from speedgrid.grid import Cell
from speedgrid.launcher.ending import is_out_of_memory
from speedgrid.launcher.outputs import contents
from speedgrid.launcher.reading import REMEDY, FileError, of_kind, read_json, read_onnx
from speedgrid.machine import gpus
from speedgrid.machine.threads import physical_cores
from speedgrid.measure.memory import MemoryMeter
from speedgrid.record import Status


class Laps:
    """Where the time of a measurement goes, in seconds by step."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self.last = time.perf_counter()

    def end(self, step: str) -> None:
        """Give the time since the last step to `step`, which may have had some already."""
        now = time.perf_counter()
        self.seconds[step] = round(self.seconds.get(step, 0.0) + now - self.last, 4)
        self.last = now

    def shift(self, step: str, other: str, seconds: float) -> None:
        """Give some of the time of a step to another one."""
        self.seconds[step] = round(self.seconds[step] - seconds, 4)
        self.seconds[other] = round(self.seconds.get(other, 0.0) + seconds, 4)


class Contents(TypedDict):
    """The contents of a file that was built, as of speedgrid.launcher.outputs.contents."""

    bytes: int
    sha256: str


class Made(TypedDict):
    """The parts that every record of a build has; those of older versions do not know the file."""

    status: Status
    reason: str
    expected_snr_db: NotRequired[float]
    outputs_snr_db: NotRequired[dict[str, float]]
    file: NotRequired[Contents]


@dataclass(frozen=True)
class Files:
    """The files that a measurement reads.

    artifact: what the backend loads; build: the record of how it was built, or None. images: float32 [count, 3,
    height, width]. logits, expected: their float64 reference outputs, and the errors that rounding is
    expected to make. answers: the classes of images that accuracy is measured on.
    """

    artifact: str
    images: str
    build: str | None = None
    logits: str = ""
    expected: str = ""
    answers: str = ""

    def read_build(self) -> dict[str, Any] | None:
        """Return the record of the build, or None where nothing is built."""
        return read_build(self.build) if self.build else None

    def require_size(self) -> None:
        """Raise FileError unless the artifact is as large as its build left it: a library may crash on a part of it."""
        built = (self.read_build() or {}).get("file")
        if built and (size := os.path.getsize(self.artifact)) != built["bytes"]:
            raise FileError(f"{self.artifact} has {size} bytes and had {built['bytes']} when it was built; {REMEDY}.")

    def require_contents(self) -> None:
        """Raise FileError if the artifact is damaged: not what its build left, or no ONNX where it should be that."""
        built = (self.read_build() or {}).get("file")
        if built and contents(self.artifact) != built:
            raise FileError(f"{self.artifact} has another SHA-256 than when it was built; {REMEDY}.")
        if self.artifact.endswith(".onnx"):
            read_onnx(self.artifact)


def read_build(path: str) -> dict[str, Any]:
    """Return the record of a build, which says whether there is what was built. Raises FileError."""
    found = read_json(path, dict)
    of_kind(found, Made, path)
    return found


def threads(cpu_threads: int) -> int:
    """Return the number of threads of a session on the CPU; 0 stands for all physical cores."""
    return cpu_threads or physical_cores()


def refuse(cell: Cell, device: str, build: dict[str, Any] | None) -> tuple[Status, str] | None:
    """Return (status, reason) if a cell cannot be run, or None if it can.

    An engine that was not built hands its own status and reason on to the cells that need it.
    """
    not_built = (build["status"], build["reason"]) if build and build["status"] != "ok" else None
    return backends.refusal(cell, device) or not_built or backends.fixed(cell, build or {})


def load(
    cell: Cell, device: str, uuid: str | None, files: Files, options: Options, laps: Laps
) -> tuple[Session, MemoryMeter]:
    """Return the loaded session, and the meter that has seen its memory. options: as of speedgrid.backends.

    Raises FileError where the artifact is damaged, and what the backend raises.
    """
    files.require_size()
    backend = backends.get(cell.backend)
    for name in backend.IMPORTS[device]:
        import_module(name)
    laps.end("import")
    memory = MemoryMeter(device, uuid)  # on CUDA this makes the context
    if memory.whole_device:  # which others must not change meanwhile
        gpus.measure_alone()
        memory = MemoryMeter(device, uuid)
    laps.end("context")
    try:
        session = backend.load(cell, device, files.artifact, options)
    except Exception:
        files.require_contents()  # a damaged file is no fault of the backend's
        raise
    memory.read("loaded")
    laps.end("load")
    return session, memory


def explain(error: Exception) -> tuple[Status, str]:
    """Turn an exception into a status and one line of reason."""
    text = " ".join(str(error).split()) or type(error).__name__
    short = text if len(text) <= 300 else f"{text[:297]}..."
    if isinstance(error, UnsupportedError):
        return "unsupported", short
    return ("out_of_memory", short) if is_out_of_memory(error) else ("failed", f"{type(error).__name__}: {short}")

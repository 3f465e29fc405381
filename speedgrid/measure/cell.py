"""Measure one cell in this process, from loading to the check of its answers, and say what happened."""

import json
import os
import time
import traceback
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from statistics import median

from speedgrid import backends
from speedgrid.backends.session import UnsupportedError
from speedgrid.data.sequence import batch
from speedgrid.evidence import kernels, parity, reference
from speedgrid.grid import Cell
from speedgrid.machine import environment, gpus
from speedgrid.machine.device import nvml
from speedgrid.machine.threads import physical_cores
from speedgrid.measure import request as end_to_end
from speedgrid.measure import timing
from speedgrid.measure.energy import EnergyCounter, per_call
from speedgrid.measure.host import HostLoad
from speedgrid.measure.memory import MemoryMeter
from speedgrid.measure.telemetry import Telemetry
from speedgrid.record import FORMAT

SETTING_NAMES = tuple(field.name for field in fields(timing.Settings))
# How torch, CUDA, ONNX Runtime, numpy and the C++ library say that memory is used up.
OUT_OF_MEMORY = ("outofmemory", "out of memory", "to allocate", "allocate memory", "bad_alloc")
# Comparing outputs with the reference takes no longer than this where enough images are compared.
PARITY_SECONDS = 0.1


class Laps:
    """Where the time of a measurement goes, in seconds by step."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self.last = time.perf_counter()

    def end(self, step: str) -> None:
        """Give the time since the last step to `step`."""
        now = time.perf_counter()
        self.seconds[step] = round(now - self.last, 4)
        self.last = now


@nvml()  # opened once, however often it is asked something: opening and closing take 20 ms
def measure_cell(cell: Cell, turn: str, device: str, inputs: dict, options: dict) -> dict:
    """Return the record of one measurement; whatever goes wrong becomes a status and a reason.

    turn: what it is for, as of speedgrid.grid.TURN. inputs: files: `artifact` (what the backend loads), `images`,
    `logits` and `expected` (the reference), `build` (the record of the engine's build, or None); `died`: how an
    earlier try ended, where a signal killed it; `alone`: no other cell may be loaded on the GPU; `energy`,
    `end_to_end`, `kernels`: measure these too. options: `cpu_threads` and the fields of timing.Settings.
    Raises SystemExit(EX_TEMPFAIL) if memory ran out while others had some of it: to be tried again, alone.
    """
    laps = Laps()
    options = complete(cell, options)
    if device == "cuda":
        gpus.claim(inputs.get("alone", False))
    laps.end("claim")
    machine = environment.describe(device)
    record = _begin(cell, turn, device, options, machine)
    build = read_build(inputs)
    if refusal := refuse(cell, device, inputs, build):
        record["status"], record["reason"] = refusal
        return record
    laps.end("describe")
    try:
        record |= {"build": build} | _measure(cell, device, inputs, build or {}, options, machine, laps)
    except Exception as error:
        record["status"], record["reason"] = explain(error)
        if record["status"] == "out_of_memory" and gpus.crowded():
            raise SystemExit(os.EX_TEMPFAIL) from error
        record["traceback"] = traceback.format_exc()
    return record


def complete(cell: Cell, options: dict) -> dict:
    """Return `options` with the number of threads that 0 stands for, and the `settings` of the cell's variant."""
    threads = options["cpu_threads"] or physical_cores()
    return {**options, "cpu_threads": threads, "settings": backends.settings(cell.backend)}


def _begin(cell: Cell, turn: str, device: str, options: dict, machine: dict) -> dict:
    """Return the part of a record that every cell has, whatever happens to it."""
    return {
        "format": FORMAT,
        "cell": asdict(cell),
        "turn": turn,
        "asked": {"device": device, **options},
        "status": "ok",
        "reason": "",
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": machine,
        "fingerprint": environment.fingerprint(machine, cell.backend),
        "command": environment.command(),
    }


def read_build(inputs: dict) -> dict | None:
    """Return the record of the engine's build, or None where nothing is built."""
    return json.loads(Path(inputs["build"]).read_text()) if inputs.get("build") else None


def refuse(cell: Cell, device: str, inputs: dict, build: dict | None) -> tuple[str, str] | None:
    """Return (status, reason) if a cell cannot be run, or None if it can.

    An engine that was not built hands its own status and reason on to the cells that need it.
    """
    died = ("failed", inputs["died"]) if inputs.get("died") else None
    not_built = (build["status"], build["reason"]) if build and build["status"] != "ok" else None
    return died or backends.refusal(cell, device) or not_built


def _measure(cell: Cell, device: str, inputs: dict, build: dict, options: dict, machine: dict, laps: Laps) -> dict:
    logits = reference.read(inputs["logits"])
    images = reference.read(inputs["images"])[: len(logits)]
    expected = _expected(cell, inputs, build)
    uuid = machine.get("gpu_uuid") if device == "cuda" else None
    telemetry = Telemetry(uuid)  # its process starts while the model is loaded
    session, memory = load(cell, device, uuid, inputs["artifact"], options, laps)
    _warm(session, batch(images, 0, cell.batch_size))
    laps.end("first_call")
    gpus.measure_alone()
    laps.end("queue")
    samples, conditions = _time(session, telemetry, options, laps)
    memory.read("timed")
    if device == "cuda" and memory.peak_mb() == 0:
        raise RuntimeError("it takes no memory on the GPU, so it did not run there")
    call_seconds = median(samples.host_ms) / 1000
    doubt = parity.doubt(cell.precision, expected["snr_db"])
    compared = parity.check(session, images, logits, PARITY_SECONDS, call_seconds, doubt)
    laps.end("parity")
    extras = _extras(session, device, uuid, inputs, options, call_seconds, laps)
    quantised = session.details.get("quantised_nodes", build.get("quantised_nodes"))
    status, reason, observed = parity.verdict(
        cell.precision, session.dtype, compared, expected["snr_db"], quantised, expected["uneven_db"]
    )
    return {
        "status": status,
        "reason": reason,
        "observed_precision": observed,
        "dtype": session.dtype,
        "details": session.details,
        "quantised_nodes": quantised,
        "samples": samples.as_dict(),
        "seconds": laps.seconds,
        "memory": memory.as_dict(),
        **conditions,
        **extras,
        "parity": compared.as_dict() | {f"expected_{name}": value for name, value in expected.items()}
        if compared
        else None,
    }


def _expected(cell: Cell, inputs: dict, build: dict) -> dict:
    """Return what rounding is expected to do, as of speedgrid.evidence.rounding.expected.

    Of a quantised model it is what the very file that runs is known to do: its ranges are not those of a simulation.
    """
    found = json.loads(Path(inputs["expected"]).read_text())
    if "expected_snr_db" in build:
        found["snr_db"][cell.precision] = build["expected_snr_db"]
    return found


def _extras(
    session, device: str, uuid: str | None, inputs: dict, options: dict, call_seconds: float, laps: Laps
) -> dict:
    """Return what is measured once for each cell and where it is asked for: None elsewhere."""
    used = per_call(session, EnergyCounter(uuid), call_seconds) if inputs.get("energy") else None
    laps.end("energy")
    costs = end_to_end.measure(session, options["cpu_threads"]) if inputs.get("end_to_end") else None
    laps.end("end_to_end")
    launched = kernels.witness(session) if inputs.get("kernels") and device == "cuda" else None
    laps.end("kernels")
    return {"energy": used, "end_to_end": costs, "kernels": launched}


def _time(session, telemetry: Telemetry, options: dict, laps: Laps) -> tuple:
    """Return the samples of a session, and what GPU and processors did meanwhile."""
    telemetry.start()
    laps.end("telemetry")
    host = HostLoad()
    samples = timing.measure(session, timing.Settings(**{name: options[name] for name in SETTING_NAMES}))
    busy = host.as_dict()
    laps.end("timing")
    return samples, {"telemetry": telemetry.stop(), "host": busy}


def load(cell: Cell, device: str, uuid: str | None, artifact: str, options: dict, laps: Laps) -> tuple:
    """Return the loaded session, and the meter that has seen its memory."""
    backend = backends.get(cell.backend)
    for name in backend.IMPORTS[device]:
        import_module(name)
    laps.end("import")
    memory = MemoryMeter(device, uuid)  # on CUDA this makes the context
    if memory.whole_device:  # which others must not change meanwhile
        gpus.measure_alone()
        memory = MemoryMeter(device, uuid)
    laps.end("context")
    session = backend.load(cell, device, artifact, options)
    memory.read("loaded")
    laps.end("load")
    return session, memory


def _warm(session, images) -> None:
    """Run `session` on `images` once: the first call may compile, and allocates."""
    session.feed(images)
    with session.active():
        session.run()
        session.synchronize()
    session.poison()  # so that what is compared later was written by the runs that were timed


def explain(error: Exception) -> tuple[str, str]:
    """Turn an exception into a status and one line of reason."""
    text = " ".join(str(error).split()) or type(error).__name__
    short = text if len(text) <= 300 else f"{text[:297]}..."
    if isinstance(error, UnsupportedError):
        return "unsupported", short
    words = f"{type(error).__name__} {text}".lower()
    memory = isinstance(error, MemoryError) or any(sign in words for sign in OUT_OF_MEMORY)
    return ("out_of_memory", short) if memory else ("failed", f"{type(error).__name__}: {short}")

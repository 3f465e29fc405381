"""Measure one cell in this process, from loading to the check of its answers, and say what happened."""

import json
import time
import traceback
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from speedgrid import backends, environment, parity, reference, timing
from speedgrid.grid import Cell
from speedgrid.memory import MemoryMeter
from speedgrid.record import FORMAT
from speedgrid.telemetry import Telemetry
from speedgrid.threads import physical_cores

SETTING_NAMES = tuple(field.name for field in fields(timing.Settings))
# Comparing outputs with the reference takes at most this long beyond one batch.
PARITY_SECONDS = 2.0


def measure_cell(cell: Cell, round_number: int, device: str, inputs: dict, options: dict) -> dict:
    """Return the record of one measurement; whatever goes wrong becomes a status and a reason.

    inputs: files: `artifact` (what the backend loads), `reference` (reference outputs), `build` (the record of the
    engine's build, or None). options: `model`, `cpu_threads` and the fields of timing.Settings.
    """
    options = {**options, "cpu_threads": options["cpu_threads"] or physical_cores()}
    record = {
        "format": FORMAT,
        "cell": asdict(cell),
        "round": round_number,
        "asked": {"device": device, **options},
        "status": "ok",
        "reason": "",
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment.describe(device),
        "fingerprint": environment.fingerprint(device, cell.backend),
        "command": environment.command(),
    }
    build = json.loads(Path(inputs["build"]).read_text()) if inputs.get("build") else None
    refusal = backends.refusal(cell, device) or _build_refusal(build)
    if refusal:
        record["status"], record["reason"] = refusal
        return record
    try:
        record |= {"build": build} | _measure(cell, device, inputs, options, record["environment"])
    except Exception as error:
        record["status"], record["reason"] = _explain(error)
        record["traceback"] = traceback.format_exc()
    return record


def _build_refusal(build: dict | None) -> tuple[str, str] | None:
    """An engine that was not built hands its own status and reason on to the cells that need it."""
    return (build["status"], build["reason"]) if build and build["status"] != "ok" else None


def _measure(cell: Cell, device: str, inputs: dict, options: dict, machine: dict) -> dict:
    logits, seed = reference.read(inputs["reference"])
    backend = backends.get(cell.backend)
    for name in backend.IMPORTS[device]:
        import_module(name)
    if device == "cuda":
        import torch

        torch.cuda.init()
    memory = MemoryMeter(device)
    started = time.perf_counter()
    session = backend.load(cell, device, inputs["artifact"], options)
    memory.read("loaded")
    session.feed(parity.images(seed, cell.resolution, 0, cell.batch_size))
    with session.active():
        session.run()
        session.synchronize()
    load_seconds = time.perf_counter() - started
    telemetry = Telemetry(machine.get("gpu_uuid") if device == "cuda" else None)
    telemetry.start()
    samples = timing.measure(session, timing.Settings(**{name: options[name] for name in SETTING_NAMES}))
    readings = telemetry.stop()
    memory.read("timed")
    compared = parity.check(session, logits, seed, PARITY_SECONDS)
    status, reason, observed = parity.verdict(cell.precision, session.dtype, compared)
    return {
        "status": status,
        "reason": reason,
        "observed_precision": observed,
        "dtype": session.dtype,
        "details": session.details,
        "samples": samples.as_dict(),
        "load_seconds": round(load_seconds, 3),
        "memory": {"peak_mb": memory.peak_mb(), "readings_mb": memory.readings},
        "telemetry": readings,
        "parity": compared.as_dict() if compared else None,
    }


def _explain(error: Exception) -> tuple[str, str]:
    """Turn an exception into a status and one line of reason."""
    text = " ".join(str(error).split()) or type(error).__name__
    short = text if len(text) <= 300 else f"{text[:297]}..."
    words = f"{type(error).__name__} {text}".lower()
    memory = any(sign in words for sign in ("outofmemory", "out of memory", "failed to allocate", "bad_alloc"))
    return ("out_of_memory", short) if memory else ("failed", f"{type(error).__name__}: {short}")

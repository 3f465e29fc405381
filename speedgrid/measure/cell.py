"""Measure one cell in this process, from loading to the check of its answers, and say what happened."""

import json
import os
import traceback
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from speedgrid.backends.fingerprint import fingerprint
from speedgrid.data.sequence import batch
from speedgrid.evidence import kernels, parity, reference
from speedgrid.grid import Cell
from speedgrid.machine import environment, gpus
from speedgrid.machine.device import nvml
from speedgrid.measure import request as end_to_end
from speedgrid.measure import timing
from speedgrid.measure.energy import EnergyCounter, per_call
from speedgrid.measure.host import HostLoad
from speedgrid.measure.loading import Laps, complete, explain, load, read_build, refuse
from speedgrid.measure.telemetry import Telemetry
from speedgrid.record import FORMAT

SETTING_NAMES = tuple(field.name for field in fields(timing.Settings))
# Comparing outputs with the reference takes no longer than this where enough images are compared.
PARITY_SECONDS = 0.1


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
        "fingerprint": fingerprint(machine, cell.backend),
        "command": environment.command(),
    }


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


def _warm(session, images) -> None:
    """Run `session` on `images` once: the first call may compile, and allocates."""
    session.feed(images)
    with session.active():
        session.run()
        session.synchronize()
    session.poison()  # so that what is compared later was written by the runs that were timed

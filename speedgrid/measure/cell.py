"""Measure one cell in this process, from loading to the errors of its answers, and write down what was seen."""

import os
import traceback
from contextlib import nullcontext
from statistics import median
from typing import Any

from speedgrid import InputError, backends
from speedgrid.backends.session import Options
from speedgrid.data import arrays
from speedgrid.data.samples import Samples
from speedgrid.data.sequence import batch
from speedgrid.evidence import parity
from speedgrid.launcher.reading import of_kind, read_json
from speedgrid.machine import cpu, environment, gpus
from speedgrid.machine.device import nvml
from speedgrid.machine.turns import Turns, in_group
from speedgrid.measure import probes, timing
from speedgrid.measure.circumstances import circumstances
from speedgrid.measure.loading import Files, Laps, explain, load, refuse, threads
from speedgrid.measure.probes import Context
from speedgrid.measure.slices import together
from speedgrid.measure.telemetry import Sampler
from speedgrid.model import sources
from speedgrid.record import Asked, Errors, Expected, Machine, Record, Seen, Status, Telemetry

# Comparing outputs with the reference takes no longer than this where enough images are compared.
PARITY_SECONDS = 0.1


@nvml()  # opened once, however often it is asked something: opening and closing take 20 ms
def measure_cell(files: Files, asked: Asked, died: str | None = None, alone: bool = False) -> Record:
    """Return the record of one measurement; whatever goes wrong becomes a status and a reason.

    died: how an earlier try ended, where a signal killed it; then nothing is measured. alone: nothing else may be
    loaded on the GPU. Raises SystemExit(EX_TEMPFAIL) if memory ran out while others had some of it: to be tried again.
    """
    if died:
        return unmeasured(asked, "failed", died)
    laps = Laps()
    if asked.device == "cuda":
        gpus.claim(alone)
    laps.end("claim")
    machine, build = environment.describe(asked.device), files.read_build()
    if refusal := refuse(asked.cell, asked.device, build):
        return unmeasured(asked, *refusal, machine=machine)
    laps.end("describe")
    try:
        seen = _measure(files, asked, build or {}, machine, laps)
    except InputError:  # a damaged file says nothing of the cell
        raise
    except Exception as error:
        status, reason = explain(error)
        if status == "out_of_memory" and gpus.crowded():
            raise SystemExit(os.EX_TEMPFAIL) from error
        return unmeasured(asked, status, reason, machine, traceback.format_exc())
    return _record(asked, "ok", "", machine, build=build, seen=seen)


def unmeasured(
    asked: Asked, status: Status, reason: str, machine: Machine | None = None, error: str | None = None
) -> Record:
    """Return the record of a cell that did not run, with the status and the reason. error: a traceback."""
    return _record(asked, status, reason, machine or environment.describe(asked.device), traceback=error)


def _record(asked: Asked, status: Status, reason: str, machine: Machine, **found: Any) -> Record:
    about = circumstances(machine, asked.cell.backend)
    return Record(asked=asked, status=status, reason=reason, **about, **found)


def _measure(files: Files, asked: Asked, build: dict[str, Any], machine: Machine, laps: Laps) -> Seen:
    """Return the observations of a cell: it takes a turn to load, one for each slice, and one for its answers."""
    turns = Turns(cpu.alone if asked.device == "cpu" else nullcontext)
    uuid = machine.get("gpu_uuid") if asked.device == "cuda" else None
    with in_group() if asked.device == "cpu" else nullcontext():
        sampler = Sampler(uuid)  # its process starts while the model is loaded
        options = Options(cpu_threads=asked.cpu_threads, settings=asked.settings)
        # Loading would disturb what others time, as timing would its loading.
        with turns():
            laps.end("claim")
            logits = arrays.read(files.logits)
            images = arrays.read(files.images)[: len(logits)]
            session, memory = load(asked.cell, asked.device, uuid, files, options, laps)
            _warm(session, batch(images, 0, asked.cell.batch_size))
            laps.end("first_call")
        gpus.measure_alone()
        laps.end("queue")
        context, telemetry, found = _time(session, sampler, asked, uuid, files.artifact, laps, turns)
        with turns():
            laps.end("queue")
            memory.read("timed")
            if asked.device == "cuda" and memory.found().peak_mb() == 0:
                raise RuntimeError("it takes no memory on the GPU, so it did not run there")
            errors, expected = _errors(session, images, logits, context, _expected(asked.cell.precision, files, build))
            laps.end("parity")
            found |= probes.measure(session, context, laps)
    laps.end("queue")
    return Seen(
        dtype=session.dtype,
        details=session.details,
        samples=context.samples,
        seconds=laps.seconds,
        memory=memory.found(),
        expected=expected,
        errors=errors,
        quantised_nodes=session.details.get("quantised_nodes", build.get("quantised_nodes")),
        telemetry=telemetry,
        host=together(context.samples.slices),
        probes=found,
    )


def _errors(session, images, logits, context: Context, expected: Expected) -> tuple[Errors | None, Expected]:
    """Return the errors of a session's answers, of several outputs those of the worst, and what is expected of it."""
    usual = expected.usual(context.asked.cell.precision)
    task = sources.find(context.asked.cell.model).task
    errors = parity.check(session, images, logits, PARITY_SECONDS, context.call_seconds, usual, task)
    return errors, expected.of(errors.output if errors else "")


def _expected(precision: str, files: Files, build: dict[str, Any]) -> Expected:
    """Return the errors that rounding is expected to make, as of speedgrid.evidence.rounding.expected.

    Of a quantised model it is what the very file that runs is known to do: its ranges are not those of a simulation.
    """
    errors = read_json(files.expected, dict)
    of_kind(errors, Expected, files.expected)
    found = Expected(**errors)
    if found.same:  # of boxes and integers, which are compared otherwise than the file's tensors were
        return found
    if "expected_snr_db" in build:
        found.snr_db[precision] = build["expected_snr_db"]
        found.images_db.pop(precision, None)
    for name, known in build.get("outputs_snr_db", {}).items():
        if name in found.outputs:
            found.outputs[name]["snr_db"][precision] = known
            found.outputs[name]["images_db"].pop(precision, None)
    return found


def _time(
    session, sampler: Sampler, asked: Asked, uuid: str | None, artifact: str, laps: Laps, turns: Turns
) -> tuple[Context, Telemetry | None, dict[str, Any]]:
    """Return the samples of a session in a Context, what the GPU did meanwhile, and probes beside them."""
    sampler.start()
    laps.end("telemetry")
    lost = turns.lost
    samples: Samples = timing.measure(session, asked, turns)
    context = Context(asked, uuid, samples, median(samples.host_ms) / 1000, artifact)
    laps.end("timing")
    laps.shift("timing", "queue", turns.lost - lost)
    found = probes.measure(session, context, laps, with_timing=True)
    return context, sampler.stop(), found


def _warm(session, images) -> None:
    """Run `session` on `images` once: the first call may compile, and allocates."""
    session.feed(images)
    with session.active():
        session.run()
        session.synchronize()
    session.poison()  # so that what is compared later was written by the runs that were timed


def asked_of(cell, turn: str, device: str, timing: dict[str, Any], probes: list[str]) -> Asked:
    """Return the frozen request of a timing, with the settings of the cell's variant.

    timing: the fields of Asked that say how long it takes, and `cpu_threads`, where 0 stands for all physical cores.
    """
    given = {**timing, "cpu_threads": threads(timing["cpu_threads"]), "settings": backends.settings(cell.backend)}
    return Asked(cell=cell, turn=turn, device=device, probes=probes, **given)

"""Slices that others disturbed are set aside before anything is made of a record; one that has no others is `busy`."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from speedgrid.data.samples import Samples, calls_of, of_slices
from speedgrid.evidence.quiet import BUSY_CORES, disturbance, disturbances, quiet, steady_pace, stood_still
from speedgrid.record import LOWER_CLOCK, POWER_CAP, Record
from speedgrid.table import verdict
from speedgrid.table.limiter import leans_on_host
from speedgrid.table.verdict import Verdict

# Fewer calls in quiet than this say nothing of a cell.
FEWEST_CALLS = 3
# NVML's reasons for a lower clock that are no property of the cell.
DISTURBING = sum(bit for bit, text in LOWER_CLOCK.items() if text != POWER_CAP)


def paced(records: Iterable[Record]) -> list[Record]:
    """Return the records of one machine, each with the least time that fixed work took around any of them."""
    found = list(records)
    slices = [one for record in found if record.seen for one in record.seen.samples.slices]
    paces = [pace for one in slices if one.host and (pace := steady_pace(one.host))]
    return [replace(one, best_pace=min(paces, default=0.0)) for one in found]


def set_aside(records: Iterable[Record]) -> list[Record]:
    """Return records with what was measured in quiet alone, where that is enough of them to say something.

    Else with all slices but those in which the process itself stood still; `busy` then says why they are disturbed.
    """
    return [calm(one) for one in records]


def calm(record: Record) -> Record:
    """Return a record with the samples alone that were measured in quiet, as of `set_aside`."""
    seen = record.seen
    if seen is None or not seen.samples.slices:
        return record
    slices = seen.samples.slices
    undisturbed, still, hot = quiet(slices, reasons(record)), stood_still(slices), heated(record)
    cool = [keep and not heat for keep, heat in zip(undisturbed, hot, strict=True)]
    choices = (cool, undisturbed, [not stopped for stopped in still])
    kept = next((one for one in choices if calls_of(slices, one) >= FEWEST_CALLS), None)
    if kept is None or all(kept):
        return record
    return replace(record, seen=replace(seen, samples=of(seen.samples, kept)))


def reasons(record: Record) -> list[str]:
    """Return why each slice of a record was disturbed, as a clause; empty for those that were not.

    A slow processor disturbs calls that lean on it, and no others.
    """
    assert record.seen is not None
    samples = record.seen.samples
    found = disturbances(samples.slices, record.best_pace)
    if not any(found) or leans_on_host(samples):
        return found
    return [disturbance(one.host, one.seconds) if one.host else "" for one in samples.slices]


def heated(record: Record) -> list[bool]:
    """Return in which slices the GPU lowered its clock, but for the power limit, which is the cell's own doing."""
    assert record.seen is not None
    telemetry, slices = record.seen.telemetry, record.seen.samples.slices
    readings = list(zip(telemetry.time, telemetry.reasons, strict=False)) if telemetry else []
    bad = [time for time, reasons in readings if (reasons or 0) & DISTURBING]
    return [any(one.started <= time <= one.started + one.seconds for time in bad) for one in slices]


def of(samples: Samples, kept: list[bool]) -> Samples:
    """Return the samples of the slices that are kept."""
    slices = samples.slices
    return replace(
        samples,
        host_ms=of_slices(samples.host_ms, slices, kept),
        device_ms=of_slices(samples.device_ms, slices, kept),
        submit_ms=of_slices(samples.submit_ms, slices, kept),
        slices=[one for one, keep in zip(slices, kept, strict=True) if keep],
    )


def busy(record: Record) -> str:
    """Return why what is left of a record was not measured in quiet, as a clause; empty where it was."""
    if record.seen is None:
        return ""
    if not record.seen.samples.slices:  # an older record: one account of all of its time, and no exact one
        host = record.seen.host
        cores = host.busy_elsewhere_cores + host.stolen_cores if host else 0.0
        return f"{cores:.1f} cores were busy with something else" if cores > BUSY_CORES else ""
    why = [one for one in reasons(record) if one]
    return Counter(why).most_common(1)[0][0] if why else ""


def judge(record: Record) -> Verdict:
    """Return the verdict on a record of which slices were set aside: as of `verdict.judge`, or that it is busy."""
    found = verdict.judge(record)
    why = busy(record) if found.status == "ok" else ""
    return found._replace(status="busy", reason=f"it was never quiet: {why}") if why else found


def in_quiet(records: list[Record], verdicts: list[Verdict]) -> list[Record]:
    """Return the rounds of a cell without those that never were quiet, where they are fewer than the others."""
    good = [one for one, found in zip(records, verdicts, strict=True) if found.status != "busy"]
    return good if 2 * len(good) > len(records) else records


def quiet_percent(records: Iterable[Record]) -> float | None:
    """Return the share of the timed seconds of some records that nobody disturbed; None of older records."""
    total = good = 0.0
    for record in records:
        if record.seen is None:
            continue
        slices = record.seen.samples.slices
        total += sum(one.seconds for one in slices)
        good += sum(one.seconds for one, keep in zip(slices, quiet(slices, reasons(record)), strict=True) if keep)
    return 100 * good / total if total else None

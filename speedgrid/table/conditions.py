"""Under which conditions cells were measured, and why a row would not be repeated well, in words.

Rows that would not are marked and kept. What makes a row so is read from its records alone: how its rounds differ, why
the GPU lowered its clock, what else had the processors, whether its calls ever became steady.
"""

from collections.abc import Hashable, Iterable
from itertools import pairwise
from operator import attrgetter
from statistics import mean
from typing import Any

import numpy as np

from speedgrid.data.resolution import side_of
from speedgrid.evidence.between import Spread
from speedgrid.evidence.intervals import order_statistic_interval, within
from speedgrid.grid import AXES
from speedgrid.record import LOWER_CLOCK, POWER_CAP, Record
from speedgrid.table.run import Neighbours, Processor, Table

# A row is unstable when its 95 % interval reaches further than this from its latency on either side.
WIDEST = 0.10
# So many cores busy with something else make the host's part of a latency doubtful.
BUSY_CORES = 1.0
# So many times as long for the same work is another processor, as far as a call that waits for it is concerned.
SLOWER = 1.2
# So many times as slow as more work, beyond both intervals, is out of order.
FASTER = 1.2


def throttled(records: list[Record]) -> list[str]:
    """Return why the GPU lowered its clock in any round of a cell, each reason once."""
    found = 0
    for record in records:
        if record.seen and record.seen.telemetry:
            for reasons in record.seen.telemetry.reasons:
                found |= reasons or 0
    return sorted(text for bit, text in LOWER_CLOCK.items() if found & bit)


def unstable(records: list[Record], latency: float, low: float, high: float, like: Spread | None = None) -> str:
    """Return why a cell is unstable, as one clause; empty if it is not.

    records: its rounds, at least one. latency, low, high: the row's, in ms. like: the spread between
    processes of cells that are like it.
    """
    found = []
    if max(1 - low / latency, high / latency - 1) > WIDEST:
        reach = f"from {low / latency - 1:+.0%} to {high / latency - 1:+.0%}"
        found.append(f"its interval reaches {reach}: {apart(records, like)}")
    if reasons := [reason for reason in throttled(records) if reason != POWER_CAP]:
        found.append(f"the GPU lowered its clock ({', '.join(reasons)})")
    if (warming := never_steady(records)) and all(map(unsteady, records)):
        found.append(warming)
    if found and (busy := busiest(records)) > BUSY_CORES:
        found.append(f"up to {busy:.1f} cores were busy with something else")
    paces = [one for one in map(pace, records) if one]
    if found and len(paces) > 1 and (ratio := max(paces) / min(paces)) > SLOWER:
        took = ", ".join(f"{one:.3g}" for one in paces)
        found.append(f"the processor itself was up to {ratio:.1f} times slower (a fixed loop took {took} ms)")
    return "; ".join(found)


def apart(records: list[Record], like: Spread | None) -> str:
    """Return the reason why the interval of a cell is as wide as it is, as a clause."""
    if len(records) > 1:
        return f"the rounds' medians are {', '.join(f'{np.median(one.host_ms):.3g}' for one in records)} ms"
    if like and like.variance > within([np.array(one.host_ms) for one in records]):
        return f"it has one round, and those of cells like it vary by {100 * np.sqrt(like.variance):.2g} %"
    return "its calls differ"


def caveats(records: list[Record]) -> str:
    """Return which of warming up and timing was cut short or unsteady, as clauses; empty if neither was."""
    return "; ".join(one for one in (never_steady(records), short_warm_up(records), cut_short(records)) if one)


def unsteady(record: Record) -> bool:
    """Whether the warm-up of a record had the calls to become steady, twice the least number, and did not."""
    samples = record.seen.samples if record.seen else None
    return samples is not None and not samples.steady and samples.warmup_runs >= 2 * (record.asked.warmup_runs or 1)


def never_steady(records: list[Record]) -> str:
    """Return in how many rounds warm-up calls never became steady, as a clause; empty where they did."""
    count = sum(map(unsteady, records))
    return f"its warm-up never became steady in {count} of {of(records)}" if count else ""


def short_warm_up(records: list[Record]) -> str:
    """Return the calls of a warm-up that was too short to tell whether they were steady, as a clause."""
    short = [
        record.seen.samples.warmup_runs
        for record in records
        if record.seen and not record.seen.samples.steady and not unsteady(record)
    ]
    asked = records[0].asked.warmup_runs
    if not short or not asked:
        return ""
    return f"its warm-up was cut short after {span(short)} of {2 * asked} calls in {len(short)} of {of(records)}"


def cut_short(records: list[Record]) -> str:
    """Return the distance of rounds from their target when their time was over, as a clause; empty where none was."""
    cut = [record for record in records if record.seen and record.seen.samples.capped]
    if not cut or not records[0].asked.target_percent:
        return ""
    widths = []
    for record in cut:
        low, high = order_statistic_interval(np.array(record.host_ms))
        widths.append(100 * (high - low) / 2 / float(np.median(record.host_ms)))
    target, asked = records[0].asked.target_percent, records[0].asked.timed_runs
    few = [len(record.host_ms) for record in cut if len(record.host_ms) < asked]
    after = f" after {span(few)} of the {asked} calls that were asked for" if few else ""
    return (
        f"its timing was cut short{after} in {len(cut)} of {of(records)}, "
        f"at an interval of up to ±{max(widths):.2g} % instead of {target:g} %"
    )


def span(counts: list[int]) -> str:
    """Return numbers as text: one, or from the least to the most."""
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def disorder(table: Table) -> dict[Hashable, str]:
    """Return the rows where more images or more pixels take less time than intervals allow, each with a clause.

    That can be, where a runtime has a better kernel for the larger call, and where two records changed places.
    """
    found: dict[Hashable, str] = {}
    needed = [*AXES, "latency_ms", "latency_ms_low", "latency_ms_high"]
    lines = list(table.loc[(table.status == "ok") & table.latency_ms.notna(), needed].itertuples())
    for axis in ("batch_size", "resolution"):
        groups: dict[tuple[Any, ...], list[Any]] = {}
        for line in lines:
            groups.setdefault(tuple(getattr(line, name) for name in AXES if name != axis), []).append(line)
        size = attrgetter(axis)
        for less, more in (pair for group in groups.values() for pair in pairwise(sorted(group, key=size))):
            if side_of(size(more)) > side_of(size(less)) and less.latency_ms_low > FASTER * more.latency_ms_high:
                what = ", ".join(f"{line.latency_ms:.4g} ms at {axis} {size(line)}" for line in (less, more))
                for line in (less, more):
                    found.setdefault(line.Index, f"more work takes less time: {what}")
    return found


def of(records: list[Record]) -> str:
    """Return how many rounds there are, in words."""
    return f"{len(records)} round{'s' * (len(records) != 1)}"


def pace(record: Record) -> float | None:
    """Return the time of a fixed loop around a measurement, in ms (speedgrid.measure.host); None where not known."""
    host = record.seen.host if record.seen else None
    return mean(host.pace_ms) if host and host.pace_ms else None


def busiest(records: list[Record]) -> float:
    """Return how many cores were busy elsewhere, or stolen, in the worst round."""
    return max(elsewhere(record) or 0.0 for record in records)


def elsewhere(record: Record) -> float | None:
    """Return how many cores something else had while a cell was measured; None where the system did not tell."""
    host = record.seen.host if record.seen else None
    return host.busy_elsewhere_cores + host.stolen_cores if host else None


def processor(records: Iterable[Record]) -> Processor | None:
    """Return the times of a fixed loop around all measurements: `best_ms`, `median_ms`, `worst_ms`, `slow_percent`.

    slow_percent: of how many of them it took SLOWER times the best, or more.
    """
    known = np.array([one for one in map(pace, records) if one])
    if not len(known):
        return None
    return {
        "best_ms": float(known.min()),
        "median_ms": float(np.median(known)),
        "worst_ms": float(known.max()),
        "slow_percent": float(100 * np.mean(known > SLOWER * known.min())),
    }


def neighbours(records: Iterable[Record]) -> Neighbours | None:
    """Return how many cores were busy elsewhere during all measurements, `median_cores` and `most_cores`."""
    known = [cores for cores in map(elsewhere, records) if cores is not None]
    return {"median_cores": float(np.median(known)), "most_cores": max(known)} if known else None

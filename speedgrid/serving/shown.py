"""A record of streams under load as its readers have it: what a report, a plot or a comparison is made of."""

from typing import Any, TypeVar, cast

import numpy as np

from speedgrid.serving.claims import Claim, claim
from speedgrid.serving.record import SHARES, Load, Run, Serving
from speedgrid.serving.record import Timeline as Recorded
from speedgrid.serving.seen import PERCENTS, Asked, Distribution, Loaded, Place, Streams, Timeline
from speedgrid.serving.seen import Run as Shown

T = TypeVar("T")


def streams_of(serving: Serving) -> Streams:
    """Return a record for its readers, as plain JSON values; nothing is judged but which run is shown as a whole."""
    seen = serving.seen
    policy = {"batching": seen.policy} if seen else {}
    found = Streams(
        status=serving.status,
        reason=serving.reason,
        place=of(serving.asked.place, Place),
        asked=of(serving.asked, Asked, **policy),
        service_ms={str(one.batch_size): one.median_ms for one in seen.service} if seen else {},
        memory_mb=seen.memory.peak_mb() if seen else None,
        runs=[run_of(one) for one in (*seen.probes, *seen.runs)] if seen else [],
        loaded=None,
    )
    return {**found, "loaded": loaded_of(seen, found)} if seen else found


def of(value: object, kind: type[T], /, **more: Any) -> T:
    """Return the attributes of an object that a TypedDict also has, and what it has more."""
    return cast(T, {name: getattr(value, name) for name in kind.__annotations__ if hasattr(value, name)} | more)


def run_of(run: Run) -> Shown:
    """Return the blocks of a run, and whether it counts."""
    return of(run, Shown, kind=run.arrivals, confirms=run.round > 0)


def loaded_of(seen: Load, found: Streams) -> Loaded | None:
    """Return the run of `whole_run` of the largest number of periodic streams, to be drawn; None if nothing did."""
    main = claim(found)
    run = whole_run(seen, main) if main else None
    if run is None or seen.timeline is None:
        return None
    plots = {"distribution": distribution(run), "timeline": timeline(seen.timeline)}
    return of(run.figures, Loaded, streams=run.streams, **plots)


def whole_run(seen: Load, main: Claim) -> Run | None:
    """Return the first run that confirmed the number of a claim, and counts, as a whole; None if nothing did."""
    for run in seen.runs:
        confirms = (run.arrivals, run.streams, run.deadline_ms) == (main.kind, main.streams, main.deadline_ms)
        if confirms and run.quantiles and not run.doubts:
            return run
    return None


def distribution(run: Run) -> Distribution:
    """Return the percentiles of a run's frames that a plot has."""

    def at(name: str) -> list[float]:
        values = np.interp(np.array(PERCENTS) / 100, SHARES, run.quantiles[name])
        return [round(float(one), 4) for one in values]

    return {"wait_ms": at("wait"), "service_ms": at("service"), "latency_ms": at("latency")}


def timeline(found: Recorded) -> Timeline:
    """Return a stretch of a run until its last arrival: what began before it, or after, is left out."""
    end = max(found.planned_ms, default=0.0)
    calls = [one for one in found.calls if 0 <= one[0] <= end]
    waiting = 0
    if calls:
        start, _end, _size, _frames, queue = calls[0]
        waiting = max(0, queue - sum(one <= start for one in found.planned_ms))
    return {
        "milliseconds": end,
        "arrived_ms": found.planned_ms,
        "waiting": waiting,
        "calls": [
            {"start_ms": start, "end_ms": finish, "batch_size": size, "frames": frames}
            for start, finish, size, frames, _queue in calls
        ],
    }

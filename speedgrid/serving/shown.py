"""A record of streams under load as its readers have it: what a report, a plot or a comparison is made of."""

import numpy as np

from speedgrid.serving.claims import claim
from speedgrid.serving.record import SHARES, Load, Run, Serving
from speedgrid.serving.record import Timeline as Recorded
from speedgrid.serving.seen import PERCENTS, Asked, Distribution, Loaded, Place, Streams, Timeline
from speedgrid.serving.seen import Run as Shown


def streams_of(serving: Serving) -> Streams:
    """Return a record for its readers, as plain JSON values; nothing is judged but which run is shown as a whole."""
    asked, seen = serving.asked, serving.seen
    place = asked.place
    found = Streams(
        status=serving.status,
        reason=serving.reason,
        place=Place(
            model=place.model,
            backend=place.backend,
            precision=place.precision,
            resolution=place.resolution,
            batch_sizes=place.batch_sizes,
        ),
        asked=Asked(
            fps=asked.fps,
            deadline_ms=asked.deadline_ms,
            quantile=asked.quantile,
            confidence=asked.confidence,
            batching=seen.policy if seen else asked.batching,
            queue=asked.queue,
            in_flight=asked.in_flight,
            seed=asked.seed,
        ),
        service_ms={str(one.batch_size): one.median_ms for one in seen.service} if seen else {},
        memory_mb=seen.memory.peak_mb() if seen else None,
        runs=[run_of(one) for one in (*seen.probes, *seen.runs)] if seen else [],
        loaded=None,
    )
    return {**found, "loaded": loaded_of(seen, found)} if seen else found


def run_of(run: Run) -> Shown:
    """Return the blocks of a run, and whether it counts."""
    return Shown(
        kind=run.arrivals,
        streams=run.streams,
        deadline_ms=run.deadline_ms,
        confirms=run.round > 0,
        frames=run.frames,
        misses=run.misses,
        diverged=run.diverged,
        doubts=run.doubts,
    )


def loaded_of(seen: Load, found: Streams) -> Loaded | None:
    """Return the first run that confirmed the largest number of periodic streams as a whole; None if nothing did."""
    main = claim(found)
    if main is None or seen.timeline is None:
        return None
    for run in seen.runs:
        confirms = (run.arrivals, run.streams, run.deadline_ms) == (main.kind, main.streams, main.deadline_ms)
        if confirms and run.quantiles and not run.doubts:
            whole = run.figures
            return Loaded(
                streams=run.streams,
                served_fps=whole.served_fps,
                utilisation=whole.utilisation,
                mean_batch=whole.mean_batch,
                worst_stream=whole.worst_stream,
                longest_gap=whole.longest_gap,
                lag_p99_ms=whole.lag_p99_ms,
                distribution=distribution(run),
                timeline=timeline(seen.timeline),
            )
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

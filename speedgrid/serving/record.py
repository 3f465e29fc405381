"""The record of streams under load: what a run under load leaves of its frames and calls."""

import numpy as np

from speedgrid.serving.arrivals import Arrivals
from speedgrid.serving.figures import doubts, figures
from speedgrid.serving.loop import DROPPED, Served
from speedgrid.serving.seen import PERCENTS, Distribution, Loaded, Run, Timeline
from speedgrid.serving.verdict import by_block

NS_OF_MS = 1e6


def run_of(arrivals: Arrivals, served: Served, deadline_ms: float, confirms: bool) -> Run:
    """Return the blocks of one run, and whether the loop kept time."""
    blocks = by_block(arrivals, served, deadline_ms * NS_OF_MS)
    return Run(
        kind=arrivals.kind,
        streams=arrivals.streams,
        deadline_ms=deadline_ms,
        confirms=confirms,
        frames=blocks.frames.tolist(),
        misses=blocks.misses.tolist(),
        diverged=blocks.diverged,
        doubts=doubts(served, deadline_ms * NS_OF_MS),
    )


def loaded_of(arrivals: Arrivals, served: Served, deadline_ms: float) -> Loaded:
    """Return a run as a whole, with the block of its middle as a timeline."""
    found = figures(arrivals, served, deadline_ms * NS_OF_MS)
    return Loaded(
        streams=arrivals.streams,
        served_fps=found.served_fps,
        utilisation=found.utilisation,
        mean_batch=found.mean_batch,
        worst_stream=found.worst_stream,
        longest_gap=found.longest_gap,
        lag_p99_ms=found.lag_p99_ms,
        distribution=distribution(arrivals, served),
        timeline=timeline(arrivals, served, arrivals.blocks // 2),
    )


def distribution(arrivals: Arrivals, served: Served) -> Distribution:
    """Return the percentiles of wait, service and latency of the frames that were served."""
    ran = served.finished_ns != DROPPED
    planned, started, finished = (one[ran] for one in (arrivals.planned_ns, served.started_ns, served.finished_ns))

    def percentiles(values: np.ndarray) -> list[float]:
        return [round(float(one), 4) for one in np.percentile(values / NS_OF_MS, PERCENTS)] if len(values) else []

    return {
        "wait_ms": percentiles(started - planned),
        "service_ms": percentiles(finished - started),
        "latency_ms": percentiles(finished - planned),
    }


def timeline(arrivals: Arrivals, served: Served, block: int) -> Timeline:
    """Return one block of a run: arrivals in it, calls that began in it, and how many frames waited when it began."""
    start, end = block * arrivals.block_ns, (block + 1) * arrivals.block_ns

    def ms(moment: int) -> float:
        return round((int(moment) - start) / NS_OF_MS, 4)

    planned, ran = arrivals.planned_ns, served.started_ns != DROPPED
    before = (planned < start) & ran & (served.started_ns >= start)
    calls = served.calls[(served.calls[:, 0] >= start) & (served.calls[:, 0] < end)]
    return {
        "milliseconds": arrivals.block_ns / NS_OF_MS,
        "arrived_ms": [ms(one) for one in planned[(planned >= start) & (planned < end)]],
        "waiting": int(before.sum()),
        "calls": [
            {"start_ms": ms(one[0]), "end_ms": ms(one[1]), "batch_size": int(one[2]), "frames": int(one[3])}
            for one in calls
        ],
    }

"""The figures of a run under load: how late frames were, what waited, and whether the loop itself kept time."""

from dataclasses import dataclass

import numpy as np

from speedgrid.serving.arrivals import SECOND, Arrivals
from speedgrid.serving.loop import DROPPED, Served

# The loop's own lateness that is allowed at the 99th percentile, as a share of the deadline, and the share of the
# elapsed time that is neither a call nor waiting for a frame.
LAG, UNACCOUNTED = 0.02, 0.01


@dataclass(frozen=True)
class Figures:
    """The figures of one run. Times in ms; rates in frames a second; shares from 0 to 1.

    latency, wait and service: by percentile, of the frames that were served; the wait is until the call begins. good:
    frames within their deadline. worst_stream: its share of missed frames. longest_gap: misses of one stream in a row.
    utilisation: time in calls over elapsed time, at most 1 with one call in flight.
    """

    offered_fps: float
    served_fps: float
    good_fps: float
    miss_rate: float
    dropped: int
    latency_ms: dict[str, float]
    wait_ms: dict[str, float]
    service_ms: dict[str, float]
    utilisation: float
    mean_batch: float
    worst_stream: float
    longest_gap: int
    lag_p99_ms: float


PERCENTILES = {"p50": 50, "p99": 99, "p99_9": 99.9, "max": 100}


def missed(arrivals: Arrivals, served: Served, deadline_ns: float) -> np.ndarray:
    """Return whether each frame was dropped or finished later than `deadline_ns` after its arrival, bool [frames]."""
    late = served.finished_ns - arrivals.planned_ns > deadline_ns
    return late | (served.finished_ns == DROPPED)


def figures(arrivals: Arrivals, served: Served, deadline_ns: float) -> Figures:
    """Return the figures of a run."""
    misses = missed(arrivals, served, deadline_ns)
    ran = served.finished_ns != DROPPED
    latency = (served.finished_ns - arrivals.planned_ns)[ran]
    wait = (served.started_ns - arrivals.planned_ns)[ran]
    # The last frame of the plan comes before its last block ends.
    seconds = max(served.elapsed_ns / SECOND, arrivals.seconds)
    sizes = served.calls[:, 3]
    by_stream = np.bincount(arrivals.stream, misses, arrivals.streams) / np.maximum(
        np.bincount(arrivals.stream, minlength=arrivals.streams), 1
    )
    return Figures(
        offered_fps=len(arrivals) / arrivals.seconds,
        served_fps=float(ran.sum() / seconds),
        good_fps=float((~misses).sum() / seconds),
        miss_rate=float(misses.mean()),
        dropped=int((~ran).sum()),
        latency_ms=_percentiles(latency),
        wait_ms=_percentiles(wait),
        service_ms=_percentiles(latency - wait),
        utilisation=busy_ns(served) / max(served.elapsed_ns, 1),
        mean_batch=float(sizes.mean()) if len(sizes) else 0.0,
        worst_stream=float(by_stream.max()),
        longest_gap=_longest_gap(arrivals.stream, misses),
        lag_p99_ms=float(np.percentile(served.lag_ns, 99) / 1e6) if len(served.lag_ns) else 0.0,
    )


def _percentiles(values_ns: np.ndarray) -> dict[str, float]:
    if not len(values_ns):
        return {}
    return {name: float(np.percentile(values_ns, percent) / 1e6) for name, percent in PERCENTILES.items()}


def _longest_gap(stream: np.ndarray, misses: np.ndarray) -> int:
    """Return the largest number of misses in a row of any one stream."""
    order = np.argsort(stream, kind="stable")
    of, missing = stream[order], misses[order]
    # Position of the last frame that was not missed, or before which a stream begins.
    begins = np.r_[True, of[1:] != of[:-1]]
    position = np.arange(len(of))
    last = np.maximum.accumulate(np.where(begins | ~missing, position - (begins & missing), -1))
    return int(np.max(np.where(missing, position - last, 0), initial=0))


def busy_ns(served: Served) -> int:
    """Return the time in ns in which at least one call was in flight."""
    if not len(served.calls):
        return 0
    order = np.argsort(served.calls[:, 0], kind="stable")
    begin, end = served.calls[order, 0], np.maximum.accumulate(served.calls[order, 1])
    before = np.r_[begin[0], end[:-1]]
    return int((end - np.maximum(begin, before)).clip(0).sum())


def doubts(served: Served, deadline_ns: float) -> list[str]:
    """Return why a run says nothing of the machine, in one clause each; nothing where the loop itself kept time."""
    found = []
    lag = float(np.percentile(served.lag_ns, 99)) if len(served.lag_ns) else 0.0
    if lag > LAG * deadline_ns:
        found.append(
            f"the loop noticed a frame up to {lag / 1e6:.2f} ms late (99th percentile), more than "
            f"{LAG:.0%} of the deadline of {deadline_ns / 1e6:.1f} ms"
        )
    left = served.elapsed_ns - busy_ns(served) - served.idle_ns
    if left > UNACCOUNTED * served.elapsed_ns:
        found.append(
            f"{left / 1e6:.1f} of {served.elapsed_ns / 1e6:.1f} ms were neither a call nor waiting for a frame, more "
            f"than {UNACCOUNTED:.0%}"
        )
    return found

"""The records of streams under load held against themselves before they are shown, as those of timings are.

Counts and times of a run hang together: how many frames came and were missed, how late they were, how long calls took.
A record that cannot be true counts as a failed one, with the reason; what is found and what not, speedgrid.table.held
says.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from speedgrid.launcher.reading import REMEDY
from speedgrid.serving import record
from speedgrid.serving.record import SHARES, Asked, Run, Serving
from speedgrid.serving.verdict import SETTLING

# Shares of the figures that are kept beside the distribution; times there are rounded to LAST_MS.
PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999, "max": 1}
LAST_MS = 1e-4
DISTRIBUTIONS = ("latency", "wait", "service")
# Frames of a block, at most.
MOST = 1_000_000_000
# Of figures that follow from each other; what is rounded, or was measured apart, agrees a little less.
EXACT, NEAR = 1e-6, 2e-3
# Poisson arrivals are as many as their rate says, but for so many standard deviations.
DEVIATIONS = 6.0
# A distribution of no more times than this is of calls that take the same time again and again, on a pretended clock.
CONSTANT = 20


def read(path: Path | zipfile.Path, remedy: str = REMEDY) -> Serving:
    """Return the record in a file, or a failed one in its place where it cannot be true.

    Raises speedgrid.record.RecordError and speedgrid.launcher.reading.FileError as speedgrid.serving.record.read.
    """
    found = record.read(path, remedy)
    place = path.name.removesuffix(".json")
    if place != str(found.asked.place):
        return _failed(found, f"it holds {found.asked.place}", place)
    why = next(contradictions(found), None)
    return _failed(found, why, place) if why else found


def _failed(found: Serving, why: str, place: str) -> Serving:
    reason = f"its record cannot be true: {why}; delete {place}.json and run again"
    return replace(found, status="failed", reason=reason, seen=None)


def contradictions(found: Serving) -> Iterator[str]:
    """Yield why a record cannot be true, a clause each."""
    if not found.seen:
        return
    asked = found.asked
    shares = (asked.quantile, asked.confidence)
    if not all(0 < share < 1 for share in shares) or min(asked.fps, asked.deadline_ms, *asked.place.batch_sizes) <= 0:
        yield "what it was asked for is no demand"
        return
    kept: dict[tuple[float, ...], int] = {}
    for run in (*found.seen.probes, *found.seen.runs):
        for why in of_run(run, found.asked):
            yield f"of {run.streams} streams, {run.arrivals}, {why}"
        latency = tuple(run.quantiles.get("latency", ()))
        measured = len(set(run.quantiles.get("service", ()))) > CONSTANT
        if measured and kept.setdefault(latency, run.seed) != run.seed:
            yield f"runs of the seeds {kept[latency]} and {run.seed} have all times of their frames alike"


def of_run(run: Run, asked: Asked) -> Iterator[str]:
    """Yield why a run cannot be true."""
    if len(run.frames) != len(run.misses) or not run.frames or run.streams < 1:
        yield f"it has {len(run.frames)} blocks of frames and {len(run.misses)} of misses"
    elif not all(0 <= missed <= count <= MOST for missed, count in zip(run.misses, run.frames, strict=True)):
        yield "a block has more misses than frames"
    elif none := _none(run):
        yield none
    else:
        yield from _arrivals(run, asked)
        yield from _distributions(run)
        if not run.diverged and run.arrivals != "poisson":
            yield from _counts(run, asked)


def _none(run: Run) -> str | None:
    """Return which distribution of a run is none; all or none are kept, with the figures beside them."""
    if run.quantiles and run.quantiles.keys() != set(DISTRIBUTIONS):
        return f"it has the distributions of {', '.join(sorted(run.quantiles)) or 'nothing'}"
    for name, values in run.quantiles.items():
        if len(values) != len(SHARES) or any(np.diff(values) < 0) or min(values) < 0:
            return f"the distribution of its {name} is none"
        if getattr(run.figures, f"{name}_ms").keys() != PERCENTILES.keys():
            return f"the percentiles of its {name} are none"
    return None


def _arrivals(run: Run, asked: Asked) -> Iterator[str]:
    """Yield the contradictions in the number of streams: each of them has as many frames in a block, and a rate."""
    wanted, seen = run.streams * asked.fps, run.figures.offered_fps
    off = DEVIATIONS / np.sqrt(sum(run.frames)) if run.arrivals == "poisson" else EXACT
    if abs(seen / wanted - 1) > off:
        yield f"{seen:.5g} frames came a second, and {wanted:.5g} would"
    if run.arrivals != "poisson" and (len(set(run.frames)) > 1 or run.frames[0] % run.streams):
        yield f"blocks have {min(run.frames)} to {max(run.frames)} frames, not as many of each stream"


def _distributions(run: Run) -> Iterator[str]:
    """Yield the contradictions in the distributions: the figures beside them are of them, and no frame takes more."""
    for name, values in run.quantiles.items():
        figures: dict[str, float] = getattr(run.figures, f"{name}_ms")
        for key, share in PERCENTILES.items():
            of, beside = values[SHARES.index(share)], figures[key]
            if not abs(of - beside) <= LAST_MS:
                yield f"{key} of its {name} is {beside:.5g} ms, and {of:.5g} in its distribution"
    longest = [values[-1] for values in (run.quantiles.get(name, [0.0]) for name in DISTRIBUTIONS)]
    if longest[0] > longest[1] + longest[2] + 2 * LAST_MS:
        yield "a frame took longer than waiting and its call together"


def _counts(run: Run, asked: Asked) -> Iterator[str]:
    """Yield the contradictions in the counts of a run with this many frames of each stream in a block, which ended."""
    found = [_counted(run, asked, run.frames[0] // run.streams + left) for left in (SETTLING, SETTLING + 1)]
    if all(found):  # a frame on the edge of what settles is judged, or not
        yield found[0][0]


def _counted(run: Run, asked: Asked, periods: int) -> list[str]:
    """Return the contradictions in the counts of a run, if blocks have this many periods."""
    seen, found = run.figures, []
    total = run.streams * periods * (len(run.frames) + 1)
    missed, served = seen.miss_rate * total, total - seen.dropped
    judged, unjudged = sum(run.misses), total - sum(run.frames)
    if not judged - 0.5 <= missed <= judged + unjudged + 0.5 or missed < seen.dropped - 0.5:
        found.append(f"{missed:.0f} of {total} frames were missed, {judged} of them in blocks, {seen.dropped} dropped")
    if (missed > 0.5) != (seen.worst_stream > 0) or (missed > 0.5) != (seen.longest_gap > 0):
        found.append(f"{missed:.0f} frames were missed, and {seen.worst_stream:.3g} of those of its worst stream")
    if abs(seen.good_fps * served - seen.served_fps * (total - missed)) > EXACT * seen.served_fps * total:
        found.append(f"{seen.good_fps:.5g} of {seen.served_fps:.5g} frames a second were in time, not that share")
    if served and run.quantiles:
        found += _late(run, (missed - seen.dropped) / served, 2 / served) + _calls(run, asked, served)
    return found


def _late(run: Run, late: float, slack: float) -> list[str]:
    """Return the contradictions in the share of served frames that were late. slack: of two frames."""
    shares, values = np.array(SHARES), np.array(run.quantiles["latency"])
    in_time = (values > run.deadline_ms + LAST_MS) & (shares < 1 - late - slack)
    beyond = (values < run.deadline_ms - LAST_MS) & (shares > 1 - late + slack)
    if in_time.any() or beyond.any():
        return [f"{late:.2%} of its frames were late by its counts, and not by its distribution"]
    return []


def _calls(run: Run, asked: Asked, served: int) -> list[str]:
    """Return the contradictions in the calls: their mean time is that of no frame's call, or they are too many."""
    seen, found = run.figures, []
    largest, times = max(asked.place.batch_sizes), run.quantiles["service"]
    if not 1 <= seen.mean_batch <= largest:
        found.append(f"a call has {seen.mean_batch:.3g} frames in the mean, and at most {largest}")
    if asked.in_flight > 1:
        return found
    if seen.utilisation > 1 + EXACT:
        found.append(f"calls took {seen.utilisation:.1%} of the time")
    mean = 1000 * seen.utilisation * run.seconds * seen.mean_batch / served
    if not times[0] * (1 - NEAR) - LAST_MS <= mean <= times[-1] * (1 + NEAR) + LAST_MS:
        found.append(f"a call took {mean:.4g} ms in the mean, and {times[0]:.4g} to {times[-1]:.4g} ms each")
    return found

"""What the benchmarks share: the records of the finished run in this folder, and measuring some of its cells again."""

import base64
import json
import os
import shlex
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, median

import numpy as np
from scipy.stats import t

from speedgrid import record as records
from speedgrid.launcher import ADDRESS_VARIABLE, server
from speedgrid.record import Record
from speedgrid.table.limiter import waits_for_host

# What costs a timing most beside it, and is not compared.
DEAR_PROBES = ("energy", "kernels")
# A longer pause between two timings is an interrupted run, not scheduling.
PAUSE_SECONDS = 10.0


def jobs() -> list[tuple[tuple[float, float], Record]]:
    """Return (start and end of its job, record) of every measured cell, from Snakemake's metadata."""
    found = []
    for path in sorted(Path("artifacts/timings").glob("*.json")):
        name = base64.urlsafe_b64encode(str(path).encode()).decode()
        metadata, record = (
            json.loads((Path(".snakemake/metadata") / name).read_text(encoding="utf-8")),
            records.read(path),
        )
        if record.seen:
            found.append(((metadata["starttime"], metadata["endtime"]), record))
    if not found:
        raise SystemExit("artifacts/timings holds no measured cell; run snakemake first")
    return found


def wall_time(times: list[tuple[float, float]]) -> float:
    """Return the seconds in which any job ran, short gaps between them included. times: (start, end) of each job."""
    latest, total = min(times)[0], 0.0
    for start, end in sorted(times):
        total += max(0.0, end - latest) if start - latest < PAUSE_SECONDS else end - start
        latest = max(latest, end)
    return total


def windows(record: Record) -> float:
    """Return the seconds in which a record's session was warmed up and timed, back to back too."""
    return in_timing(record) + loop_of(record).get("seconds", 0.0)


def in_timing(record: Record) -> float:
    """Return the seconds of a record's windows of warm-up and latency."""
    return record.seen.samples.warmup_seconds + record.seen.samples.timed_seconds


def loop_of(record: Record) -> dict:
    """Return the calls back to back of a record; empty on the CPU."""
    return record.seen.probes.get("back_to_back", {})


def overhead(found: list[tuple[tuple[float, float], Record]]) -> float | None:
    """Return (wall time of all timing jobs - their windows) / cells, in seconds. found: as of `jobs`.

    None where several GPUs were used at once: the windows of one lie beside the overhead of another.
    """
    if len({record.environment.get("gpu_uuid") for _, record in found}) > 1:
        return None
    wall = wall_time([times for times, _ in found])
    return (wall - sum(windows(record) for _, record in found)) / len(found)


def told(seconds: float | None) -> str:
    """Return an overhead, as of `overhead`, in words."""
    return "no one number, because several GPUs were used" if seconds is None else f"{seconds:.3f} s a cell"


def latency(record: Record) -> float:
    """Return the median latency of a record in ms."""
    return median(record.host_ms)


def steady(record: Record) -> bool:
    """Say whether a record's calls do not wait for the host."""
    times = (record.seen.samples.submit_ms, record.seen.samples.device_ms)
    return not waits_for_host(*(median(one) if one else None for one in times))


def cells(count: int, backend: str | None = None) -> list[list[Record]]:
    """Return the records of `count` cells, of one backend or all, spread over the grid: for each one record a round."""
    rounds: dict[str, list[Record]] = {}
    for _, record in jobs():
        if backend in (None, record.cell.backend):
            rounds.setdefault(name(record), []).append(record)
    if not rounds:
        raise SystemExit(f"artifacts/timings holds no measured cell of {backend}")
    chosen = np.unique(np.linspace(0, len(rounds) - 1, min(count, len(rounds))).astype(int))
    return [list(rounds.values())[index] for index in chosen]


def name(record: Record) -> str:
    """Return the name of a record's cell."""
    return str(record.cell)


def again(record: Record, folder: str) -> tuple[list[str], Path]:
    """Return the arguments that measure a record's cell again (without `python -m`), and where the new record goes."""
    output = Path(folder) / f"{name(record)}-{time.monotonic_ns()}.json"
    arguments = shlex.split(record.command)[2:]
    arguments[arguments.index("--output") + 1] = str(output)
    return [argument for argument in arguments if argument not in DEAR_PROBES], output


@contextmanager
def launcher():
    """Start a launcher as the workflow does, and yield its address."""
    process = server.start(["torch", "torchvision", "speedgrid.model.modules", "speedgrid.measure.cell", "onnxruntime"])
    try:
        yield os.environ.pop(ADDRESS_VARIABLE)
    finally:
        process.stdin.close()


def expected(rounds: list[float], together: int = 1) -> tuple[float, float] | None:
    """Return the 95 % interval for one more process from the latencies of at least three; None with fewer.

    together: of how many cells all intervals are to hold at once (Bonferroni): of 20 intervals that hold singly, one
    is missed by chance. Student's t prediction interval on logarithms: https://en.wikipedia.org/wiki/Prediction_interval
    """
    if len(rounds) < 3:
        return None
    logs = np.log(rounds)
    reach = t.ppf(1 - 0.025 / together, len(logs) - 1) * logs.std(ddof=1) * np.sqrt(1 + 1 / len(logs))
    return float(np.exp(logs.mean() - reach)), float(np.exp(logs.mean() + reach))


def compare(kind: str, found: list[tuple[list[Record], Record]]) -> None:
    """Print how the latencies of new records compare with the rounds of the same cells, in one ratio and in words."""
    ratios, unhindered, outside, singly = [], [], [], 0
    for rounds, record in found:
        before = [latency(one) for one in rounds]
        ratios.append(latency(record) / float(np.exp(mean(np.log(before)))))
        if all(map(steady, [*rounds, record])):
            unhindered.append(ratios[-1])
        interval = expected(before, len(found))
        if interval and not interval[0] <= latency(record) <= interval[1]:
            outside.append(f"{name(record)} ({latency(record):.4g} ms, {interval[0]:.4g} to {interval[1]:.4g})")
        single = expected(before)
        singly += single is not None and not single[0] <= latency(record) <= single[1]
    print(f"latency {kind}: {median(ratios):.4f} in the median over {len(ratios)} cells")
    if unhindered and len(unhindered) < len(ratios):
        middle, low, high = (one(unhindered) for one in (median, min, max))
        print(f"in the {len(unhindered)} that do not wait for the host: {middle:.4f}, from {low:.4f} to {high:.4f}")
    if len(found[0][0]) < 3:
        print("no interval of one more process: that needs three rounds")
        return
    print(f"cells outside the 95 % intervals of one more process, all together: {', '.join(outside) or 'none'}")
    print(f"outside the interval of its own: {singly} of {len(found)}, by chance {0.05 * len(found):.1f}")

"""What does it cost a timing that the GPU's clock, power and temperature are read meanwhile?

    python -m benchmarks.telemetry_cost [CELLS]

Takes cells of a finished run (default 5, spread over the grid), loads each in a fresh fork, and times the loaded
session by turns with the sampler running and without. Prints the ratio of latencies, on / off, with its 95 % interval.
"""

import sys
import tempfile
from statistics import median

import numpy as np
from scipy.stats import ttest_1samp

from benchmarks.finished import cells, launcher, name
from benchmarks.loaded import answer, in_fork
from speedgrid.machine import gpus
from speedgrid.measure import timing
from speedgrid.measure.telemetry import Sampler
from speedgrid.record import Asked

# Pairs of timings of a cell, one with the sampler and one without; which comes first alternates.
PAIRS = 10


def measure(session, asked: Asked) -> list[float]:
    """Time a loaded session in pairs; return latency with the sampler / without it for each pair."""
    uuid = gpus.claim()
    ratios = []
    for pair in range(PAIRS):
        found = {sampled: latency(session, asked, uuid if sampled else None) for sampled in (pair % 2, 1 - pair % 2)}
        ratios.append(found[1] / found[0])
    return ratios


def latency(session, asked: Asked, uuid: str | None) -> float:
    """Return the median latency in ms while the GPU `uuid` is sampled; None samples nothing."""
    sampler = Sampler(uuid)
    sampler.start()
    samples = timing.measure(session, asked)
    if sampler.stop() is None and uuid is not None:
        raise SystemExit("the sampler gave no samples; there is nothing to compare")
    return median(samples.host_ms)


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """Return (geometric mean, low, high) of ratios, with Student's 95 % interval on their logarithms."""
    logs = np.log(ratios)
    reach = ttest_1samp(logs, 0.0).confidence_interval(0.95)
    return float(np.exp(logs.mean())), float(np.exp(reach.low)), float(np.exp(reach.high))


def main(count: int) -> None:
    """Print the ratio of each cell, and of all."""
    chosen, found = [rounds[0] for rounds in cells(count)], []
    if chosen[0].asked.device != "cuda":
        raise SystemExit("this run was measured on the CPU, where no telemetry is read: there is nothing to compare")
    with tempfile.TemporaryDirectory() as folder, launcher() as address:
        for record in chosen:
            ratios = in_fork("benchmarks.telemetry_cost", record, folder, address)
            print(f"{name(record)}: {interval(ratios)[0]:.4f}", flush=True)
            found += ratios
    value, low, high = interval(found)
    print(f"latency with telemetry / without: {value:.4f} ({low:.4f} to {high:.4f}) over {len(chosen)} cells")


if __name__ == "__main__" and not answer(measure):
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)

"""Does it matter that other cells are loaded on the GPU while one is measured?

    python -m benchmarks.side_by_side [CELLS]

Takes cells of a finished run (default 20, spread over the grid) and measures them once with nothing else on the GPU
and once as many at a time as the workflow does where there are cores. Prints the ratio of latencies and of times.
"""

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.finished import again, cells, compare, launcher
from speedgrid import record
from speedgrid.launcher import client
from speedgrid.machine.gpus import MOST_SLOTS
from speedgrid.record import Record


def measure_all(asked: list[Record], folder: str, address: str, at_once: int) -> tuple[list[Record], float]:
    """Measure the cells of records again, `at_once` of them loaded at a time; return (new records, seconds)."""
    jobs = [again(one, folder) for one in asked]
    started = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        codes = list(pool.map(lambda one: client.ask(address, one[0], None), jobs))
    if any(codes):
        raise SystemExit(f"measuring ended with {codes}")
    return [record.read(output) for _, output in jobs], time.perf_counter() - started


def main(count: int) -> None:
    """Print the comparison of crowded and lone measurements."""
    chosen = cells(count)
    first = [rounds[0] for rounds in chosen]
    if first[0].asked.device != "cuda":
        raise SystemExit("this run was measured on the CPU, where nothing is loaded side by side")
    with tempfile.TemporaryDirectory() as folder, launcher() as address:
        measure_all(first[:1], folder, address, 1)  # the first warm start imports everything
        alone, alone_seconds = measure_all(first, folder, address, 1)
        together, together_seconds = measure_all(first, folder, address, MOST_SLOTS)
    beside = max(one.seen.memory.other_processes or 0 for one in together)
    print(f"most other processes on the GPU while a cell was measured: {beside}")
    compare("together / alone", [([one], other) for one, other in zip(alone, together, strict=True)])
    print(f"time alone / together: {alone_seconds / together_seconds:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)

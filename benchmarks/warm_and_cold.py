"""Does a fresh process measure the same as a warm start, and what does the warm start save?

    python -m benchmarks.warm_and_cold [CELLS]

Takes cells of a finished run (default 20, spread over the grid) and measures each once more from a launcher and once
in a fresh process, one after the other. Prints the ratio of latencies, and of overheads: with what every process has to
do (FLOOR), without it, and against a cell of the run, which shares that with cells that are loaded beside it.
"""

import sys
import tempfile
import time
from statistics import median

from benchmarks.finished import again, cells, compare, jobs, latency, launcher, name, overhead, told, windows
from speedgrid import record as records
from speedgrid.launcher import client
from speedgrid.record import Record

# The steps of a measurement that no launcher can do beforehand: the CUDA context, the model, the first kernels.
FLOOR = ("context", "load", "first_call")


def measure(record: Record, folder: str, address: str | None) -> tuple[Record, float]:
    """Measure a record's cell again and return (new record, seconds beyond its windows)."""
    arguments, output = again(record, folder)
    started = time.perf_counter()
    code = client.ask(address, arguments, None) if address else client.run_alone(arguments)
    seconds = time.perf_counter() - started
    if code:
        raise SystemExit(f"{' '.join(arguments)} ended with {code}")
    found = records.read(output)
    return found, seconds - windows(found)


def floor(record: Record) -> float:
    """Return the seconds that a record gives to the steps of FLOOR."""
    return sum(record.seen.seconds.get(step, 0.0) for step in FLOOR)


def main(count: int) -> None:
    """Print the comparison of warm starts and fresh processes."""
    chosen, cold_records, overheads = cells(count), [], []
    with tempfile.TemporaryDirectory() as folder, launcher() as address:
        measure(chosen[0][0], folder, address)  # the first warm start imports everything
        for rounds in chosen:
            warm, warm_over = measure(rounds[0], folder, address)
            cold, cold_over = measure(rounds[0], folder, None)
            cold_records.append(([*rounds, warm], cold))
            overheads.append((warm_over, cold_over, warm_over - floor(warm), cold_over - floor(cold)))
            ratio = latency(cold) / latency(warm)
            print(
                f"{name(cold)}: latency {ratio:.4f}, overhead cold {cold_over:.2f} s, warm {warm_over:.2f} s",
                flush=True,
            )
    compare("cold / warm", cold_records)
    warm_all, cold_all, warm_rest, cold_rest = (median(one) for one in zip(*overheads, strict=True))
    in_run = overhead(jobs())
    print(f"overhead, medians: cold {cold_all:.2f} s, warm {warm_all:.2f} s")
    print(f"without context, load and first call: cold {cold_rest:.2f} s, warm {warm_rest:.2f} s")
    print(f"overhead cold / warm: {cold_all / warm_all:.2f}; without these: {cold_rest / warm_rest:.2f}")
    print(f"overhead in the run: {told(in_run)}")
    if in_run is not None:
        print(f"overhead cold / a cell of the run: {cold_all / in_run:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)

"""How much faster are several GPUs than one? python -m benchmarks.several_gpus [GPUS] [SNAKEMAKE OPTION ...]

Measures the run in this folder again, and so replaces its records, with one GPU and with GPUS (default 2). Prints
the ratio of the times of all timing jobs, and of latencies.
"""

import subprocess
import sys

from benchmarks.finished import compare, jobs, name, overhead, told, wall_time
from speedgrid.record import Record


def measure(number: int, options: list[str]) -> tuple[float, dict[str, Record], set[str]]:
    """Time the grid on `number` GPUs; return (seconds, first record of each cell, GPUs that were used)."""
    command = ["snakemake", "artifacts/results.parquet", "--forcerun", "time_cell", "--resources", f"gpu={number}"]
    subprocess.run([*command, *options], check=True)
    times, records = zip(*(found := jobs()), strict=True)
    # From when the scripts begin: the first jobs also wait for the launcher, which is the same for any number of GPUs.
    began = [(end - sum(record.seen.seconds.values()), end) for (_, end), record in zip(times, records, strict=True)]
    if number == 1:
        print(f"overhead on one: {told(overhead(found))}")
    return (
        wall_time(began),
        {name(record): record for record in records},
        {record.environment["gpu_uuid"] for record in records},
    )


def main(number: int, options: list[str]) -> None:
    """Print the comparison of several GPUs with one."""
    one_seconds, one, _ = measure(1, options)
    many_seconds, many, used = measure(number, options)
    print(f"{len(many)} cells on {len(used)} GPU(s): {many_seconds:.1f} s, on one: {one_seconds:.1f} s")
    compare(f"on {number} GPUs / on one", [([one[cell]], many[cell]) for cell in one])
    print(f"time on one / on {number}: {one_seconds / many_seconds:.2f}")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given.pop(0)) if given and given[0].isdigit() else 2, given)

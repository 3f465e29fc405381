"""Do a warm start and a fresh process measure the same, and what does the warm one save?

    python -m benchmarks.warm_and_cold [CELLS]

Takes cells of a finished run (default 20, spread over the grid), measures each from a launcher and in a fresh
process, one after the other, and prints the median ratio of latencies, the cells whose intervals do not meet, and
the ratio of overheads.
"""

import json
import os
import shlex
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.overhead import windows
from speedgrid.launcher import ADDRESS_VARIABLE, client, server
from speedgrid.statistics import order_statistic_interval


def measure(command: list[str], output: str, address: str | None) -> tuple[dict, float]:
    """Run a record's command with another output and return (record, seconds beyond its windows)."""
    command = [*command[2:-1], output]  # without `python -m`, and the output is the last argument
    started = time.perf_counter()
    code = client.ask(address, command, None) if address else client.run_alone(command)
    seconds = time.perf_counter() - started
    if code:
        raise SystemExit(f"{shlex.join(command)} ended with {code}")
    record = json.loads(Path(output).read_text())
    return record, seconds - windows(record)


def main(count: int) -> None:
    """Print the comparison."""
    records = [json.loads(path.read_text()) for path in sorted(Path("artifacts/timings").glob("*-round1.json"))]
    records = [record for record in records if "samples" in record]
    chosen = records[:: max(1, len(records) // count)][:count]
    process = server.start(["torch", "speedgrid.models", "speedgrid.measure", "onnxruntime"])
    address = os.environ.pop(ADDRESS_VARIABLE)
    ratios, apart, saved = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, record in enumerate([chosen[0], *chosen]):
            command = shlex.split(record["command"])
            warm, warm_over = measure(command, f"{folder}/warm.json", address)
            if number == 0:  # the first warm start imports everything
                continue
            cold, cold_over = measure(command, f"{folder}/cold.json", None)
            samples = [np.array(one["samples"]["host_ms"]) for one in (warm, cold)]
            (low, high), (low_cold, high_cold) = map(order_statistic_interval, samples)
            ratio = float(np.median(samples[0]) / np.median(samples[1]))
            ratios.append(ratio)
            saved.append(cold_over / warm_over)
            name = "-".join(str(value) for value in record["cell"].values())
            if high < low_cold or high_cold < low:
                apart.append(f"{name} ({ratio:.3f})")
            print(f"{name}: latency {ratio:.3f}, overhead {warm_over:.2f} s against {cold_over:.2f} s", flush=True)
    process.stdin.close()
    print(f"latency warm / cold: {median(ratios):.4f} in the median over {len(ratios)} cells")
    print(f"cells whose intervals do not meet: {', '.join(apart) or 'none'}")
    print(f"overhead cold / warm: {median(saved):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)

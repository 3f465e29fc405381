"""Does a fresh process measure the same as a warm start, and what does the warm start save?

    python -m benchmarks.warm_and_cold [CELLS]

Takes cells of a finished run (default 20, spread over the grid) and measures each once more from a launcher and once
in a fresh process, one after the other. Prints the ratio of latencies and of overheads.
"""

import json
import sys
import tempfile
import time
from statistics import median

from benchmarks.finished import again, cells, compare, latency, launcher, name, windows
from speedgrid.launcher import client


def measure(record: dict, folder: str, address: str | None) -> tuple[dict, float]:
    """Measure a record's cell again and return (new record, seconds beyond its windows)."""
    arguments, output = again(record, folder)
    started = time.perf_counter()
    code = client.ask(address, arguments, None) if address else client.run_alone(arguments)
    seconds = time.perf_counter() - started
    if code:
        raise SystemExit(f"{' '.join(arguments)} ended with {code}")
    found = json.loads(output.read_text())
    return found, seconds - windows(found)


def main(count: int) -> None:
    """Print the comparison."""
    chosen, cold_records, saved = cells(count), [], []
    with tempfile.TemporaryDirectory() as folder, launcher() as address:
        measure(chosen[0][0], folder, address)  # the first warm start imports everything
        for rounds in chosen:
            warm, warm_over = measure(rounds[0], folder, address)
            cold, cold_over = measure(rounds[0], folder, None)
            cold_records.append(([*rounds, warm], cold))
            saved.append(cold_over / warm_over)
            ratio = latency(cold) / latency(warm)
            print(
                f"{name(cold)}: latency {ratio:.4f}, overhead cold {cold_over:.2f} s, warm {warm_over:.2f} s",
                flush=True,
            )
    compare("cold / warm", cold_records)
    print(f"overhead cold / warm: {median(saved):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)

"""Does the best row reach what is best by hand? python -m benchmarks.best_row [SNAKEMAKE OPTION ...]

Measures benchmarks/best_row.yaml (ResNet-18, fp16, 224 x 224 pixels, batch sizes 1, 64 and 256, every backend) in this
folder, and so replaces its table. Then it times with torch.utils.benchmark, each in a fresh process and on an otherwise
idle GPU, what users would write (benchmarks.by_hand): torch.compile in its modes reduce-overhead and max-autotune, and
cuDNN's fused convolutions in a CUDA graph, all in channels_last. Prints for each batch size the images/s of the fastest
row over the best of them:

* back to back: calls that are not waited for, as torch.utils.benchmark times a CUDA call; the row's `throughput_fps`.
* latency: each call is waited for; the row's `fps`.

What is compiled by hand copies its input into the graph's at each call; a session's input is there already, as that of
the fused kernels by hand is.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.by_hand import WAYS
from benchmarks.finished import jobs
from benchmarks.loaded import file_of
from speedgrid.text.status import SHOWN

CONFIG = "benchmarks/best_row.yaml"
# What the best row should reach at least of the best rate by hand.
WANTED = 1.0


def by_hand(way: str, weights: str, shape: list[int]) -> dict[str, float]:
    """Return the images/s of one way by hand on inputs of `shape` [B, 3, H, W], timed in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "rates.json"
        command = [sys.executable, "-m", "benchmarks.by_hand", way, weights, json.dumps(shape), str(output)]
        caches = {"TORCHINDUCTOR_CACHE_DIR": folder, "TRITON_CACHE_DIR": f"{folder}/triton"}
        subprocess.run(command, check=True, env=os.environ | caches)
        return json.loads(output.read_text(encoding="utf-8"))


def best_rows(table: pd.DataFrame) -> list:
    """Return, for each batch size, the row with the most images/s back to back among those that show a speed."""
    shown = table[table.status.isin(SHOWN) & table.throughput_fps.notna()]
    if shown.empty:
        raise SystemExit("no row has a speed back to back: this needs an NVIDIA GPU; see the column `reason`")
    return [shown.loc[index] for index in shown.groupby("batch_size").throughput_fps.idxmax()]


def sentence(row, rates: dict[str, dict[str, float]]) -> str:
    """Say how a row compares with the best of the rates by hand, and with which; `rates` are by the way."""
    parts = []
    for figure, words in (("throughput_fps", "back to back"), ("fps", "in latency")):
        way = max(rates, key=lambda one: rates[one][figure])
        best = rates[way][figure]
        short = "" if row[figure] / best >= WANTED else f": less than {WANTED}"
        parts.append(f"{row[figure] / best:.3f} {words} ({row[figure]:.0f} / {best:.0f} images/s, {way}){short}")
    return f"batch size {row.batch_size}: {row.backend} {row.precision} / best by hand {'; '.join(parts)}"


def main(options: list[str]) -> None:
    """Measure the run, and print how its best rows compare with rates by hand."""
    subprocess.run(["snakemake", "artifacts/results.parquet", "--configfile", CONFIG, *options], check=True)
    rows = best_rows(pd.read_parquet("artifacts/results.parquet"))
    weights = next(
        file_of(record, "artifact")
        for _, record in jobs()
        if (record.cell.backend, record.cell.resolution) == ("pytorch", rows[0].resolution)
    )
    for row in rows:
        shape = [int(row.batch_size), 3, int(row.resolution), int(row.resolution)]
        rates = {way: by_hand(way, weights, shape) for way in WAYS}
        for way, found in rates.items():
            print(f"by hand, {way}: {found['throughput_fps']:.0f} images/s back to back, {found['fps']:.0f} in latency")
        print(sentence(row, rates), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Does the best row reach what compiled PyTorch reaches by hand? python -m benchmarks.best_row [SNAKEMAKE OPTION ...]

Measures benchmarks/best_row.yaml (ResNet-18, fp16, 224 x 224 pixels, batch sizes 64 and 256, every backend) in this
folder, and so replaces its table. Then it times, in a fresh process for each batch size and on an otherwise idle GPU,
what a user would write: `torch.compile(model, mode="reduce-overhead")` in channels_last, with torch.utils.benchmark.
Prints for each batch size the images/s of the fastest row over those by hand:

* back to back: calls that are not waited for, as torch.utils.benchmark times a CUDA call; the row's `throughput_fps`.
* latency: each call is waited for; the row's `fps`.

What is written by hand copies its input into the graph's at each call; a session's input is there already.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.finished import jobs
from benchmarks.loaded import file_of
from speedgrid.text.status import SHOWN

CONFIG = "benchmarks/best_row.yaml"
# How often each of the two figures by hand is taken; their median counts.
TURNS = 5
# What the best row should reach at least of the rate by hand.
WANTED = 0.98


def compile_by_hand(weights: str, shape: list[int]) -> dict[str, float]:
    """Return the images/s of ResNet-18 in fp16, compiled as its users do it, on inputs of `shape` [B, 3, H, W]."""
    import torch

    from speedgrid.machine import gpus
    from speedgrid.model import modules as models

    gpus.claim()
    gpus.measure_alone()
    layout = {"device": "cuda", "dtype": torch.float16, "memory_format": torch.channels_last}
    model = models.load("resnet18", weights).to(**layout)
    images = torch.randn(shape).to(**layout)
    compiled = torch.compile(model, mode="reduce-overhead", dynamic=False)
    with torch.inference_mode():
        for _ in range(10):
            compiled(images)
        torch.cuda.synchronize()
        names = {"call": lambda: compiled(images), "synchronize": torch.cuda.synchronize}
        return {
            "throughput_fps": rate("call()", names, shape[0]),
            "fps": rate("call(); synchronize()", names, shape[0]),
        }


def rate(statement: str, names: dict, batch_size: int) -> float:
    """Return the images/s of a statement by torch.utils.benchmark: the median over TURNS of the medians of blocks."""
    from statistics import median

    from torch.utils.benchmark import Timer

    timer = Timer(statement, globals=names)
    return batch_size / median(timer.blocked_autorange(min_run_time=0.5).median for _ in range(TURNS))


def best_rows(table: pd.DataFrame) -> list:
    """Return, for each batch size, the row with the most images/s back to back among those that show a speed."""
    shown = table[table.status.isin(SHOWN) & table.throughput_fps.notna()]
    if shown.empty:
        raise SystemExit("no row has a speed back to back: this needs an NVIDIA GPU; see the column `reason`")
    return [shown.loc[index] for index in shown.groupby("batch_size").throughput_fps.idxmax()]


def sentence(row, by_hand: dict[str, float]) -> str:
    """Say how a row compares with the rates by hand."""
    ratio = row.throughput_fps / by_hand["throughput_fps"]
    return (
        f"batch size {row.batch_size}: {row.backend} {row.precision} / by hand {ratio:.3f} back to back "
        f"({row.throughput_fps:.0f} / {by_hand['throughput_fps']:.0f} images/s), "
        f"{row.fps / by_hand['fps']:.3f} in latency{'' if ratio >= WANTED else f': less than {WANTED}'}"
    )


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
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "rates.json"
            command = [
                sys.executable,
                "-m",
                "benchmarks.best_row",
                "--by-hand",
                weights,
                json.dumps(shape),
                str(output),
            ]
            subprocess.run(command, check=True, env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": folder})
            print(sentence(row, json.loads(output.read_text(encoding="utf-8"))), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--by-hand"]:
        made = json.dumps(compile_by_hand(sys.argv[2], json.loads(sys.argv[3])))
        Path(sys.argv[4]).write_text(made, encoding="utf-8")
    else:
        main(sys.argv[1:])

"""Results as the workflow writes them, and the command that compares two; for tests of comparisons and archives."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from builders import make_record, make_refusal, write_run
from processes import script

from speedgrid.launcher.outputs import write_json
from speedgrid.record import write

LATENCIES = {
    "resnet18-pytorch-fp32-r64-b1": 4.0,
    "resnet18-pytorch-fp32-r64-b8": 16.0,
    "resnet18-onnxruntime-fp32-r64-b1": 2.0,
}


def write_result(folder: Path, factor: float = 1.0, seed: int = 0, lost=()) -> Path:
    """Write a result of two backends in three rounds to `folder`, as the workflow does."""
    random = np.random.default_rng(seed)
    records = []
    for name, latency in LATENCIES.items():
        for number in (1, 2, 3):
            level = latency * factor * np.exp(random.normal(0, 0.002))
            samples = (level * np.exp(random.normal(0, 0.002, 50))).round(6).tolist()  # as clocks have them
            turn = f"round{number}"
            refused = make_refusal(name, "failed", "died", turn=turn)
            records.append(refused if name in lost else make_record(name, samples, turn=turn))
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    table, description = write_run(scratch, records)
    for one in records:
        write(folder / "artifacts" / "timings" / f"{one.cell}-{one.turn}.json", one)
    table.to_csv(folder / "artifacts" / "results.csv", index=False)
    write_json(folder / "artifacts" / "run.json", description)
    shutil.rmtree(scratch)
    return folder


def compare(*arguments, code: int = 0) -> SimpleNamespace:
    """Run the command that compares two results; return what it printed."""
    return script("compare", *arguments, code=code)

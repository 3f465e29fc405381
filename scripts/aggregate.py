"""Bring all records together in one table, judge them, and say what was measured."""

import argparse
import json
from pathlib import Path

from speedgrid import grid
from speedgrid.table.description import Material, finish, timings_in

parser = argparse.ArgumentParser(description=__doc__)
for name in ("axes", "rounds", "certain", "reference", "max-top1-loss"):
    parser.add_argument(f"--{name}", type=json.loads, required=True)
parser.add_argument("--timings", type=Path, default=Path("artifacts/timings"), help="folder of records")
for name in ("weights", "accuracy", "decoding", "streams"):
    parser.add_argument(f"--{name}", nargs="*", type=Path, default=[])
for name in ("flops", "peaks", "csv", "parquet", "rounds-csv", "summary"):
    parser.add_argument(f"--{name}", type=Path, required=True)
asked = parser.parse_args()
timings = timings_in(asked.timings, asked.axes, asked.rounds, asked.certain)
video = next(iter(asked.decoding), None)
material = Material.read(timings, asked.weights, asked.flops, asked.peaks, asked.accuracy, video, asked.streams)
found = finish(grid.cells(asked.axes), material, asked.reference, asked.max_top1_loss, asked.certain < asked.rounds)
found.write(asked.csv, asked.rounds_csv, asked.summary, asked.parquet)

"""Bring all records together in one table, judge them, and say what was measured."""

import argparse
import json
from pathlib import Path

from speedgrid import grid
from speedgrid.table.description import Material, finish

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--axes", type=json.loads, required=True, help="of the grid, each a list of values, as JSON")
parser.add_argument("--rounds", type=int, required=True, help="of the grid")
parser.add_argument("--timings", type=Path, default=Path("artifacts/timings"), help="folder of records")
for name in ("weights", "accuracy"):
    parser.add_argument(f"--{name}", nargs="*", type=Path, default=[], help="files of each")
parser.add_argument("--reference", type=json.loads, required=True, help="backend and precision of speed-ups, as JSON")
parser.add_argument("--max-top1-loss", type=float, required=True, help="of the precision that is chosen, a share")
for name in ("flops", "peaks", "csv", "parquet", "rounds-csv", "summary"):
    parser.add_argument(f"--{name}", type=Path, required=True)
asked = parser.parse_args()
cells, control = grid.cells(asked.axes), grid.control_cell(asked.axes)
timings = [asked.timings / f"{name}.json" for name in sorted(grid.measuring_order(cells, control, 0, asked.rounds))]
material = Material.read(timings, asked.weights, asked.flops, asked.peaks, asked.accuracy)
found = finish(cells, material, asked.reference, asked.max_top1_loss)
found.write(asked.csv, asked.rounds_csv, asked.summary)
found.table.to_parquet(asked.parquet, index=False)

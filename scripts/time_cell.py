"""Time one cell in this process and write its record."""

import argparse
import json

from speedgrid.grid import Cell
from speedgrid.measure.cell import measure_cell
from speedgrid.record import write_json

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("cell", type=Cell.parse, help="e.g. resnet18-pytorch-fp32-r224-b1")
parser.add_argument("--turn", default="round1", help="which timing of this cell: round1, twin1, sentinel1 ...")
parser.add_argument("--options", type=json.loads, required=True, help="timing settings, as JSON")
parser.add_argument("--build", nargs="?", help="record of the engine's build")
parser.add_argument("--died", help="measure nothing, and record that an earlier try ended so")
for name in ("energy", "end-to-end", "kernels"):
    parser.add_argument(f"--{name}", action="store_true", help="measure this too")
parser.add_argument("--alone", action="store_true", help="nothing else on the GPU")
for name in ("device", "artifact", "images", "logits", "expected", "output"):
    parser.add_argument(f"--{name}", required=True)
asked = parser.parse_args()
write_json(asked.output, measure_cell(asked.cell, asked.turn, asked.device, vars(asked), asked.options))

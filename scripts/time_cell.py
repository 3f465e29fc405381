"""Time one cell in this process and write its record."""

import argparse
import json

from speedgrid import record
from speedgrid.grid import Cell
from speedgrid.measure import cell, loading
from speedgrid.model import sources

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("cell", type=Cell.parse, help="e.g. resnet18-pytorch-fp32-r224-b1")
parser.add_argument("--turn", default="round1", help="which timing of this cell: round1, twin1, sentinel1 ...")
# The timing settings as JSON, the configuration whose models they are, the record of the engine's build; where an
# earlier try died, nothing is measured but how.
for name, kind in (("options", json.loads), ("config", sources.declared_in), ("build", str), ("died", str)):
    parser.add_argument(f"--{name}", type=kind, nargs="?")
parser.add_argument("--probes", nargs="*", default=[], help="what else to measure: speedgrid/measure/probes")
parser.add_argument("--alone", action="store_true", help="nothing else on the GPU")
for name in ("device", "artifact", "images", "logits", "expected", "output"):
    parser.add_argument(f"--{name}", required=True)
given = parser.parse_args()
asked = cell.asked_of(given.cell, given.turn, given.device, given.options, given.probes)
files = loading.Files(given.artifact, given.images, given.build, given.logits, given.expected)
record.write(given.output, cell.measure_cell(files, asked, given.died, given.alone))

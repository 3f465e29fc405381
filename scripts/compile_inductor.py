"""Compile one package with Inductor, or record why there is none."""

import argparse

from speedgrid import inductor_package
from speedgrid.grid import Cell
from speedgrid.record import write_json

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("cell", type=Cell.parse, help="e.g. resnet18-inductor-fp16-r224-b8")
for name in ("device", "weights", "package", "build"):
    parser.add_argument(f"--{name}", required=True)
asked = parser.parse_args()
write_json(asked.build, inductor_package.build(asked.cell, asked.device, asked.weights, asked.package))

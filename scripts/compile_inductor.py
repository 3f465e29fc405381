"""Compile one package with Inductor, or record why there is none."""

import argparse

from speedgrid.builders import inductor as inductor_package
from speedgrid.grid import Cell
from speedgrid.launcher.outputs import unmade, write_made
from speedgrid.model import sources

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("cell", type=Cell.parse, help="e.g. resnet18-inductor-fp16-r224-b8")
for name in ("device", "weights", "package", "build"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--died", help="make nothing, and record that an earlier try ended so")
parser.add_argument("--config", type=sources.declared_in, help="the configuration, whose models they are")
asked = parser.parse_args()
if asked.died:
    made = unmade(asked.package, f"engine build: {asked.died}")
else:
    made = inductor_package.build(asked.cell, asked.device, asked.weights, asked.package)
write_made(asked.build, made, asked.package)

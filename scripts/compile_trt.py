"""Compile one engine, or record why there is none."""

import argparse

from speedgrid.builders import torch_tensorrt as engine
from speedgrid.grid import Cell
from speedgrid.launcher.outputs import unmade, write_made
from speedgrid.model import sources

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("cell", type=Cell.parse, help="e.g. resnet18-torch_tensorrt-fp16-r224-b8")
for name in ("model", "device", "weights", "engine", "build"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--calibration", nargs="?", help="images that a quantised engine takes its ranges from")
parser.add_argument("--died", help="make nothing, and record that an earlier try ended so")
parser.add_argument("--config", type=sources.declared_in, help="the configuration, whose models they are")
asked = parser.parse_args()
paths = (asked.weights, asked.engine, asked.calibration)
if asked.died:
    made = unmade(asked.engine, f"engine build: {asked.died}")
else:
    made = engine.build(asked.cell, asked.device, asked.model, *paths)
write_made(asked.build, made, asked.engine)

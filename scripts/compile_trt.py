"""Compile one engine, or record why there is none. python scripts/compile_trt.py --help"""

import argparse
import sys

sys.path.insert(0, ".")
from speedgrid import engine
from speedgrid.grid import Cell
from speedgrid.record import write_json

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("cell", type=Cell.parse, help="e.g. torch_tensorrt-fp16-r224-b8")
for name in ("model", "device", "weights", "engine", "build"):
    parser.add_argument(f"--{name}", required=True)
arguments = parser.parse_args()
build = engine.build(arguments.cell, arguments.device, arguments.model, arguments.weights, arguments.engine)
write_json(arguments.build, build)

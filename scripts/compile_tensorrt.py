"""Build one TensorRT engine from an ONNX file, or record why there is none."""

import argparse

from speedgrid import tensorrt_engine
from speedgrid.grid import Cell
from speedgrid.record import write_json

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("cell", type=Cell.parse, help="e.g. resnet18-tensorrt-fp16-r224-b8")
for name in ("device", "onnx", "description", "engine", "build"):
    parser.add_argument(f"--{name}", required=True)
asked = parser.parse_args()
write_json(asked.build, tensorrt_engine.build(asked.cell, asked.device, asked.onnx, asked.description, asked.engine))

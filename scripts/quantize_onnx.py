"""Quantise an ONNX file to int8 with calibration images, or record why there is none."""

import argparse

from speedgrid.builders import onnx_int8 as quantize
from speedgrid.data import arrays
from speedgrid.launcher.outputs import unmade, write_made
from speedgrid.machine import gpus

parser = argparse.ArgumentParser(description=__doc__)
for name in ("onnx", "calibration", "output", "description"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--died", help="make nothing, and record that an earlier try ended so")
asked = parser.parse_args()
if asked.died:
    description = unmade(asked.output, f"int8 quantisation: {asked.died}")
else:
    with gpus.working():
        description = quantize.attempt(asked.onnx, arrays.read(asked.calibration), asked.output)
write_made(asked.description, description, asked.output)

"""Convert a user's bound ONNX file to another precision, or record why there is none."""

import argparse

from speedgrid.builders import onnx_convert
from speedgrid.launcher.outputs import unmade, write_made
from speedgrid.machine import gpus

parser = argparse.ArgumentParser(description=__doc__)
for name in ("precision", "onnx", "about", "output", "description"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--died", help="make nothing, and record that an earlier try ended so")
asked = parser.parse_args()
if asked.died:
    made = unmade(asked.output, f"ONNX conversion: {asked.died}")
else:
    with gpus.working():
        made = onnx_convert.attempt(asked.onnx, asked.about, asked.precision, asked.output)
write_made(asked.description, made, asked.output)

"""Quantise an ONNX file to int8 with calibration images, or record why there is none."""

import argparse

from speedgrid import gpus, quantize, reference
from speedgrid.record import write_json

parser = argparse.ArgumentParser(description=__doc__)
for name in ("onnx", "calibration", "output", "description"):
    parser.add_argument(f"--{name}", required=True)
asked = parser.parse_args()
with gpus.working():
    description = quantize.attempt(asked.onnx, reference.read(asked.calibration), asked.output)
write_json(asked.description, description)

"""Export the model to ONNX in one precision and check the file."""

import argparse

from speedgrid import export, gpus
from speedgrid.record import write_json

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--precision", required=True)
parser.add_argument("--resolution", type=int, required=True, help="pixels")
for name in ("model", "weights", "onnx", "description"):
    parser.add_argument(f"--{name}", required=True)
asked = parser.parse_args()
with gpus.working():
    description = export.attempt(asked.model, asked.weights, asked.precision, asked.resolution, asked.onnx)
write_json(asked.description, description)

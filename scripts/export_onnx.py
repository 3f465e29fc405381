"""Export the model to ONNX in one precision and check the file."""

import argparse

from speedgrid.builders import onnx_export as export
from speedgrid.data import resolution
from speedgrid.launcher.outputs import unmade, write_made
from speedgrid.machine import gpus
from speedgrid.model import sources

parser = argparse.ArgumentParser(description=__doc__)
for name in ("model", "precision", "resolution", "weights", "onnx", "description"):
    parser.add_argument(f"--{name}", type=resolution.read if name == "resolution" else str, required=True)
parser.add_argument("--died", help="make nothing, and record that an earlier try ended so")
parser.add_argument("--config", type=sources.declared_in, help="the configuration, whose models they are")
asked = parser.parse_args()
if asked.died:
    description = unmade(asked.onnx, f"ONNX export: {asked.died}")
else:
    with gpus.working():
        description = export.attempt(asked.model, asked.weights, asked.precision, asked.resolution, asked.onnx)
write_made(asked.description, description, asked.onnx)

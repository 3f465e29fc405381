"""Bind a user's ONNX file to a resolution of the grid, and say what it is."""

import argparse

from speedgrid.builders import onnx_bind
from speedgrid.data import resolution
from speedgrid.launcher.outputs import unmade, write_json, write_made
from speedgrid.machine import gpus
from speedgrid.model import onnx_inputs, sources

parser = argparse.ArgumentParser(description=__doc__)
kinds = {"config": sources.declared_in, "resolution": resolution.read}
for name in ("config", "resolution", "model", "onnx", "description", "origin"):
    parser.add_argument(f"--{name}", type=kinds.get(name, str), required=True)
parser.add_argument("--died", help="make nothing, and record that an earlier try ended so")
asked = parser.parse_args()
source, size = sources.find(asked.model), resolution.size_of(asked.resolution)
with gpus.working():
    dead = unmade(asked.onnx, f"ONNX file: {asked.died}") if asked.died else None
    described = dead or onnx_bind.attempt(source, size, asked.onnx)
    write_json(asked.origin, onnx_inputs.origin(source, asked.resolution, described))
write_made(asked.description, described, asked.onnx)

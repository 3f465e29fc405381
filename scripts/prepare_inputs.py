"""Make the inputs of a model that are not just images, of the images of one part and resolution."""

import argparse

from speedgrid.data import resolution
from speedgrid.launcher.outputs import write_json
from speedgrid.machine import gpus
from speedgrid.model import given, sources

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--config", type=sources.declared_in, required=True, help="the configuration with its models")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--resolution", type=resolution.read, default=224)
for name in ("model", "images", "output", "about"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--description", nargs="?", help="of the ONNX file that the model is")
asked = parser.parse_args()
with gpus.working():
    made = given.prepare(asked.model, asked.images, asked.resolution, asked.seed, asked.output, asked.description)
write_json(asked.about, made)

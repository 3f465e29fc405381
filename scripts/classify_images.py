"""Say which classes the float32 model gives the evaluation images, and which are right."""

import argparse

from speedgrid.evidence import classes
from speedgrid.launcher.outputs import write_json
from speedgrid.machine import gpus
from speedgrid.model import sources

parser = argparse.ArgumentParser(description=__doc__)
for name in ("model", "weights", "origin", "images", "about", "output"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--config", type=sources.declared_in, help="the configuration, whose models they are")
parser.add_argument("--description", nargs="?", help="of the ONNX file that the weights are")
asked = parser.parse_args()
with gpus.working():
    answers = classes.classify(asked.model, asked.weights, asked.origin, asked.images, asked.about, asked.description)
write_json(asked.output, answers)

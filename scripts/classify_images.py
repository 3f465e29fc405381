"""Say which classes the float32 model gives the evaluation images, and which are right."""

import argparse

from speedgrid.evidence import classes
from speedgrid.launcher.outputs import write_json
from speedgrid.machine import gpus

parser = argparse.ArgumentParser(description=__doc__)
for name in ("model", "weights", "origin", "images", "about", "output"):
    parser.add_argument(f"--{name}", required=True)
asked = parser.parse_args()
with gpus.working():
    answers = classes.classify(asked.model, asked.weights, asked.origin, asked.images, asked.about)
write_json(asked.output, answers)

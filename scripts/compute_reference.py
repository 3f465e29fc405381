"""Compute the right answers to images in float64, and the error that each precision makes."""

import argparse

from speedgrid.data import resolution
from speedgrid.evidence import reference
from speedgrid.machine import gpus
from speedgrid.model import sources

parser = argparse.ArgumentParser(description=__doc__)
for name in ("model", "weights", "images", "device"):
    parser.add_argument(f"--{name}", required=True)
for name in ("logits", "expected"):
    parser.add_argument(f"--{name}", required=True, help="file to write")
parser.add_argument("--resolution", type=resolution.read)
parser.add_argument("--description", nargs="?", help="of the ONNX file that the weights are")
parser.add_argument("--config", type=sources.declared_in, help="the configuration, whose models they are")
asked = vars(parser.parse_args())
del asked["config"]
with gpus.working():
    reference.prepare(**asked)

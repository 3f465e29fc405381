"""Compute the right answers to images in float64, and the error that each precision makes."""

import argparse

from speedgrid.evidence import reference
from speedgrid.machine import gpus

parser = argparse.ArgumentParser(description=__doc__)
for name in ("model", "weights", "images", "device"):
    parser.add_argument(f"--{name}", required=True)
for name in ("logits", "expected"):
    parser.add_argument(f"--{name}", required=True, help="file to write")
with gpus.working():
    reference.prepare(**vars(parser.parse_args()))

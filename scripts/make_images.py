"""Make the images of one resolution that every backend is given."""

import argparse

import numpy as np

from speedgrid import gpus
from speedgrid.images import images

parser = argparse.ArgumentParser(description=__doc__)
for name, default in (("seed", 0), ("resolution", 224), ("count", 64)):
    parser.add_argument(f"--{name}", type=int, default=default)
parser.add_argument("--output", required=True, help=".npy file to write")
asked = parser.parse_args()
with gpus.working():
    np.save(asked.output, images(asked.seed, asked.resolution, 0, asked.count))

"""Make the images of one resolution and compute the right answers to them in float64."""

import argparse

import numpy as np

from speedgrid import reference
from speedgrid.images import images

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True)
parser.add_argument("--weights", required=True)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--resolution", type=int, required=True, help="pixels")
parser.add_argument("--count", type=int, default=64, help="images")
parser.add_argument("--images", required=True, help="file to write")
parser.add_argument("--logits", required=True, help="file to write")
asked = parser.parse_args()
pictures = images(asked.seed, asked.resolution, 0, asked.count)
np.save(asked.images, pictures)
np.save(asked.logits, reference.compute(asked.model, asked.weights, pictures))

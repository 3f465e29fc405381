"""Make the images of one resolution that int8 and fp8 are calibrated on; none of them is a reference's."""

import argparse

import numpy as np

from speedgrid import gpus, images

parser = argparse.ArgumentParser(description=__doc__)
for name in ("seed", "resolution", "count"):
    parser.add_argument(f"--{name}", type=int, required=True)
parser.add_argument("--output", required=True, help="file to write")
asked = parser.parse_args()
with gpus.working():
    np.save(asked.output, images.images(asked.seed, asked.resolution, images.CALIBRATION, asked.count))

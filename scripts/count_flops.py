"""Count the floating-point operations of one image at each resolution."""

import argparse

from speedgrid import gpus
from speedgrid.flops import flop_per_image
from speedgrid.record import write_json

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True)
parser.add_argument("--resolutions", type=int, nargs="+", required=True, help="pixels")
parser.add_argument("--output", required=True)
asked = parser.parse_args()
with gpus.working():
    counted = {str(size): flop_per_image(asked.model, size) for size in asked.resolutions}
write_json(asked.output, counted)

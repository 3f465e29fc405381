"""Take over the user's checkpoint, or generate seeded weights, as one plain state dict."""

import argparse

from speedgrid import gpus, weights
from speedgrid.models import WeightsError
from speedgrid.record import write_json

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="a torchvision classification model")
parser.add_argument("--checkpoint", nargs="?", help="the user's weights; seeded ones are made without it")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--resolution", type=int, required=True, help="pixels")
parser.add_argument("--output", required=True, help="state dict to write")
parser.add_argument("--description", required=True, help="JSON file to write")
asked = parser.parse_args()
try:
    with gpus.working():
        description = weights.prepare(asked.model, asked.checkpoint, asked.seed, asked.resolution, asked.output)
except WeightsError as error:
    raise SystemExit(str(error)) from None
write_json(asked.description, description)

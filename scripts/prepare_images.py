"""Make the images of one part and resolution that every backend is given, and say what they show."""

import argparse

from speedgrid import data
from speedgrid.data import resolution
from speedgrid.launcher.outputs import write_json
from speedgrid.machine import gpus

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--source", required=True, help="digits, random or a folder")
parser.add_argument("--part", required=True, choices=data.PARTS)
parser.add_argument("--resolution", type=resolution.read, default=224)
for name, default in (("seed", 0), ("most", 64)):
    parser.add_argument(f"--{name}", type=int, default=default)
parser.add_argument("--output", required=True, help=".npy file to write")
parser.add_argument("--description", required=True, help="JSON file to write")
asked = parser.parse_args()
with gpus.working():
    source = data.open_source(asked.source, asked.seed)
    description = data.prepare(source, asked.part, asked.resolution, asked.most, asked.output)
write_json(asked.description, description)

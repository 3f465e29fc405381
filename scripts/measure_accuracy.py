"""Measure how often one cell's session is right, and write the record."""

import argparse
import json

from speedgrid.grid import Cell
from speedgrid.launcher.outputs import write_checked
from speedgrid.measure import accuracy, loading
from speedgrid.model import sources

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("cell", type=Cell.parse, help="e.g. resnet18-pytorch-fp32-r224-b32")
parser.add_argument("--options", type=json.loads, required=True, help="cpu_threads, as JSON")
parser.add_argument("--build", nargs="?", help="record of the engine's build")
parser.add_argument("--died", help="evaluate nothing, and record that an earlier try ended so")
for name in ("device", "artifact", "images", "answers", "output"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--config", type=sources.declared_in, help="the configuration, whose models they are")
asked = parser.parse_args()
files = loading.Files(asked.artifact, asked.images, asked.build, answers=asked.answers)
threads = asked.options["cpu_threads"]
write_checked(asked.output, accuracy.evaluate(asked.cell, asked.device, files, threads, asked.died))

"""Describe the machine that this runs on: processor, GPU, driver, versions."""

import argparse

from speedgrid.launcher.outputs import write_json
from speedgrid.machine import environment

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--device", choices=("cuda", "cpu"), required=True)
parser.add_argument("--output", required=True)
asked = parser.parse_args()
write_json(asked.output, environment.describe(asked.device))

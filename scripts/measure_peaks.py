"""Measure what this device can do at most: matrix products in each precision, copies, and idle power."""

import argparse

from speedgrid.launcher.outputs import write_checked
from speedgrid.measure import peaks

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--device", required=True)
parser.add_argument("--precisions", nargs="+", required=True)
parser.add_argument("--output", required=True)
asked = parser.parse_args()
write_checked(asked.output, peaks.measure_all(asked.device, asked.precisions))

"""Write the report of finished results again, with no device. python -m scripts.redraw examples/nvidia-h200

Takes a folder with results.csv, rounds.csv, run.json and flops.json, and writes its report/, or to --output.
"""

import argparse
from pathlib import Path

from speedgrid.report.redraw import redraw

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("results", type=Path)
parser.add_argument("--output", type=Path)
asked = parser.parse_args()
print(redraw(asked.results, asked.output or asked.results / "report"))

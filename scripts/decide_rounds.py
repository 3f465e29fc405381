"""Decide which cells get another round, and write down what the answers are so far."""

import argparse
from pathlib import Path

from speedgrid.launcher.outputs import write_json, write_text
from speedgrid.launcher.reading import read_json
from speedgrid.report import provisional
from speedgrid.table.description import Material

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--after", type=int, required=True, help="how many rounds there are")
for name in ("weights", "accuracy"):
    parser.add_argument(f"--{name}", nargs="*", type=Path, default=[])
for name in ("config", "timings", "flops", "peaks", "decision", "report"):
    parser.add_argument(f"--{name}", type=Path, required=True)
asked = parser.parse_args()
config = read_json(asked.config, dict)
files = provisional.known(asked.after, config, asked.timings)
material = Material.read(files, asked.weights, asked.flops, asked.peaks, asked.accuracy)
decision, page = provisional.after(asked.after, config, material, asked.timings)
write_text(asked.report, page)
write_json(asked.decision, decision)

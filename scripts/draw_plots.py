"""Draw every plot of one model."""

import argparse
from pathlib import Path

from speedgrid.report import plots
from speedgrid.report.plots.material import Material

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True)
for name in ("results", "rounds", "run", "flops", "folder"):
    parser.add_argument(f"--{name}", type=Path, required=True)
asked = parser.parse_args()
material = Material.read(asked.results, asked.rounds, asked.run, asked.flops)
plots.draw_all(material.of(asked.model), asked.folder)

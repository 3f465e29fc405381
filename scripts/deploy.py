"""Write the folder of what the report recommends, for each model."""

import argparse
import json
from pathlib import Path

from speedgrid import ROOT
from speedgrid.handover.folder import Places, hand_over
from speedgrid.launcher.reading import read_json
from speedgrid.model import sources
from speedgrid.table import saved
from speedgrid.table.run import Description

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--models", nargs="+", required=True)
parser.add_argument("--objective", required=True)
for name, kind in (("results", Path), ("run", Path), ("files", json.loads)):
    parser.add_argument(f"--{name}", type=kind, required=True)
asked = parser.parse_args()
table, run, places = saved.read(asked.results), read_json(asked.run, Description), Places(**asked.files)
sources.declare(run["config"]["models"])
for model in asked.models:
    hand_over(table, run, model, asked.objective, places, ROOT / "templates/deploy", Path("deploy", model))

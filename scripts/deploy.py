"""Write the folder of what the report recommends, for each model."""

import argparse
import json
from pathlib import Path

from speedgrid import ROOT
from speedgrid.handover.folder import Places, hand_over
from speedgrid.launcher.reading import read_json
from speedgrid.table import saved
from speedgrid.table.run import Description

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--models", nargs="+", required=True)
parser.add_argument("--objective", required=True)
for name in ("results", "run"):
    parser.add_argument(f"--{name}", type=Path, required=True)
parser.add_argument("--artifacts", type=json.loads, required=True, help="paths of what was timed, as JSON")
asked = parser.parse_args()
table, run, places = saved.read(asked.results), read_json(asked.run, Description), Places(asked.artifacts)
for model in asked.models:
    hand_over(table, run, model, asked.objective, places, ROOT / "templates/deploy", Path("deploy", model))

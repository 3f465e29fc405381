"""Write the folder of what the report recommends for a model."""

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
for name, kind in (("model", str), ("objective", str), ("results", Path), ("run", Path), ("files", json.loads)):
    parser.add_argument(f"--{name}", type=kind, required=True)
asked = parser.parse_args()
table, run, places = saved.read(asked.results), read_json(asked.run, Description), Places(**asked.files)
sources.declare(run["config"]["models"])
folder = Path("deploy", asked.model)
hand_over(table, run, asked.model, asked.objective, places, ROOT / "templates/deploy", folder)

"""Check the finished table against arithmetic and physics; a violation stops the report."""

import argparse
import json
from pathlib import Path

import pandas as pd

from speedgrid.launcher.outputs import write_json
from speedgrid.table import audit

parser = argparse.ArgumentParser(description=__doc__)
for name in ("results", "summary", "output"):
    parser.add_argument(f"--{name}", type=Path, required=True)
parser.add_argument("--reference", type=json.loads, required=True, help="backend and precision of speed-ups, as JSON")
asked = parser.parse_args()
run, table = json.loads(asked.summary.read_text(encoding="utf-8")), pd.read_parquet(asked.results)
rows = audit.require(table, run["arithmetic"], run["peaks"], asked.reference)
write_json(asked.output, {"rows_checked": rows})

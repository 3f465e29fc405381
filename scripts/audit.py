"""Check the finished table against arithmetic and physics; a violation stops the report."""

import argparse
import json
from pathlib import Path

from speedgrid.launcher.outputs import write_json
from speedgrid.launcher.reading import read_json
from speedgrid.table import audit, saved
from speedgrid.table.run import Summary

parser = argparse.ArgumentParser(description=__doc__)
for name in ("results", "summary", "output"):
    parser.add_argument(f"--{name}", type=Path, required=True)
parser.add_argument("--reference", type=json.loads, required=True, help="backend and precision of speed-ups, as JSON")
asked = parser.parse_args()
run, table = read_json(asked.summary, Summary), saved.read(asked.results)
rows = audit.require(table, run["arithmetic"], run["peaks"], asked.reference)
write_json(asked.output, {"rows_checked": rows})

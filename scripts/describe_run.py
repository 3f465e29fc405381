"""Say what a run was asked beside what it measured, in one description for whoever reads its tables."""

import argparse
import json
from pathlib import Path

from speedgrid.launcher.outputs import write_json

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--summary", type=Path, required=True, help="of the table")
parser.add_argument("--config", type=json.loads, required=True, help="the whole configuration, as JSON")
parser.add_argument("--output", required=True)
asked = parser.parse_args()
write_json(asked.output, json.loads(asked.summary.read_text(encoding="utf-8")) | {"config": asked.config})

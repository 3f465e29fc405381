"""Say what a run was asked beside what it measured, in one description for whoever reads its tables."""

import argparse
import json
from pathlib import Path

from speedgrid.launcher.outputs import write_json

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--summary", type=Path, required=True, help="of the table")
parser.add_argument("--config", type=Path, required=True, help="the whole configuration, a JSON file")
parser.add_argument("--output", required=True)
asked = parser.parse_args()
summary, config = (json.loads(path.read_text(encoding="utf-8")) for path in (asked.summary, asked.config))
write_json(asked.output, summary | {"config": config})

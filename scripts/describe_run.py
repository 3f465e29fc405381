"""Say what a run was asked beside what it measured, in one description for whoever reads its tables."""

import argparse
from pathlib import Path

from speedgrid.launcher.outputs import write_json
from speedgrid.launcher.reading import read_json
from speedgrid.table.run import Summary

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--summary", type=Path, required=True, help="of the table")
parser.add_argument("--config", type=Path, required=True, help="the whole configuration, a JSON file")
parser.add_argument("--output", required=True)
asked = parser.parse_args()
write_json(asked.output, read_json(asked.summary, Summary) | {"config": read_json(asked.config, dict)})

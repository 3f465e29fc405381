"""Hold published tables against arithmetic and physics."""

import argparse
from pathlib import Path

from speedgrid.launcher.outputs import write_json
from speedgrid.launcher.reading import read_json
from speedgrid.machine import gpus
from speedgrid.model.described import Arithmetic
from speedgrid.published.verdict import audit_all

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--config", type=Path, required=True, help="the configuration, a JSON file; it lists the tables")
parser.add_argument("--model", required=True, help="of tables that do not name one")
parser.add_argument("--flops", required=True, help="what is counted already")
parser.add_argument("--output", required=True)
asked = parser.parse_args()
published = read_json(asked.config, dict)["published"]
with gpus.working():
    verdicts = audit_all(published, asked.model, read_json(asked.flops, Arithmetic))
write_json(asked.output, verdicts)

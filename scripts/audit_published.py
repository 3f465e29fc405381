"""Hold published tables against arithmetic and physics."""

import argparse
import json
from pathlib import Path

from speedgrid.published import arithmetic, source, verdict
from speedgrid.record import write_json

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("published", type=json.loads, help="JSON list of files, or of objects with `file`")
parser.add_argument("--model", required=True, help="of tables that do not name one")
parser.add_argument("--flops", required=True, help="what is counted already, of that model")
parser.add_argument("--output", required=True)
asked = parser.parse_args()
counted = {(asked.model, int(size)): one["flop"] for size, one in json.loads(Path(asked.flops).read_text()).items()}
try:
    tables = [source.read(entry, asked.model) for entry in source.entries(asked.published)]
except source.PublishedError as error:
    raise SystemExit(str(error)) from None
write_json(asked.output, verdict.audit(tables, arithmetic.Counter(counted)))

"""Check the finished table against arithmetic and physics; a violation stops the report."""

import json
from pathlib import Path

import pandas as pd

from speedgrid.launcher.log import log_to
from speedgrid.record import write_json
from speedgrid.table import audit

log_to(snakemake.log[0])
run = json.loads(Path(snakemake.input.run).read_text())
table = pd.read_parquet(snakemake.input.results)
try:
    rows = audit.require(table, run["arithmetic"], run["peaks"], snakemake.params.reference)
except audit.AuditError as error:
    raise SystemExit(str(error)) from None
write_json(snakemake.output[0], {"rows_checked": rows})

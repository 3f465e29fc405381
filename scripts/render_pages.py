"""Render the HTML pages beside the report: the explorer and the table of all cells."""

import json
from pathlib import Path

import pandas as pd

from speedgrid.launcher.log import log_to
from speedgrid.report import explorer, results_page
from speedgrid.text.language import speaking

log_to(snakemake.log[0])
inputs, outputs = snakemake.input, snakemake.output
results = pd.read_parquet(inputs.results)
run = json.loads(Path(inputs.run).read_text())
with speaking(run["config"]["report"]["language"]):
    Path(outputs.explorer).write_text(explorer.page(results, run, inputs.explorer))
    Path(outputs.table).write_text(results_page.page(results, run, inputs.table))

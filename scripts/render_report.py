"""Render the report."""

import json
from pathlib import Path

import pandas as pd

from speedgrid.launcher.log import log_to
from speedgrid.report import markdown as report

log_to(snakemake.log[0])
results = pd.read_parquet(snakemake.input.results)
run = json.loads(Path(snakemake.input.run).read_text())
published = json.loads(Path(snakemake.input.published).read_text())
Path(snakemake.output[0]).write_text(report.markdown(results, run, snakemake.input.template, published))

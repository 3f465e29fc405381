"""Draw every plot of the report."""

from pathlib import Path

import pandas as pd

from speedgrid import plots
from speedgrid.log import log_to

log_to(snakemake.log[0])
folder = Path(snakemake.output.png[0]).parent
plots.draw_all(pd.read_parquet(snakemake.input.results), **snakemake.params, folder=folder)

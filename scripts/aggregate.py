"""Bring all records together in one table, and describe the run."""

from speedgrid import run
from speedgrid.grid import Cell
from speedgrid.log import log_to
from speedgrid.record import write_json

log_to(snakemake.log[0])
inputs, params = snakemake.input, snakemake.params
cells = [Cell.parse(name) for name in params.cells]
table, description = run.summarise(cells, inputs.timings, inputs.weights, inputs.flops, inputs.peaks, params.config)
table.to_csv(snakemake.output.csv, index=False)
table.to_parquet(snakemake.output.parquet, index=False)
write_json(snakemake.output.run, description)

"""Bring all records together in one table, and describe the run."""

from speedgrid import record
from speedgrid.grid import Cell
from speedgrid.launcher.log import log_to
from speedgrid.table import description as run
from speedgrid.table import rounds

log_to(snakemake.log[0])
inputs, params = snakemake.input, snakemake.params
cells = [Cell.parse(name) for name in params.cells]
table, description = run.summarise(
    cells, inputs.timings, inputs.weights, inputs.flops, inputs.peaks, params.config, inputs.accuracy
)
timings = rounds.tabulate(map(record.read, inputs.timings))
timings.to_csv(snakemake.output.rounds, index=False, float_format="%.7g")
table.to_csv(snakemake.output.csv, index=False, float_format="%.10g")
table.to_parquet(snakemake.output.parquet, index=False)
record.write_json(snakemake.output.run, description)

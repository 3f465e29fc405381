"""Draw every plot of one model."""

from pathlib import Path

from speedgrid.launcher.log import log_to
from speedgrid.report import plots
from speedgrid.report.plots.material import Material

log_to(snakemake.log[0])
inputs = snakemake.input
material = Material.read(inputs.results, inputs.rounds, inputs.run, inputs.flops)
plots.draw_all(material.of(snakemake.wildcards.model), Path(snakemake.output.png[0]).parent)

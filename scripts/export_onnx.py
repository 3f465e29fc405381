"""Export the model to ONNX in one precision and check the file."""

from speedgrid import export
from speedgrid.log import log_to
from speedgrid.record import write_json

log_to(snakemake.log[0])
description = export.export(
    model=snakemake.params.model,
    weights=snakemake.input.weights,
    precision=snakemake.wildcards.precision,
    resolution=int(snakemake.wildcards.resolution),
    seed=snakemake.params.seed,
    output=snakemake.output.onnx,
)
write_json(snakemake.output.description, description)

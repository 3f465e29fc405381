"""Compute the right answers in float64 for the images of one resolution."""

from speedgrid import reference
from speedgrid.log import log_to

log_to(snakemake.log[0])
params, resolution = snakemake.params, int(snakemake.wildcards.resolution)
logits = reference.compute(params.model, snakemake.input.weights, resolution, params.seed, params.images)
reference.write(snakemake.output[0], logits, params.seed, resolution)

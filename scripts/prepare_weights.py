"""Take over the user's checkpoint, or generate seeded weights, as one plain state dict."""

from speedgrid import weights
from speedgrid.log import log_to
from speedgrid.record import write_json

log_to(snakemake.log[0])
description = weights.prepare(
    model=snakemake.params.model,
    checkpoint=snakemake.input.get("checkpoint"),
    seed=snakemake.params.seed,
    resolution=int(snakemake.wildcards.resolution),
    output=snakemake.output.weights,
)
write_json(snakemake.output.description, description)

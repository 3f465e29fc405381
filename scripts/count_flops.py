"""Count the floating-point operations of one image at each resolution."""

from speedgrid.flops import flop_per_image
from speedgrid.log import log_to
from speedgrid.record import write_json

log_to(snakemake.log[0])
counts = {str(size): flop_per_image(snakemake.params.model, size) for size in snakemake.params.resolutions}
write_json(snakemake.output[0], counts)

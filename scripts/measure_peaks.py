"""Measure the rate of a large matrix product in each precision."""

from speedgrid import peaks
from speedgrid.log import log_to
from speedgrid.record import write_json

log_to(snakemake.log[0])
write_json(snakemake.output[0], peaks.measure_all(snakemake.params.device, snakemake.params.precisions))

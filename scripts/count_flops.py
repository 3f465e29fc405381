"""Count the floating-point operations of one image of each model and resolution, by torch and in the ONNX graph."""

import argparse

from speedgrid.data import resolution
from speedgrid.launcher.outputs import write_json
from speedgrid.machine import gpus
from speedgrid.model import flops, sources

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--models", nargs="+", required=True)
parser.add_argument("--resolutions", type=resolution.read, nargs="+", required=True)
parser.add_argument("--onnx", nargs="+", required=True, help="the fp32 graph of each model at each resolution")
parser.add_argument("--output", required=True)
parser.add_argument("--config", type=sources.declared_in, help="the configuration, whose models they are")
asked = parser.parse_args()
with gpus.working():
    counted = flops.count_all(asked.models, asked.resolutions, asked.onnx)
write_json(asked.output, counted)

"""Count the floating-point operations of one image at each resolution, by torch and in the ONNX graph."""

import argparse

from speedgrid import flops, gpus
from speedgrid.onnx_graph import GraphError
from speedgrid.record import write_json

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True)
parser.add_argument("--resolutions", type=int, nargs="+", required=True, help="pixels")
parser.add_argument("--onnx", nargs="+", required=True, help="the fp32 graph of each resolution")
parser.add_argument("--output", required=True)
asked = parser.parse_args()
pairs = zip(asked.resolutions, asked.onnx, strict=True)
try:
    with gpus.working():
        counted = {str(size): flops.count(asked.model, size, graph) for size, graph in pairs}
except (flops.CountError, GraphError) as error:
    raise SystemExit(str(error)) from None
write_json(asked.output, counted)

"""Train a model on handwritten digits, on the GPU where there is one."""

import argparse

import torch

from speedgrid.launcher.outputs import replacing, write_json
from speedgrid.machine import gpus
from speedgrid.model import sources, training

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--seed", type=int, default=0)
for name in ("model", "device", "output", "description"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--config", type=sources.declared_in, help="the configuration, whose models they are")
asked = parser.parse_args()
with gpus.working():
    module, description = training.train(asked.model, asked.seed, asked.device)
with replacing(asked.output) as temporary:
    torch.save(module.state_dict(), temporary)
write_json(asked.description, description)

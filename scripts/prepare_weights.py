"""Take over the user's checkpoint, or weights trained on digits, or seeded ones, as one plain state dict."""

import argparse

from speedgrid.data import resolution
from speedgrid.launcher.outputs import write_json
from speedgrid.machine import gpus
from speedgrid.model import sources, weights

parser = argparse.ArgumentParser(description=__doc__)
for name, text in (("checkpoint", "the user's weights"), ("trained", "those on digits"), ("training", "their JSON")):
    parser.add_argument(f"--{name}", nargs="?", help=f"{text}; without any, seeded ones are made")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--resolution", type=resolution.read, default=224)
for name in ("model", "output", "description"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--config", type=sources.declared_in, help="the configuration, whose models they are")
asked = vars(parser.parse_args())
path = asked.pop("description")
del asked["config"]
with gpus.working():
    description = weights.prepare(**asked)
write_json(path, description)

"""Make the images of one resolution, the right answers to them in float64, and the error each precision makes."""

import argparse

from speedgrid import gpus, reference

parser = argparse.ArgumentParser(description=__doc__)
for name in ("model", "weights"):
    parser.add_argument(f"--{name}", required=True)
for name, default in (("seed", 0), ("resolution", 224), ("count", 64)):
    parser.add_argument(f"--{name}", type=int, default=default)
for name in ("images", "logits", "expected"):
    parser.add_argument(f"--{name}", required=True, help="file to write")
with gpus.working():
    reference.prepare(**vars(parser.parse_args()))

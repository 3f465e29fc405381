"""Add a repository of NVIDIA's Triton server to a folder that was handed over: python -m scripts.triton FOLDER."""

import argparse
from pathlib import Path

from speedgrid import InputError
from speedgrid.handover import triton
from speedgrid.launcher.outputs import Unwritable

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=Path, help="as make deploy wrote it, e.g. deploy/resnet18")
try:
    print(triton.add(parser.parse_args().folder))
except (InputError, Unwritable) as error:
    parser.exit(2, f"{error}\n")

"""Say what this machine lacks to install and run speedgrid. python -m scripts.doctor [--quiet] [--cpu] [CONFIGURATION]

Any Python from 3.9 on will do, and nothing need be installed. Exit code 1 where something is lacking.
"""

import argparse
import importlib.util
import sys

from speedgrid.machine import doctor

parser = argparse.ArgumentParser(prog="python -m scripts.doctor", description=__doc__)
parser.add_argument("configuration", nargs="?", help="a file that `snakemake --configfile` is to take")
parser.add_argument("--quiet", action="store_true", help="say only what is lacking, or cannot be measured")
parser.add_argument("--cpu", action="store_true", help="CUDA is not to be installed: make setup CPU=1")
asked = parser.parse_args()
for one in (found := doctor.examine(configuration=asked.configuration, cuda=not asked.cpu)):
    if not asked.quiet or one.state != doctor.OK:
        print(one)
if any(one.state == doctor.LACKING for one in found):
    sys.exit(1)
if asked.configuration and importlib.util.find_spec("yaml") and sys.version_info >= doctor.PYTHON:
    from speedgrid.settings import require_readable

    require_readable(asked.configuration)

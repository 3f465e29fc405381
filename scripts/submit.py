"""Run the workflow on other machines: one job for each, in runs/NAME. python -m scripts.submit MACHINES.yaml [NAME ...]

Follows the jobs; may be closed at any time, and the same command finds them again (docs/clusters.md).
"""

import argparse
import sys
from pathlib import Path

from speedgrid import ROOT
from speedgrid.cluster import command
from speedgrid.launcher import ending

parser = argparse.ArgumentParser(prog="python -m scripts.submit", description=__doc__)
parser.add_argument("machines", type=Path, help="a YAML file of machines")
parser.add_argument("names", nargs="*", metavar="NAME", help="only these of them")
parser.add_argument("--scheduler", choices=command.SCHEDULERS, default="slurm", help="kubernetes writes manifests")
parser.add_argument("--again", action="store_true", help="also what went through: only what is stale is measured")
parser.add_argument("--cancel", action="store_true", help="cancel the jobs instead")
parser.add_argument("--leave", action="store_true", help="submit, and do not follow")
parser.add_argument("--seconds", type=command.interval, default=10, help="between two looks at the queue (10)")
ending.prepare()
sys.exit(command.run(parser.parse_intermixed_args(), ROOT.resolve()))

"""Run snakemake and have it try again what failed. python -m scripts.retry [--list] [ARGUMENT OF SNAKEMAKE ...]

Names the records that are failed, out_of_memory or unreadable, or have the statuses that are given.
"""

import argparse
import os
import sys
from pathlib import Path

from speedgrid.launcher import retry
from speedgrid.text.status import STATUSES

parser = argparse.ArgumentParser(prog="python -m scripts.retry", description=__doc__, allow_abbrev=False)
known = (*STATUSES, retry.UNREADABLE)
parser.add_argument("--status", action="append", choices=known, help="take these instead; may be repeated")
parser.add_argument("--list", action="store_true", help="name them, and run nothing")
asked, more = parser.parse_known_args()
found = list(retry.unmade(Path("artifacts"), asked.status or retry.WORTH_IT))
print(*found, f"{len(found)} records to try again.", sep="\n", flush=True)
if found and not asked.list:
    # Last, because Snakemake takes all that follows for files to make again.
    files = [str(one.path) for one in found]
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *more, "--forcerun", *files])

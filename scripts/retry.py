"""Have the next run try again what failed. python -m scripts.retry [--dry-run] [STATUS ...]

Names and removes the records that are failed, out_of_memory or unreadable, or have one of the statuses that are given;
then run snakemake.
"""

import argparse
from pathlib import Path

from speedgrid.launcher import retry

parser = argparse.ArgumentParser(prog="python -m scripts.retry", description=__doc__)
parser.add_argument("statuses", nargs="*", default=retry.WORTH_IT, metavar="STATUS")
parser.add_argument("-n", "--dry-run", action="store_true", help="name them, and remove none")
asked = parser.parse_args()
if not asked.dry_run and any(Path(".snakemake/locks").glob("*")):
    parser.exit(2, "A run is at work here (wait for it), or was killed (run snakemake --unlock, then this again).\n")
found = list(retry.unmade(Path("artifacts"), asked.statuses))
for one in found:
    print(one)
    asked.dry_run or one.forget()
print(f"{len(found)} records {'would be' if asked.dry_run else 'are'} made again by the next snakemake.")

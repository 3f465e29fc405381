"""Judge a finished run again by today's rules, with no device. python -m scripts.judge FOLDER_OR_ARCHIVE

Names the rows whose status changed. --output writes its tables to a folder, which scripts.redraw makes a report of.
"""

import argparse
from pathlib import Path

from speedgrid.comparison.judged import judge

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("results", help="a folder in which speedgrid ran, or an archive of `make archive`")
parser.add_argument("--output", type=Path, help="a folder for results.csv, rounds.csv, run.json and flops.json")
asked = parser.parse_args()
found = judge(asked.results)
if asked.output:
    found.write(asked.output)
print("\n".join([f"{len(found.changes)} of {len(found.run.table)} rows have another status.", *found.changes]))

"""Compare two results. Exit code 0; 1 if B has a regression; 2 if they cannot be compared."""

import argparse
import sys

from speedgrid.launcher.outputs import Unwritable

parser = argparse.ArgumentParser(prog="python -m scripts.compare", description=__doc__)
parser.add_argument("a", help="what was: an archive of `make archive`, or a folder with artifacts/ or results.csv")
parser.add_argument("b", help="what is now")
parser.add_argument("--threshold-percent", type=float, default=5, help="a regression is so much slower (5)")
parser.add_argument("--output", default="report/comparison.md", help="the report; .csv, .svg and .png lie beside it")
asked = parser.parse_args()

try:
    from speedgrid.comparison import cells, load, report  # a second, which a usage error need not pay

    found = cells.compare(load.read(asked.a), load.read(asked.b), asked.threshold_percent / 100)
    written = report.write(found, asked.output)
    print(*report.summary(found), f"See {', '.join(map(str, written))}.", sep="\n")
except (Exception, Unwritable):  # 1 means a regression, whatever else goes wrong
    sys.excepthook(*sys.exc_info())
    sys.exit(2)
sys.exit(1 if len(found.regressions) else 0)

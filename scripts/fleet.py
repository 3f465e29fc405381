"""Rank machines by their results: what to deploy where, and what it costs. python -m scripts.fleet runs/a runs/b"""

import argparse

from speedgrid.fleet import machines, page, ranking, wishes

parser = argparse.ArgumentParser(prog="python -m scripts.fleet", description=__doc__)
parser.add_argument("results", nargs="+", help="folders with artifacts/ or results.csv, or archives of `make archive`")
parser.add_argument("--prices", help="a YAML file with price_per_hour, and what is demanded of every machine")
parser.add_argument("--threshold-percent", type=float, default=5, help="closer machines are the same (5)")
parser.add_argument("--language", help="of the pages; that of the first result where it is left out")
parser.add_argument("--output", default="report/fleet.md", help="the page; .html, .csv and plots lie beside it")
asked = parser.parse_args()
wished = wishes.read(asked.prices) if asked.prices else wishes.Wishes()
found = ranking.rank(machines.read(asked.results, wished), wished, asked.threshold_percent / 100)
print(f"See {', '.join(map(str, page.write(found, asked.output, asked.language)))}.")

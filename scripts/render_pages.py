"""Render the HTML pages beside the report: the explorer and the table of all cells."""

import argparse
from pathlib import Path

from speedgrid.launcher.outputs import write_text
from speedgrid.launcher.reading import read_json
from speedgrid.report import explorer, results_page
from speedgrid.table import saved
from speedgrid.table.run import Description
from speedgrid.text.language import speaking

parser = argparse.ArgumentParser(description=__doc__)
for name in ("results", "run"):
    parser.add_argument(f"--{name}", type=Path, required=True)
for name in ("explorer", "table"):
    parser.add_argument(f"--{name}", nargs=2, type=Path, required=True, metavar=("TEMPLATE", "PAGE"))
asked = parser.parse_args()
results, run = saved.read(asked.results), read_json(asked.run, Description)
with speaking(run["config"]["report"]["language"]):
    for (template, page), made in ((asked.explorer, explorer), (asked.table, results_page)):
        write_text(page, made.page(results, run, template))

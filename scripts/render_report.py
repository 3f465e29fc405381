"""Render the report."""

import argparse
from pathlib import Path

from speedgrid.launcher.outputs import write_text
from speedgrid.launcher.reading import read_json
from speedgrid.published.verdict import Audited
from speedgrid.report import markdown
from speedgrid.table import saved
from speedgrid.table.run import Description

parser = argparse.ArgumentParser(description=__doc__)
for name in ("results", "run", "published", "template", "output"):
    parser.add_argument(f"--{name}", type=Path, required=True)
asked = parser.parse_args()
run, published = read_json(asked.run, Description), read_json(asked.published, list[Audited])
written = markdown.markdown(saved.read(asked.results), run, asked.template, published)
write_text(asked.output, written)

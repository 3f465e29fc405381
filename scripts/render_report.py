"""Render the report."""

import argparse
import json
from pathlib import Path

import pandas as pd

from speedgrid.launcher.outputs import write_text
from speedgrid.report import markdown

parser = argparse.ArgumentParser(description=__doc__)
for name in ("results", "run", "published", "template", "output"):
    parser.add_argument(f"--{name}", type=Path, required=True)
asked = parser.parse_args()
run, published = (json.loads(path.read_text(encoding="utf-8")) for path in (asked.run, asked.published))
written = markdown.markdown(pd.read_parquet(asked.results), run, asked.template, published)
write_text(asked.output, written)

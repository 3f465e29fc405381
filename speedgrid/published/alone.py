"""An audit of published tables with no grid and no run: its verdicts as Markdown, for whoever reads a table."""

from collections.abc import Sequence
from typing import Any

from speedgrid import ROOT
from speedgrid.published import section
from speedgrid.published.counting import Counter
from speedgrid.published.source import entries, read
from speedgrid.published.verdict import audit
from speedgrid.text import templates

# What may be said of all rows of a table, as in the file beside it.
KEYS = {
    "device": str,
    "model": str,
    "precision": str,
    "backend": str,
    "resolution": int,
    "batch_size": int,
    "figures": str,
    "decimal": str,
}


def report(files: Sequence[str], about: dict[str, Any]) -> str:
    """Return the verdicts on tables as Markdown. about: what is known of all of their rows, such as their device.

    Raises speedgrid.published.source.PublishedError for a table that cannot be read.
    """
    known = {key: value for key, value in about.items() if value is not None}
    tables = [read(entry, None) for entry in entries([{"file": one} | known for one in files])]
    composed = section.compose(audit(tables, Counter()))
    template = templates.markdown(ROOT / "templates").get_template("sections/published.md.j2")
    return template.render(published=composed).strip()

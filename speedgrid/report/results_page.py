"""The table of all cells as one HTML page: a click on a header sorts it, a word filters it."""

from pathlib import Path

import pandas as pd

from speedgrid.report.html_page import render, title
from speedgrid.text.language import _
from speedgrid.text.words import number

# Columns of the page; those in which no row has a value are left out.
COLUMNS = (
    "model",
    "backend",
    "precision",
    "observed_precision",
    "quantised_nodes",
    "resolution",
    "batch_size",
    "status",
    "latency_ms",
    "latency_ms_low",
    "latency_ms_high",
    "ms_per_image",
    "fps",
    "throughput_fps",
    "speedup",
    "speedup_low",
    "speedup_high",
    "tflops",
    "utilisation_percent",
    "limiter",
    "memory_mb",
    "energy_mj_per_image",
    "coverage_percent",
    "snr_db",
    "auto",
    "top1",
    "top1_loss",
    "agreement",
    "reason",
)


def page(table: pd.DataFrame, run: dict, template: str | Path) -> str:
    """Return every row as HTML, measured or not. table: results as of speedgrid.table.cells. run: as of
    speedgrid.table.description."""
    columns = [column for column in COLUMNS if column in table and table[column].notna().any()]
    numeric = {column for column in columns if pd.api.types.is_numeric_dtype(table[column])}
    return render(
        template,
        title=title(run),
        name=_("All cells"),
        hint=_("Click a header to sort, again to turn the order round; empty fields come last."),
        wanted=_("Only rows with"),
        example=_("words in any column, e.g. fp16 224 unstable"),
        # Filled in by the page, which knows how many rows are left.
        count=_("{shown} of {cells} rows"),
        columns={column: column in numeric for column in columns},
        rows=[[field(row[column]) for column in columns] for row in table.to_dict("records")],
        measured=list(table.latency_ms.notna()),
    )


def field(value) -> str:
    """Write a field: numbers with three digits, whole ones with all of theirs, nothing for what is missing."""
    if pd.isna(value):
        return ""
    return number(value) if isinstance(value, float) else str(value)

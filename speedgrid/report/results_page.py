"""The table of all cells as one HTML page: a click on a header sorts it, a word filters it."""

from pathlib import Path

import pandas as pd

from speedgrid.report import marks
from speedgrid.report.html_page import render, title
from speedgrid.table.columns import BY_NAME, OF, TEXT
from speedgrid.table.columns_of_streams import STREAMS
from speedgrid.table.run import Description, Reference, Table
from speedgrid.text.language import _
from speedgrid.text.names import NAMES
from speedgrid.text.words import figure, reference_name

# Columns of the page, in its order; those in which no row has a value are left out.
COLUMNS = (
    "model",
    "backend",
    "precision",
    "observed_precision",
    "quantised_nodes",
    "fused_convolutions",
    "resolution",
    "batch_size",
    "status",
    *BY_NAME["latency_ms"].names(),
    "ms_per_image",
    "fps",
    "throughput_fps",
    *BY_NAME["speedup"].names(),
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
    *(name for column in STREAMS for name in column.names()),
    "reason",
    "caveats",
)


def page(table: Table, run: Description, template: str | Path) -> str:
    """Return every row as HTML, measured or not. table: results as of speedgrid.table.cells. run: as of
    speedgrid.table.description."""
    columns = [column for column in COLUMNS if column in table and table[column].notna().any()]
    best, met = marks.recommended(table, run), marks.meets(table, run)
    return render(
        template,
        title=title(run),
        name=_("All cells"),
        hint=_("Click a header to sort, again to turn the order round; empty fields come last."),
        wanted=_("Only rows with"),
        example=_("words in any column, e.g. fp16 224 unstable"),
        # Filled in by the page, which knows how many rows are left.
        count=_("{shown} of {cells} rows"),
        answers=marks.answers(table, run),
        limits=[text for _demand, text in marks.limits(run)],
        columns={column: column not in TEXT for column in columns},
        labels={column: label(column, run["config"]["report"]["reference"]) for column in columns},
        rows=[[field(row[column], column) for column in columns] for row in table.to_dict("records")],
        cells=list(marks.names_of(table)),
        classes=[
            "withheld" if not shown else "recommended" if names else "missing" if misses else ""
            for shown, names, misses in zip(
                table.latency_ms.notna(), best, [False] * len(table) if met is None else ~met, strict=True
            )
        ],
    )


def label(name: str, reference: Reference) -> str:
    """Return the meaning of a column, for who points at its name; ends of an interval say which end they are."""
    text = OF[name].heading(reference_name(reference))
    ends = {f"{OF[name].name}_low": _("{label}, lower end"), f"{OF[name].name}_high": _("{label}, upper end")}
    return f"{ends.get(name, '{label}').format(label=text)}. {_(OF[name].about).replace('`', '')}"


def field(value, column: str) -> str:
    """Write a field: numbers with three digits, whole ones with all of theirs, nothing for what is missing.

    A backend is called as the report calls it.
    """
    if pd.isna(value):
        return ""
    if column == "backend":
        return NAMES.get(value, str(value))
    return figure(value, OF[column]) if isinstance(value, float) else str(value)

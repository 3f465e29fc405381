"""Published figures beside those measured here, cell by cell where the grid has them.

Where the devices differ, a published rate is scaled by the ratio of their data-sheet peaks in its precision: what it
would be if both used the same share of their peak.
"""

import pandas as pd

from speedgrid.published.layout import TextTable, cell, name, pivot, plain, table
from speedgrid.published.verdict import Audited, AuditedRow
from speedgrid.table.run import Description, Table
from speedgrid.text.language import _
from speedgrid.text.markup import Markdown, code_in_cell
from speedgrid.text.words import number


class Pair(AuditedRow):
    """A row of a published table with the same cell as it was measured here; see `pairs`."""

    published: float
    scaled: float | None
    measured: float | None
    status: str
    ran: str | None
    ratio: float | None


def pairs(one: Audited, results: Table, run: Description) -> list[Pair]:
    """Return the rows of a published table that the grid has, each with `published`, `scaled`, `measured` and `ratio`.

    All rates in images/s. scaled is None where a peak is not known, and as published on the same device; measured is
    None where the cell has no speed; ratio is measured over scaled, or over published where that is not known.
    """
    peaks = run["peaks"]["data_sheet_tflops"]
    cells = {
        (row.model, plain(row.backend), row.precision, row.resolution, row.batch_size): row
        for row in results.itertuples()
    }
    found: list[Pair] = []
    for row in one["rows"]:
        key = (row["model"], plain(row["backend"]), row["precision"], row["resolution"], row["batch_size"])
        here = cells.get(key)
        published = row["derived"]["fps"]
        if here is None or published is None:
            continue
        same, own = row["device"] == run["machine"]["device_name"], peaks.get(row["precision"] or "")
        scaled = published if same else published * own / row["peak"] if own and row["peak"] else None
        measured = None if pd.isna(here.fps) else here.fps
        ran = here.observed_precision if here.status == "wrong_precision" else None
        found.append(
            Pair(
                **row,
                published=published,
                scaled=scaled,
                measured=measured,
                status=here.status,
                ran=ran,
                ratio=measured / (scaled or published) if measured else None,
            )
        )
    return found


def tables(one: Audited, results: Table, run: Description, short: int) -> list[TextTable]:
    """Return published beside measured rates as tables, a line a cell; before more than `short`, a short one."""
    found = pairs(one, results, run)
    if not found:
        return []
    scaled = any(row["scaled"] not in (None, row["published"]) for row in found)
    lines = [
        [
            name(row),
            cell(row["resolution"]),
            cell(row["batch_size"]),
            number(row["published"]),
            number(row["scaled"]) if scaled else "",
            measured(row),
            number(row["ratio"]) or Markdown("-"),
        ]
        for row in found
    ]
    here = run["machine"]["device_name"]
    head = ["", _("resolution"), _("batch size"), _("published FPS"), _("scaled"), _("measured FPS"), _("ratio")]
    full = _("Published beside measured on {here}").format(here=here)
    if scaled:
        full += _("; scaled by the ratio of the data-sheet peaks in that precision; ratio is measured over scaled")
    else:
        full += _("; ratio is measured over published, on devices that may differ")
    if len(lines) <= short:
        return [table(f"{full}:", head, lines)]
    caption = _("Measured on {here} as a multiple of published and scaled by peak, by batch size:") if scaled else None
    caption = caption or _("Measured on {here} as a multiple of published, by batch size:")
    ratios = pivot(caption.format(here=here), found, lambda row: number(row["ratio"]) or code_in_cell(row["status"]))
    return [ratios, table(full, head, lines, folded=True)]


def measured(row: Pair) -> str:
    """Write the measured rate of a cell, with what it ran where that is not its label, or why it has none."""
    if row["measured"] is None:
        return code_in_cell(row["status"])
    return number(row["measured"]) + (_(" (ran {precision})").format(precision=row["ran"]) if row["ran"] else "")

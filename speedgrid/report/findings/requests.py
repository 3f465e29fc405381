"""What a request pays end to end, as the report's table and sentences."""

from typing import TypedDict

import pandas as pd

from speedgrid.data.resolution import Resolution
from speedgrid.measure.probes.request import COLUMNS
from speedgrid.table.columns import called
from speedgrid.table.run import Table
from speedgrid.text.language import N_
from speedgrid.text.markup import Markdown, _
from speedgrid.text.words import label, measured, number

# Columns of the report's table, in its order.
SHOWN = (
    "call_ms",
    "preprocess_cpu_ms",
    "preprocess_gpu_ms",
    "copy_in_pinned_ms",
    "copy_in_pageable_ms",
    "copy_in_uint8_ms",
    "copy_out_pinned_ms",
    "copy_out_pageable_ms",
    "end_to_end_cpu_ms",
    "end_to_end_gpu_ms",
)
WHOLES = ["end_to_end_cpu_ms", "end_to_end_gpu_ms"]
PLACES = (N_("on the CPU"), N_("on the GPU"))  # in the order of WHOLES


class Requests(TypedDict):
    """The table of requests end to end, and the sentences on it; see `requests`."""

    head: list[str]
    rows: list[list[str]]
    sentences: list[Markdown]
    failed: list[str]


def requests(table: Table, resolution: Resolution, batch_size: int) -> Requests | None:
    """Return the table of requests end to end at one resolution and batch size: `head`, `rows`, `sentences`, `failed`.

    None if no request was measured anywhere. rows: a text for each of `head`. Steps that no row has, such as copies on
    a CPU, have no column.
    """
    shown = measured(table)
    if shown[[column.name for column in COLUMNS]].isna().all(axis=None):
        return None
    here = shown[(shown.resolution == resolution) & (shown.batch_size == batch_size)]
    rows = here[here.call_ms.notna()]
    columns = [column for column in SHOWN if rows[column].notna().any()]
    return {
        "head": [_("setting"), *map(called, columns), _("better on"), _("share of the call, %")],
        "rows": [[label(row), *(number(row[column]) for column in columns), *best(row)] for _i, row in rows.iterrows()],
        "sentences": sentences(rows),
        "failed": [label(row) for _i, row in here[here.call_ms.isna()].iterrows()],
    }


def best(row: pd.Series) -> tuple[str, str]:
    """Return the better place to preprocess for a row, and the share of its call there; empty if no whole is known."""
    if row[WHOLES].isna().all():
        return "", ""
    way = row[WHOLES].astype(float).idxmin()
    return _(PLACES[WHOLES.index(way)]), number(100 * row.call_ms / row[way])


def sentences(rows: Table) -> list[Markdown]:
    """Say which request is the quickest, and whether it is the one with the quickest call."""
    wholes = rows[WHOLES].astype(float).min(axis=1).dropna()
    if wholes.empty:
        return []
    first = rows.loc[wholes.idxmin()]
    place, share = best(first)
    texts = [
        _(
            "The quickest request is that of {label}: {ms} ms, {fps} images/s, preprocessed {place}; its call is "
            "{share} % of that."
        ).format(
            label=label(first),
            ms=number(wholes.min()),
            fps=number(1000 * first.batch_size / wholes.min()),
            place=place,
            share=share,
        )
    ]
    quickest = rows.loc[rows.call_ms.astype(float).idxmin()]
    if quickest.name != first.name:
        words = _("The quickest call is that of {label}, {ms} ms: for requests as a whole that is not what decides.")
        texts.append(words.format(label=label(quickest), ms=number(quickest.call_ms)))
    return texts

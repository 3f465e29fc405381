"""What a request pays end to end: its steps as one bar, for each setting and each place of preprocessing."""

from typing import Any

import pandas as pd

from speedgrid.grid import nearest
from speedgrid.report.plots import style
from speedgrid.table.run import Table
from speedgrid.text.language import N_, _

# Where photographs are preprocessed -> the steps in their order, each a column of the table and a kind.
WAYS = {
    "cpu": {
        "preprocess_cpu_ms": "preprocessing",
        "copy_in_pinned_ms": "copy",
        "call_ms": "call",
        "copy_out_pinned_ms": "copy",
    },
    "gpu": {
        "copy_in_uint8_ms": "copy",
        "preprocess_gpu_ms": "preprocessing",
        "call_ms": "call",
        "copy_out_pinned_ms": "copy",
    },
}
PLACES = {"cpu": N_("CPU"), "gpu": N_("GPU")}
# A call has its backend's colour; what is paid beside it has none.
LOOKS: dict[str, dict[str, Any]] = {
    "preprocessing": {"facecolor": "white", "edgecolor": "#999999", "hatch": "////", "linewidth": 0.5},
    "copy": {"facecolor": "#333333"},
}


def bars_of(rows: Table) -> list[tuple[str, str, pd.Series]]:
    """Return the bars of a plot as (text beside it, way, row), in the table's order; unknown wholes have none."""
    return [
        (f"{style.setting(row.backend, row.precision)}, {_(PLACES[way])}", way, row)
        for _index, row in rows.iterrows()
        for way in WAYS
        if pd.notna(row[f"end_to_end_{way}_ms"])
    ]


def draw_requests(material, title: str):
    """Return the figure of requests at the report's resolution and batch size, the steps of each one after another."""
    from matplotlib import pyplot

    rows = material.at_resolution
    batch_size = nearest(rows.batch_size, material.run["config"]["report"]["batch_size"])
    bars = bars_of(rows[rows.batch_size == batch_size])
    figure, axes = pyplot.subplots(figsize=(7.6, 4.2 if not bars else 1.3 + 0.3 * len(bars)))
    fixed = _("{pixels}, batch size {batch_size}")
    pixels = style.pixels(rows.resolution.iloc[0])
    style.name_plot(axes, title, fixed.format(pixels=pixels, batch_size=batch_size))
    if not bars:
        style.say_nothing(axes, _("no request was measured end to end here"))
        return figure
    for place, (_text, way, row) in enumerate(bars):
        draw_bar(axes, place, way, row)
    axes.set_yticks(range(len(bars)), [text for text, _way, _row in bars])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(_("ms of a request"))
    axes.set_ylabel(_("setting, and what preprocesses"))
    explain(axes, [row for _text, _way, row in bars])
    return figure


def draw_bar(axes, place: int, way: str, row: pd.Series) -> None:
    """Draw one request: its steps from left to right, and its whole, as it was measured, as a line across."""
    left = 0.0
    for column, kind in WAYS[way].items():
        if pd.notna(row[column]):
            look = LOOKS.get(kind) or {"color": style.colour(row.backend)}
            axes.barh(place, row[column], 0.7, left=left, **look)
            left += row[column]
    whole = row[f"end_to_end_{way}_ms"]
    axes.plot([whole, whole], [place - 0.45, place + 0.45], color="black", linewidth=1.2)


def explain(axes, rows: list[pd.Series]) -> None:
    """Explain colours, hatches and lines beside the axes."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    backends = dict.fromkeys(row.backend for row in rows)
    calls = [
        Patch(color=style.colour(name), label=_("call: {name}").format(name=style.NAMES.get(name, name)))
        for name in backends
    ]
    handles = [Patch(**LOOKS["preprocessing"], label=_("preprocessing")), *calls]
    if any(pd.notna(row.copy_out_pinned_ms) for row in rows):
        handles.append(Patch(**LOOKS["copy"], label=_("copies, pinned")))
    handles.append(Line2D([], [], color="black", linewidth=1.2, label=_("the request as a whole")))
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)

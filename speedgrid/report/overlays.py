"""Layers over the explorer's chart: rings around what is recommended or chosen, the Pareto front, lines of demands."""

import json
from collections.abc import Iterable

import altair

from speedgrid.report import marks
from speedgrid.table.columns import BY_NAME
from speedgrid.table.run import Description
from speedgrid.text.column import HIGHER

# What the page's script turns into a light grey where the window is dark.
INK = "#222222"


def rings(drawn: altair.Chart, x: altair.X, y: altair.Y) -> list[altair.Chart]:
    """Return the rings around the recommended cells, and those that a reader has chosen to see beside each other."""
    ring = {"shape": "circle", "filled": False, "color": INK, "aria": False}
    best = drawn.transform_filter("datum.recommended != '' && isValid(datum.recommended)")
    picked = drawn.transform_filter("indexof(picked, datum.name) >= 0")
    return [
        best.mark_point(size=260, strokeWidth=1.6, **ring).encode(x, y),
        picked.mark_point(size=420, strokeWidth=2.5, strokeDash=[4, 2], **ring).encode(x, y),
    ]


def front(drawn: altair.Chart, x: altair.X, y: altair.Y, figures: Iterable[str]) -> altair.Chart:
    """Return the Pareto front of what the filters leave, over the latency: nothing is as quick and better."""
    # 1 where more of a figure is better, -1 where less is.
    better = {name: 1 if BY_NAME[name].better == HIGHER else -1 for name in figures}
    return (
        drawn.transform_filter("over == 'latency_ms' && figure != 'latency_ms'")
        .transform_calculate(score=f"datum.value * {json.dumps(better)}[figure]")
        .transform_window(best="max(score)", sort=[altair.SortField("place")], frame=[None, 0])
        .transform_filter("datum.score >= datum.best")
        .mark_line(interpolate="step-after", color=INK, opacity=0.5, strokeWidth=1.5, aria=False)
        .encode(x, y)
    )


def demanded(run: Description, figures: Iterable[str]) -> list[altair.Chart]:
    """Return a line at the limit of each demand on a figure, where the chart shows that figure on either axis."""
    rows = [
        {"column": one.name, "limit": one.limit, "text": text} for one, text in marks.limits(run) if one.name in figures
    ]
    if not rows:
        return []
    limits = altair.Chart(altair.InlineData(rows))
    line = {"color": "#B2182B", "strokeDash": [6, 4], "aria": False}
    across = limits.transform_filter("datum.column == figure").encode(altair.Y("limit:Q"))
    upright = limits.transform_filter("datum.column == over").encode(altair.X("limit:Q"))
    text = across.mark_text(align="left", baseline="bottom", color="#B2182B", aria=False, dy=-3)
    return [
        across.mark_rule(**line),
        upright.mark_rule(**line),
        text.encode(altair.XValue(4), altair.Text("text:N")),
    ]

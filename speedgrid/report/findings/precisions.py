"""Which precision to take on each backend, what it gains, and what it costs in accuracy."""

import math

from speedgrid.data.resolution import Resolution
from speedgrid.grid import Config
from speedgrid.report.findings.objectives import OBJECTIVES, advantage
from speedgrid.report.findings.topic import Topic, filled
from speedgrid.table import choice
from speedgrid.table.across import comparable
from speedgrid.table.run import Table
from speedgrid.text.markup import Markdown, _
from speedgrid.text.words import backend_name, listed, number, with_interval

LATENCY = OBJECTIVES["latency"]


def which_precision(table: Table, resolution: Resolution, batch_size: int, config: Config) -> Topic:
    """Return the choice of each backend with several precisions at a place, its speed and its loss.

    table: of one model. config: has `accuracy.max_top1_loss`, the share of images that a choice may lose.
    """
    limit = config["accuracy"]["max_top1_loss"]
    here = table[(table.resolution == resolution) & (table.batch_size == batch_size)]
    rows = here[choice.eligible(here)].assign(loss=choice.top1_loss(here), chosen=choice.chosen(here, limit))
    lines = [
        line_of(backend, line, limit)
        for backend, line in rows.groupby("backend", sort=False)
        if line.precision.nunique() > 1 and line.loss.notna().any()
    ]
    if not lines:
        return Topic()
    sentences = [
        _("Of each backend the fastest that loses at most {limit} of top-1 (`accuracy.max_top1_loss`).").format(
            limit=percent(limit)
        ),
        _("Without labels, a loss is the share of images that get another class than float64 gives them."),
        _("The column `auto` of `results.csv` marks the choice at every place."),
    ]
    head = [
        _("backend"),
        _("precision"),
        _("ms a call"),
        _("times as fast as fp32"),
        _("top-1 loss"),
        _("faster, but beyond the limit"),
    ]
    return Topic(sentences, *filled(head, lines))


def line_of(backend: str, rows: Table, limit: float) -> list[str]:
    """Return the line of one backend: its choice, and the faster precisions that are not."""
    name = backend_name(backend)
    if not rows.chosen.any():
        least = rows.loc[rows.loss.idxmin()]
        text = _("none is within the limit; the least loss is that of {precision}").format(precision=least.precision)
        return [name, text, "", "", percent(least.loss), ""]
    row = rows[rows.chosen].iloc[0]
    times = comparable(rows, rows.latency_ms, larger=False)
    faster = rows[(times < times[row.name]) & (rows.loss > limit)]
    names = [f"{one.precision} ({percent(one.loss)})" for one in faster.itertuples()]
    chosen = Markdown("**{}**").format(row.precision)
    return [name, chosen, number(row.latency_ms), gain(row, rows), percent(row.loss), listed(names) if names else ""]


def gain(row, rows: Table) -> str:
    """Return the ratio of a row over fp32 on the same backend, with its interval; empty for fp32 itself."""
    base = rows[rows.precision == "fp32"]
    if base.empty or row.precision == "fp32":
        return ""
    ratio, low, high = advantage(row, base.iloc[0], LATENCY)
    return with_interval(ratio, low, high) if math.isfinite(high) else ""


def percent(share: float) -> str:
    """Write a share of images in percent; a loss below 0 is a gain."""
    return f"{100 * share:.3g} %"

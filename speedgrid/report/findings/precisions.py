"""Which precision to take on each backend, what it gains, and what it costs in accuracy."""

import math

from speedgrid.grid import Config
from speedgrid.report.findings.objectives import OBJECTIVES, advantage
from speedgrid.table import choice
from speedgrid.table.across import comparable
from speedgrid.table.run import Table
from speedgrid.text.markup import Markdown, _
from speedgrid.text.words import backend_name, listed, number, with_interval

LATENCY = OBJECTIVES["latency"]


def which_precision(table: Table, resolution: int, batch_size: int, config: Config) -> list[Markdown]:
    """Return one sentence for each backend with several precisions at a place: the choice, its speed and its loss.

    table: of one model. config: has `accuracy.max_top1_loss`, the share of images that a choice may lose.
    """
    limit = config["accuracy"]["max_top1_loss"]
    here = table[(table.resolution == resolution) & (table.batch_size == batch_size)]
    rows = here[choice.eligible(here)].assign(loss=choice.top1_loss(here), chosen=choice.chosen(here, limit))
    return [
        sentence(backend, line, limit)
        for backend, line in rows.groupby("backend", sort=False)
        if line.precision.nunique() > 1 and line.loss.notna().any()
    ]


def sentence(backend: str, rows: Table, limit: float) -> Markdown:
    """Say which precision of one backend is the choice, and which faster ones are not."""
    name = backend_name(backend)
    if not rows.chosen.any():
        least = rows.loc[rows.loss.idxmin()]
        return _("{backend}: none is within the limit; the least loss is that of {precision}, {loss} of top-1.").format(
            backend=name, precision=least.precision, loss=percent(least.loss)
        )
    row = rows[rows.chosen].iloc[0]
    text = _("{backend}: **{precision}**, {ms} ms a call{gain}, with a top-1 loss of {loss}.").format(
        backend=name,
        precision=row.precision,
        ms=number(row.latency_ms),
        gain=gain(row, rows),
        loss=percent(row.loss),
    )
    times = comparable(rows, rows.latency_ms, larger=False)
    faster = rows[(times < times[row.name]) & (rows.loss > limit)]
    if faster.empty:
        return text
    names = [f"{one.precision} ({percent(one.loss)})" for one in faster.itertuples()]
    return Markdown(" ").join([text, _("Faster, but beyond the limit: {names}.").format(names=listed(names))])


def gain(row, rows: Table) -> Markdown:
    """Say how many times as fast as fp32 a row is on the same backend, with its interval; empty for fp32 itself."""
    base = rows[rows.precision == "fp32"]
    if base.empty or row.precision == "fp32":
        return Markdown()
    ratio, low, high = advantage(row, base.iloc[0], LATENCY)
    if not math.isfinite(high):
        return Markdown()
    return _(", {ratio} times as fast as fp32").format(ratio=with_interval(ratio, low, high))


def percent(share: float) -> str:
    """Write a share of images in percent; a loss below 0 is a gain."""
    return f"{100 * share:.3g} %"

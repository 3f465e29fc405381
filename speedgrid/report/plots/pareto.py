"""Throughput over latency: which settings no other one beats in both."""

from speedgrid.report.plots import style
from speedgrid.report.plots.style import GREY, LOOKS
from speedgrid.table.columns import heading, interval
from speedgrid.table.run import Table
from speedgrid.text.language import _


def front(rows: Table) -> Table:
    """Return the rows that no other row beats, by latency: none is as quick and as productive, and better in one.

    rows: with latency_ms and fps; those without a speed are left out. The Pareto front of least latency_ms and most
    fps; rows that are equal in both stay together.
    """
    ordered = rows[rows.latency_ms.notna()].sort_values(["latency_ms", "fps"], ascending=[True, False])
    kept, best = [], (float("inf"), 0.0)
    for row in ordered.itertuples():
        if row.fps > best[1] or (row.latency_ms, row.fps) == best:
            kept.append(row.Index)
            best = (row.latency_ms, row.fps)
    return ordered.loc[kept]


def draw_front(material, title: str):
    """Return the figure of every setting at the report's resolution, with the front drawn and its batch sizes."""
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    rows = material.at_resolution
    drawn = rows[rows.latency_ms.notna()]
    figure, axes = pyplot.subplots(figsize=(7.6, 4.8))
    style.name_plot(axes, title, style.pixels(rows.resolution.iloc[0]))
    axes.set_xlabel(heading("latency_ms"))
    axes.set_ylabel(heading("fps"))
    if drawn.empty:
        style.say_nothing(axes, _("nothing was measured here"))
        return figure
    axes.set(xscale="log", yscale="log")
    best = front(drawn)
    axes.step(best.latency_ms, best.fps, where="post", color=GREY, linewidth=1.2, alpha=0.8, zorder=1)
    draw_points(axes, drawn.drop(best.index), alpha=0.5)
    draw_points(axes, best, alpha=1.0)
    for row in best.itertuples():
        place = {"xytext": (-4, 4), "ha": "right", "va": "bottom"}
        axes.annotate(row.batch_size, (row.latency_ms, row.fps), textcoords="offset points", fontsize=8, **place)
    axes.margins(0.08)
    for axis in (axes.xaxis, axes.yaxis):
        style.tick_decades(axis)
    label = _("front, with\nbatch sizes")
    style.legend(axes, drawn, lines=False, more=[Line2D([], [], color=GREY, linewidth=1.2, label=label)])
    return figure


def draw_points(axes, rows: Table, alpha: float) -> None:
    """Draw settings with their 95 % intervals, which lie aslant: at one batch size images/s follow from latency."""
    for _index, row in rows.iterrows():
        colour, marker = style.colour(row.backend), LOOKS[row.precision].marker
        quickest, slowest = interval(row, "latency_ms")
        least, most = interval(row, "fps")
        axes.plot([quickest, slowest], [most, least], color=colour, alpha=0.6 * alpha, linewidth=1, zorder=2)
        hollow = row.observed_precision != row.precision
        face = "white" if hollow else colour
        axes.plot(
            row.latency_ms, row.fps, marker, color=colour, markerfacecolor=face, alpha=alpha, zorder=3 + (alpha == 1)
        )

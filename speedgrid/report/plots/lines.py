"""Lines over resolution or batch size, one per backend and precision."""

from functools import partial

import pandas as pd

from speedgrid.data.resolution import Resolution, side_of
from speedgrid.report.plots import style
from speedgrid.report.plots.style import GREY, STYLES, grouped
from speedgrid.table.columns import heading, interval
from speedgrid.text.language import _

# Values that span doublings are read on a logarithmic axis; the others start at 0.
LOGARITHMIC = {"latency_ms", "energy_mj_per_image"}


def draw_over(axis: str, column: str, material, title: str):
    """Return the figure of `column` over one axis of the grid, the other as the report fixes it."""
    if axis == "resolution":
        rows = material.at_batch_size
        fixed = _("batch size {size}").format(size=rows.batch_size.iloc[0])
    else:
        # Energy is measured at the resolutions that the configuration names: the nearest one of them.
        rows = material.near("resolution", column if column == "energy_mj_per_image" else None)
        fixed = style.pixels(rows.resolution.iloc[0])
    return draw(rows, axis, column, title, fixed, style.setting(**material.reference))


draw_fps_over_resolution = partial(draw_over, "resolution", "fps")
draw_fps_over_batch_size = partial(draw_over, "batch_size", "fps")
draw_latency_over_batch_size = partial(draw_over, "batch_size", "latency_ms")
draw_speedup_over_resolution = partial(draw_over, "resolution", "speedup")
draw_speedup_over_batch_size = partial(draw_over, "batch_size", "speedup")
draw_memory_over_batch_size = partial(draw_over, "batch_size", "memory_mb")
draw_energy_over_batch_size = partial(draw_over, "batch_size", "energy_mj_per_image")


def axis_label(column: str, reference: str = "") -> str:
    """Return the label of an axis: its quantity and unit."""
    text = heading(column, reference)
    return text + "\n" + _("(higher is faster)") if column == "speedup" else text


def bars_of(rows, column: str) -> list[pd.Series] | None:
    """Return the distances from each value down and up to its 95 % interval, [2, rows], or None if it has none."""
    low, high = interval(rows, column)
    return None if low is None else [(rows[column] - low).clip(lower=0), (high - rows[column]).clip(lower=0)]


def draw(rows, axis: str, column: str, title: str, fixed: str = "", reference: str = ""):
    """Return a figure of `column` over `axis`, one line per backend and precision, 95 % intervals as bars."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    style.name_plot(axes, title, fixed)
    axes.set_xlabel(axis_label(axis))
    axes.set_ylabel(axis_label(column, reference))
    drawn = rows[rows[column].notna()]
    if drawn.empty:
        style.say_nothing(axes, _("nothing was measured here"))
        return figure
    for (backend, precision), line in rows.groupby(["backend", "precision"], sort=False):
        if line[column].isna().all():
            continue
        # With its empty cells, where it breaks: nothing may be read off there.
        line = line.assign(place=line[axis].map(side_of)).sort_values("place")
        colour, look = style.colour(backend), STYLES[precision]
        bars = bars_of(line, column)
        thin = {"ecolor": (colour, 0.6), "elinewidth": 1, "capsize": 2.5}  # intervals must not hide lines
        axes.errorbar(line.place, line[column].astype(float), yerr=bars, color=colour, zorder=2, **thin, **look)
        other = line[style.relabelled(line) & line[column].notna()]
        # Over what it really is, which may lie at the same place.
        hollow = {**look, "linestyle": "", "markerfacecolor": "white"}
        axes.plot(other.place, other[column].astype(float), color=colour, zorder=3, **hollow)
    scale(axes, axis, column, sorted(set(drawn[axis])))
    style.legend(axes, drawn)
    return figure


def scale(axes, axis: str, column: str, ticks: list[Resolution]) -> None:
    """Set logarithmic axes where values span doublings, with the measured values as ticks; others start at 0."""
    if axis == "batch_size":
        axes.set_xscale("log", base=2)
    style.tick_sizes(axes.xaxis, ticks)
    if column in LOGARITHMIC and len(ticks) > 1:
        axes.set_yscale("log")
        style.tick_decades(axes.yaxis)
    else:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(grouped)
    if column == "speedup":
        axes.axhline(1, color=GREY, linewidth=0.8)

"""What differs between timings of the same cell: drift of the control cell, and spread between rounds."""

import numpy as np
import pandas as pd

from speedgrid.grid import Cell, kind_of
from speedgrid.report.plots import style
from speedgrid.report.plots.style import GREY, LOOKS
from speedgrid.table import rounds as timings
from speedgrid.table.across import cells_of
from speedgrid.table.run import Timings
from speedgrid.text.language import _
from speedgrid.text.names import NAMES

# Of Okabe and Ito too, but none of a backend.
KINDS = {"sentinel": "#000000", "twin": "#E69F00", "round": "#56B4E9", "reference": "#F0E442"}


def controls(rounds: Timings, cell: str | None) -> pd.DataFrame:
    """Return the timings of the control cell with a speed, in time: `kind` of turn, `minutes` since the run began.

    percent, percent_low, percent_high: each latency with its interval, relative to the median of them all. rounds: of
    speedgrid.table.rounds. cell: its name, or None if the run has no control.
    """
    times = pd.to_datetime(rounds.measured_at, utc=True, format="ISO8601")
    minutes = (times - times.min()).dt.total_seconds() / 60
    timed = rounds.assign(minutes=minutes, kind=rounds.turn.map(kind_of))
    chosen = timed[[str(one) == cell for one in cells_of(rounds)]]
    chosen = chosen[chosen.latency_ms.notna()]
    middle = chosen.latency_ms.median()
    found = chosen.assign(
        percent=100 * (chosen.latency_ms / middle - 1),
        percent_low=100 * (chosen.latency_ms_low / middle - 1),
        percent_high=100 * (chosen.latency_ms_high / middle - 1),
    )
    return found.sort_values("minutes")


def name_cell(cell: str) -> str:
    """Write a cell's name in words."""
    place = Cell.parse(cell)
    size = _("batch size {size}").format(size=place.batch_size)
    return f"{place.model}, {style.setting(place.backend, place.precision)}, {style.pixels(place.resolution)}, {size}"


def draw_drift(material, title: str):
    """Return the figure of every timing of the control cell over the time of the run, with the run's noise floor."""
    from matplotlib import pyplot

    cell, floor = (material.run["controls"][name] for name in ("cell", "noise_floor_percent"))
    found = controls(material.rounds, cell)
    figure, axes = pyplot.subplots()
    style.name_plot(axes, title, name_cell(cell) if cell else "")
    axes.set_xlabel(_("minutes since the run began"))
    axes.set_ylabel(_("latency, % off the median of all"))
    if found.empty:
        style.say_nothing(axes, _("the control cell was not measured"))
        return figure
    names = {
        "sentinel": _("start, middle and\nend of a round"),
        "twin": _("the same cell\nunder another name"),
        "round": _("in its place\nin the grid"),
        "reference": _("beside cells that\nwere added"),
    }
    markers = {"sentinel": "o", "twin": "D", "round": "s", "reference": "^"}
    axes.axhline(0, color=GREY, linewidth=0.8)
    if floor is not None:
        label = _("noise floor,\n{percent:.1f} %").format(percent=floor)
        axes.axhspan(-floor, floor, color="#999999", alpha=0.25, linewidth=0, label=label)
    for kind, rows in found.groupby("kind", sort=False):
        bars = [rows.percent - rows.percent_low, rows.percent_high - rows.percent]
        line = "-" if kind == "sentinel" else ""
        look = {"marker": markers[kind], "color": KINDS[kind], "label": names[kind], "linestyle": line}
        axes.errorbar(rows.minutes, rows.percent, yerr=bars, capsize=3, linewidth=1, **look)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.3g}" if value else "0")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def draw_spread(material, title: str):
    """Return the figure of how far the rounds of each cell are apart, cells in order, by backend."""
    from matplotlib import pyplot

    found = timings.spread(material.rounds, material.table)
    figure, axes = pyplot.subplots()
    style.name_plot(axes, title, _("all resolutions and batch sizes"))
    axes.set_xlabel(_("cells of a backend, steadiest first, %"))
    axes.set_ylabel(_("slowest over quickest round, % more"))
    if found.empty:
        style.say_nothing(axes, _("no cell was measured in two rounds"))
        return figure
    handles = []
    for backend, cells in found.groupby("backend", sort=False):
        cells = cells.sort_values("spread_percent")
        share = 100 * (np.arange(len(cells)) + 0.5) / len(cells)
        colour, middle = style.colour(backend), cells.spread_percent.median()
        axes.plot(share, cells.spread_percent, color=colour, linewidth=0.8, alpha=0.5)
        for precision in cells.precision.unique():
            chosen = (cells.precision == precision).to_numpy()
            axes.plot(share[chosen], cells.spread_percent[chosen], LOOKS[precision].marker, color=colour, markersize=4)
        handles.append((NAMES.get(backend, backend), colour, middle))
    axes.set_yscale("log")
    style.tick_decades(axes.yaxis)
    explain_spread(axes, handles, list(dict.fromkeys(found.precision)))
    return figure


def explain_spread(axes, backends: list[tuple[str, str, float]], precisions: list[str]) -> None:
    """Explain colours, with the median of each backend, and markers."""
    from matplotlib.lines import Line2D

    entries = [
        Line2D(
            [],
            [],
            color=colour,
            linewidth=3,
            label=_("{name}:\nmedian {percent:.1f} %").format(name=name, percent=middle),
        )
        for name, colour, middle in backends
    ]
    entries += [
        Line2D([], [], color=GREY, linestyle="", marker=LOOKS[precision].marker, label=precision)
        for precision in precisions
    ]
    axes.legend(handles=entries, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)

"""What building an engine costs, and after how many images it has paid."""

from typing import Any

import numpy as np
import pandas as pd

from speedgrid.data.resolution import Resolution, side_of
from speedgrid.report.plots import style
from speedgrid.report.plots.style import GREY, LOOKS
from speedgrid.table.columns import heading
from speedgrid.table.run import Table
from speedgrid.text.language import _

PANELS = 4


def payback(table: Table) -> pd.Series:
    """Return, for each built row, the images after which its build has paid; infinite if it never does.

    Against the quickest row that needs no build, of the same model, at the same resolution and batch size, and in the
    same precision, as observed: build_seconds over the time that each image saves. NaN where either has no speed, or
    where nothing was built. What loading costs is left out.
    """
    speeds = table[table.ms_per_image.notna()]
    place = ["model", "resolution", "batch_size", "observed_precision"]
    others = speeds[speeds.build_seconds.isna()].groupby(place).ms_per_image.min()
    built = speeds[speeds.build_seconds.notna()]
    other = others.reindex(pd.MultiIndex.from_frame(built[place])).to_numpy()
    saved = other - built.ms_per_image.to_numpy()
    with np.errstate(divide="ignore"):
        images = np.where(saved > 0, 1000 * built.build_seconds / saved, np.inf)
    images = np.where(np.isnan(saved), np.nan, images)
    return pd.Series(images, built.index, float).reindex(table.index)


def nearest_few(values, wanted: Resolution) -> list[Resolution]:
    """Return up to PANELS different resolutions, those nearest to `wanted`, in order."""
    return sorted(sorted(set(values), key=lambda value: abs(side_of(value) - side_of(wanted)))[:PANELS])


def draw_builds(material, title: str):
    """Return the figure of build seconds, and of the images that pay for them, at up to four resolutions."""
    from matplotlib import pyplot

    built = material.table[material.table.build_seconds.notna()]
    if built.empty:
        figure, axes = pyplot.subplots()
        style.name_plot(axes, title)
        style.say_nothing(axes, _("no engine was built"))
        return figure
    built = built.assign(images=payback(material.table))
    sizes = nearest_few(built.resolution, material.run["config"]["report"]["resolution"])
    shape = {"figsize": (7.6, 4.8), "sharex": True, "sharey": "row", "squeeze": False, "layout": "constrained"}
    figure, grid = pyplot.subplots(2, len(sizes), **shape)
    for (top, bottom), size in zip(grid.T, sizes, strict=True):
        top.set_title(style.pixels(size), fontsize=9)
        draw_column(top, bottom, built, size)
    name_axes(figure, grid, built, title)
    return figure


def settings_of(built: Table) -> list[tuple[str, str]]:
    """Return each backend and precision that was built, once."""
    return list(dict.fromkeys(zip(built.backend, built.precision, strict=True)))


def draw_column(top, bottom, built: Table, resolution: Resolution) -> None:
    """Draw one resolution: batch sizes side by side, and in each the settings; seconds over images."""
    sizes, settings = sorted(set(built.batch_size)), settings_of(built)
    width = 0.84 / len(settings)
    for number, (backend, precision) in enumerate(settings):
        chosen = (built.backend == backend) & (built.precision == precision) & (built.resolution == resolution)
        line = built[chosen]
        shift = (number - (len(settings) - 1) / 2) * width
        places = np.array([sizes.index(size) + shift for size in line.batch_size])
        top.bar(places, line.build_seconds, width, **bar(backend, precision))
        paid = np.isfinite(line.images).to_numpy()
        for hollow in (False, True):
            here = paid & (style.relabelled(line).to_numpy() == hollow)
            bottom.plot(places[here], line.images[here], **point(backend, precision, hollow))
    for axes in (top, bottom):
        axes.set_xticks(range(len(sizes)), sizes, fontsize=8)
        axes.set_xlim(-0.6, len(sizes) - 0.4)
        axes.grid(axis="x", visible=False)
    bottom.set_xlabel(heading("batch_size"), fontsize=9)


def bar(backend: str, precision: str) -> dict[str, Any]:
    """Return the look of a bar: precisions differ by lightness."""
    from matplotlib.colors import to_rgb

    strength = LOOKS[precision].strength
    return {"color": tuple(1 - strength * (1 - part) for part in to_rgb(style.colour(backend)))}


def point(backend: str, precision: str, hollow: bool = False) -> dict[str, Any]:
    """Return the look of a point: as the bar, with the marker of its precision, hollow where another one ran."""
    shape = {"linestyle": "", "marker": LOOKS[precision].marker, "markersize": 4.5, **bar(backend, precision)}
    return {**shape, "markerfacecolor": "white"} if hollow else shape


def name_axes(figure, grid, built: Table, title: str) -> None:
    """Write title, labels and legend of the whole figure."""
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    grid[0, 0].set_ylabel(_("seconds to build"))
    grid[1, 0].set_ylabel(_("images until it has paid"))
    if np.isfinite(built.images).any():
        grid[1, 0].set_yscale("log")
        style.tick_decades(grid[1, 0].yaxis)
    else:
        grid[1, 0].set_ylim(0, 1)  # nothing else may say what there is to read
        grid[1, 0].set_yticks([])
        for axes in grid[1]:
            axes.text(0.5, 0.5, _("no build is known to pay"), ha="center", color=GREY, transform=axes.transAxes)
    settings = settings_of(built)
    handles = [(Patch(**bar(*setting)), Line2D([], [], **point(*setting))) for setting in settings]
    names = [style.setting(*setting) for setting in settings]
    if style.relabelled(built).any():
        handles.append(Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle=""))
        names.append(_("hollow: ran in another precision"))
    both = {tuple: HandlerTuple(ndivide=None)}
    figure.legend(handles, names, handler_map=both, loc="outside lower center", ncols=3, frameon=False)

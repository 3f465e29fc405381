"""The roofline: what the device can do at most at each intensity of arithmetic, and what each setting reached.

Williams, Waterman and Patterson, "Roofline", https://doi.org/10.1145/1498765.1498785.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from speedgrid.machine.data_sheet import Peaks
from speedgrid.model.described import Arithmetic, LayerCount
from speedgrid.precision import PRECISIONS
from speedgrid.report.plots import style
from speedgrid.report.plots.style import STYLES
from speedgrid.table.run import Table
from speedgrid.text.language import _

if TYPE_CHECKING:
    from matplotlib.lines import Line2D

SHEET = "#999999"


def intensity(layers: list[LayerCount], batch_size: int, element_bytes: int) -> float:
    """Return the FLOP per byte of a call: of all layers, which read weights once and write what they compute.

    layers: as of speedgrid.model.flops.count. Bytes are counted as in speedgrid.table.limiter: a cache, and layers
    that a runtime makes one, move less.
    """
    flop, weights, activations = (
        sum(layer[name] for layer in layers) for name in ("flop", "weight_elements", "activation_elements")
    )
    return batch_size * flop / (element_bytes * (weights + batch_size * activations))


def points(rows: Table, arithmetic: Arithmetic) -> Table:
    """Return the rows with a speed and counted layers, with `intensity` in FLOP/byte of the precision that ran."""
    found = rows[rows.tflops.notna()]
    layers = [arithmetic[row.model][str(row.resolution)]["layers"] for row in found.itertuples()]
    found = found[[bool(one) for one in layers]]
    values = [
        intensity(one, row.batch_size, PRECISIONS[row.observed_precision].bytes)
        for one, row in zip(filter(None, layers), found.itertuples(), strict=True)
    ]
    return found.assign(intensity=pd.Series(values, found.index, float))


def ceiling(intensities, tflops: float, bandwidth: float | None) -> np.ndarray:
    """Return the TFLOP/s that a device reaches at most at each intensity in FLOP/byte; bandwidth in GB/s."""
    flat = np.full(len(intensities), float(tflops))
    return flat if not bandwidth else np.minimum(flat, np.asarray(intensities) * bandwidth / 1000)


def draw_roofline(material, title: str):
    """Return the figure of every setting at the report's resolution under the ceilings of the device."""
    from matplotlib import pyplot

    rows = material.at_resolution
    drawn, peaks = points(rows, material.arithmetic), material.run["peaks"]
    figure, axes = pyplot.subplots(figsize=(7.6, 4.8))
    style.name_plot(axes, title, style.pixels(rows.resolution.iloc[0]))
    axes.set_ylabel(_("TFLOP/s"))
    if drawn.empty:
        style.say_nothing(axes, _("no cell has both a speed and a count of its layers"))
        return figure
    axes.set(xscale="log", yscale="log")
    sizes = {"low": drawn.batch_size.min(), "high": drawn.batch_size.max()}
    note = _("(points from left to right: batch sizes {low} to {high})").format(**sizes)
    label = _("arithmetic per memory traffic, FLOP/byte")
    axes.set_xlabel(f"{label}\n{note}" if sizes["low"] < sizes["high"] else label)
    for (backend, precision), line in drawn.groupby(["backend", "precision"], sort=False):
        line = line.sort_values("batch_size")
        colour, look = style.colour(backend), STYLES[precision]
        axes.plot(line.intensity, line.tflops, color=colour, zorder=3, linewidth=1, alpha=0.8, **look)
        other = line[style.relabelled(line)]
        hollow = {**look, "linestyle": "", "markerfacecolor": "white"}
        axes.plot(other.intensity, other.tflops, color=colour, zorder=4, **hollow)
    draw_ceilings(axes, peaks, list(dict.fromkeys(drawn.observed_precision)), drawn)
    for axis in (axes.xaxis, axes.yaxis):
        style.tick_decades(axis)
    style.legend(axes, drawn, more=ceiling_handles(peaks), beside=(1.11, 0.5))
    return figure


def ceiling_handles(peaks: Peaks) -> "list[Line2D]":
    """Explain the two kinds of ceilings, as far as this device has them."""
    from matplotlib.lines import Line2D

    handles = []
    if any(peaks["gemm_tflops"].values()):
        words = _("matrix product and\ncopy, measured") if peaks["copy_gb_s"] else _("matrix product,\nmeasured")
        handles.append(Line2D([], [], color="black", label=words))
    if peaks["data_sheet_tflops"]:
        handles.append(Line2D([], [], color=SHEET, label=_("data sheet")))
    return handles


def draw_ceilings(axes, peaks: Peaks, precisions: list[str], drawn: Table) -> None:
    """Draw the measured ceiling of each precision, that of the data sheet lighter, and write their rates."""
    ridges = [1000 * rate / peaks["copy_gb_s"] for rate in peaks["gemm_tflops"].values() if rate and peaks["copy_gb_s"]]
    low, high = min([drawn.intensity.min(), *ridges]) / 3, 2.5 * max([drawn.intensity.max(), *ridges])
    grid = np.geomspace(low, high, 400)
    for precision in precisions:
        sheet = (peaks["data_sheet_tflops"].get(precision), peaks["data_sheet_gb_s"], SHEET)
        measured = (peaks["gemm_tflops"].get(precision), peaks["copy_gb_s"], "black")
        for zorder, (tflops, bandwidth, colour) in enumerate((sheet, measured), start=1):
            if tflops:
                line = {"color": colour, "linestyle": STYLES[precision]["linestyle"], "zorder": zorder}
                axes.plot(grid, ceiling(grid, tflops, bandwidth), **line)
                place = {"textcoords": "offset points", "xytext": (4, 0), "va": "center", "fontsize": 8}
                axes.annotate(f"{precision} {tflops:.3g}", (high, tflops), color=colour, **place)
    axes.set_xlim(low, high)
    axes.set_ylim(drawn.tflops.min() / 2, None)

"""The plots of the report: one colour per backend and one line style per precision throughout."""

from pathlib import Path

from speedgrid.grid import nearest

# File name -> title. Read by the workflow, so importing this module must not import matplotlib or pandas.
TITLES = {
    "fps_over_resolution": "Throughput over resolution",
    "fps_over_batch_size": "Throughput over batch size",
    "latency_over_batch_size": "Latency over batch size",
    "speedup_over_resolution": "Speed-up over resolution",
    "speedup_over_batch_size": "Speed-up over batch size",
    "memory_over_batch_size": "Memory over batch size",
}
# Okabe and Ito's colours, which people with any colour vision tell apart (https://jfly.uni-koeln.de/color/).
COLOURS = {"pytorch": "#D55E00", "onnxruntime": "#0072B2", "torch_tensorrt": "#009E73", "openvino": "#CC79A7"}
STYLES = {
    "fp32": {"linestyle": "-", "marker": "o"},
    "tf32": {"linestyle": "--", "marker": "s"},
    "fp16": {"linestyle": ":", "marker": "^"},
    "bf16": {"linestyle": "-.", "marker": "D"},
}
AXIS_LABELS = {
    "fps": "images/s",
    "latency_ms": "latency of one call, ms",
    "memory_mb": "memory, MB",
    "resolution": "resolution, pixels (square)",
    "batch_size": "batch size",
}
NAMES = {
    "pytorch": "PyTorch",
    "onnxruntime": "ONNX Runtime",
    "torch_tensorrt": "Torch-TensorRT",
    "openvino": "OpenVINO",
}


def draw_all(table, reference: dict, resolution: int, batch_size: int, folder: str | Path) -> None:
    """Write every plot of TITLES to `folder` as SVG and PNG.

    table: results as of speedgrid.table. reference: `backend` and `precision` of speed-ups. resolution, batch_size:
    what the plots hold fixed; the nearest value in the table is taken.
    """
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update(
        {
            "svg.hashsalt": "speedgrid",  # the same table gives the same bytes
            "figure.figsize": (7.6, 4.2),
            "figure.dpi": 110,
            "savefig.bbox": "tight",
            "axes.grid": True,
            "grid.alpha": 0.3,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "lines.markersize": 5,
        }
    )
    at_batch = table[table.batch_size == nearest(table.batch_size, batch_size)]
    at_resolution = table[table.resolution == nearest(table.resolution, resolution)]
    base = f"{NAMES.get(reference['backend'], reference['backend'])} {reference['precision']}"
    AXIS_LABELS["speedup"] = f"speed-up over {base} (higher is faster)"
    for name, title in TITLES.items():
        value, _, axis = name.partition("_over_")
        column = {"latency": "latency_ms", "memory": "memory_mb"}.get(value, value)
        rows = at_batch if axis == "resolution" else at_resolution
        fixed = (
            f"batch size {rows.batch_size.iloc[0]}"
            if axis == "resolution"
            else f"{rows.resolution.iloc[0]} x {rows.resolution.iloc[0]} pixels"
        )
        figure = draw(rows, axis, column, f"{title} ({fixed})")
        for suffix, options in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": 160})):
            figure.savefig(Path(folder) / f"{name}.{suffix}", **options)
        matplotlib.pyplot.close(figure)


def interval(rows, column: str) -> list | None:
    """Return the distances from each value down and up to its 95 % interval, [2, rows], or None if it has none."""
    if column == "fps":  # images/s is batch over latency, so the interval turns round
        low = 1000 * rows.batch_size / rows.latency_ms_high
        high = 1000 * rows.batch_size / rows.latency_ms_low
    elif f"{column}_low" in rows:
        low, high = rows[f"{column}_low"], rows[f"{column}_high"]
    else:
        return None
    return [(rows[column] - low).clip(lower=0), (high - rows[column]).clip(lower=0)]


def draw(rows, axis: str, column: str, title: str):
    """Return a figure of `column` over `axis`, one line per backend and precision, 95 % intervals as bars."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    drawn = rows[rows[column].notna()]
    for (backend, precision), line in rows.groupby(["backend", "precision"], sort=False):
        if line[column].isna().all():
            continue
        line = line.sort_values(axis)  # with its empty cells, where it breaks: nothing may be read off there
        colour, style = COLOURS.get(backend, "#555555"), STYLES[precision]
        bars = interval(line, column)
        axes.errorbar(line[axis], line[column].astype(float), yerr=bars, color=colour, capsize=3, zorder=2, **style)
        other = line[(line.observed_precision != precision) & line[column].notna()]
        # Over what it really is, which may lie at the same place.
        hollow = {**style, "linestyle": "", "markerfacecolor": "white"}
        axes.plot(other[axis], other[column].astype(float), color=colour, zorder=3, **hollow)
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(AXIS_LABELS[axis])
    axes.set_ylabel(AXIS_LABELS[column])
    if drawn.empty:
        axes.text(0.5, 0.5, "nothing was measured here", ha="center", transform=axes.transAxes)
        return figure
    scale(axes, axis, column, sorted(set(drawn[axis])))
    legend(axes, drawn)
    return figure


def scale(axes, axis: str, column: str, ticks: list[int]) -> None:
    """Set logarithmic axes where values span doublings, with the measured values as ticks; speed-up starts at 0."""
    from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, ScalarFormatter

    if axis == "batch_size":
        axes.set_xscale("log", base=2)
    # Ticks that would print over each other (32 and 33) keep the mark and lose the text.
    labelled = [tick for i, tick in enumerate(ticks) if i == 0 or tick / ticks[i - 1] > 1.1]
    axes.xaxis.set_major_locator(FixedLocator(labelled))
    axes.xaxis.set_minor_locator(FixedLocator([tick for tick in ticks if tick not in labelled]))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    if column == "latency_ms" and len(ticks) > 1:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0)
    if column == "speedup":
        axes.axhline(1, color="#555555", linewidth=0.8)


def legend(axes, drawn) -> None:
    """Explain colours and line styles beside the axes, each once."""
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=COLOURS.get(backend, "#555555"), linewidth=3, label=NAMES.get(backend, backend))
        for backend in drawn.backend.unique()
    ]
    entries += [
        Line2D([], [], color="#555555", label=precision, **STYLES[precision]) for precision in drawn.precision.unique()
    ]
    if (drawn.observed_precision != drawn.precision).any():
        entries.append(
            Line2D(
                [],
                [],
                color="#555555",
                marker="o",
                markerfacecolor="white",
                linestyle="",
                label="hollow: ran in\nanother precision",
            )
        )
    axes.legend(handles=entries, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)

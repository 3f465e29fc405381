"""The plot of a comparison: every cell's ratio with its interval, sorted, those that nobody can tell last."""

from pathlib import Path

import numpy as np

from speedgrid.comparison import verdicts
from speedgrid.comparison.cells import Comparison
from speedgrid.launcher.outputs import replacing
from speedgrid.text.language import _

# Okabe and Ito's colours, which people with any colour vision tell apart (https://jfly.uni-koeln.de/color/).
COLOURS = {
    verdicts.SLOWER: "#D55E00",
    verdicts.FASTER: "#0072B2",
    verdicts.SAME: "#009E73",
    verdicts.UNDECIDED: "#999999",
}
MARKERS = {verdicts.SLOWER: "^", verdicts.FASTER: "v", verdicts.SAME: "o", verdicts.UNDECIDED: "x"}
# Cells that can be named along the axis and still be read.
NAMED = 60
TICKS = (0.1, 0.2, 0.35, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1, 1.02, 1.05, 1.1, 1.25, 1.5, 2, 3, 5, 10)


def draw(comparison: Comparison, path: Path) -> list[Path]:
    """Write the plot of a comparison to `path` with .svg and .png; return both paths, none where no cell compares."""
    cells = comparison.cells[comparison.cells.ratio.notna()]
    order = cells.assign(last=cells.verdict == verdicts.UNDECIDED).sort_values(["last", "ratio"], kind="stable").index
    cells = cells.loc[order]
    if cells.empty:
        return []
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    settings = {
        "text.parse_math": False,  # a dollar in a name from elsewhere begins no formula
        "svg.hashsalt": "speedgrid",
        "savefig.bbox": "tight",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(settings):
        figure, axes = pyplot.subplots(figsize=(max(7.6, min(len(cells) * 0.2, 14)), 4.6))
        points(axes, cells.assign(place=np.arange(len(cells))))
        scale(axes, cells, comparison.threshold)
        axes.set_title(_("Latency in B over latency in A, with 95 % intervals"), loc="left", fontsize=11)
        found = []
        for suffix, options in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": 160})):
            found.append(path.with_name(f"{path.name}.{suffix}"))
            with replacing(found[-1]) as temporary:
                figure.savefig(temporary, **options)
        pyplot.close(figure)
    return found


def points(axes, cells) -> None:
    """Draw each cell at its place: a mark and a colour for each verdict."""
    for verdict in verdicts.VERDICTS:
        rows = cells[cells.verdict == verdict]
        if rows.empty:
            continue
        reach = [(rows.ratio - rows.ratio_low).fillna(0), (rows.ratio_high - rows.ratio).fillna(0)]
        axes.errorbar(
            rows.place,
            rows.ratio,
            yerr=reach,
            color=COLOURS[verdict],
            marker=MARKERS[verdict],
            linestyle="",
            markersize=5,
            elinewidth=1,
            alpha=0.6 if verdict == verdicts.UNDECIDED else 1,
            label=f"{verdict} ({len(rows)})",
        )


def scale(axes, cells, threshold: float) -> None:
    """Show the band of SAME, and every ratio; the intervals of undecided cells may leave the picture.

    They would press all others flat.
    """
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.axhspan(1 / (1 + threshold), 1 + threshold, color="#009E73", alpha=0.12, linewidth=0)
    axes.axhline(1, color="#555555", linewidth=0.8)
    decided = cells[cells.verdict != verdicts.UNDECIDED]
    reach = [np.log(cells.ratio), np.log(decided.ratio_low), np.log(decided.ratio_high)]
    far = max(*(np.abs(logs).max() for logs in reach if len(logs)), 3 * np.log1p(threshold)) * 1.1
    axes.set_yscale("log")
    axes.set_ylim(np.exp(-far), np.exp(far))
    shown = [tick for tick in TICKS if tick == 1 or far / 7 < abs(np.log(tick)) <= far]
    axes.yaxis.set_major_locator(FixedLocator(shown))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylabel(_("ratio (above 1: B is slower)"))
    if len(cells) <= NAMED:
        axes.set_xticks(range(len(cells)), cells.index, rotation=90, fontsize=7)
    else:
        axes.set_xlabel(_("cells, sorted by ratio, undecided ones last"))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))

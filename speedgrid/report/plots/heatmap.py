"""The map of utilisation: backends and precisions by batch sizes."""

import pandas as pd

from speedgrid.report.plots import style
from speedgrid.report.plots.style import GREY
from speedgrid.table.columns import heading
from speedgrid.table.run import Table
from speedgrid.text.language import _


def grid_of(rows: Table, column: str) -> pd.DataFrame:
    """Return `column` with a line per (backend, precision), in the table's order, and a column per batch size.

    NaN where a cell has no value or is not in the table.
    """
    settings = list(dict.fromkeys(zip(rows.backend, rows.precision, strict=True)))
    values = rows.set_index(["backend", "precision", "batch_size"])[column].unstack("batch_size")
    return values.reindex(index=pd.MultiIndex.from_tuples(settings), columns=sorted(rows.batch_size.unique()))


def draw_utilisation(material, title: str):
    """Return the figure of utilisation in percent at the report's resolution; cells without a speed are hatched."""
    from matplotlib import pyplot

    rows = material.at_resolution
    values = grid_of(rows, "utilisation_percent").astype(float)
    figure, axes = pyplot.subplots(figsize=(7.6, 1.4 + 0.32 * len(values)))
    style.name_plot(axes, title, style.pixels(rows.resolution.iloc[0]))
    axes.set_xlabel(heading("batch_size"))
    axes.grid(False)
    if values.isna().all(axis=None):
        style.say_nothing(axes, _("nothing was measured here"))
        return figure
    # From 0 to 100, so that one colour means one thing in every run; a CPU may exceed its matrix product.
    image = axes.imshow(values, cmap="YlGnBu", aspect="auto", vmin=0, vmax=max(100.0, values.max(axis=None)))
    axes.set_xticks(range(len(values.columns)), values.columns)
    axes.set_yticks(range(len(values)), [style.setting(*setting) for setting in values.index])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, pad=0.02, label=heading("utilisation_percent"))
    other = grid_of(rows.assign(other=style.relabelled(rows)), "other")
    write_cells(axes, values, other.eq(True))
    explain(axes, values, other.eq(True))
    return figure


def write_cells(axes, values: pd.DataFrame, other: pd.DataFrame) -> None:
    """Write each value into its cell, with a star where another precision ran; hatch the cells without one."""
    from matplotlib.patches import Rectangle

    darkest = max(100.0, values.max(axis=None))
    for y, (setting, line) in enumerate(values.iterrows()):
        for x, value in enumerate(line):
            if pd.isna(value):
                axes.add_patch(
                    Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="///", edgecolor="#BBBBBB", linewidth=0)
                )
                continue
            text = (f"{value:.0f}" if value >= 10 else f"{value:.1f}") + "*" * bool(other.loc[setting].iloc[x])
            ink = "white" if value > 0.55 * darkest else "black"
            axes.text(x, y, text, ha="center", va="center", fontsize=8.5, color=ink)


def explain(axes, values: pd.DataFrame, other: pd.DataFrame) -> None:
    """Say under the map which peak is meant, and what hatching and stars mean where there are any."""
    notes = [_("% of the peak of the precision that ran")]
    notes += [_("hatched: no speed to show, or no known peak")] if values.isna().any(axis=None) else []
    notes += [_("* ran in another precision than its label says")] if other.any(axis=None) else []
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
    axes.annotate("\n".join(notes), (0, 0), (0, -38), fontsize=8, color=GREY, **place)

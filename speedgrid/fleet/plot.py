"""The plot of a fleet: for each goal one panel, every machine's figure with its interval, and whether it is behind."""

from pathlib import Path

from speedgrid.fleet import words
from speedgrid.fleet.goals import BEST, NOTHING, SAME, UNDECIDED, WORSE
from speedgrid.fleet.ranking import Fleet
from speedgrid.launcher.outputs import replacing
from speedgrid.report.plots import shorten, style
from speedgrid.text.language import _

# Okabe and Ito's colours, which people with any colour vision tell apart, and a shape for each.
LOOKS = {BEST: ("#009E73", "D"), SAME: ("#0072B2", "o"), UNDECIDED: ("#999999", "o"), WORSE: ("#D55E00", "v")}
# Machines that can be named along the axis and still be read, and letters of a name.
NAMED, LETTERS = 60, 40
# Figures that differ by more than this are drawn on a logarithmic axis.
FAR = 5


def draw(fleet: Fleet, model: str, path: Path) -> list[Path]:
    """Write the plot of a model at its resolution to `path`-MODEL, .svg and .png; return both paths."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    resolution = fleet.resolution_of(model)
    goals = [goal for goal in words.TITLES if len(fleet.at(model, resolution, goal))]
    names = [one.name for one in fleet.machines if one.name in set(fleet.rows[fleet.rows.model == model].machine)]
    places = {name: number for number, name in enumerate(reversed(names))}
    with matplotlib.rc_context(style.SETTINGS):
        shape = (3 + 2.6 * len(goals), min(1.7 + 0.32 * len(names), 12))
        figure, axes = pyplot.subplots(1, len(goals), figsize=shape, sharey=True, squeeze=False, layout="constrained")
        for one, goal in zip(axes[0], goals, strict=True):
            panel(one, fleet.at(model, resolution, goal), places)
            one.set_title(_(words.TITLES[goal].heading), loc="left", fontsize=10)
            unit = f", {fleet.currency}" if goal == "cost" and fleet.currency else ""
            one.set_xlabel(f"{_(words.TITLES[goal].figure)}{unit}", fontsize=9)
        if len(names) <= NAMED:
            axes[0, 0].set_yticks(list(places.values()), [shortened(name) for name in places], fontsize=8)
        else:
            axes[0, 0].set_ylabel(_("machines, in the order given"))
        axes[0, 0].set_ylim(-0.6, len(names) - 0.4)
        figure.suptitle(f"{model}, {style.pixels(resolution)}", x=0.01, ha="left", fontsize=11)
        legend(figure, set(fleet.rows.verdict[(fleet.rows.model == model) & (fleet.rows.resolution == resolution)]))
        found = []
        for suffix, options in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": 160})):
            found.append(path.with_name(f"{path.name}-{model}.{suffix}"))
            with replacing(found[-1]) as temporary:
                figure.savefig(temporary, **options)
                if suffix == "svg":
                    shorten(temporary)
        pyplot.close(figure)
    return found


def panel(axes, rows, places: dict[str, int]) -> None:
    """Draw one goal: a mark for each machine that has a figure, with its interval and its value."""
    rows = rows[rows.verdict != NOTHING]
    for verdict, (colour, marker) in LOOKS.items():
        for row in rows[rows.verdict == verdict].itertuples():
            reach = [[max(row.value - row.value_low, 0)], [max(row.value_high - row.value, 0)]]
            known = row.value_low == row.value_low
            look = {"color": colour, "marker": marker, "markersize": 6, "elinewidth": 1.2}
            axes.errorbar([row.value], [places[row.machine]], xerr=reach if known else None, **look)
            note = {"textcoords": "offset points", "xytext": (0, 5), "ha": "center", "fontsize": 7}
            axes.annotate(words.brief(row), (row.value, places[row.machine]), **note)
    largest, smallest = rows.value.max(), rows.value.min()
    if largest > FAR * smallest > 0:
        axes.set_xscale("log")
        axes.set_xlim(smallest / 1.6, largest * 1.6)
        style.tick_decades(axes.xaxis)
    else:
        # Not one camera in time is a figure, too.
        axes.set_xlim(0, 1.18 * max(largest, rows.value_high.max() if rows.value_high.notna().any() else 0) or 1)
    axes.tick_params(axis="x", labelsize=8)


def legend(figure, verdicts: set[str]) -> None:
    """Explain the marks that there are, beneath the panels."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=_(words.VERDICTS[verdict]))
        for verdict, (colour, marker) in LOOKS.items()
        if verdict in verdicts
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)


def shortened(name: str) -> str:
    """Return a name that fits beside the axis."""
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"

"""The explorer: one page on which a reader filters the cells of a run and points at them, with no network.

Two views share their filters: a chart of the cells that have a speed, and a map of what happened to every cell, so
that one without a speed is found and is nowhere drawn as a number. Vega-Altair (https://altair-viz.github.io) draws
them, and vl-convert puts its JavaScript into the page. Two cells that are chosen stand beside each other under them,
with the ratio of their figures; the page's address names them, so that it can be passed on.
"""

import base64
import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import altair
import pandas as pd
import vl_convert

from speedgrid.data.resolution import Resolution, side_of
from speedgrid.grid import AXES, nearest
from speedgrid.report import marks, overlays
from speedgrid.report.html_page import render, title
from speedgrid.report.plots import COLOURS
from speedgrid.report.plots.style import LOOKS
from speedgrid.table.columns import BY_NAME, called, heading, interval
from speedgrid.table.run import Description, Reference, Row, Table
from speedgrid.text.language import _, thousands
from speedgrid.text.names import NAMES
from speedgrid.text.status import OUTCOMES
from speedgrid.text.words import figure, number, reference_name, with_interval

SHAPES = {precision: look.shape for precision, look in LOOKS.items()}
FILTERS = (*AXES, "status")
WANTED = {column: f"(only_{column} == null || datum.{column} == only_{column})" for column in FILTERS}
CELL_WANTED = " && ".join(WANTED[axis] for axis in AXES)
# Columns that may be shown.
FIGURES = (
    "fps",
    "throughput_fps",
    "latency_ms",
    "ms_per_image",
    "speedup",
    "tflops",
    "memory_mb",
    "energy_mj_per_image",
    "streams",
    "streams_late",
    "streams_p99_ms",
)
# Those that a mark tells when it is pointed at.
TOLD = ("latency_ms", "fps", "throughput_fps", "speedup", "memory_mb", "energy_mj_per_image", "streams", "snr_db")
# What a page's script makes as large as the window: Vega-Lite does not do that for views above each other.
WIDTH, HEIGHT = 760, 380


def page(table: Table, run: Description, template: str | Path) -> str:
    """Return the explorer as HTML. table: results as of speedgrid.table.cells. run: as of
    speedgrid.table.description."""
    settings = run["config"]["report"]
    held = {axis: nearest(table[axis], settings[axis]) for axis in ("resolution", "batch_size")}
    shown = figures(table, settings["reference"])
    return render(
        template,
        title=title(run),
        name=_("Explorer"),
        hint=_(
            "{shown} of {cells} cells have a speed, and only they are in the chart; the map below it has the others "
            "too. Point at a mark for its figures, their 95 % intervals, its status and the reason. Hollow marks ran "
            "another precision than their label says."
        ).format(shown=int(table.latency_ms.notna().sum()), cells=len(table)),
        unable=_("This page draws with JavaScript, which is switched off here."),
        held=held | {"resolution": str(held["resolution"])},
        answers=marks.answers(table, run),
        limits=[text for _demand, text in marks.limits(run)],
        thousands=thousands(),
        about={name: _(BY_NAME[name].about).replace("`", "") for name in shown},
        figures=shown,
        told={name: called(name) for name in ("resolution", "batch_size", "observed_precision", "status", "reason")},
        specification=packed(json.dumps(chart(table, run, held["resolution"]).to_dict())),
        # Its stub demands an argument that it can do without.
        program=packed(vl_convert.javascript_bundle()),  # type: ignore[call-arg]
    )


def packed(text: str) -> str:
    """Return a text compressed, as text: a half to a fifth as long. The same text gives the same bytes."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def chart(table: Table, run: Description, resolution: Resolution) -> altair.VConcatChart:
    """Return the chart above the map, with the choices that both share.

    table: results as of speedgrid.table.cells. run: as of speedgrid.table.description. resolution: the one that is
    shown first.
    """
    shown = figures(table, run["config"]["report"]["reference"])
    places = {axis: heading(axis) for axis in ("batch_size", "resolution", "latency_ms")}
    choices = [
        choice("figure", _("show"), shown, FIGURES[0]),
        choice("over", _("over"), places, "batch_size"),
        altair.param(name="picked", value=[]),
        *filters(table, resolution),
    ]
    titles = {name: {place: f"{text} / {axis}" for place, axis in places.items()} for name, text in shown.items()}
    numbers = altair.NumberLocale(decimal=".", thousands=thousands(), grouping=[3], currency=["", ""])
    return (
        altair.vconcat(speeds(table, titles, run), statuses(table), data=inline(table, run))
        .add_params(*choices)
        .resolve_scale(color="independent")
        .configure(locale=altair.Locale(number=numbers))
        .configure_axis(gridColor="#e5e5e5", labelFontSize=12, titleFontSize=12)
        .configure_legend(labelFontSize=12, titleFontSize=12, orient="top", columns=4, symbolLimit=0)
        .configure_title(anchor="start", frame="group", fontSize=14, offset=8)
    )


def filters(table: Table, resolution: Resolution) -> list[altair.Parameter]:
    """Return the choices of FILTERS. One model is always chosen: settings of two models are no alternatives."""
    models = table.model.unique().tolist()
    if len(models) == 1:  # nothing to choose
        found = [altair.param(name="only_model", value=models[0])]
    else:
        found = [choice("only_model", called("model"), dict(zip(models, models, strict=True)), models[0])]
    for column in FILTERS[1:]:
        values = {value: NAMES.get(value, str(value)) for value in sorted(table[column].unique().tolist())}
        first = None
        if column == "resolution":
            values, first = {str(value): name for value, name in values.items()}, str(resolution)
        found.append(choice(f"only_{column}", called(column), {None: _("all")} | values, first))
    return found


def figures(table: Table, reference: Reference) -> dict[str, str]:
    """Return the columns that can be shown because some row has a value, and what they are called."""
    base = reference_name(reference)
    # The first one also where nothing was measured: an empty chart, with its axes.
    shown = [name for name in FIGURES if name == FIGURES[0] or table[name].notna().any()]
    return {name: heading(name, base) for name in shown}


def choice(name: str, label: str, values: dict[Any, str], first) -> altair.Parameter:
    """Return a drop-down list of values and how they read; `first` is chosen at the beginning."""
    listed = altair.binding_select(options=list(values), labels=list(values.values()), name=label)
    return altair.param(name=name, value=first, bind=listed)


def inline(table: Table, run: Description) -> altair.InlineData:
    """Return the table as the page reads it, in CSV: a fifth as long as Altair's own way, with no limit of rows."""
    rows = pd.DataFrame([marked(row) for row in table.to_dict("records")])
    met = marks.meets(table, run)
    rows["name"] = marks.names_of(table).to_numpy()
    rows["recommended"] = marks.recommended(table, run).to_numpy()
    rows["missing"] = "" if met is None else (~met).map({True: "missing", False: ""}).to_numpy()
    numbers = ["side", "batch_size", *rows.columns[rows.columns.str.endswith(("_value", "_low", "_high"))]]
    parsed = altair.CsvDataFormat(type="csv", parse=dict.fromkeys(numbers, "number"))
    return altair.InlineData(rows.to_csv(index=False, float_format="%.5g"), name="cells", format=parsed)


def marked(row: Row) -> dict[str, Any]:
    """Return a row as the page reads it: its cell, what happened to it, and its figures as numbers and as texts."""
    known = {name: row[name] for name in (*FILTERS, "observed_precision", "reason")}
    known |= {"resolution": str(row["resolution"]), "side": round(side_of(row["resolution"]))}
    known["setting"] = f"{NAMES.get(row['backend'], row['backend'])} {row['precision']}"
    known["session"] = row.get("session")
    for name in FIGURES:
        low, high = interval(row, name)
        known |= {f"{name}_value": row[name], f"{name}_low": low, f"{name}_high": high}
        known[f"{name}_text"] = figure(row[name], BY_NAME[name]) if low is None else with_interval(row[name], low, high)
    return known | {"snr_db_text": number(row["snr_db"])}


def tooltip(table: Table, figures: bool) -> list[altair.Tooltip]:
    """Return the tooltip of a mark: its cell, its figures if wanted, and what happened to it."""
    told = [name for name in TOLD if figures and table[name].notna().any()]
    fields = {"setting": _("setting"), **{name: called(name) for name in ("resolution", "batch_size")}}
    fields |= {f"{name}_text": heading(name) for name in told}
    fields |= {name: called(name) for name in ("observed_precision", "status", "reason")}
    return [altair.Tooltip(name, type="nominal", title=text) for name, text in fields.items()]


def scaled(channel: type, column: str, values, known: dict[str, str], **options):
    """Return an encoding of a column's values by the ones of `known`, in that order, grey where there is none."""
    shown = [name for name in known if name in set(values)] + sorted(set(values) - set(known))
    scale = altair.Scale(domain=shown, range=[known.get(name, "#555555") for name in shown])
    return channel(f"{column}:N", scale=scale, **options)


def speeds(table: Table, titles: dict[str, dict[str, str]], run: Description) -> altair.LayerChart:
    """Return the chart of the chosen figure over the chosen axis, with its 95 % intervals."""
    labels = {axis: tick_labels(table[axis]) for axis in ("batch_size", "resolution")}
    ticks = {axis: list(of_axis) for axis, of_axis in labels.items()}
    x = altair.X("place:Q", title=None, scale=altair.Scale(type="log", nice=False, padding=16))
    # Over the latency there are no such places: Vega chooses them.
    read = f"over == 'latency_ms' ? format(datum.value, '~g') : {json.dumps(labels)}[over][datum.value]"
    places = altair.ExprRef(f"{json.dumps(ticks | {'latency_ms': None})}[over]")
    x = x.axis(values=places, labelExpr=read, grid=False)
    y = altair.Y("value:Q", title=None, scale=altair.Scale(type="log"))
    base = (
        altair.Chart()
        .transform_filter(CELL_WANTED)
        # A row of another status than wanted stays in its line, as a gap.
        .transform_calculate(value=f"{WANTED['status']} ? datum[figure + '_value'] : null")
        .transform_calculate(low="datum[figure + '_low']", high="datum[figure + '_high']")
        .transform_calculate(
            place="over == 'latency_ms' ? datum.latency_ms_value : over == 'resolution' ? datum.side : datum.batch_size"
        )
        .transform_calculate(line="datum.setting + (over == 'resolution' ? datum.batch_size : datum.resolution)")
    )
    # Zero has no place on a logarithmic axis. A line breaks where there is no value: nothing may be read off there.
    drawn = base.transform_filter("isValid(datum.value) && datum.value > 0")
    colour = scaled(altair.Color, "backend", table.backend, COLOURS, legend=None)
    lines = base.transform_filter("isValid(datum.place)").mark_line(opacity=0.3).encode(x, y, colour, detail="line:N")
    bars = drawn.transform_filter("isValid(datum.low)").mark_rule().encode(x, altair.Y("low:Q"), altair.Y2("high:Q"))
    layers = [
        overlays.front(drawn, x, y, FIGURES),
        *overlays.demanded(run, FIGURES),
        lines,
        bars.encode(colour),
        *overlays.rings(drawn, x, y),
        dots(table, drawn, x, y),
    ]
    title = altair.Title(altair.ExprRef(f"{json.dumps(titles)}[figure][over]"))
    return altair.layer(*layers, title=title).properties(width=WIDTH, height=HEIGHT)


def dots(table: Table, drawn: altair.Chart, x: altair.X, y: altair.Y) -> altair.Chart:
    """Return the marks of the cells: hollow where another precision ran, faint where a demand is missed."""
    names = f"{json.dumps(NAMES)}[datum.value] || datum.value"
    backends = (table.backend, COLOURS)
    hollow = altair.condition("datum.observed_precision == datum.precision", altair.value(0.85), altair.value(0))
    return drawn.mark_point(size=60, cursor="pointer").encode(
        x,
        y,
        scaled(altair.Fill, "backend", *backends, title=called("backend"), legend=altair.Legend(labelExpr=names)),
        scaled(altair.Stroke, "backend", *backends, title=called("backend"), legend=altair.Legend(labelExpr=names)),
        scaled(altair.Shape, "precision", table.precision, SHAPES, title=called("precision")),
        fillOpacity=hollow,
        opacity=altair.condition("datum.missing == 'missing'", altair.value(0.3), altair.value(1)),
        tooltip=tooltip(table, figures=True),
    )


def tick_labels(values: Iterable[Resolution]) -> dict[int, str]:
    """Return the label of each place of an axis, in order: batch sizes, or resolutions by sides of squares."""
    found: dict[int, list[str]] = {}
    for value in sorted(set(values)):
        found.setdefault(round(side_of(value)), []).append(str(value))
    return {place: ", ".join(names) for place, names in found.items()}


def statuses(table: Table) -> altair.Chart:
    """Return the map of all cells: a line for each setting, within each resolution a field for each batch size."""
    known = {name: outcome.colour for name, outcome in OUTCOMES.items()}
    resolutions = [str(one) for one in sorted(table.resolution.unique().tolist())]
    return (
        altair.Chart(
            title=altair.Title(
                _("What happened to each cell"), subtitle=_("within a resolution, batch sizes go from left to right")
            )
        )
        .transform_filter(f"{CELL_WANTED} && {WANTED['status']}")
        .mark_rect(stroke="white", cursor="pointer")
        .encode(
            altair.X("resolution:O", title=heading("resolution"), axis=altair.Axis(labelAngle=0), sort=resolutions),
            altair.Y("setting:N", title=None, sort=None, axis=altair.Axis(labelLimit=220)),
            scaled(altair.Color, "status", table.status, known, title=called("status")),
            xOffset="batch_size:O",
            tooltip=tooltip(table, figures=False),
        )
        .properties(width=WIDTH, height=altair.Step(20))
    )

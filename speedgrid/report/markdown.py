"""Render the Markdown report from results and the description of their run."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from speedgrid.grid import Config, nearest
from speedgrid.measure import percentiles, probes
from speedgrid.published import section
from speedgrid.published.verdict import Audited
from speedgrid.report import findings, plots
from speedgrid.report.findings import decoding, streams
from speedgrid.report.findings.accuracy import accuracies
from speedgrid.report.findings.decision import recommended
from speedgrid.report.findings.objectives import OBJECTIVES, margin_of
from speedgrid.report.findings.operators import operators
from speedgrid.report.findings.requests import requests
from speedgrid.report.findings.topic import linked
from speedgrid.report.findings.trust import quality, warnings
from speedgrid.report.findings.untried import untried
from speedgrid.table.columns import interval
from speedgrid.table.run import Description, Table
from speedgrid.text import language, templates
from speedgrid.text.markup import Markdown, target
from speedgrid.text.names import NAMES
from speedgrid.text.words import label, measured, number, place, reference_name, with_interval


def markdown(table: Table, run: Description, template: str | Path, published: Sequence[Audited] = ()) -> str:
    """Return the report as Markdown, in the language of the run's configuration.

    table: results as of speedgrid.table.cells. run: as of speedgrid.table.description. template: its sections lie in a
    folder beside it. published: as of speedgrid.published.verdict.audit.
    """
    with language.speaking(run["config"]["report"]["language"]):
        return _markdown(table, run, Path(template), published)


def _markdown(table: Table, run: Description, path: Path, published: Sequence[Audited]) -> str:
    made = templates.markdown(path.parent, number=number, label=label, place=place, to_explorer=to_explorer)
    whole = of_run(table, run) | {"published": section.compose(published, table, run)}
    models = [whole | of_model(rows, run, whole) for _, rows in table.groupby("model", sort=False)]

    def once(name: str) -> Markdown:
        """Return the text of a section of the run as a whole."""
        return anchored(name, made.get_template(f"sections/{name}.md.j2").render(whole))

    def each(name: str) -> Markdown:
        """Return the text of a section for each model in turn."""
        template = made.get_template(f"sections/{name}.md.j2")
        places = [f"{name}-{one['model']}" if whole["several"] else name for one in models]
        return Markdown("\n\n").join(
            anchored(place, template.render(one)) for place, one in zip(places, models, strict=True)
        )

    return without_gaps(made.get_template(path.name).render(whole, once=once, each=each))


def to_explorer(text: str, row: Any) -> Markdown:
    """Return a text as a link to the cell in the explorer of a row, one of a table's named tuples."""
    return linked(text, row._asdict())


def anchored(place: str, text: str) -> Markdown:
    """Return a section with the place that links to it name; of one with nothing to say, nothing.

    Headings are in the language of the report, and so would be the places that pages make of them.
    """
    return Markdown(f'<a id="{target(place)}"></a>\n\n{text.strip()}') if text.strip() else Markdown()


def without_gaps(text: str) -> str:
    """Return a text of Markdown with one blank line where sections had nothing to say, but in code."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    found = (part if number % 2 else re.sub(r"\n{3,}", "\n\n", part) for number, part in enumerate(parts))
    return "".join(found).strip() + "\n"


def of_run(table: Table, run: Description) -> dict[str, Any]:
    """Return the variables that every section of the report has."""
    config, shown = run["config"], measured(table)
    resolution = nearest(table.resolution, config["report"]["resolution"])
    names = list(table.model.unique())
    return {
        "run": run,
        "machine": run["machine"],
        "timing": percentiles.long_enough(config["timing"], config["budget"]),
        "reference": config["report"]["reference"],
        "reference_name": reference_name(config["report"]["reference"]),
        "cpu": run["machine"]["device"] == "cpu",
        "rendered_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "names": names,
        "several": len(names) > 1,
        "by_model": findings.by_model(table, resolution, config, margin_of(run["controls"]["noise_floor_percent"])),
        "table": table,
        "resolution": resolution,
        "batch_size": nearest(table.batch_size, config["report"]["batch_size"]),
        "done": len(shown),
        "energy": table.energy_mj_per_image.notna().any(),
        "unstable": shown[shown.status == "unstable"],
        "throttled": shown[shown.throttled.notna()],
        "hurried": shown[shown.caveats.notna()],
        "probed": probed(table),
        "quality": quality(table, run["controls"], run.get("sessions", ())),
        "untried": untried(table, run),
        "witnesses": witnesses(table),
        "accuracies": accuracies(table),
        "decoding": decoding.section(run.get("decoding")),
        "uncounted": any(one["onnx_flop"] is None for sizes in run["arithmetic"].values() for one in sizes.values()),
        "config_text": yaml.safe_dump(made_with(config), sort_keys=False, default_flow_style=None, width=100),
    }


def made_with(config: Config) -> Config:
    """Return the part of a configuration that a run was made with: what is handed over of it is asked for apart."""
    return {key: value for key, value in config.items() if key != "deploy"}


def probed(table: Table) -> list[str]:
    """Return the sentence of each probe that measured something in a table, in English."""
    return [
        probe.SENTENCE
        for probe in probes.all_probes().values()
        if table[[column.name for column in probe.COLUMNS]].notna().any(axis=None)
    ]


def of_model(table: Table, run: Description, whole: dict[str, Any]) -> dict[str, Any]:
    """Return the variables that the sections on one model have beside those of the run.

    table: its rows. whole: as of `of_run`.
    """
    model, shown = table.model.iloc[0], measured(table)
    return {
        "model": model,
        # What a heading ends in, where there are headings of several models.
        "of": Markdown(": {}").format(model) if whole["several"] else "",
        "table": table,
        "done": len(shown),
        "statuses": table.status.value_counts(sort=False).to_dict(),
        "weights": [one for one in run["weights"] if one["model"] == model],
        "deployable": deployable(table, run),
        "findings": findings.compute(table, run["config"], run["controls"]["noise_floor_percent"]),
        "warnings": warnings(table, run["controls"], run.get("sessions", ())),
        "sections": sections(table),
        "speedup_over_resolution": speedups(shown[shown.batch_size == whole["batch_size"]], "resolution"),
        "speedup_over_batch_size": speedups(shown[shown.resolution == whole["resolution"]], "batch_size"),
        "requests": requests(table, whole["resolution"], whole["batch_size"]),
        "streams": streams.section(run.get("streams", []), model, run.get("decoding")),
        "operators": operators(table, run.get("operators", []), whole["reference"]),
        "missing": missing(table),
        # What shows the run is shown once.
        "plots": {
            name: title
            for name, title in plots.asked(run["config"]).items()
            if not plots.PLOTS[name].of_run or model == whole["names"][0]
        },
    }


def deployable(table: Table, run: Description) -> list[str]:
    """Return the objectives for which a setting of a model is recommended, and so can be handed over."""
    margin = margin_of(run["controls"]["noise_floor_percent"])
    return [name for name in OBJECTIVES if recommended(table, name, run["config"], margin) is not None]


def sections(table: Table) -> list[dict[str, Any]]:
    """Return, for each backend and precision, its rows and what must be said about all of them."""
    found = []
    for (backend, precision), rows in table.groupby(["backend", "precision"], sort=False):
        statuses = set(rows.status)
        found.append(
            {
                "title": f"{NAMES.get(backend, backend)}, {precision}",
                "rows": list(rows.itertuples()),
                "whole": rows.iloc[0] if len(statuses) == 1 and rows.reason.nunique() == 1 else None,
            }
        )
    return found


def speedups(rows: Table, axis: str) -> dict[str, Any]:
    """Return the speed-up table over one axis: `columns`, and `rows` of (label, [text of each column])."""
    rows = rows[rows.speedup.notna()]
    columns = sorted(rows[axis].unique()) if len(rows) else []
    lines = []
    for _, line in rows.groupby(["backend", "precision"], sort=False):
        by_column = line.set_index(axis)
        texts = [speedup_text(by_column.loc[c]) if c in by_column.index else "" for c in columns]
        lines.append((label(line.iloc[0]), texts))
    return {"columns": columns, "rows": lines}


def speedup_text(row) -> str:
    """Write a speed-up with its interval; the reference itself is exactly 1."""
    return "" if pd.isna(row.speedup) else with_interval(row.speedup, *interval(row, "speedup"))


def missing(table: Table) -> list[dict[str, Any]]:
    """Return the cells without a speed, brought together where backend, precision and reason are the same."""
    rows = table[table.latency_ms.isna()]
    return [
        {"backend": backend, "precision": precision, "status": status, "reason": reason, "cells": len(group)}
        for (backend, precision, status, reason), group in rows.groupby(
            ["backend", "precision", "status", "reason"], sort=False
        )
    ]


def witnesses(table: Table) -> list[dict[str, Any]]:
    """Return the precision by the names of kernels beside that by errors, for each model, backend and precision."""
    rows = table[table.kernels.notna() & table.latency_ms.notna()]
    keys = ["model", "backend", "precision", "observed_precision", "kernels"]
    return [
        dict(zip(("model", "backend", "precision", "observed", "kernels"), values, strict=True))
        | {"cells": len(group), "batch_size": group.batch_size.iloc[0]}
        for values, group in rows.groupby(keys, sort=False)
    ]

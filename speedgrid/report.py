"""Render the Markdown report from results and the description of their run."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import yaml

from speedgrid import findings, language, plots
from speedgrid.findings import label, measured, number
from speedgrid.findings.accuracy import accuracies
from speedgrid.findings.words import place, with_interval
from speedgrid.grid import nearest
from speedgrid.published import section
from speedgrid.templates import environment


def markdown(table: pd.DataFrame, run: dict, template: str | Path, published: list[dict] = ()) -> str:
    """Return the report as Markdown, in the language of the run's configuration.

    table: results as of speedgrid.table. run: as of speedgrid.run. template: its sections lie in a folder beside it.
    published: as of speedgrid.published.verdict.audit.
    """
    with language.speaking(run["config"]["report"]["language"]):
        return _markdown(table, run, Path(template), published)


def _markdown(table: pd.DataFrame, run: dict, path: Path, published: list[dict]) -> str:
    settings = run["config"]["report"]
    resolution = nearest(table.resolution, settings["resolution"])
    batch_size = nearest(table.batch_size, settings["batch_size"])
    shown = measured(table)
    made = environment(path.parent)
    made.filters |= {"number": number, "label": label, "place": place}
    return made.get_template(path.name).render(
        run=run,
        rendered_at=datetime.now(UTC).isoformat(timespec="minutes"),
        table=table,
        sections=sections(table),
        resolution=resolution,
        batch_size=batch_size,
        speedup_over_resolution=speedups(shown[shown.batch_size == batch_size], "resolution"),
        speedup_over_batch_size=speedups(shown[shown.resolution == resolution], "batch_size"),
        findings=findings.compute(table, run["config"], run["controls"]["noise_floor_percent"]),
        unstable=shown[shown.status == "unstable"],
        throttled=shown[shown.throttled.notna()],
        missing=missing(table),
        witnesses=witnesses(table),
        accuracies=accuracies(table),
        relabelled=shown[shown.status == "wrong_precision"],
        plots=plots.TITLES,
        published=section.compose(published, table, run),
        config_text=yaml.safe_dump(run["config"], sort_keys=False, default_flow_style=None, width=100),
    )


def sections(table: pd.DataFrame) -> list[dict]:
    """Return, for each backend and precision, its rows and what must be said about all of them."""
    found = []
    for (backend, precision), rows in table.groupby(["backend", "precision"], sort=False):
        statuses = set(rows.status)
        found.append(
            {
                "title": f"{plots.NAMES.get(backend, backend)}, {precision}",
                "rows": list(rows.itertuples()),
                "whole": rows.iloc[0] if len(statuses) == 1 and rows.reason.nunique() == 1 else None,
            }
        )
    return found


def speedups(rows: pd.DataFrame, axis: str) -> dict:
    """Return the speed-up table over one axis: `columns`, and `rows` of (label, [text of each column])."""
    columns = sorted(rows[axis].unique()) if len(rows) else []
    lines = []
    for _, line in rows.groupby(["backend", "precision"], sort=False):
        by_column = line.set_index(axis)
        texts = [speedup_text(by_column.loc[c]) if c in by_column.index else "" for c in columns]
        lines.append((label(line.iloc[0]), texts))
    return {"columns": columns, "rows": lines}


def speedup_text(row) -> str:
    """Write a speed-up with its interval; the reference itself is exactly 1."""
    return "" if pd.isna(row.speedup) else with_interval(row.speedup, row.speedup_low, row.speedup_high)


def missing(table: pd.DataFrame) -> list[dict]:
    """Return the cells without a speed, brought together where backend, precision and reason are the same."""
    rows = table[table.latency_ms.isna()]
    return [
        {"backend": backend, "precision": precision, "status": status, "reason": reason, "cells": len(group)}
        for (backend, precision, status, reason), group in rows.groupby(
            ["backend", "precision", "status", "reason"], sort=False
        )
    ]


def witnesses(table: pd.DataFrame) -> list[dict]:
    """Return what the names of kernels say beside what the errors say, by backend and precision."""
    rows = table[table.kernels.notna() & table.latency_ms.notna()]
    keys = ["backend", "precision", "observed_precision", "kernels"]
    return [
        dict(zip(("backend", "precision", "observed", "kernels"), values, strict=True))
        | {"cells": len(group), "batch_size": group.batch_size.iloc[0]}
        for values, group in rows.groupby(keys, sort=False)
    ]

"""The answer in one table: for each objective and each batch size what to take, what it gains, and what comes next."""

import math
from typing import Any

import pandas as pd

from speedgrid.grid import Config
from speedgrid.report.findings import demands
from speedgrid.report.findings.costs import reference_best
from speedgrid.report.findings.objectives import OBJECTIVES, Objective, advantage, best, objective_name, ties
from speedgrid.report.findings.topic import Topic, filled, linked
from speedgrid.table.run import Reference, Table
from speedgrid.text.markup import _
from speedgrid.text.words import label, number, reference_name, setting, with_interval

LATENCY = OBJECTIVES["latency"]


def answer_table(winners: dict[str, Any], rows: Table, config: Config, margin: float) -> Topic:
    """Return a line for each objective over all batch sizes, and for the least latency at each batch size.

    winners: what is recommended, by objective. rows: those of one model and resolution. At a batch size where nothing
    meets the demands, the line has the fastest, and what it misses.
    """
    asked, reference = demands.demands(config), config["report"]["reference"]
    eligible = demands.meeting(rows, asked)
    lines = [
        [
            objective_name(name),
            *cells(row, OBJECTIVES[name], asked),
            *beside(row, name, rows, eligible, reference, margin),
        ]
        for name, row in winners.items()
    ]
    if rows.batch_size.nunique() > 1:
        lines += [at_batch_size(size, here, asked, margin) for size, here in rows.groupby("batch_size")]
    head = [
        _("for"),
        _("what to take"),
        _("ms a call (95 % interval)"),
        _("99 % of calls within, ms"),
        _("images/s"),
        _("mJ an image") if "energy" in winners else "",
        _("meets what is demanded"),
        _("times {reference}").format(reference=reference_name(reference)),
        _("next best, and how many times better this is"),
    ]
    return Topic([], *filled(head, lines)) if lines else Topic()


def at_batch_size(size: int, rows: Table, asked: list[demands.Demand], margin: float) -> list[str]:
    """Return the line of one batch size."""
    eligible = demands.meeting(rows, asked)
    row = best(rows if eligible.empty else eligible, LATENCY)
    ratio = "" if pd.isna(row.speedup) else with_interval(row.speedup, row.speedup_low, row.speedup_high)
    return [
        _("latency at batch size {size}").format(size=size),
        *cells(row, LATENCY, asked, label(row)),
        ratio,
        next_best(row, rows if eligible.empty else eligible, LATENCY, margin, label),
    ]


def cells(row, objective: Objective, asked: list[demands.Demand], text: str = "") -> list[str]:
    """Return the cells on a row itself: its name, its figures, and its standing to the demands."""
    rate = row.fps if pd.isna(row.throughput_fps) else row.throughput_fps
    return [
        linked(text or setting(row), row),
        with_interval(row.latency_ms, row.latency_ms_low, row.latency_ms_high),
        number(row.latency_p99_ms),
        number(rate),
        number(row.energy_mj_per_image) if pd.notna(row.energy_mj_per_image) else "",
        demands.standing(row, asked) if asked else "",
    ]


def beside(row, name: str, rows: Table, eligible: Table, reference: Reference, margin: float) -> list[str]:
    """Return the ratio of a recommended row over the reference at its best, and over the next best setting."""
    objective = OBJECTIVES[name]
    base = reference_best(rows, reference, objective)
    ratio = "" if base is None else times(advantage(row, base, objective))
    return [ratio, next_best(row, eligible, objective, margin, setting)]


def times(ratio: tuple[float, float, float]) -> str:
    """Write a ratio with its interval; of one that nothing links, that it is not known."""
    value, low, high = ratio
    return with_interval(value, low, high) if math.isfinite(high) else _("not known")


def next_best(row, rows: Table, objective: Objective, margin: float, named) -> str:
    """Return the alternative of another backend or precision: one that ties, else the best, with the ratio."""
    others = rows[(rows.backend != row.backend) | (rows.precision != row.precision)]
    alike = ties(pd.concat([rows.loc[[row.name]], others]), row, objective, margin)
    if len(alike):
        return _("{setting}: a tie").format(setting=named(alike.iloc[0]))
    second = best(others, objective)
    if second is None:
        return ""
    return _("{setting}: {ratio}").format(setting=named(second), ratio=times(advantage(row, second, objective)))

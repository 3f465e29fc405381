"""Which cells get another round: those on which an answer of the report depends that is still open, each with why."""

from collections.abc import Iterable, Iterator, Set
from typing import TypedDict

import pandas as pd

from speedgrid.grid import Cell, Config, nearest, place_of
from speedgrid.report.findings.decision import chosen, reference_best
from speedgrid.report.findings.demands import Demand, before_streams, demands, meeting
from speedgrid.report.findings.objectives import OBJECTIVES, advantage, margin_of, ties
from speedgrid.table import columns
from speedgrid.table.across import cell_of, cells_of
from speedgrid.table.run import Reference, Table
from speedgrid.text.words import measured

# A line of a plot is drawn by rows whose intervals reach no further than this on either side.
NARROW = 0.05
# What is recommended, and what it is compared with, was measured in so many processes.
FEWEST = 2
# Measured in the first round alone, so that more rounds tell no more of it.
ONCE = ("energy",)
TIE, RECOMMENDED, REFERENCE, DEMAND, LINE, UNSTABLE, BESIDE, CONTROL, KEPT = (
    "tie",
    "recommended",
    "reference",
    "demand",
    "line",
    "unstable",
    "beside",
    "control",
    "kept",
)
# What is open, as the line says it that tells how far a run is.
OPEN = {
    TIE: "ties",
    DEMAND: "demands",
    RECOMMENDED: "what is recommended",
    REFERENCE: "the reference",
    LINE: "lines of plots",
    UNSTABLE: "what was unstable",
    KEPT: "what it had before",
}

# A row of the table by its label, and why its cell gets another round.
Why = tuple[object, str]


class Decision(TypedDict):
    """The cells that get another round after `round` of them, by name, with the reasons of each, and what is open."""

    round: int
    open: list[str]
    cells: dict[str, list[str]]


def decide(
    table: Table, config: Config, noise_floor_percent: float | None, done: int, control: Cell, there: Set[str]
) -> Decision:
    """Return which cells get another round after `done` rounds.

    table: as of speedgrid.table.cells, over these rounds. control: the control cell of the run. there: the cells that
    have a timing of that round already, of an earlier decision; they keep it.
    """
    margin = margin_of(noise_floor_percent)
    found: dict[str, list[str]] = {}
    for _, rows in table.groupby("model", sort=False):
        shown = measured(rows)
        for label, why in needed(shown, config, margin) if len(shown) else ():
            add(found, str(cell_of(table.loc[label])), why)
    for name in sorted(there):
        add(found, name, KEPT)
    if found:
        for cell in beside(table, found, config["report"]["reference"]):
            add(found, cell, BESIDE)
        add(found, str(control), CONTROL)
    kinds = {why.partition(":")[0] for reasons in found.values() for why in reasons}
    named = [text for kind, text in OPEN.items() if kind in kinds]
    return {"round": done, "open": named, "cells": {name: found[name] for name in sorted(found)}}


def add(found: dict[str, list[str]], name: str, why: str) -> None:
    """Add a reason to those of a cell, once."""
    reasons = found.setdefault(name, [])
    if why not in reasons:
        reasons.append(why)


def needed(rows: Table, config: Config, margin: float) -> Iterator[Why]:
    """Yield the rows of one model that an open answer needs, each with a reason."""
    asked, reference = demands(before_streams(config)), config["report"]["reference"]
    here = nearest(rows.resolution, config["report"]["resolution"])
    for resolution, own in rows.groupby("resolution"):
        for name in OBJECTIVES:
            yield from of_objective(name, own, asked, margin)
            if resolution == here:
                yield from of_reference(name, own, asked, reference, margin)
        for demand in asked:
            yield from ((label, f"{DEMAND}: {demand.key}") for label in straddling(own, demand))
    batch_size = nearest(rows.batch_size, config["report"]["batch_size"])
    lines = rows[(rows.resolution == here) | (rows.batch_size == batch_size)]
    wide = (lines.latency_ms_high / lines.latency_ms > 1 + NARROW) | (
        lines.latency_ms_low / lines.latency_ms < 1 - NARROW
    )
    yield from ((label, LINE) for label in lines.index[wide])
    yield from ((label, UNSTABLE) for label in rows.index[rows.status.isin(("unstable", "busy"))])


def of_objective(name: str, rows: Table, asked: list[Demand], margin: float) -> Iterator[Why]:
    """Yield the row that is recommended for an objective, while its processes are few, and those that tie with it."""
    eligible = meeting(rows, asked)
    winner = chosen(name, eligible, margin)
    if winner is None:
        return
    of = f"{name} at {winner.resolution} pixels"
    if winner["rounds"] < FEWEST:
        yield winner.name, f"{RECOMMENDED}: {of}"
    if name in ONCE or winner.name not in eligible.index:
        return
    others = ties(eligible, winner, OBJECTIVES[name], margin)
    if len(others):
        yield from ((label, f"{TIE}: {of}") for label in (winner.name, *others.index))


def of_reference(name: str, rows: Table, asked: list[Demand], reference: Reference, margin: float) -> Iterator[Why]:
    """Yield the row of the reference that a recommendation is compared with, while its gain is open."""
    base, winner = reference_best(rows, reference, OBJECTIVES[name]), chosen(name, meeting(rows, asked), margin)
    if base is None or winner is None or base.name == winner.name:
        return
    _, low, high = advantage(winner, base, OBJECTIVES[name])
    if base["rounds"] < FEWEST or (name not in ONCE and low <= margin < high):
        yield base.name, f"{REFERENCE}: {name}"


def straddling(rows: Table, demand: Demand) -> Iterable[object]:
    """Return the rows of which it is open whether they meet a demand, as it lies within their interval."""
    if not columns.BY_NAME[demand.name].interval:
        return []
    low, high = (rows[f"{demand.name}_{end}"].astype(float) for end in ("low", "high"))
    return rows.index[(low <= demand.limit) & (demand.limit < high)]


def beside(table: Table, wanted: Iterable[str], reference: Reference) -> list[str]:
    """Return the cells of the reference at the places of some cells, where it has a speed: it is timed beside them."""
    own = table[
        (table.backend == reference["backend"])
        & (table.precision == reference["precision"])
        & pd.notna(table.latency_ms)
    ]
    places = {place_of(Cell.parse(name)) for name in wanted}
    return [str(cell) for cell in cells_of(own) if place_of(cell) in places]

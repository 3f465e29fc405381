"""Every timing of a run as one row of a tidy table: what the table of cells, which is over rounds, no longer tells."""

from collections.abc import Iterable
from dataclasses import asdict

import numpy as np
import pandas as pd

from speedgrid.evidence.intervals import median_interval
from speedgrid.grid import AXES
from speedgrid.record import Record
from speedgrid.statistics import median
from speedgrid.table.aside import judge
from speedgrid.table.conditions import pace
from speedgrid.table.run import Row, Table, Timings
from speedgrid.table.sizes import sized
from speedgrid.text.status import SHOWN

COLUMNS = (
    *AXES,
    "turn",
    "measured_at",
    "status",
    "latency_ms",
    "latency_ms_low",
    "latency_ms_high",
    "device_ms",
    "submit_ms",
    "pace_ms",
    "runs",
)


def tabulate(records: Iterable[Record]) -> Timings:
    """Return one row per record, by cell and then by time, with COLUMNS.

    turn: as of speedgrid.grid. measured_at: ISO 8601. latency_ms: the median of this one timing with the 95 % interval
    that its own samples give, which knows nothing of what differs between processes. device_ms, submit_ms: medians.
    pace_ms: of the processor, as of speedgrid.table.conditions.pace. A record whose speed is not shown has no figures
    and no runs.
    """
    rows = [row(record) for record in sorted(records, key=lambda one: (one.cell, one.measured_at))]
    table = sized(pd.DataFrame(rows, columns=COLUMNS))
    figures = [name for name in COLUMNS if name.endswith(("_ms", "_low", "_high"))]
    return table.astype(dict.fromkeys(figures, float))  # a column with no value at all would otherwise have no type


def row(record: Record) -> Row:
    """Return the row of one record."""
    status = judge(record).status
    result = {
        **asdict(record.cell),
        "turn": record.turn,
        "measured_at": record.measured_at,
        "status": status,
        "runs": 0,
    }
    if status not in SHOWN or record.seen is None:
        return result
    samples = record.seen.samples
    latency, low, high = median_interval([np.array(samples.host_ms)])
    return result | {
        "latency_ms": latency,
        "latency_ms_low": low,
        "latency_ms_high": high,
        "device_ms": median(samples.device_ms) if samples.device_ms else None,
        "submit_ms": median(samples.submit_ms) if samples.submit_ms else None,
        "pace_ms": pace(record),
        "runs": len(samples.host_ms),
    }


def spread(rounds: Timings, cells: Table) -> pd.DataFrame:
    """Return by how much the rounds of each cell differ: AXES, `rounds` and `spread_percent`, largest over least.

    rounds: of `tabulate`. cells: those to look at, in their order, with AXES and latency_ms; a cell without a speed, or
    with fewer than two rounds that have one, is left out.
    """
    wanted = cells.loc[cells.latency_ms.notna(), list(AXES)]
    of_grid = rounds[rounds.turn.str.startswith("round") & rounds.latency_ms.notna()]
    latencies = wanted.merge(of_grid, on=list(AXES)).groupby(list(AXES), sort=False).latency_ms
    found = latencies.agg(rounds="count", low="min", high="max").reset_index()
    found["spread_percent"] = 100 * (found.high / found.low - 1)
    return found.loc[found["rounds"] > 1, [*AXES, "rounds", "spread_percent"]].reset_index(drop=True)

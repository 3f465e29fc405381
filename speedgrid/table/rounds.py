"""Every timing of a run as one row of a tidy table: what the table of cells, which is over rounds, no longer tells."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from speedgrid.grid import AXES, Cell
from speedgrid.measure.host import pace_of
from speedgrid.record import SHOWN
from speedgrid.table.intervals import median_interval

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


def tabulate(records: Iterable[dict]) -> pd.DataFrame:
    """Return one row per record, by cell and then by time, with COLUMNS.

    turn: as of speedgrid.grid. measured_at: ISO 8601. latency_ms: the median of this one timing with the 95 % interval
    that its own samples give, which knows nothing of what differs between processes. device_ms, submit_ms: medians.
    pace_ms: of the processor, as of speedgrid.measure.host.pace_of. A record whose speed is not shown has no figures
    and no runs.
    """
    rows = [row(record) for record in sorted(records, key=lambda one: (Cell(**one["cell"]), one["measured_at"]))]
    table = pd.DataFrame(rows, columns=COLUMNS)
    figures = [name for name in COLUMNS if name.endswith(("_ms", "_low", "_high"))]
    return table.astype(dict.fromkeys(figures, float))  # a column with no value at all would otherwise have no type


def row(record: dict) -> dict:
    """Return the row of one record."""
    result = {**record["cell"], **{name: record[name] for name in ("turn", "measured_at", "status")}, "runs": 0}
    if record["status"] not in SHOWN or "samples" not in record:
        return result
    samples = record["samples"]
    latency, low, high = median_interval([np.array(samples["host_ms"])])
    return result | {
        "latency_ms": latency,
        "latency_ms_low": low,
        "latency_ms_high": high,
        **{name: float(np.median(samples[name])) if samples[name] else None for name in ("device_ms", "submit_ms")},
        "pace_ms": pace_of(record),
        "runs": len(samples["host_ms"]),
    }


def spread(rounds: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
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

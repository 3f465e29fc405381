"""Speed-ups: how many times as fast each cell is as the reference at its place, with the interval of that."""

from collections.abc import Mapping

import numpy as np

from speedgrid.data.resolution import Resolution
from speedgrid.evidence.intervals import Rounds, compare, course, ratio_interval
from speedgrid.grid import AXES, Cell, place_of
from speedgrid.table.across import Ratio, cells_of
from speedgrid.table.run import Reference, Table
from speedgrid.text.status import TRUE_TO_LABEL


def fill(table: Table, samples: Mapping[Cell, Rounds], reference: Reference) -> None:
    """Fill in the speed-up of every row over the reference of the same model, resolution and batch size.

    samples: of the rounds that each cell's figures are made of. A reference row counts only if it ran what its label
    says; a row that is busy has no ratio to it. The interval is by those of both latencies where either has the spread
    of cells like it, which the samples do not know of.
    """
    columns = ["latency_ms", "latency_ms_low", "latency_ms_high"]
    rows = table[[*AXES, "status", "freedom", "rounds", *columns]]
    own: dict[Cell, Ratio] = dict(zip(cells_of(rows), rows[columns].itertuples(index=False, name=None), strict=True))
    borrowing = set(cells_of(rows[rows.freedom >= rows.rounds]))
    is_reference = (rows.backend == reference["backend"]) & (rows.precision == reference["precision"])
    base = rows[is_reference & rows.status.isin(TRUE_TO_LABEL)]
    references = {place_of(cell): (cell, status) for cell, status in states(base)}
    measured = states(rows[rows.latency_ms.notna()])
    # The cells of a place are measured one after another there.
    calm: dict[tuple[str, Resolution, int], list[Rounds]] = {}
    for cell, status in measured:
        if status != "busy":
            calm.setdefault(place_of(cell), []).append(samples[cell])
    courses = {place: course(cells) for place, cells in calm.items()}
    found = []
    for cell, status in measured:
        over, state = references.get(place_of(cell), (None, ""))
        if over is None or (over != cell and "busy" in (status, state)):
            found.append((np.nan,) * 3)
        elif (cell.backend, cell.precision) == (reference["backend"], reference["precision"]):
            # The reference against itself is 1 by definition, not a measurement.
            found.append((1.0, 1.0, 1.0))
        elif borrowing & {over, cell}:
            found.append(ratio_interval(own[over], own[cell]))
        else:
            found.append(compare(samples[over], samples[cell], courses.get(place_of(cell))))
    table.loc[table.latency_ms.notna(), ["speedup", "speedup_low", "speedup_high"]] = np.reshape(found, (-1, 3))


def states(rows: Table) -> list[tuple[Cell, str]]:
    """Return the cell and the status of each row."""
    return list(zip(cells_of(rows), rows.status, strict=True))

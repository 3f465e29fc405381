"""What one can want of a setting, and when one setting is better than another beyond doubt."""

from typing import NamedTuple

import pandas as pd

from speedgrid.evidence.intervals import ratio_interval
from speedgrid.table import columns
from speedgrid.table.across import bridged, comparable
from speedgrid.table.run import Table
from speedgrid.text.column import HIGHER
from speedgrid.text.language import _

# One setting is better than another only where the interval of their ratio excludes 1 by this factor, or by the run's
# noise floor where that is more.
MARGIN = 1.02


class Objective(NamedTuple):
    """A column of the table, of which more is better or less, as the column says."""

    column: str

    @property
    def largest(self) -> bool:
        """Whether more of it is better."""
        return columns.BY_NAME[self.column].better == HIGHER


OBJECTIVES = {
    "throughput": Objective("throughput_fps"),
    "latency": Objective("latency_ms"),
    "energy": Objective("energy_mj_per_image"),
}


def objective_name(name: str) -> str:
    """Return the name of an objective in the language that is spoken."""
    return {"throughput": _("throughput"), "latency": _("latency"), "energy": _("energy")}[name]


def margin_of(noise_floor_percent: float | None) -> float:
    """Return the ratio below which two settings of a run are not told apart."""
    return max(MARGIN, 1 + (noise_floor_percent or 0) / 100)


def interval(row, objective: Objective) -> tuple[float, float, float]:
    """Return (value, low, high) of a row; one that was measured only once has no other interval than its value."""
    value = row[objective.column]
    low, high = columns.interval(row, objective.column)
    return (value, value, value) if pd.isna(low) or pd.isna(high) else (value, low, high)


def advantage(row, over, objective: Objective) -> tuple[float, float, float]:
    """Return how many times better `row` is than `over`, with its 95 % interval; above 1 is better.

    Across sessions of measuring, as of speedgrid.table.across.bridged.
    """
    pair = (interval(row, objective), interval(over, objective))
    return bridged(ratio_interval(*(pair if objective.largest else reversed(pair))), row, over)


def best(rows: Table, objective: Objective):
    """Return the best row; None if no row has a value."""
    values = comparable(rows, rows[objective.column], objective.largest).dropna()
    if values.empty:
        return None
    return rows.loc[values.idxmax() if objective.largest else values.idxmin()]


def ties(rows: Table, winner, objective: Objective, margin: float) -> Table:
    """Return the other rows that `winner` is not better than beyond doubt, the best first."""
    others = rows[rows[objective.column].notna()].drop(winner.name)
    doubtful = [name for name, row in others.iterrows() if advantage(winner, row, objective)[1] <= margin]
    return others.loc[doubtful].sort_values(objective.column, ascending=not objective.largest, kind="stable")

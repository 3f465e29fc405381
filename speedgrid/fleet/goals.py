"""What can be wanted of a machine: a figure of the table with its rounds, or one that follows from a price."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from speedgrid.comparison import noise, verdicts
from speedgrid.comparison.noise import Rounds
from speedgrid.fleet.machines import Machine
from speedgrid.report.findings.objectives import OBJECTIVES
from speedgrid.table import columns
from speedgrid.text.column import HIGHER
from speedgrid.text.words import measured

SECONDS_PER_HOUR, IMAGES = 3600, 1_000_000
# A machine against the best one of its place and goal. NOTHING: it has no setting with a figure that may be taken.
BEST, WORSE, SAME, UNDECIDED, NOTHING = "BEST", "WORSE", verdicts.SAME, verdicts.UNDECIDED, "NOTHING"


@dataclass(frozen=True)
class Goal:
    """One goal. chosen: the objective whose setting is taken. figures: (value, low, high) of a row on a machine.

    larger: whether more of it is better. price: whether it needs the price of an hour.
    """

    name: str
    chosen: str
    figures: Callable[[pd.Series, Machine], tuple[float, float, float]]
    larger: bool
    price: bool = False

    def rounds(self, machine: Machine) -> dict[str, Rounds]:
        """Return the rounds of each cell of a machine, in logarithms of what is better the less of it there is."""
        if self.name == "latency":
            return machine.rounds
        found = {}
        for name, row in measured(machine.table).iterrows():
            value, low, high = self.figures(row, machine)
            if value > 0:
                found[name] = _rounds(*((1 / value, 1 / high, 1 / low) if self.larger else (value, low, high)), row)
        return found


def _rounds(value: float, low: float, high: float, row: pd.Series) -> Rounds:
    """Return the Rounds of a figure; one without an interval is of a single round, of which no spread is known."""
    if np.isnan(low) or np.isnan(high):
        return Rounds(float(np.log(value)), 0.0, 0, 1)
    return noise.of_interval(value, low, high, int(row.rounds), row.freedom)


def _of_column(name: str) -> Callable[[pd.Series, Machine], tuple[float, float, float]]:
    def figures(row: pd.Series, _machine: Machine) -> tuple[float, float, float]:
        low, high = columns.interval(row, name)
        return tuple(float("nan" if one is None else one) for one in (row[name], low, high))  # type: ignore[return-value]

    return figures


def cost(row: pd.Series, machine: Machine) -> tuple[float, float, float]:
    """Return the cost of a million images on a machine at the throughput of a row, with its interval."""
    if machine.price is None:
        return (float("nan"),) * 3
    value, low, high = _of_column("throughput_fps")(row, machine)
    per_hour = machine.price * IMAGES / SECONDS_PER_HOUR
    return per_hour / value, per_hour / high, per_hour / low


def goals() -> dict[str, Goal]:
    """Return each goal by its name: the objectives of a report, and then what it costs."""
    found = {
        name: Goal(name, name, _of_column(one.column), columns.BY_NAME[one.column].better == HIGHER)
        for name, one in OBJECTIVES.items()
    }
    return found | {"cost": Goal("cost", "throughput", cost, larger=False, price=True)}


def moderated(goal: Goal, machines: list[Machine]) -> list[dict[str, Rounds]]:
    """Return the rounds of each machine for a goal, with variances moderated over all of them.

    What an hour costs moves a machine's rounds as a whole and their spread not at all.
    """
    return noise.moderate(*((goal.rounds(one), one.table.limiter) for one in machines))

"""The best setting of each machine for each goal, and which machines can be told apart by it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from speedgrid.comparison import verdicts
from speedgrid.comparison.load import ComparisonError
from speedgrid.data.resolution import Resolution
from speedgrid.fleet import streams
from speedgrid.fleet.goals import BEST, NOTHING, UNDECIDED, WORSE, Goal, goals, moderated
from speedgrid.fleet.machines import Machine
from speedgrid.fleet.streams import Wanted
from speedgrid.fleet.wishes import Wishes, strictest
from speedgrid.grid import nearest
from speedgrid.report.findings.decision import chosen
from speedgrid.report.findings.demands import Demand, meeting
from speedgrid.serving.seen import Asked
from speedgrid.table.limiter import HOST_LAUNCH
from speedgrid.table.sizes import sized
from speedgrid.text.markup import clean
from speedgrid.text.words import measured

# Columns of the ranking, and of its CSV.
COLUMNS = (
    "model",
    "resolution",
    "goal",
    "machine",
    "verdict",
    "backend",
    "precision",
    "observed_precision",
    "batch_size",
    "status",
    "value",
    "value_low",
    "value_high",
    "ratio",
    "ratio_low",
    "ratio_high",
    "p_differs",
    "p_same",
    "memory_mb",
    "price_per_hour",
    "currency",
    "result",
)


@dataclass(frozen=True)
class Fleet:
    """The machines with the demands that all are held to, and one row for each place, goal and machine.

    threshold: the band of SAME reaches from 1 / (1 + threshold) to 1 + threshold. rows: with COLUMNS; the ratio is
    that to the best machine, in time, energy or cost of an image, so that more than 1 is worse. cameras: what was asked
    of them, where there are rows of the goal `streams`.
    """

    machines: list[Machine]
    demanded: list[Demand]
    threshold: float
    currency: str
    rows: pd.DataFrame
    cameras: dict[Wanted, Asked]

    def resolution_of(self, model: str) -> Resolution:
        """Return the resolution that a model's answer is for: of those that most machines have, the one wanted."""
        rows = self.rows[self.rows.model == model]
        counts = rows.groupby("resolution").machine.nunique()
        return nearest(counts.index[counts == counts.max()], self.machines[0].run["config"]["report"]["resolution"])

    def at(self, model: str, resolution: Resolution, goal: str) -> pd.DataFrame:
        """Return the rows of one place and goal, the best machine first, those without a figure last."""
        rows = self.rows
        here = rows[(rows.model == model) & (rows.resolution == resolution) & (rows.goal == goal)]
        return here.sort_values(["ratio"], kind="stable", na_position="last")


def rank(machines: list[Machine], wishes: Wishes, threshold: float) -> Fleet:
    """Return the fleet of machines. Raises ComparisonError for a threshold that tells nothing.

    threshold: as in speedgrid.comparison.verdicts.decide.
    """
    if not verdicts.CLOSE - 1 < threshold < 1:
        raise ComparisonError(
            f"the threshold is {100 * threshold:g} %; it must be more than {100 * (verdicts.CLOSE - 1):.0f} % and less "
            "than 100 %."
        )
    demanded = strictest((one.run["config"] for one in machines), wishes)
    frames = [judged(goal, machines, demanded, threshold) for goal in goals().values()]
    cameras = streams.asked_of(machines)
    served = pd.DataFrame(streams.judged(machines, demanded, cameras), columns=list(COLUMNS))
    rows = pd.concat([one for one in (*frames, served) if len(one)] or frames, ignore_index=True)
    currency = clean(wishes.currency)
    rows = rows.assign(currency=currency or None).astype({"batch_size": "Int64"})[list(COLUMNS)]
    return Fleet(machines, demanded, threshold, currency, rows, cameras)


def judged(goal: Goal, machines: list[Machine], demanded: list[Demand], threshold: float) -> pd.DataFrame:
    """Return the rows of one goal, each machine judged against the best one of its place.

    A place where no machine has a figure has no rows.
    """
    found = [line for number, one in enumerate(machines) for line in settings_of(goal, number, one, demanded)]
    rows = sized(pd.DataFrame(found, columns=["number", "cell", *COLUMNS]))
    place = [rows.model, rows.resolution]
    rows = rows[rows.value.notna().groupby(place).transform("any")].reset_index(drop=True)
    worth = np.log(rows.value.astype(float)) * (-1 if goal.larger else 1)
    best = {one: rows.loc[index] for one, index in worth.groupby([rows.model, rows.resolution]).idxmin().items()}
    pairs = {
        str(row.name): (best[row.model, row.resolution], row)
        for _, row in rows[rows.value.notna()].iterrows()
        if best[row.model, row.resolution].name != row.name
    }
    ratios = {key: float(np.exp(worth[row.name] - worth[top.name])) for key, (top, row) in pairs.items()}
    decided = against_best(moderated(goal, machines), machines, pairs, ratios, threshold)
    rows[list(decided.columns)] = decided.reindex(map(str, rows.index)).set_axis(rows.index)
    rows["verdict"] = rows.verdict.fillna(NOTHING)
    tops = [row.name for row in best.values()]
    rows.loc[tops, ["ratio", "ratio_low", "ratio_high"]] = 1.0
    rows.loc[tops, "verdict"] = BEST
    return rows.astype({"batch_size": "Int64"})


def settings_of(goal: Goal, number: int, machine: Machine, demanded: list[Demand]) -> list[dict[str, object]]:
    """Return a row for each place of one machine: the setting that is taken for a goal, or that there is none."""
    if goal.price and machine.price is None:
        return []
    rows, found = measured(machine.table), []
    for model, resolution in dict.fromkeys(zip(machine.table.model, machine.table.resolution, strict=True)):
        here = rows[(rows.model == model) & (rows.resolution == resolution)]
        row = chosen(goal.chosen, meeting(here, demanded), machine.margin)
        line: dict[str, object] = {"number": number, "model": model, "resolution": resolution, "goal": goal.name}
        line |= {"machine": machine.name, "result": machine.result.name, "price_per_hour": machine.price}
        figures = (np.nan,) * 3 if row is None else goal.figures(row, machine)
        if row is not None and figures[0] > 0:
            line |= {"cell": row.name} | {name: row[name] for name in COLUMNS if name in row and name not in line}
            line |= dict(zip(("value", "value_low", "value_high"), figures, strict=True))
        found.append(line)
    return found


def against_best(rounds, machines: list[Machine], pairs, ratios: dict[str, float], threshold: float) -> pd.DataFrame:
    """Return verdict, ratio, interval and p-values of each pair of (row of the best machine, row), by its key.

    rounds: of each machine, as of speedgrid.fleet.goals.moderated.
    """
    of_pairs = {key: tuple(rounds[one.number][one.cell] for one in pair) for key, pair in pairs.items()}
    waiting = {
        key
        for key, pair in pairs.items()
        if HOST_LAUNCH in [machines[one.number].table.limiter[one.cell] for one in pair]
    }
    found = verdicts.decide(of_pairs, ratios, threshold, waiting)
    # What is called faster than the best one is so in its rounds and not in its figure.
    words = {verdicts.SLOWER: WORSE, verdicts.FASTER: UNDECIDED}
    columns = {"low": "ratio_low", "high": "ratio_high"}
    return found.rename(columns=columns).assign(verdict=found.verdict.replace(words))

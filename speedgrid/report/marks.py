"""What pages of cells mark: the recommended ones, those that meet what is demanded, and the answer in a line each."""

from typing import NamedTuple

import pandas as pd

from speedgrid.grid import nearest
from speedgrid.report.findings import decision, demands
from speedgrid.report.findings.demands import Demand
from speedgrid.report.findings.objectives import OBJECTIVES, margin_of, objective_name
from speedgrid.table.across import cell_of, cells_of
from speedgrid.table.columns import BY_NAME, heading
from speedgrid.table.run import Description, Table
from speedgrid.text.language import _
from speedgrid.text.words import figure, measured, number, setting


class Answer(NamedTuple):
    """A recommended cell: its name, the objective that it is for, and what to take, in the language that is spoken."""

    cell: str
    objective: str
    text: str


def answers(table: Table, run: Description) -> list[Answer]:
    """Return the recommendation for each model and objective, at the report's resolution, as the report has it."""
    config, margin = run["config"], margin_of(run["controls"]["noise_floor_percent"])
    found = []
    for model, rows in table.groupby("model", sort=False):
        resolution = nearest(rows.resolution, config["report"]["resolution"])
        eligible = demands.meeting(decision.at_resolution(rows, resolution), demands.demands(config))
        for name, row in decision.winning(eligible, margin).items():
            column = OBJECTIVES[name].column
            text = f"{setting(row)}: {number(row[column])} {_(BY_NAME[column].unit)}"
            if table.model.nunique() > 1:
                text = f"{model}, {text}"
            found.append(Answer(str(cell_of(row)), objective_name(name), text))
    return found


def names_of(table: Table) -> pd.Series:
    """Return the name of each row's cell."""
    return pd.Series([str(cell) for cell in cells_of(table)], table.index, dtype=object)


def recommended(table: Table, run: Description) -> pd.Series:
    """Return the objectives that each row is recommended for, as text; an empty one where there is none."""
    found: dict[str, list[str]] = {}
    for one in answers(table, run):
        found.setdefault(one.cell, []).append(one.objective)
    return names_of(table).map(lambda name: ", ".join(found.get(name, ())))


def meets(table: Table, run: Description) -> pd.Series | None:
    """Return the rows that meet every demand, True for each; None where nothing is demanded."""
    asked = demands.demands(run["config"])
    if not asked:
        return None
    return pd.Series(table.index.isin(demands.meeting(measured(table), asked).index), table.index)


def limits(run: Description) -> list[tuple[Demand, str]]:
    """Return each demand with its text: the figure, and its limit."""
    return [
        (one, f"{heading(one.name)}: {'≤' if one.at_most else '≥'} {figure(one.limit, BY_NAME[one.name])}")
        for one in demands.demands(run["config"])
    ]

"""The setting that is handed over: the one that the report's answer recommends for an objective, and none other."""

from typing import Any

from speedgrid import InputError
from speedgrid.grid import AXES, Cell
from speedgrid.report.findings.decision import recommended
from speedgrid.report.findings.objectives import margin_of
from speedgrid.table.run import Description, Table


class HandoverError(InputError):
    """A setting that cannot be handed over; the message says why, and what would be right."""


def winner(table: Table, run: Description, model: str, objective: str) -> Any:
    """Return the row of a run's table that is recommended for a model and an objective.

    Raises HandoverError where none is: nothing was measured there, what was is withheld, or a demand is not met.
    """
    margin = margin_of(run["controls"]["noise_floor_percent"])
    row = recommended(table[table.model == model], objective, run["config"], margin)
    if row is None:
        raise HandoverError(
            f"there is nothing to hand over of {model}, as the report recommends nothing for {objective}: no setting "
            f"at its resolution has a figure for that, with answers that are right, and meets every demand; see its "
            f"answer in report/report.md, or take {model} out of the config key models."
        )
    return row


def cell_of(row: Any) -> Cell:
    """Return the cell of a row."""
    return Cell.of(*(str(getattr(row, axis)) for axis in AXES))

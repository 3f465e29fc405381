"""What the plots of a run are drawn from: its four tables of figures, and what the report holds fixed."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import cast

from speedgrid.grid import nearest
from speedgrid.launcher.reading import read_json
from speedgrid.model.described import Arithmetic
from speedgrid.table import saved
from speedgrid.table.run import Description, Reference, Table, Timings


@dataclass(frozen=True)
class Material:
    """A run, or one model of it, as the plots see it.

    table: results as of speedgrid.table.cells. rounds: as of speedgrid.table.rounds. run: the description of
    speedgrid.table.description. arithmetic: of speedgrid.model.flops.count_all, with layers.
    """

    table: Table
    rounds: Timings
    run: Description
    arithmetic: Arithmetic

    @classmethod
    def read(cls, results: str | Path, rounds: str | Path, run: str | Path, flops: str | Path) -> "Material":
        """Read the files of a run, or of an example. results: .parquet or .csv. Raises InputError for a bad one."""
        tables = saved.read(Path(results)), saved.read_rounds(Path(rounds))
        return cls(*tables, cast(Description, read_json(str(run), dict)), read_json(str(flops), Arithmetic))

    def of(self, model: str) -> "Material":
        """Return the material of one model; timings stay whole, since the control cell is of the first model alone."""
        return replace(self, table=self.table[self.table.model == model])

    @property
    def model(self) -> str:
        """The first model of the table."""
        return self.table.model.iloc[0]

    @property
    def reference(self) -> Reference:
        """The `backend` and `precision` that speed-ups are relative to."""
        return self.run["config"]["report"]["reference"]

    @cached_property
    def at_resolution(self) -> Table:
        """The rows at the report's resolution, or at the one of the table that is nearest to it."""
        return self.near("resolution")

    @cached_property
    def at_batch_size(self) -> Table:
        """The rows at the report's batch size, or at the one of the table that is nearest to it."""
        return self.near("batch_size")

    def near(self, axis: str, column: str | None = None) -> Table:
        """Return the rows at the value of `axis` nearest to the report's; of those that have `column`, if any has."""
        rows = self.table
        if column is not None and rows[column].notna().any():
            rows = rows[rows[column].notna()]
        return self.table[self.table[axis] == nearest(rows[axis], self.run["config"]["report"][axis])]

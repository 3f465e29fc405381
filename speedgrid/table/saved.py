"""The table of a finished run, read again from a file: of the kinds that its columns declare, or one sentence."""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from speedgrid import InputError
from speedgrid.data import resolution
from speedgrid.grid import AXES, Cell
from speedgrid.launcher.reading import REMEDY, reason, require_regular, short
from speedgrid.table.columns import OF
from speedgrid.table.run import Table, Timings
from speedgrid.table.sizes import sized
from speedgrid.text import column

# The longest side, and the largest batch, that a cell of any run has.
LONGEST_SIDE, LARGEST_BATCH = 100_000, 1_000_000


class SavedError(InputError):
    """A file that holds no table of a run; the message names it, the line, and what would be right."""


def read(path: Any, remedy: str = REMEDY) -> Table:
    """Return the table in a .parquet or .csv file, a path or one inside a ZIP file, with the columns that it has.

    remedy: what to do about a file that holds none. Raises SavedError.
    """
    table = read_any(path, remedy)
    check(table, str(path), remedy)
    return sized(table)


def read_rounds(path: Any, remedy: str = REMEDY) -> Timings:
    """Return the table of all timings of a run in a file, as `read` does."""
    table = read(path, remedy)
    if "turn" not in table:
        raise SavedError(f"{path} has no column 'turn'; it is not a table of timings that speedgrid wrote.")
    return table


def read_any(path: Any, remedy: str) -> pd.DataFrame:
    """Return the table in a file, whatever its columns. Raises SavedError."""
    try:
        if isinstance(path, Path):
            require_regular(path, math.inf)
        with path.open("rb") as file:
            return pd.read_parquet(file) if path.name.endswith(".parquet") else pd.read_csv(file, index_col=False)
    except MemoryError:
        raise
    except Exception as error:  # of pandas, pyarrow or a ZIP file
        raise SavedError(f"{path} is not a table ({reason(error)}); {remedy}.") from None


def check(table: Table, name: str, remedy: str = REMEDY) -> None:
    """Raise SavedError for the first cell of a table that is not what its column declares. name: of its file."""
    if missing := [axis for axis in AXES if axis not in table]:
        raise SavedError(f"{name} has no column {missing[0]!r}; it is not a table that speedgrid wrote.")
    for header in table.columns:
        declared = OF.get(header)
        if declared is None:
            continue
        numbers = declared.kind in (column.NUMBER, column.INTEGER)
        for line, value in zip(range(2, len(table) + 2), table[header], strict=True):
            if numbers and not number(value):
                raise SavedError(f"{name}, line {line}: {header} is {short(value)}, which is no number; {remedy}.")
            if wanted := wanted_size(header, value):
                raise SavedError(f"{name}, line {line}: {header} is {short(value)}, but must be {wanted}; {remedy}.")
    for line, one in zip(range(2, len(table) + 2), table[list(AXES)].to_dict("records"), strict=True):
        try:
            Cell.parse(str(Cell.of(**{name: str(value) for name, value in one.items()})))
        except ValueError as error:
            raise SavedError(f"{name}, line {line}: {reason(error)}; {remedy}.") from None


def wanted_size(header: str, value: Any) -> str:
    """Return the range of a resolution or a batch size where a cell is outside it; empty otherwise."""
    if header == "batch_size":
        fine = value == value and 0 < value <= LARGEST_BATCH and value == int(value)
        return "" if fine else f"a whole number from 1 to {LARGEST_BATCH:,}"
    if header == "resolution":
        try:
            fine = max(resolution.size_of(resolution.read(value))) <= LONGEST_SIDE
        except ValueError:
            fine = False
        return "" if fine else f"a whole number from 1 to {LONGEST_SIDE:,}, or two such, as 640x384"
    return ""


def number(value: object) -> bool:
    """Say whether a cell of a table is a number, or empty."""
    if value is None or value is pd.NA:
        return True
    if isinstance(value, bool):
        return False
    try:
        return not math.isinf(value)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return False

"""The resolutions of a table: numbers where all are squares, else resolutions that are ordered by pixels."""

from collections.abc import Iterable

import pandas as pd

from speedgrid.data.resolution import read


def sized(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its resolutions as of speedgrid.data.resolution, whatever a file or pandas made of them.

    Raises ValueError for one that is none.
    """
    return table.assign(resolution=column(table.resolution, table.index))


def column(values: Iterable[object], index: pd.Index) -> pd.Series:
    """Return resolutions as a column: of integers, or of objects, as pandas would order texts by their letters."""
    found = [read(int(one) if isinstance(one, float) and one.is_integer() else one) for one in values]
    squares = all(isinstance(one, int) for one in found)
    return pd.Series(found, index, dtype="int64" if squares else object, name="resolution")


def writable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as Parquet takes it: with one type in each column."""
    return table if table.resolution.dtype != object else table.assign(resolution=table.resolution.map(str))

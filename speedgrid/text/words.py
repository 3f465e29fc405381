"""How rows and numbers are named in sentences."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from speedgrid.data.resolution import in_words
from speedgrid.text import language
from speedgrid.text.column import INTEGER, Column
from speedgrid.text.language import _
from speedgrid.text.names import NAMES
from speedgrid.text.status import SHOWN


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose speed is shown."""
    return table[table.status.isin(SHOWN) & table.latency_ms.notna()]


def backend_name(backend: str) -> str:
    """Return a backend as its makers write it."""
    return NAMES.get(backend, backend)


def reference_name(reference: Mapping[str, object]) -> str:
    """Return the name of the setting that speed-ups are relative to: its `backend` and its `precision`."""
    return f"{backend_name(str(reference['backend']))} {reference['precision']}"


def label(row) -> str:
    """Name a row's backend and precision, with the precision that really ran where that differs."""
    name = f"{backend_name(row.backend)} {row.precision}"
    return (
        _("{name} (ran {precision})").format(name=name, precision=row.observed_precision) if relabelled(row) else name
    )


def relabelled(row):
    """Say whether a row, or each of several rows, ran another precision than its label says."""
    return row.status == "wrong_precision"


def setting(row) -> str:
    """Name a row's backend, precision and batch size."""
    return _("{label}, batch size {batch_size}").format(label=label(row), batch_size=row.batch_size)


def place(row) -> str:
    """Name a row's resolution and batch size."""
    return _("{size} pixels, batch size {batch_size}").format(size=in_words(row.resolution), batch_size=row.batch_size)


def number(value: float | None) -> str:
    """Write a number with three significant digits, and no exponent, thousands apart as the language has them.

    Nothing is written for None, NaN and infinity.
    """
    if value is None or not np.isfinite(value):
        return ""
    value = float(f"{value:.3g}")
    digits = 2 - int(np.floor(np.log10(abs(value)))) if value else 0
    return f"{round(value, digits):,.{max(digits, 0)}f}".replace(",", language.thousands())


def figure(value: float | None, column: Column) -> str:
    """Write a figure of a column: with all its digits where it says how many there are of something, else as `number`.

    A table that lacks some of them has all of them as floating-point numbers.
    """
    if column.kind != INTEGER or value is None or not np.isfinite(value):
        return number(value)
    return f"{round(value):,}".replace(",", language.thousands())


def listed(names: list[str], most: int = 4) -> str:
    """Write a list as a sentence has it; of a long one the first `most` and how many more there are."""
    shown = names if len(names) <= most + 1 else [*names[:most], _("{count} more").format(count=len(names) - most)]
    if len(shown) == 1:
        return shown[0]
    return _("{first} and {last}").format(first=", ".join(shown[:-1]), last=shown[-1])


def with_interval(value: float, low: float | None, high: float | None) -> str:
    """Write a figure with its interval, where it has them; the reference over itself is 1 and nothing else."""
    if pd.isna(value) or pd.isna(low) or low == high:
        return number(value)
    return _("{value} ({low} to {high})").format(value=number(value), low=number(low), high=number(high))

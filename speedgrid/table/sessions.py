"""The runtimes' own account of the sessions of a run, each part of it said of the rows that it is true of."""

from typing import Any, TypeAlias

from speedgrid.grid import Cell
from speedgrid.record import Record

# A session's cell, and what it says of itself.
Account: TypeAlias = tuple[Cell, dict[str, Any]]
# The rows that a detail is said of: all of a backend where it is the same in all of them, else fewer.
ROWS = (("backend",), ("backend", "precision"), ("backend", "precision", "model"))
ABSENT = object()


def details(records: list[Record]) -> dict[str, dict[str, Any]]:
    """Return the runtimes' own account of their sessions, by the rows that it is of: `openvino`, `openvino int8` ...

    A detail is said of as many rows as have it in common, so that no row is given what is another one's. Where it
    differs between sizes, it is the list of all that it is.
    """
    accounts = [(one.cell, one.seen.details) for one in records if one.seen]
    levels = ROWS if len({cell.model for cell, _ in accounts}) > 1 else ROWS[:-1]
    found: dict[str, dict[str, Any]] = {}
    for of_backend in grouped(accounts, ROWS[0]).values():
        said: dict[str, dict[str, Any]] = {}
        for name in dict.fromkeys(name for _, account in of_backend for name in account):
            for rows, values in in_common(of_backend, name, levels).items():
                if values:
                    said.setdefault(rows, {})[name] = values[0] if len(values) == 1 else values
        # What is true of more rows first.
        found |= {rows: said[rows] for rows in sorted(said, key=lambda rows: len(rows.split()))}
    return found


def grouped(accounts: list[Account], axes: tuple[str, ...]) -> dict[str, list[Account]]:
    """Return accounts by the values of some axes of their cells, as text."""
    found: dict[str, list[Account]] = {}
    for cell, account in accounts:
        found.setdefault(" ".join(getattr(cell, axis) for axis in axes), []).append((cell, account))
    return found


def in_common(accounts: list[Account], name: str, levels: tuple[tuple[str, ...], ...]) -> dict[str, list[Any]]:
    """Return the values of a detail by the most rows that have one in common; several where no level has."""
    by_rows: dict[str, list[Any]] = {}
    for axes in levels:
        groups = grouped(accounts, axes)
        by_rows = {rows: distinct([account.get(name, ABSENT) for _, account in of]) for rows, of in groups.items()}
        if all(len(values) == 1 for values in by_rows.values()):
            break
    return {rows: [value for value in values if value is not ABSENT] for rows, values in by_rows.items()}


def distinct(values: list[Any]) -> list[Any]:
    """Return values without repeats, in their order; they need no hash."""
    return [value for number, value in enumerate(values) if value not in values[:number]]

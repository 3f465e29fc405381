"""Probes: what a timing may measure beside latency. One module each, found by being here, with the same few names.

    ORDER, WITH_TIMING                          when it measures: lower numbers first; in the window of the timing
    asked(cell, turn, device, timing, control) -> bool   whether a timing of a run measures it
    measure(session, context) -> dict           what it saw, for the record: plain JSON values
    COLUMNS, AFTER                              its columns of the table, and the column that they follow
    columns(records, row) -> dict               their values
    checks(line) -> sentences                   what would be wrong with a row, for the audit
    SENTENCE                                    what it measures, for the report

Only what `measure` reaches is measured with; editing the rest of a module makes no timing stale.
"""

import pkgutil
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from speedgrid.data.samples import Samples
from speedgrid.grid import Cell
from speedgrid.record import Asked, Record


@dataclass(frozen=True)
class Context:
    """The circumstances of a session that a probe measures.

    call_seconds: about how long a call takes. artifact: the file that the session was loaded from.
    """

    asked: Asked
    uuid: str | None
    samples: Samples
    call_seconds: float
    artifact: str = ""


def all_probes() -> dict[str, ModuleType]:
    """Return every probe by its name, in the order in which they measure."""
    return _in_folders(tuple(__path__))


@cache  # the workflow asks for a thousand jobs, the table for each row
def _in_folders(folders: tuple[str, ...]) -> dict[str, ModuleType]:
    found = {one.name: import_module(f"{__name__}.{one.name}") for one in pkgutil.iter_modules(folders)}
    return dict(sorted(found.items(), key=lambda item: (item[1].ORDER, item[0])))


def asked(cell: Cell, turn: str, device: str, timing: dict[str, Any], control: Cell) -> list[str]:
    """Return the names of the probes that one timing of a run measures.

    timing: of the configuration. control: the cell that controls the run.
    """
    return [name for name, probe in all_probes().items() if probe.asked(cell, turn, device, timing, control)]


def measure(session, context: Context, laps, with_timing: bool = False) -> dict[str, Any]:
    """Return the findings of each probe that is asked for on `session`, by name; `laps` get the time that it took.

    with_timing: those alone that measure in the window of the timing; else the others.
    """
    found: dict[str, Any] = {}
    for name, probe in all_probes().items():
        if name in context.asked.probes and with_timing == probe.WITH_TIMING:
            if (seen := probe.measure(session, context)) is not None:
                found[name] = seen
            laps.end(name)
    return found


def columns(records: list[Record], row: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of all probes for a cell with a speed. records: its rounds that ran. row: what is known."""
    found: dict[str, Any] = {}
    for probe in all_probes().values():
        found |= probe.columns(records, row | found)
    return found


def seen(records: list[Record], name: str) -> list[dict[str, Any]]:
    """Return a probe's findings in each record of a measurement in which it was asked for."""
    return [one.seen.probes[name] for one in records if one.seen and name in one.seen.probes]

"""The parts that a table reads of a record in fields that a record leaves free, for a runtime or a probe to fill.

A record whose other fields are whole may have lost one of them: whoever edited it, or a disk.
"""

import re
from collections.abc import Iterable
from typing import Any, NotRequired, TypedDict

from speedgrid import InputError
from speedgrid.grid import TURN
from speedgrid.launcher.reading import FileError, of_kind, short
from speedgrid.precision import PRECISIONS
from speedgrid.record import Record, Seen
from speedgrid.table.operators import Operator
from speedgrid.table.verdict import CANDIDATES, candidates

REMEDY = "delete it and run again"
# In ms: no call takes less than a picosecond, nor a month.
FASTEST, SLOWEST = 1e-9, 3e9


class PartsError(InputError):
    """A record that lacks a part which a table reads; the message names it and the part."""


class Named(TypedDict):
    """The parts that a table reads of a machine."""

    device_name: str


class Built(TypedDict, total=False):
    """The parts that a table reads of the record of a build."""

    build_seconds: float | None
    coverage_percent: float | None


class Executed(TypedDict):
    """The parts that a table reads of how many nodes of a session executed quantised, or fused."""

    executed: int
    of: int


class Details(TypedDict, total=False):
    """The parts that a table reads of a runtime's account of itself."""

    coverage_percent: float | None
    fused_convolutions: Executed


class Steps(TypedDict):
    """The parts that a table reads of where the time went."""

    load: float
    first_call: float


class BackToBack(TypedDict):
    """The parts that a table reads of calls back to back."""

    ms: float


class Energy(TypedDict):
    """The parts that a table reads of energy."""

    calls: float
    seconds: float
    joules_per_call: float
    power_w: float


class Kernels(TypedDict):
    """The parts that a table reads of kernels: ms by name."""

    ms: dict[str, float]


class Operators(TypedDict):
    """The parts that a table reads of operators; no call where the profiler failed."""

    call_ms: float | None
    operators: list[Operator]


class Step(TypedDict):
    """The parts that a table reads of one step of a request."""

    host_ms: list[float]


class Request(TypedDict):
    """The parts that a table reads of a request."""

    samples: dict[str, Step] | None


class Probes(TypedDict):
    """The parts that a table reads of what the probes measured."""

    back_to_back: NotRequired[BackToBack]
    energy: NotRequired[Energy]
    kernels: NotRequired[Kernels]
    operators: NotRequired[Operators]
    request: NotRequired[Request]


def require(records: Iterable[Record]) -> None:
    """Raise PartsError for the first record that lacks a part which a table reads."""
    for record in records:
        name = f"the record of {record.cell}, {record.turn},"
        try:
            for content, kind in parts(record):
                of_kind(content, kind, name, REMEDY)
        except FileError as error:
            raise PartsError(str(error)) from None
        if problem := odd(record):
            raise PartsError(f"{name} has {problem}; {REMEDY}.")


def parts(record: Record) -> Iterable[tuple[Any, Any]]:
    """Yield the free fields of a record, each with the kind that it must be of."""
    yield record.environment, Named
    if record.build is not None:
        yield record.build, Built
    if seen := record.seen:
        yield seen.details, Details
        yield seen.seconds, Steps
        yield seen.probes, Probes
        if seen.quantised_nodes:  # an empty account does not know, as none at all
            yield seen.quantised_nodes, Executed


def odd(record: Record) -> str | None:
    """Return the part of a record of which no table can be made, or None."""
    if not re.fullmatch(TURN, record.turn):
        return f"the turn {short(record.turn)}"
    if record.cell.precision not in PRECISIONS or record.cell.batch_size < 1:
        return "a cell that there cannot be"
    return unreadable(record.seen, record.cell.precision) if record.seen else None


def unreadable(seen: Seen, precision: str) -> str | None:
    """Return the part of the observations of a cell of which no table can be made, or None."""
    if not seen.memory.readings_mb:
        return "no reading of memory"
    steps = [step["host_ms"] for step in (seen.probes.get("request", {}).get("samples") or {}).values()]
    if not all(steps):
        return "a step of a request that was never timed"
    loops = [[seen.probes["back_to_back"]["ms"]]] if "back_to_back" in seen.probes else []
    for series in (seen.samples.host_ms, seen.samples.device_ms, *steps, *loops):
        for value in series:
            if not FASTEST <= value <= SLOWEST:
                return f"a call of {value:g} ms"
    if "energy" in seen.probes and not seen.probes["energy"]["seconds"] > 0:
        return f"an energy over {seen.probes['energy']['seconds']:g} s"
    if seen.dtype not in CANDIDATES:
        return f"tensors of type {short(seen.dtype)}"
    if seen.errors:
        lists = (seen.errors.signal, seen.errors.noise, seen.errors.cosine, seen.errors.margin, seen.errors.same_class)
        if len({len(one) for one in lists}) > 1 or not lists[0]:
            return "errors of more images in one list than in another"
    if seen.errors or seen.parity:
        known = seen.expected.snr_db if seen.expected else {}
        if missing := [one for one in (*candidates(precision, seen.dtype), precision) if one not in known]:
            return f"no error that is expected of {missing[0]}"
    return None

"""The verdict on each row of a published table, with its arithmetic and what would explain it."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import TypedDict

from speedgrid.machine.data_sheet import data_sheet
from speedgrid.model.described import Arithmetic
from speedgrid.published import checks, hypotheses, source
from speedgrid.published.arithmetic import Counter
from speedgrid.published.quantities import Interval, exactly
from speedgrid.published.source import Row, Table

VERDICTS = ("consistent", "inconsistent", "impossible", "unchecked")
Place = tuple[str | None, str | None, int | None, int | None]


class Failed(TypedDict):
    """A check that does not hold: the figures of its arithmetic as text, and what is stated over what follows."""

    name: str
    figures: dict[str, str]
    ratio: float


class AuditedRow(TypedDict):
    """The verdict on one row of a published table, as plain JSON values; see `audit`."""

    line: int
    backend: str | None
    precision: str | None
    resolution: int | None
    batch_size: int | None
    model: str | None
    device: str | None
    figures: dict[str, str]
    verdict: str
    checked: list[str]
    failed: list[Failed]
    suggestions: list[hypotheses.Suggestion]
    unknown: list[str]
    unreadable: dict[str, str]
    derived: dict[str, float | None]
    peak: float | None


class Audited(TypedDict):
    """The verdicts on one published table, as plain JSON values; see `audit`."""

    file: str
    described_by: str | None
    title: str
    device: str | None
    source: str | None
    origin: str | None
    columns: dict[str, str]
    unknown: list[str]
    peaks: dict[str, float]
    rows: list[AuditedRow]


def audit(tables: list[Table], flop_of: Callable[[str, int], int | None]) -> list[Audited]:
    """Return the verdicts on tables as plain JSON values, one dictionary each.

    flop_of: the operations of one image of a model at a resolution, as 2 x multiply-adds, or None where they are not
    known. Each table has what is known of it, `columns` (header to quantity), `unknown` (headers), `peaks` (data-sheet
    TFLOP/s by precision; empty where the device is not in config/hardware.yaml), and `rows`. Each row has its axes,
    `figures` (as printed), `verdict`, `checked` and `failed` (checks with their figures), `suggestions`, `unknown` (why
    a check of physics could not be made), `unreadable` (header to text), and `derived`: latency_ms, ms_per_image, fps
    and tflops.
    """
    return [_table(table, flop_of) for table in tables]


def audit_all(published: list[source.Entry], model: str, counted: Arithmetic) -> list[Audited]:
    """Return the verdicts on all tables that a configuration names, as of `audit`.

    published: its list of files, or of objects with `file`. model: of tables that do not name one. counted: as of
    speedgrid.model.flops.count_all. Raises speedgrid.published.source.PublishedError for a table that cannot be read.
    """
    known = {
        (name, int(size)): one["flop"]
        for name, sizes in counted.items()
        for size, one in sizes.items()
        if one["flop"] is not None
    }
    return audit([source.read(entry, model) for entry in source.entries(published)], Counter(known))


def _table(table: Table, flop_of: Callable[[str, int], int | None]) -> Audited:
    devices: set[str | None] = {table.device, *(row.device for row in table.rows)}
    peaks = {device: peaks_of(device) for device in devices}
    rows = [
        replace(
            row,
            flop=flop_of(row.model, row.resolution) if row.model and row.resolution else None,
            data_sheet=peaks[row.device],
        )
        for row in table.rows
    ]
    references = _references(rows)
    return {
        "file": table.file,
        "described_by": table.described_by,
        "title": table.title,
        "device": table.device,
        "source": table.source,
        "origin": table.origin,
        "columns": table.columns,
        "unknown": table.unknown,
        "peaks": peaks[table.device],
        "rows": [_row(replace(row, reference_ms=references.get(_place(row)))) for row in rows],
    }


def peaks_of(device: str | None) -> dict[str, float]:
    """Return the data sheet's TFLOP/s of a device by precision; empty where the device is not known."""
    sheet = data_sheet(device) if device else None
    return sheet["tflops"] if sheet else {}


def _place(row: Row) -> Place:
    return row.model, row.device, row.resolution, row.batch_size


def _references(rows: list[Row]) -> dict[Place, Interval]:
    """Return by place the time of the row whose speed-up is 1, where there is one and no more."""
    found: dict[Place, list[Interval]] = defaultdict(list)
    for row in rows:
        time = [*checks.times(row), *(exactly(1000) / rate for rate in checks.latency_rates(row))]
        if "speedup" in row.figures and row.figures["speedup"].value == 1 and time:
            found[_place(row)].append(time[0])
    return {place: times[0] for place, times in found.items() if len(times) == 1}


def _row(row: Row) -> AuditedRow:
    made = checks.check(row)
    failed = [one for one in made if not one.holds]
    return {
        "line": row.line,
        "backend": row.backend,
        "precision": row.precision,
        "resolution": row.resolution,
        "batch_size": row.batch_size,
        "model": row.model,
        "device": row.device,
        "figures": {name: figure.text for name, figure in row.figures.items()},
        "verdict": verdict(made, whole=not row.unreadable),
        "checked": [one.name for one in made],
        "failed": [{"name": one.name, "figures": one.figures, "ratio": round(one.ratio, 6)} for one in failed],
        "suggestions": hypotheses.explain(row),
        "unknown": missing(row, made),
        "unreadable": row.unreadable,
        "derived": derived(row),
        "peak": row.peak,
    }


def verdict(made: list[checks.Check], whole: bool = True) -> str:
    """Return the verdict on a row from the checks that could be made of it. whole: all of its figures could be read."""
    failed = {one.name for one in made if not one.holds}
    if failed & set(checks.PHYSICS):
        return "impossible"
    if failed:
        return "inconsistent"
    return "consistent" if made and whole else "unchecked"


def missing(row: Row, made: list[checks.Check]) -> list[str]:
    """Return the facts that are missing to check a row against physics, where it could not be checked."""
    if any(one.name in checks.PHYSICS for one in made):
        return []
    device = "device" if not row.device else "precision" if row.data_sheet else "data_sheet"
    known = row.peak or (not row.data_sheet and row.get("tflops_peak"))
    reasons = [] if known else [device]
    if not checks.rates(row) and not row.get("tflops"):
        reasons.append("speed")
    elif not checks.flop(row) and not row.get("tflops"):
        reasons.append("flop")
    return reasons


def derived(row: Row) -> dict[str, float | None]:
    """Return the figures of a row that follow from what it prints, whether or not it prints them."""
    rates, operations = checks.latency_rates(row) or checks.rates(row), checks.flop(row)
    fps = rates[0].middle if rates else None
    return {
        "fps": fps,
        "ms_per_image": 1000 / fps if fps else None,
        "latency_ms": 1000 * row.batch_size / fps if fps and row.batch_size else None,
        "tflops": operations.middle * fps if fps and operations else None,
    }

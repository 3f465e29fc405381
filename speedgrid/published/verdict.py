"""The verdict on each row of a published table, with its arithmetic and what would explain it."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypedDict

from speedgrid.model.described import Arithmetic
from speedgrid.published import across, checks, hypotheses, relative, source
from speedgrid.published.cost import Cost
from speedgrid.published.counting import Counter
from speedgrid.published.judged import check, missing, unmade
from speedgrid.published.names import devices
from speedgrid.published.rows import Row, Table

VERDICTS = ("not_contradicted", "inconsistent", "impossible", "unchecked")


class Failed(TypedDict):
    """A check that does not hold: the figures of its arithmetic as text, and what is stated over what follows."""

    name: str
    figures: dict[str, str]
    ratio: float


class Said(TypedDict):
    """A check that holds, or one that could not be made: its name, and the figures of its sentence as text."""

    name: str
    figures: dict[str, str]


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
    shape: str | None
    checked: list[str]
    failed: list[Failed]
    held: list[Said]
    unmade: list[Said]
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
    named: dict[str, list[str]]
    equal: list[list[int]]
    rows: list[AuditedRow]


def audit(tables: list[Table], cost_of: Callable[[str, int], Cost | None]) -> list[Audited]:
    """Return the verdicts on tables as plain JSON values, one dictionary each.

    cost_of: the cost of one image of a model at a resolution, or None where it is not known. Each table has what is
    known of it, `columns` (header to quantity), `unknown` (headers), `peaks` (data-sheet TFLOP/s by precision; empty
    where the device is not in config/hardware.yaml), `named` (names that are not known, with the nearest), `equal`
    (lines of rows with the same speeds), and `rows`. Each row has its axes, `figures` (as printed), `verdict`,
    `checked`, `failed` and `held` (checks with their figures), `unmade` (those that could not be made), `suggestions`,
    `unknown` (what is missing to hold it against its device), `unreadable` (header to text), and `derived`:
    latency_ms, ms_per_image, fps and tflops.
    """
    return [_table(table, cost_of) for table in tables]


def audit_all(published: list[source.Entry], model: str | None, counted: Arithmetic) -> list[Audited]:
    """Return the verdicts on all tables that a configuration names, as of `audit`.

    published: its list of files, or of objects with `file`. model: of tables that do not name one. counted: as of
    speedgrid.model.flops.count_all. Raises speedgrid.published.source.PublishedError for a table that cannot be read.
    """
    return audit([source.read(entry, model) for entry in source.entries(published)], Counter(counted))


def _table(table: Table, cost_of: Callable[[str, int], Cost | None]) -> Audited:
    rows = [
        replace(
            row,
            cost=cost_of(row.model, row.resolution) if row.model and row.resolution else None,
            limits=devices.find(row.device),
        )
        for row in table.rows
    ]
    rows = relative.with_bases(across.settled(rows))
    made = [check(row) for row in rows]
    together = across.explained(rows, [hypotheses.failed(one) for one in made])
    return {
        "file": table.file,
        "described_by": table.described_by,
        "title": table.title,
        "device": table.device,
        "source": table.source,
        "origin": table.origin,
        "columns": table.columns,
        "unknown": table.unknown,
        "peaks": devices.find(table.device).tflops,
        "named": table.named,
        "equal": across.equal(rows),
        "rows": [_row(row, own, more) for row, own, more in zip(rows, made, together, strict=True)],
    }


def _row(row: Row, made: list[checks.Check], more: list[hypotheses.Suggestion]) -> AuditedRow:
    failed = [one for one in made if not one.holds]
    waited = not any(one["name"] == "not_waited" for one in more)
    suggestions = [one for one in hypotheses.explain(row) if waited or one["name"] not in ("precision", "batch")]
    return {
        "line": row.line,
        "backend": row.backend,
        "precision": row.precision,
        "resolution": row.resolution,
        "batch_size": row.batch_size,
        "model": row.model,
        "device": row.device,
        "shape": row.shape,
        "figures": {name: figure.text for name, figure in row.figures.items()},
        "verdict": verdict(made, whole=not row.unreadable),
        "checked": [one.name for one in made],
        "failed": [{"name": one.name, "figures": one.figures, "ratio": round(one.ratio, 6)} for one in failed],
        "held": [{"name": one.name, "figures": one.figures} for one in made if one.holds],
        "unmade": [{"name": name, "figures": figures} for name, figures in unmade(row, made)],
        "suggestions": [*more, *suggestions],
        "unknown": missing(row),
        "unreadable": row.unreadable,
        "derived": derived(row),
        "peak": row.peak,
    }


def verdict(made: list[checks.Check], whole: bool = True) -> str:
    """Return the verdict on a row from the checks that could be made of it. whole: all of its figures could be read."""
    failed = hypotheses.failed(made)
    if failed & set(checks.PHYSICS):
        return "impossible"
    if failed:
        return "inconsistent"
    return "not_contradicted" if made and whole else "unchecked"


def derived(row: Row) -> dict[str, float | None]:
    """Return the figures of a row that follow from what it prints, whether or not it prints them."""
    rates, operations = checks.latency_rates(row) or checks.rates(row), checks.shown_flop(row)
    fps = rates[0].middle if rates else None
    return {
        "fps": fps,
        "ms_per_image": 1000 / fps if fps else None,
        "latency_ms": 1000 * row.batch_size / fps if fps and row.batch_size else None,
        "tflops": operations * fps if fps and operations else None,
    }

"""The verdict on each row of a published table, with its arithmetic and what would explain it."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from speedgrid.machine.data_sheet import data_sheet
from speedgrid.published import checks, hypotheses, source
from speedgrid.published.arithmetic import Counter
from speedgrid.published.quantities import Interval, exactly
from speedgrid.published.source import Row, Table

VERDICTS = ("consistent", "inconsistent", "impossible", "unchecked")


def audit(tables: list[Table], flop_of: Callable[[str, int], int | None]) -> list[dict]:
    """Return the verdicts on tables as plain JSON values, one dictionary each.

    flop_of: the operations of one image of a model at a resolution, as 2 x multiply-adds, or None where they are not
    known. Each table has what is known of it, `columns` (header to quantity), `unknown` (headers), `peaks` (data-sheet
    TFLOP/s by precision; empty where the device is not in config/hardware.yaml), and `rows`. Each row has its axes,
    `figures` (as printed), `verdict`, `checked` and `failed` (checks with their figures), `suggestions`, `unknown` (why
    a check of physics could not be made), `unreadable` (header to text), and `derived`: latency_ms, ms_per_image, fps
    and tflops.
    """
    return [_table(table, flop_of) for table in tables]


def audit_all(published: list, model: str, counted: dict[str, dict[str, dict]]) -> list[dict]:
    """Return the verdicts on all tables that a configuration names, as of `audit`.

    published: its list of files, or of objects with `file`. model: of tables that do not name one. counted: as of
    speedgrid.model.flops.count_all. Raises speedgrid.published.source.PublishedError for a table that cannot be read.
    """
    known = {(name, int(size)): one["flop"] for name, sizes in counted.items() for size, one in sizes.items()}
    return audit([source.read(entry, model) for entry in source.entries(published)], Counter(known))


def _table(table: Table, flop_of: Callable[[str, int], int | None]) -> dict:
    devices = {table.device, *(row.device for row in table.rows)}
    sheets = {device: (data_sheet(device) if device else None) or {} for device in devices}
    rows = [
        replace(
            row,
            flop=flop_of(row.model, row.resolution) if row.model and row.resolution else None,
            data_sheet=sheets[row.device].get("tflops", {}),
        )
        for row in table.rows
    ]
    references = _references(rows)
    about = {name: getattr(table, name) for name in ("file", "title", "device", "source", "origin", "columns")}
    return about | {
        "unknown": table.unknown,
        "peaks": sheets[table.device].get("tflops", {}),
        "rows": [_row(replace(row, reference_ms=references.get(_place(row)))) for row in rows],
    }


def _place(row: Row) -> tuple:
    return row.model, row.device, row.resolution, row.batch_size


def _references(rows: list[Row]) -> dict[tuple, Interval]:
    """Return by place the time of the row whose speed-up is 1, where there is one and no more."""
    found = defaultdict(list)
    for row in rows:
        time = [*checks.times(row), *(exactly(1000) / rate for rate in checks.latency_rates(row))]
        if "speedup" in row.figures and row.figures["speedup"].value == 1 and time:
            found[_place(row)].append(time[0])
    return {place: times[0] for place, times in found.items() if len(times) == 1}


def _row(row: Row) -> dict:
    made = checks.check(row)
    failed = [one for one in made if not one.holds]
    axes = {name: getattr(row, name) for name in ("line", "backend", "precision", "resolution", "batch_size")}
    return axes | {
        "model": row.model,
        "device": row.device,
        "figures": {name: figure.text for name, figure in row.figures.items()},
        "verdict": verdict(made),
        "checked": [one.name for one in made],
        "failed": [{"name": one.name, "figures": one.figures, "ratio": round(one.ratio, 6)} for one in failed],
        "suggestions": hypotheses.explain(row),
        "unknown": missing(row, made),
        "unreadable": row.unreadable,
        "derived": derived(row),
        "peak": row.data_sheet.get(row.precision),
    }


def verdict(made: list[checks.Check]) -> str:
    """Return the verdict on a row from the checks that could be made of it."""
    failed = {one.name for one in made if not one.holds}
    if failed & set(checks.PHYSICS):
        return "impossible"
    if failed:
        return "inconsistent"
    return "consistent" if made else "unchecked"


def missing(row: Row, made: list[checks.Check]) -> list[str]:
    """Return the facts that are missing to check a row against physics, where it could not be checked."""
    if any(one.name in checks.PHYSICS for one in made):
        return []
    device = "device" if not row.device else "precision" if row.data_sheet else "data_sheet"
    known = row.data_sheet.get(row.precision) or (not row.data_sheet and row.get("tflops_peak"))
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

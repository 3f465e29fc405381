"""Bring the records of a grid together in one table: one row per cell, measured or not."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from speedgrid import InputError
from speedgrid.data.answers import Parity
from speedgrid.evidence.between import Spread
from speedgrid.evidence.intervals import Rounds, median_interval, spread_of
from speedgrid.grid import AXES, Cell, turn_number
from speedgrid.machine.data_sheet import Peaks
from speedgrid.measure import probes
from speedgrid.model.described import Arithmetic
from speedgrid.record import Record, Seen, Telemetry
from speedgrid.serving.record import Serving
from speedgrid.statistics import median, percentile
from speedgrid.table import aside, parts, speedups
from speedgrid.table.borrowed import likes, median_of
from speedgrid.table.columns import NAMES as COLUMNS
from speedgrid.table.columns import TEXT as TEXT_COLUMNS
from speedgrid.table.conditions import caveats, disorder, throttled, unstable
from speedgrid.table.limiter import limiter
from speedgrid.table.run import Reference, Row, Table
from speedgrid.table.sizes import sized
from speedgrid.table.verdict import parity_of
from speedgrid.text.status import SHOWN, STATUSES


class TableError(InputError):
    """Records that must not share a table."""


def tabulate(
    grid: Iterable[Cell],
    records: list[Record],
    arithmetic: Arithmetic,
    peaks: Peaks,
    reference: Reference,
    lenders: Iterable[Record] | None = None,
) -> Table:
    """Return the results, one row per cell of `grid` in its order, with COLUMNS.

    records: of the grid's rounds. arithmetic: as of speedgrid.model.flops.count_all. reference: the `backend` and
    `precision` that speed-ups are relative to. lenders: all timings of the run, controls among them, without what was
    set aside, where cells of few rounds have the spread of cells like them; None where each tells of itself alone.
    Raises TableError if records of different machines or library versions would mix, PartsError for one without a part.
    """
    parts.require(records)
    refuse_mixtures(records)
    by_cell: dict[Cell, list[Record]] = {}
    for record in sorted(aside.paced(records), key=lambda record: turn_number(record.turn)):
        by_cell.setdefault(record.cell, []).append(record)
    # Judged once for each cell: its row asks for them, and each ratio that it has a part in.
    kept = {cell: rounds_of(rounds) for cell, rounds in by_cell.items()}
    samples = {cell: samples_of(rounds) for cell, rounds in kept.items()}
    like = None if lenders is None else likes(kept, lenders)
    rows = []
    for cell in grid:
        records_of, used = by_cell.get(cell, []), kept.get(cell, [])
        spread = like.of(used) if like else None
        rows.append(row(cell, records_of, used, samples.get(cell, Rounds()), arithmetic, peaks, spread))
    table = sized(pd.DataFrame(rows, columns=COLUMNS))
    # A column with no value at all would otherwise have no type. All at once: one by one they take as long as the rest.
    figures = [name for name in COLUMNS if name not in {*TEXT_COLUMNS, *AXES, "auto", "rounds", "runs"}]
    table = table.drop(columns=figures).join(table[figures].astype(float))[list(COLUMNS)]
    speedups.fill(table, samples, reference)
    add_disorder(table)
    table["auto"] = False  # see speedgrid.table.choice, which needs the finished table
    return table


def refuse_mixtures(records: Iterable[Record | Serving]) -> None:
    """Raise TableError if the measurements of one backend, or the machines of two, differ."""
    seen: dict[str, tuple[str, Cell]] = {}
    for record in records:
        if record.seen is None:
            continue
        for key, value in (
            (record.cell.backend, record.fingerprint),
            ("device", record.environment["device_name"]),
        ):
            first, cell = seen.setdefault(key, (value, record.cell))
            if first != value:
                raise TableError(
                    f"{cell} was measured with {first!r} and {record.cell} with {value!r}; "
                    "one table must not mix them: run snakemake again, which measures what is stale. "
                    "On a cluster, keep all jobs on one node (docs/clusters.md)."
                )


def row(
    cell: Cell,
    rounds: list[Record],
    records: list[Record],
    samples: Rounds,
    arithmetic: Arithmetic,
    peaks: Peaks,
    like: Spread | None = None,
) -> Row:
    """Return the row of one cell. rounds: all of its records. records, samples: those that its figures are made of.

    like: the spread between processes of the cells that are like it.
    """
    result: Row = {axis: getattr(cell, axis) for axis in AXES}
    if not rounds:
        return result | {"status": "failed", "reason": "no record of this cell", "rounds": 0, "runs": 0}
    result |= {"rounds": len(records), "runs": 0, "quiet_percent": aside.quiet_percent(rounds)}
    verdicts = [aside.judge(record) for record in records]
    # A row is as good as its worst round.
    worst = max(verdicts, key=lambda one: STATUSES.index(one.status))
    result |= {"status": worst.status, "reason": worst.reason}
    result["device"] = records[0].environment["device_name"]
    measured = [record for record in records if record.seen]
    observed = (one.observed for one, record in zip(verdicts, records, strict=True) if record.seen)
    result["observed_precision"] = next(observed, None)
    result["quantised_nodes"] = next((quantised(record) for record in measured), None)
    result["fused_convolutions"] = next((fused(record) for record in measured), None)
    build = next((record.build for record in measured if record.build), None)
    result["build_seconds"] = build.get("build_seconds") if build else None
    if result["status"] not in SHOWN or not measured:
        return result
    result |= speed(cell, measured, samples, like)
    latency, low, high = (result[name] for name in ("latency_ms", "latency_ms_low", "latency_ms_high"))
    if result["status"] == "ok" and (reason := unstable(measured, latency, low, high, like)):
        result |= {"status": "unstable", "reason": reason}
    result["caveats"] = reservations(len(rounds), len(records), measured)
    counted = arithmetic[cell.model][str(cell.resolution)]
    result |= efficiency(result, counted["flop"], peaks)
    result["limiter"] = limiter(result, counted["layers"], peaks, throttled(measured))
    return result | means(measured) | probes.columns(measured, result)


def reservations(there: int, used: int, measured: list[Record]) -> str | None:
    """Return the caveats of a cell: rounds that were set aside, warming up or timing cut short or unsteady."""
    lost = f"{there - used} of {there} rounds set aside, which never were quiet" if used < there else ""
    return "; ".join(one for one in (lost, caveats(measured)) if one) or None


def rounds_of(records: list[Record]) -> list[Record]:
    """Return the rounds of a cell that its figures are made of, with what was measured in quiet alone."""
    kept = aside.set_aside(records)
    return aside.in_quiet(kept, [aside.judge(record) for record in kept])


def speed(cell: Cell, records: list[Record], rounds: Rounds, like: Spread | None = None) -> Row:
    """Return latency on the host clock with its interval, percentiles, and the rates that follow from it.

    like: as of `row`.
    """
    pooled = np.concatenate(rounds)
    latency, low, high = median_interval(rounds, like)
    known = spread_of(rounds, like)
    return {
        "latency_ms": latency,
        "latency_ms_low": low,
        "latency_ms_high": high,
        "freedom": known.freedom if known else None,
        **{f"latency_p{percent}_ms": percentile(pooled, percent) for percent in (90, 95, 99)},
        "ms_per_image": latency / cell.batch_size,
        "fps": 1000 * cell.batch_size / latency,
        "device_ms": median_of(records, "device_ms"),
        "submit_ms": median_of(records, "submit_ms"),
        "runs": len(pooled),
    }


def efficiency(result: Row, flop_per_image: int | None, peaks: Peaks) -> Row:
    """Return achieved TFLOP/s, and its share of the data-sheet peak and of the measured matrix product.

    Both peaks are those of the observed precision. Where no data sheet is known, the measured rate stands in. Where an
    image's operations are not counted, there is neither rate nor share.
    """
    precision = result["observed_precision"]
    tflops = None if flop_per_image is None else flop_per_image * result["fps"] / 1e12
    gemm = peaks["gemm_tflops"].get(precision)
    peak = peaks["data_sheet_tflops"].get(precision) or gemm
    return {
        "tflops": tflops,
        "tflops_peak": peak,
        "utilisation_percent": 100 * tflops / peak if peak and tflops else None,
        "gemm_tflops": gemm,
        "utilisation_of_gemm_percent": 100 * tflops / gemm if gemm and tflops else None,
    }


def over(values: Iterable[float | None], how: Callable[[list[float]], Any] = median) -> float | None:
    """Return the summary, a median by default, of the figures that are known, or None where none is."""
    present = [value for value in values if value is not None]
    return float(how(present)) if present else None


def means(records: list[Record]) -> Row:
    """Return memory, agreement with the reference, load time and telemetry: medians over rounds, worst agreement."""
    seen = [record.seen for record in records if record.seen]
    telemetry = [one.telemetry or Telemetry() for one in seen]
    parities = [parity for record in records if (parity := parity_of(record))]
    return {
        "memory_mb": over(one.memory.peak_mb() for one in seen),
        "snr_db": over((one.snr_db for one in parities), min),
        "snr_reference": next((one.expected.reference for one in seen if one.expected), None),
        **by_task(seen, parities),
        "load_seconds": over(one.seconds["load"] + one.seconds["first_call"] for one in seen),
        "sm_clock_mhz": over(over(one.sm_clock_mhz) for one in telemetry),
        "power_w": over(over(one.power_w) for one in telemetry),
        "gpu_busy_percent": over(over(one.utilisation_percent) for one in telemetry),
        "throttled": ", ".join(throttled(records)) or None,
        "coverage_percent": over((coverage(record) for record in records), min),
    }


def by_task(seen: list[Seen], parities: list[Parity]) -> Row:
    """Return the agreement of answers as users see them, by the task of the model: of the worst round."""
    errors = [one.errors for one in seen if one.errors]
    masks, boxes = [one.masks for one in errors if one.masks], [one.boxes for one in errors if one.boxes]
    classes = not errors or errors[0].task in ("", "classification")
    return {
        "worst_output": next((one.output for one in errors if one.output), None),
        "top1_agreement": over((one.top1_agreement for one in parities), min) if classes else None,
        "pixel_agreement": over((one.pixel_agreement for one in masks), min),
        "miou": over((one.miou for one in masks), min),
        "matched_boxes": over((one.f1_loose for one in boxes), min),
        "tightly_matched_boxes": over((one.f1_tight for one in boxes), min),
        "excused_boxes": over((one.excused for one in boxes), max),
        "exact_integers": over((one.integers.exact for one in errors if one.integers), min),
    }


def quantised(record: Record) -> str | None:
    """Return how many of a quantised session's convolutions and matrix products executed so, e.g. `20 of 21`."""
    return share(record.seen.quantised_nodes if record.seen else None)


def fused(record: Record) -> str | None:
    """Return how many of a session's convolutions a fused kernel computed, or None of one that fuses none itself."""
    return share(record.seen.details.get("fused_convolutions") if record.seen else None)


def share(found: dict[str, Any] | None) -> str | None:
    """Return how many of how many executed so, in words, or None where no account of it is there."""
    return f"{found['executed']} of {found['of']}" if found else None


def coverage(record: Record) -> float | None:
    """Return the share in percent of the model that ran on the device and in the runtime that was asked for.

    By the session's own account, or by that of its engine's build; None where neither tells.
    """
    details = record.seen.details if record.seen else {}
    return details.get("coverage_percent", (record.build or {}).get("coverage_percent"))


def add_disorder(table: Table) -> None:
    """Add to the caveats of rows that more work takes less time there, as of speedgrid.table.conditions.disorder."""
    for index, clause in disorder(table).items():
        known = table.loc[index, "caveats"]
        table.loc[index, "caveats"] = f"{known}; {clause}" if isinstance(known, str) else clause


def samples_of(records: list[Record]) -> Rounds:
    """Return the latencies in ms of each round that ran."""
    return Rounds(np.array(record.host_ms) for record in records if record.seen)

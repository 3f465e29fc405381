"""Bring the records of a grid together in one table: one row per cell, measured or not."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from speedgrid.grid import AXES, Cell, turn_number
from speedgrid.record import SHOWN, STATUSES
from speedgrid.statistics import percentile
from speedgrid.table import request as costs
from speedgrid.table.columns import NAMES as COLUMNS
from speedgrid.table.columns import TEXT as TEXT_COLUMNS
from speedgrid.table.intervals import compare, median_interval
from speedgrid.table.limiter import limiter
from speedgrid.table.stability import throttled, unstable

# Energy is measured after the timing, so its rate is not exactly the same.
SAME_RATE = 0.1


class TableError(ValueError):
    """Records that must not share a table."""


def tabulate(
    grid: Iterable[Cell], records: list[dict], arithmetic: dict[str, dict[str, dict]], peaks: dict, reference: dict
) -> pd.DataFrame:
    """Return the results, one row per cell of `grid` in its order, with COLUMNS.

    arithmetic: as of speedgrid.model.flops.count_all. peaks: `gemm_tflops` and `data_sheet_tflops`, each by
    precision, and `copy_gb_s`. reference: the `backend` and `precision` that speed-ups are relative to. Raises
    TableError if records of different machines or library versions would mix.
    """
    refuse_mixtures(records)
    by_cell: dict[Cell, list[dict]] = {}
    for record in sorted(records, key=lambda record: turn_number(record["turn"])):
        by_cell.setdefault(Cell(**record["cell"]), []).append(record)
    rows = [row(cell, by_cell.get(cell, []), arithmetic, peaks) for cell in grid]
    table = pd.DataFrame(rows, columns=COLUMNS)
    # A column with no value at all would otherwise have no type.
    table = table.astype(dict.fromkeys(set(COLUMNS) - TEXT_COLUMNS - {*AXES, "auto", "rounds", "runs"}, float))
    add_speedups(table, by_cell, reference)
    table["auto"] = False  # see speedgrid.table.choice, which needs the finished table
    return table


def refuse_mixtures(records: list[dict]) -> None:
    """Raise TableError if one backend's records, or two backends' machines, differ."""
    seen: dict[str, tuple[str, dict]] = {}
    for record in records:
        backend = record["cell"]["backend"]
        for key, value in (
            (backend, record["fingerprint"]),
            ("device", record["environment"]["device_name"]),
        ):
            first, cell = seen.setdefault(key, (value, record["cell"]))
            if first != value:
                raise TableError(
                    f"{Cell(**cell)} was measured with {first!r} and {Cell(**record['cell'])} with {value!r}; "
                    "one table must not mix them: run snakemake again, which measures what is stale."
                )


def row(cell: Cell, records: list[dict], arithmetic: dict[str, dict[str, dict]], peaks: dict) -> dict:
    """Return the row of one cell from the records of its rounds."""
    result: dict = {axis: getattr(cell, axis) for axis in AXES}
    if not records:
        return result | {"status": "failed", "reason": "no record of this cell", "rounds": 0, "runs": 0}
    # A row is as good as its worst round.
    worst = max(records, key=lambda record: STATUSES.index(record["status"]))
    result |= {"status": worst["status"], "reason": worst["reason"]}
    result |= {"device": worst["environment"]["device_name"], "rounds": len(records), "runs": 0}
    measured = [record for record in records if "samples" in record]
    result["observed_precision"] = next((record["observed_precision"] for record in measured), None)
    result["quantised_nodes"] = next((quantised(record) for record in measured), None)
    build = next((record["build"] for record in measured if record["build"]), None)
    result["build_seconds"] = build.get("build_seconds") if build else None
    if result["status"] not in SHOWN or not measured:
        return result
    result |= speed(cell, measured)
    if result["status"] == "ok" and (
        reason := unstable(measured, *(result[name] for name in ("latency_ms", "latency_ms_low", "latency_ms_high")))
    ):
        result |= {"status": "unstable", "reason": reason}
    counted = arithmetic[cell.model][str(cell.resolution)]
    result |= efficiency(result, counted["flop"], peaks)
    result["limiter"] = limiter(result, counted["layers"], peaks, throttled(measured))
    return result | conditions(measured) | energy(measured, result["throughput_fps"]) | costs.columns(measured)


def speed(cell: Cell, records: list[dict]) -> dict:
    """Return latency on the host clock with its interval, percentiles, and the rates that follow from it."""
    rounds = [np.array(record["samples"]["host_ms"]) for record in records]
    pooled = np.concatenate(rounds)
    latency, low, high = median_interval(rounds)
    # On the CPU a call returns when it is done: back to back is one after another.
    back_to_back = [np.array([ms]) for record in records if (ms := record["samples"]["throughput_ms"])]
    call, call_low, call_high = median_interval(back_to_back) if back_to_back else (latency, low, high)
    known = len(back_to_back) != 1  # one figure of one round has no interval
    return {
        "latency_ms": latency,
        "latency_ms_low": low,
        "latency_ms_high": high,
        **{f"latency_p{percent}_ms": percentile(pooled, percent) for percent in (90, 95, 99)},
        "ms_per_image": latency / cell.batch_size,
        "fps": 1000 * cell.batch_size / latency,
        "throughput_fps": 1000 * cell.batch_size / call,
        "throughput_fps_low": 1000 * cell.batch_size / call_high if known else None,
        "throughput_fps_high": 1000 * cell.batch_size / call_low if known else None,
        "device_ms": median_of(records, "device_ms"),
        "submit_ms": median_of(records, "submit_ms"),
        "runs": len(pooled),
    }


def median_of(records: list[dict], name: str) -> float | None:
    """Return the median over rounds of the rounds' medians of one kind of sample, or None where there are none."""
    medians = [np.median(record["samples"][name]) for record in records if record["samples"][name]]
    return float(np.median(medians)) if medians else None


def efficiency(result: dict, flop_per_image: int, peaks: dict) -> dict:
    """Return achieved TFLOP/s, and its share of the data-sheet peak and of the measured matrix product.

    Both peaks are those of the observed precision. Where no data sheet is known, the measured rate stands in.
    """
    precision = result["observed_precision"]
    tflops = flop_per_image * result["fps"] / 1e12
    gemm = peaks["gemm_tflops"].get(precision)
    peak = peaks["data_sheet_tflops"].get(precision) or gemm
    return {
        "tflops": tflops,
        "tflops_peak": peak,
        "utilisation_percent": 100 * tflops / peak if peak else None,
        "gemm_tflops": gemm,
        "utilisation_of_gemm_percent": 100 * tflops / gemm if gemm else None,
    }


def conditions(records: list[dict]) -> dict:
    """Return memory, agreement with the reference, load time and telemetry: medians over rounds, worst agreement."""

    def over(values, how=np.median):
        present = [value for value in values if value is not None]
        return float(how(present)) if present else None

    telemetry = [record["telemetry"] or {} for record in records]
    shown = sorted({precision for record in records for precision in (record.get("kernels") or {}).get("evidence", ())})
    parities = [record["parity"] or {} for record in records]
    return {
        "memory_mb": over([record["memory"]["peak_mb"] for record in records]),
        "kernels": ", ".join(shown) or None,
        "snr_db": over([parity.get("snr_db") for parity in parities], min),
        "top1_agreement": over([parity.get("top1_agreement") for parity in parities], min),
        "load_seconds": over([record["seconds"]["load"] + record["seconds"]["first_call"] for record in records]),
        "sm_clock_mhz": over([reading.get("sm_clock_mhz") for reading in telemetry]),
        "power_w": over([reading.get("power_w") for reading in telemetry]),
        "gpu_busy_percent": over([reading.get("utilisation_percent") for reading in telemetry]),
        "throttled": ", ".join(throttled(records)) or None,
        "coverage_percent": over([coverage(record) for record in records], min),
    }


def energy(records: list[dict], throughput_fps: float) -> dict:
    """Return energy per image and the power it was measured at: of the first round whose calls ran at the row's rate.

    Energy belongs to a rate: a cell that waits for its host half of the time pays for an idle GPU with each image.
    """
    for record in records:
        if used := record.get("energy"):
            batch_size = record["cell"]["batch_size"]
            rate = used["calls"] * batch_size / used["seconds"]
            if abs(rate / throughput_fps - 1) <= SAME_RATE:
                joules = 1000 * used["joules_per_call"] / batch_size
                return {"energy_mj_per_image": joules, "energy_power_w": used["power_w"]}
    return {"energy_mj_per_image": None, "energy_power_w": None}


def quantised(record: dict) -> str | None:
    """Return how many of a quantised session's convolutions and matrix products executed so, e.g. `20 of 21`."""
    found = record.get("quantised_nodes")
    return f"{found['executed']} of {found['of']}" if found else None


def coverage(record: dict) -> float | None:
    """Return the share in percent of the model that ran on the device and in the runtime that was asked for.

    By the session's own account, or by that of its engine's build; None where neither tells.
    """
    return record["details"].get("coverage_percent", (record["build"] or {}).get("coverage_percent"))


def add_speedups(table: pd.DataFrame, by_cell: dict[Cell, list[dict]], reference: dict) -> None:
    """Fill in the speed-up of every row over the reference of the same model, resolution and batch size.

    A reference row counts only if it ran what its label says.
    """
    is_reference = (table.backend == reference["backend"]) & (table.precision == reference["precision"])
    base = table[is_reference & table.status.isin(["ok", "unstable"])]
    rounds = {(line.model, line.resolution, line.batch_size): samples_of(line, by_cell) for line in base.itertuples()}
    for index, line in table[table.latency_ms.notna()].iterrows():
        if (place := (line.model, line.resolution, line.batch_size)) in rounds:
            own = line.backend == reference["backend"] and line.precision == reference["precision"]
            # The reference against itself is 1 by definition, not a measurement.
            values = (1.0, 1.0, 1.0) if own else compare(rounds[place], samples_of(line, by_cell))
            table.loc[index, ["speedup", "speedup_low", "speedup_high"]] = values


def samples_of(line, by_cell: dict[Cell, list[dict]]) -> list[np.ndarray]:
    """Return the latencies in ms of each round of a row's cell."""
    records = by_cell[Cell(*(getattr(line, axis) for axis in AXES))]
    return [np.array(record["samples"]["host_ms"]) for record in records if "samples" in record]

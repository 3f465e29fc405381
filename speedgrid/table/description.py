"""Summarise one run: the table of its cells, and the description that a report needs beside it."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd

from speedgrid import record
from speedgrid.grid import Cell
from speedgrid.machine.data_sheet import data_sheet
from speedgrid.table import accuracy as top1
from speedgrid.table import cells as table
from speedgrid.table import choice, controls, stability


def summarise(
    cells: list[Cell],
    timings: list[str],
    weights: list[str],
    flops: str,
    measured: str,
    config: dict,
    evaluations: list[str] = (),
) -> tuple[pd.DataFrame, dict]:
    """Return (table, description) from the files of a run.

    Files of speedgrid.model.flops.count_all, peaks.measure_all (`measured`), accuracy.evaluate (`evaluations`). The
    description is plain JSON values.
    """
    records = [record.read(path) for path in timings]
    rounds = [found for found in records if found["turn"].startswith("round")]
    table.refuse_mixtures(records)
    machine, [arithmetic, rates] = records[0]["environment"], read_all([flops, measured])
    ceilings = limits(rates, data_sheet(machine["device_name"]))
    results = table.tabulate(cells, rounds, arithmetic, ceilings, config["report"]["reference"])
    top1.fill(results, evaluated := read_all(evaluations), origins := read_all(weights))
    results["auto"] = choice.chosen(results, config["accuracy"]["max_top1_loss"])
    return results, {
        "machine": machine,
        "weights": origins,
        "accuracy": top1.describe(evaluated),
        "arithmetic": without_layers(arithmetic),
        "peaks": ceilings,
        "config": config,
        "measured_from": min(found["measured_at"] for found in records),
        "measured_to": max(found["measured_at"] for found in records),
        "statuses": dict(Counter(results["status"])),
        "gpus": len({found["environment"].get("gpu_uuid") for found in records}),
        "loaded_beside": max(found.get("memory", {}).get("other_processes") or 0 for found in records),
        "threads": records[0]["asked"]["cpu_threads"],
        "details": details(records),
        "commands": commands(cells, rounds),
        "controls": control(records),
        **stability.hosts(records),
    }


def read_all(paths: list[str]) -> list[dict]:
    """Return what JSON files hold."""
    return [json.loads(Path(path).read_text()) for path in paths]


def limits(measured: dict, sheet: dict | None) -> dict:
    """Return what a device can do at most: as measured, and by its data sheet, empty or None where there is none."""
    sheet = sheet or {}
    return {
        **{name: value for name, value in measured.items() if name != "reason"},
        "data_sheet_tflops": sheet.get("tflops", {}),
        "data_sheet_gb_s": sheet.get("bandwidth_gb_s"),
        "data_sheet_source": sheet.get("source"),
    }


def without_layers(arithmetic: dict[str, dict[str, dict]]) -> dict[str, dict[str, dict]]:
    """Return the arithmetic of images without that of each layer, which artifacts/flops.json has."""
    return {
        model: {size: {key: one for key, one in counted.items() if key != "layers"} for size, counted in sizes.items()}
        for model, sizes in arithmetic.items()
    }


def commands(cells: list[Cell], records: list[dict]) -> dict[str, str]:
    """Return the command of the grid's first cell of each backend that has a record."""
    known = {str(Cell(**found["cell"])): found["command"] for found in records}
    first = {cell.backend: str(cell) for cell in reversed(cells) if str(cell) in known}
    return {name: known[name] for name in reversed(first.values())}


def details(records: list[dict]) -> dict[str, dict]:
    """Return what ran, by backend, from the first record of each that has it."""
    found: dict[str, dict] = {}
    for one in records:
        if "details" in one:
            found.setdefault(one["cell"]["backend"], one["details"])
    return found


def control(records: list[dict]) -> dict:
    """Return what the run's control cell shows, with its name (see speedgrid.table.controls)."""
    cell = next((found["cell"] for found in records if found["turn"].startswith("sentinel")), None)
    of_cell = [found for found in records if found["cell"] == cell]
    return {"cell": str(Cell(**cell)) if cell else None, **controls.summarise(of_cell)}

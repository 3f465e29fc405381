"""Summarise one run: the table of its cells, and the description that a report needs beside it."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd

from speedgrid import controls, peaks, record, stability, table
from speedgrid.grid import Cell


def summarise(
    cells: list[Cell], timings: list[str], weights: list[str], flops: str, gemm: str, config: dict
) -> tuple[pd.DataFrame, dict]:
    """Return (table, description) from the files of a run.

    description: machine, library versions, model, weights, arithmetic, peaks, config, and for every record its
    command, all plain JSON values.
    """
    records = [record.read(path) for path in timings]
    table.refuse_mixtures(records)
    rounds = [found for found in records if found["turn"].startswith("round")]
    machine = records[0]["environment"]
    sheet = peaks.data_sheet(machine["device_name"])
    measured = json.loads(Path(gemm).read_text())
    rates = {
        "gemm_tflops": measured["gemm_tflops"],
        "data_sheet_tflops": sheet["tflops"] if sheet else {},
        "data_sheet_source": sheet["source"] if sheet else None,
    }
    flop_per_image = {int(size): count for size, count in json.loads(Path(flops).read_text()).items()}
    results = table.tabulate(cells, rounds, flop_per_image, rates, config["report"]["reference"])
    commands = {str(Cell(**found["cell"])): found["command"] for found in rounds}
    dates = sorted(found["measured_at"] for found in records)
    return results, {
        "machine": machine,
        "weights": [json.loads(Path(path).read_text()) for path in weights],
        "flop_per_image": flop_per_image,
        "peaks": rates,
        "config": config,
        "measured_from": dates[0],
        "measured_to": dates[-1],
        "statuses": dict(Counter(results["status"])),
        "gpus": len({found["environment"].get("gpu_uuid") for found in records}),
        "loaded_beside": max(found.get("memory", {}).get("other_processes") or 0 for found in records),
        "threads": records[0]["asked"]["cpu_threads"],
        "details": details(records),
        "commands": {name: commands[name] for name in map(str, cells) if name in commands},
        "controls": control(records),
        "neighbours": stability.neighbours(records),
    }


def details(records: list[dict]) -> dict[str, dict]:
    """Return what ran, by backend, from the first record of each that has it."""
    found: dict[str, dict] = {}
    for one in records:
        if "details" in one:
            found.setdefault(one["cell"]["backend"], one["details"])
    return found


def control(records: list[dict]) -> dict:
    """Return what the run's control cell shows, with its name (see speedgrid.controls)."""
    cell = next((found["cell"] for found in records if found["turn"].startswith("sentinel")), None)
    of_cell = [found for found in records if found["cell"] == cell]
    return {"cell": str(Cell(**cell)) if cell else None, **controls.summarise(of_cell)}

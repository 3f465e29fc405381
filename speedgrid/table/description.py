"""A finished run: its table, one row for each timing, and the description that a report needs beside them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

from speedgrid import grid, record
from speedgrid.evidence.evaluation import Evaluation, whole
from speedgrid.grid import Axes, Cell
from speedgrid.launcher.outputs import replacing, write_json, write_text
from speedgrid.launcher.reading import REMEDY, read_json
from speedgrid.machine.data_sheet import DataSheet, Measured, Peaks, Rates, data_sheet
from speedgrid.model.described import Arithmetic, Counted, Origin
from speedgrid.record import Record
from speedgrid.serving.decoded import Decoding
from speedgrid.serving.record import Serving
from speedgrid.table import (
    accuracy,
    across,
    aside,
    choice,
    conditions,
    controls,
    decoding,
    held_streams,
    operators,
    parts,
    rounds,
    sessions,
    streams,
)
from speedgrid.table import cells as table
from speedgrid.table.held import hold
from speedgrid.table.run import Controls, Description, Reference, Summary, Table, Timings
from speedgrid.table.sizes import writable

__all__ = ["Description", "Finished", "Material", "Summary", "finish", "timings_in"]


@dataclass(frozen=True)
class Material:
    """The measurements of a run, read and checked once.

    records: of all timings. weights: as of speedgrid.model.weights. arithmetic: of speedgrid.model.flops.count_all,
    with layers. rates: of speedgrid.measure.peaks.measure_all. evaluations: of speedgrid.measure.accuracy. decoded: of
    speedgrid.serving.decoding.measure, None where it was not asked for. served: of streams under load, in the order of
    a report.
    """

    records: list[Record]
    weights: list[Origin]
    arithmetic: Arithmetic
    rates: Measured
    evaluations: list[Evaluation] = field(default_factory=list)
    decoded: Decoding | None = None
    served: list[Serving] = field(default_factory=list)

    @classmethod
    def read(
        cls,
        timings: Iterable[Path],
        weights: Iterable[Path],
        flops: Path,
        peaks: Path,
        evaluations: Iterable[Path] = (),
        decoded: Path | None = None,
        served: Iterable[Path] = (),
    ) -> "Material":
        """Return the contents of files. Raises RecordError for a bad record, FileError for another bad file."""
        records = [record.read(path) for path in timings]
        origins = [read_json(path, Origin) for path in weights]
        given = [whole(read_json(path, dict), str(path)) for path in evaluations]
        video = read_json(decoded, Decoding) if decoded else None
        under_load = [held_streams.read(path) for path in served]
        counted, rates = read_json(flops, Arithmetic), read_json(peaks, Measured)
        return cls(records, origins, counted, rates, given, video, under_load)


def timings_in(folder: Path, axes: Axes, rounds: int, certain: int) -> list[Path]:
    """Return the records of all timings of a grid, which a folder has, as of speedgrid.grid.timings."""
    names = grid.timings(axes, rounds, (path.stem for path in folder.glob("*.json")), certain)
    return [folder / f"{name}.json" for name in names]


class Finished(NamedTuple):
    """A run as its readers have it. table: a row for each cell. timings: a row for each timing, as of `rounds`."""

    table: Table
    timings: Timings
    summary: Summary

    def write(self, results: Path, timings: Path, summary: Path, parquet: Path | None = None) -> None:
        """Write the tables as CSV and the summary as JSON; parquet: the results with the types of their columns."""
        write_text(results, self.table.to_csv(index=False, float_format="%.10g"))
        write_text(timings, self.timings.to_csv(index=False, float_format="%.7g"))
        write_json(summary, dict(self.summary))
        if parquet:
            with replacing(parquet) as temporary:
                writable(self.table).to_parquet(temporary, index=False)


def finish(
    cells: list[Cell], material: Material, reference: Reference, max_top1_loss: float, lending: bool = False
) -> Finished:
    """Return the finished run of a grid: judged, with accuracy, and with the precisions that are the choice.

    reference: `backend` and `precision` that speed-ups are relative to. max_top1_loss: of a choice, a share of images.
    lending: whether cells of few rounds have the spread of cells like them. Raises TableError if machines would mix.
    """
    require(cells, material)
    records, held = hold(material.records, material.arithmetic)
    of_grid, machine = [found for found in records if found.turn.startswith("round")], records[0].environment
    ceilings = limits(material.rates, data_sheet(machine["device_name"]))
    calm = aside.set_aside(aside.paced(records))
    results = table.tabulate(cells, of_grid, material.arithmetic, ceilings, reference, calm if lending else None)
    sittings = fill(results, material, calm, reference)
    results["auto"] = choice.chosen(results, max_top1_loss)
    summary = Summary(
        machine=records[0].environment,
        weights=material.weights,
        accuracy=accuracy.describe(material.evaluations),
        arithmetic=without_layers(material.arithmetic),
        peaks=ceilings,
        measured_from=min(found.measured_at for found in records),
        measured_to=max(found.measured_at for found in records),
        statuses=dict(Counter(results["status"])),
        gpus=len({found.environment.get("gpu_uuid") for found in records}),
        loaded_beside=loaded_beside(records),
        threads=records[0].asked.cpu_threads,
        details=sessions.details(records),
        commands=commands(cells, of_grid),
        controls=control(calm, lending),
        neighbours=conditions.neighbours(records),
        processor=conditions.processor(records),
        held=held,
        decoding=material.decoded,
        streams=streams.fill(results, material.served),
        operators=operators.profiles(of_grid),
        sessions=sittings,
    )
    return Finished(results, rounds.tabulate(calm), summary)


def fill(results: Table, material: Material, calm: list[Record], reference: Reference) -> list[across.Sitting]:
    """Fill in what was measured beside speed, accuracy and the decoding of video, and of which session a row is.

    calm: as of speedgrid.table.aside. Returns the sessions, as of speedgrid.table.across.
    """
    accuracy.fill(results, material.evaluations, material.weights)
    decoding.fill(results, material.decoded)
    return across.fill(results, calm, reference)


def loaded_beside(records: list[Record]) -> int:
    """Return the most processes that had memory on a GPU while a cell was measured there."""
    return max((found.seen.memory.other_processes or 0 for found in records if found.seen), default=0)


def require(cells: list[Cell], material: Material) -> None:
    """Raise PartsError or TableError if measurements lack a part, or would mix machines."""
    parts.require(material.records)
    require_arithmetic(cells, material.arithmetic)
    table.refuse_mixtures([*material.records, *material.served])


def require_arithmetic(cells: list[Cell], arithmetic: Arithmetic) -> None:
    """Raise TableError if the arithmetic of a cell's image was not counted."""
    for cell in cells:
        counted = arithmetic.get(cell.model, {}).get(str(cell.resolution))
        if counted is None or "layers" not in counted:
            raise table.TableError(f"flops.json has no layers of {cell.model} at {cell.resolution} pixels; {REMEDY}.")


def limits(measured: Measured, sheet: DataSheet | None) -> Peaks:
    """Return a device's ceilings: as measured, and by its data sheet, empty or None where there is none."""
    rates = cast(Rates, {name: value for name, value in measured.items() if name in Rates.__annotations__})
    return {
        **rates,
        "data_sheet_tflops": sheet["tflops"] if sheet else {},
        "data_sheet_gb_s": sheet.get("bandwidth_gb_s") if sheet else None,
        "data_sheet_source": sheet["source"] if sheet else None,
    }


def without_layers(arithmetic: Arithmetic) -> Arithmetic:
    """Return the arithmetic of images without that of each layer, which artifacts/flops.json has."""

    def without(counted: Counted) -> Counted:
        return cast(Counted, {key: one for key, one in counted.items() if key != "layers"})

    return {model: {size: without(counted) for size, counted in sizes.items()} for model, sizes in arithmetic.items()}


def commands(cells: list[Cell], records: list[Record]) -> dict[str, str]:
    """Return the command of the grid's first cell of each backend that has a record."""
    known = {str(found.cell): found.command for found in records}
    first = {cell.backend: str(cell) for cell in reversed(cells) if str(cell) in known}
    return {name: known[name] for name in reversed(first.values())}


def control(records: list[Record], lending: bool) -> Controls:
    """Return the findings on the run's control cell, with its name (see speedgrid.table.controls)."""
    cell = next((found.cell for found in records if found.turn.startswith("sentinel")), None)
    of_cell = [found for found in records if found.cell == cell]
    return {"cell": str(cell) if cell else None, **controls.of_sessions(of_cell, lending)}

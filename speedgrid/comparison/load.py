"""Read a result that is to be compared: a folder in which speedgrid ran, one of examples/, or an archive.

Nothing is unpacked: the members of an archive are read where they are.
"""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict, cast

import numpy as np
import pandas as pd
from msgspec import Meta

from speedgrid import InputError, record
from speedgrid.comparison.packed import open_archive
from speedgrid.data.resolution import TEXT, Resolution
from speedgrid.evidence.between import Spread
from speedgrid.grid import AXES, model_name, turn_number
from speedgrid.launcher.reading import load, of_kind, short, unchanged
from speedgrid.model.described import Arithmetic
from speedgrid.table import saved
from speedgrid.table.across import cells_of
from speedgrid.table.aside import paced
from speedgrid.table.cells import rounds_of
from speedgrid.table.columns import BY_NAME
from speedgrid.table.held import hold
from speedgrid.table.run import Controls, Description, Reference, Table
from speedgrid.text.language import SOURCE, codes
from speedgrid.text.status import SHOWN

# What a table has to have here; older tables may lack other columns.
NEEDED = (*AXES, "status", "reason", *BY_NAME["latency_ms"].names(), "rounds", "observed_precision")
OPTIONAL = ("limiter", "freedom", "sm_clock_mhz", "snr_db", "top1_agreement")
# The share by which a latency in the table may differ from that of the samples beside it: what decimals lose.
ROUNDING = 1e-6
# How deep the files of a run are nested, at most.
DEEPEST = 20
# What to do about a file of a result that cannot be read.
REMEDY = "take the result from where it was made again"


# Values of an axis, and sizes: at least one, and no more than a run can have.
class OwnModel(TypedDict):
    """The parts that a comparison reads of a model that has a source of its own."""

    name: str


Models = Annotated[list[str | OwnModel], Meta(min_length=1, max_length=100)]
Names = Annotated[list[str], Meta(min_length=1, max_length=100)]
Size = Annotated[int, Meta(ge=1, le=1_000_000)]
Sizes = Annotated[list[Size], Meta(min_length=1, max_length=100)]
Resolutions = Annotated[
    list[Size | Annotated[str, Meta(pattern=f"^{TEXT.pattern}$")]], Meta(min_length=1, max_length=100)
]


class Timing(TypedDict):
    """The parts that a comparison reads of the key timing."""

    rounds: Annotated[int, Meta(ge=1, le=1000)] | Literal["auto"]
    max_rounds: NotRequired[Annotated[int, Meta(ge=1, le=1000)]]


class AxesOf(TypedDict):
    """The parts that a comparison reads of the axes for a device."""

    backend: Names
    precision: Names
    resolution: Resolutions
    batch_size: Sizes


class Shown(TypedDict):
    """The parts that a comparison reads of the key report."""

    reference: Reference
    language: NotRequired[str]


class Configured(TypedDict):
    """The parts that a comparison reads of a configuration; one of an older version lacks other keys."""

    device: str
    models: Models
    grid: dict[str, AxesOf]
    timing: Timing
    report: Shown


class Named(TypedDict):
    """The parts that a comparison reads of a machine."""

    device_name: str


class Weights(TypedDict):
    """The parts that a comparison reads of the origin of weights."""

    model: str
    resolution: Resolution
    source: str
    sha256: NotRequired[str | None]


class Needed(TypedDict):
    """The parts that a comparison reads of a run's description; one of an older version lacks other parts."""

    machine: Named
    weights: list[Weights]
    config: Configured
    controls: Controls
    measured_from: str
    measured_to: str


class ComparisonError(InputError):
    """Results that cannot be compared; the message names the file, and what would be right."""


@dataclass(frozen=True)
class Result:
    """One result: its table, [cells] by name, its description, and for each cell the samples of its rounds in ms.

    samples: empty where only the table is there, with its intervals. repeats: the spread of each cell that was timed
    several times beside its rounds; none of an older result.
    """

    name: str
    table: Table
    run: Description
    samples: dict[str, list[np.ndarray]]
    repeats: tuple[Spread, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of its models."""
        return [model_name(one) for one in self.run["config"]["models"]]


def read(source: str | Path) -> Result:
    """Return the result in a folder or an archive. Raises InputError if there is none that can be read."""
    found, base = read_tables(source), base_of(source)
    if not (base / "timings").is_dir():
        return found
    measured = records(base / "timings")
    _refuse_untrue(found.table, measured, base)
    samples = _samples(measured)
    _refuse_strangers(found.table, samples, base)
    return replace(found, samples=samples)


def read_tables(source: str | Path) -> Result:
    """Return the table and the description of a result, without its samples. Raises InputError as `read` does."""
    base = base_of(source)
    for name in ("results.csv", "run.json"):
        if not (base / name).is_file():
            raise ComparisonError(
                f"{source} has no {name}, neither in it nor in its artifacts/; give an archive of `make archive`, a "
                "folder in which speedgrid ran, or one like examples/nvidia-h200."
            )
    table, run, timings = _table(base / "results.csv"), _described(base / "run.json"), base / "rounds.csv"
    return Result(str(source), table, run, {}, _repeats(timings) if timings.is_file() else ())


def _repeats(path: Path | zipfile.Path) -> tuple[Spread, ...]:
    """Return the spread of each control cell of a run, by the table of its timings."""
    timings = saved.read_rounds(path, REMEDY)
    if "latency_ms" not in timings:
        raise ComparisonError(f"{path} has no column 'latency_ms'; it is not a table of timings that speedgrid wrote.")
    known = timings[~timings.turn.astype(str).str.startswith("round") & (timings.latency_ms > 0)]
    groups = [np.log(own.latency_ms.astype(float)) for _, own in known.groupby(list(AXES))]
    return tuple(Spread(float(own.var(ddof=1)), len(own) - 1) for own in groups if len(own) > 1)


def _described(path: Path | zipfile.Path) -> Description:
    run = parse(path)
    if absent := [key for key in ("machine", "weights", "config", "controls") if key not in run]:
        raise ComparisonError(f"{path} has no {absent[0]!r}; it is not the description of a run.")
    needed = of_kind(run, Needed, str(path), REMEDY)
    if needed["config"]["device"] not in needed["config"]["grid"]:
        raise ComparisonError(f"{path} has no axes in config.grid of its device, {short(needed['config']['device'])}.")
    if (language := needed["config"]["report"].get("language", SOURCE)) not in codes():
        raise ComparisonError(f"{path} has config.report.language {short(language)}; known are {', '.join(codes())}.")
    return cast(Description, run)


def base_of(source: str | Path) -> Path | zipfile.Path:
    """Return the folder that holds the tables of a result. Raises ComparisonError where there is neither."""
    root = _root(Path(source))
    return root / "artifacts" if (root / "artifacts" / "results.csv").is_file() else root


def _root(path: Path) -> Path | zipfile.Path:
    if path.is_dir():
        return path
    if not path.is_file():
        raise ComparisonError(f"{path} is not there; give a folder or an archive of `make archive`.")
    return open_archive(path)


def parse(path: Path | zipfile.Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises ComparisonError for a file that cannot be read as one."""
    try:
        content = load(path)
    except ValueError as error:
        raise ComparisonError(f"{path} is not JSON that can be read ({error}); {REMEDY}.") from error
    if not isinstance(content, dict):
        raise ComparisonError(f"{path} is a JSON {type(content).__name__}; it must be an object.")
    if not shallow(content):
        raise ComparisonError(f"{path} is nested more than {DEEPEST} levels deep; {REMEDY}.")
    return unchanged(content, str(path), REMEDY)


def shallow(content: Any) -> bool:
    """Say whether a JSON value is at most DEEPEST levels deep; what walks through one calls itself for each."""
    level = [content]
    for _ in range(DEEPEST):
        inner = [one for value in level for one in (value.values() if isinstance(value, dict) else value)]
        level = [one for one in inner if isinstance(one, dict | list)]
    return not level


def _table(path: Path | zipfile.Path) -> Table:
    table = saved.read(path, REMEDY)
    if absent := [column for column in NEEDED if column not in table]:
        raise ComparisonError(f"{path} has no column {absent[0]!r}; it is not a table that speedgrid wrote.")
    if table.empty:
        raise ComparisonError(f"{path} has a header and no rows; {REMEDY}.")
    table = table.assign(**{column: np.nan for column in OPTIONAL if column not in table})
    names = [str(cell) for cell in cells_of(table)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ComparisonError(f"{path} has {twice} twice; a table has one row for each cell.")
    shown = table[table.status.isin(SHOWN) & table.latency_ms.notna()]
    for column in (*BY_NAME["latency_ms"].names(), "rounds"):
        if not (bare := shown.index[~(shown[column] > 0)]).empty:
            raise ComparisonError(f"{path}, line {bare[0] + 2}, has a speed but no {column} above 0; {REMEDY}.")
    return table.set_axis(names)


def _samples(measured: list[record.Record]) -> dict[str, list[np.ndarray]]:
    """Return the latencies of each cell's rounds in ms, in order."""
    found: dict[str, list[record.Record]] = {}
    for one in sorted(paced(measured), key=lambda one: turn_number(one.turn)):
        if one.turn.startswith("round"):
            found.setdefault(str(one.cell), []).append(one)
    kept = {cell: [one for one in rounds_of(rounds) if one.seen] for cell, rounds in found.items()}
    return {cell: [np.array(one.host_ms, float) for one in rounds] for cell, rounds in kept.items() if rounds}


def records(folder: Path | zipfile.Path) -> list[record.Record]:
    """Return the records in a folder of them. Raises ComparisonError for one that cannot be read."""
    named = {path.name: path for path in folder.iterdir()}
    paths = [named[name] for name in sorted(named) if name.endswith(".json") and not name.startswith(".")]
    try:
        return [record.read(path) for path in paths]
    except record.RecordError as error:
        raise ComparisonError(f"{error} Or compare with the version of speedgrid that wrote it.") from error


def _refuse_untrue(table: Table, measured: list[record.Record], base: Path | zipfile.Path) -> None:
    """Refuse records that cannot be true, held against themselves and each other, of rows with a speed."""
    flops = base / "flops.json"
    arithmetic = of_kind(parse(flops), Arithmetic, str(flops), REMEDY) if flops.is_file() else {}
    held, _ = hold(measured, arithmetic)
    for before, after in zip(measured, held, strict=True):
        if before.seen and not after.seen and pd.notna(table.latency_ms.get(str(after.cell))):
            raise ComparisonError(f"{base / 'timings'} has {after.name}, but {after.reason}.")


def _refuse_strangers(table: Table, samples: dict[str, list[np.ndarray]], base: Path | zipfile.Path) -> None:
    """Refuse samples that are not those of the table: measuring went on after it was written."""
    if not samples:
        return
    for cell, latency in table.latency_ms.dropna().items():
        found = np.median([np.median(one) for one in samples[cell]]) if cell in samples else np.nan
        if not abs(found / latency - 1) < ROUNDING:
            raise ComparisonError(
                f"{base / 'timings'} has {found:.6g} ms for {cell} and {base / 'results.csv'} has {latency:.6g} ms; "
                "they must be of one run: run snakemake, which aggregates what was measured."
            )

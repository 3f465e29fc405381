"""Read a result that is to be compared: a folder in which speedgrid ran, one of examples/, or an archive.

Nothing is unpacked: the members of an archive are read where they are.
"""

import io
import json
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from speedgrid import InputError, record
from speedgrid.grid import AXES, Cell, turn_number
from speedgrid.table.columns import BY_NAME
from speedgrid.table.run import Description, Table

# What a table has to have here; older tables may lack other columns.
NEEDED = (*AXES, "status", "reason", *BY_NAME["latency_ms"].names(), "rounds", "observed_precision")
OPTIONAL = ("limiter", "sm_clock_mhz", "snr_db", "top1_agreement")
# The share by which a latency in the table may differ from that of the samples beside it: what decimals lose.
ROUNDING = 1e-6


class ComparisonError(InputError):
    """Results that cannot be compared; the message names the file, and what would be right."""


@dataclass(frozen=True)
class Result:
    """One result: its table, [cells] by name, its description, and for each cell the samples of its rounds in ms.

    samples: empty where only the table is there, with its intervals.
    """

    name: str
    table: Table
    run: Description
    samples: dict[str, list[np.ndarray]]


def read(source: str | Path) -> Result:
    """Return the result in a folder or an archive. Raises ComparisonError if there is none that can be read."""
    found, base = read_tables(source), base_of(source)
    samples = _samples(base / "timings") if (base / "timings").is_dir() else {}
    _refuse_strangers(found.table, samples, base)
    return replace(found, samples=samples)


def read_tables(source: str | Path) -> Result:
    """Return the table and the description of a result, without its samples. Raises ComparisonError as `read` does."""
    base = base_of(source)
    for name in ("results.csv", "run.json"):
        if not (base / name).is_file():
            raise ComparisonError(
                f"{source} has no {name}, neither in it nor in its artifacts/; give an archive of `make archive`, a "
                "folder in which speedgrid ran, or one like examples/nvidia-h200."
            )
    run = parse(base / "run.json")
    if absent := [key for key in ("machine", "weights", "config", "controls") if key not in run]:
        raise ComparisonError(f"{base / 'run.json'} has no {absent[0]!r}; it is not the description of a run.")
    return Result(str(source), _table(base / "results.csv"), cast(Description, run), {})


def base_of(source: str | Path) -> Path | zipfile.Path:
    """Return the folder that holds the tables of a result. Raises ComparisonError where there is neither."""
    root = _root(Path(source))
    return root / "artifacts" if (root / "artifacts" / "results.csv").is_file() else root


def _root(path: Path) -> Path | zipfile.Path:
    if path.is_dir():
        return path
    if not path.is_file():
        raise ComparisonError(f"{path} is not there; give a folder or an archive of `make archive`.")
    try:
        return zipfile.Path(zipfile.ZipFile(path))
    except zipfile.BadZipFile as error:
        raise ComparisonError(f"{path} is neither a folder nor an archive of `make archive` ({error}).") from error


def _text(path: Path | zipfile.Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ComparisonError(f"{path} cannot be read ({error}); it is damaged.") from error


def parse(path: Path | zipfile.Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises ComparisonError for a file that cannot be read as one."""
    text = _text(path)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ComparisonError(f"{path} is not JSON ({error}); it is damaged.") from error
    if not isinstance(content, dict):
        raise ComparisonError(f"{path} is a JSON {type(content).__name__}; it must be an object.")
    return content


def _table(path: Path | zipfile.Path) -> Table:
    try:
        table = pd.read_csv(io.StringIO(_text(path)))
    except pd.errors.ParserError as error:
        raise ComparisonError(f"{path} is not a table ({error}).") from error
    if absent := [column for column in NEEDED if column not in table]:
        raise ComparisonError(f"{path} has no column {absent[0]!r}; it is not a table that speedgrid wrote.")
    table = table.assign(**{column: np.nan for column in OPTIONAL if column not in table})
    names = [str(Cell(*values)) for values in table[list(AXES)].itertuples(index=False)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ComparisonError(f"{path} has {twice} twice; a table has one row for each cell.")
    return table.set_axis(names)


def _samples(folder: Path | zipfile.Path) -> dict[str, list[np.ndarray]]:
    """Return the latencies of each cell's rounds in ms, in order."""
    found: dict[str, dict[int, np.ndarray]] = {}
    for one in records(folder):
        if one.turn.startswith("round") and one.seen:
            found.setdefault(str(one.cell), {})[turn_number(one.turn)] = np.array(one.host_ms, float)
    return {cell: [rounds[number] for number in sorted(rounds)] for cell, rounds in found.items()}


def records(folder: Path | zipfile.Path) -> list[record.Record]:
    """Return the records in a folder of them. Raises ComparisonError for one that cannot be read."""
    paths = [path for path in folder.iterdir() if path.name.endswith(".json") and not path.name.startswith(".")]
    try:
        return [record.read(path) for path in paths]
    except (record.RecordError, zipfile.BadZipFile) as error:
        raise ComparisonError(f"{error} Or compare with the version of speedgrid that wrote it.") from error


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

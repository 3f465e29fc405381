"""Read a published table: a file of it, and what is known of it beyond its figures."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from speedgrid import ROOT
from speedgrid.launcher.inputs import expanded, file_fault
from speedgrid.launcher.reading import FileError, read_own_yaml, read_yaml
from speedgrid.published.names import devices, models, precisions
from speedgrid.published.reading import axes, lines, speeds, table
from speedgrid.published.reading.text import PublishedError, short
from speedgrid.published.rows import Table

__all__ = ["PublishedError", "Table", "entries", "files", "read"]

# What is known of a table. Where a table has a column of that name, each row says for itself.
ABOUT = ("title", "source", "origin", "figures", "decimal")
NUMBERS = ("resolution", "batch_size")
CONSTANTS = axes.CONSTANTS
MARKS = ("comma", "point")
# One of the configured tables: its file, or a file with what is known of it.
Entry: TypeAlias = str | dict[str, Any]


def entries(published: list[Entry]) -> list[dict[str, Any]]:
    """Return the configured tables as dictionaries with `file`; a path alone is one with nothing else known."""
    known = [{"file": one} if isinstance(one, str) else dict(one) for one in published]
    return [one | {"file": expanded(one["file"])} for one in known]


def files(published: list[Entry], audited: str | Path | None = None) -> list[str]:
    """Return the files that the audit reads: each table, and the description beside it where there is one.

    audited: the verdicts of an earlier run, where there were any. Raises PublishedError, one sentence, for a file that
    is not there or cannot be read, and for a description that an earlier run read and that is gone.
    """
    tables = [one["file"] for one in entries(published)]
    for number, path in enumerate(tables):
        which = f"config key published.{number} is {path!r}, "
        if fault := file_fault(path):
            raise PublishedError(f"{which}which {fault}; it must be a CSV file that can be read.")
        described = sidecar(path)
        if (fault := file_fault(described)) and os.path.lexists(described):
            raise PublishedError(
                f"{which}whose description {str(described)!r} {fault}; it must be a YAML file, or not there."
            )
        if fault and str(described) in described_by(audited):
            raise PublishedError(
                f"{which}whose description {str(described)!r} {fault}, though it was audited with it; "
                f"put it back, or remove {audited} to audit it without."
            )
    return [*tables, *(str(found) for path in tables if (found := beside(path)))]


def described_by(audited: str | Path | None) -> list[str]:
    """Return the files beside tables that verdicts were reached with; none where there are no verdicts."""
    try:
        verdicts = json.loads(Path(audited).read_text(encoding="utf-8")) if audited else []
    except (OSError, ValueError):  # there are none yet, or they will be made again
        return []
    found = verdicts if isinstance(verdicts, list) else []
    return [str(one["described_by"]) for one in found if isinstance(one, dict) and one.get("described_by")]


def sidecar(path: str | Path) -> Path:
    """Return the path of the description of a table, if there is one: x.yaml beside x.csv."""
    return Path(path).with_suffix(".yaml")


def beside(path: str | Path) -> Path | None:
    """Return the description of a table, or None where there is none: a configuration of that name is another thing."""
    found = sidecar(path)
    return found if found.exists() and not is_configuration(found) else None


def is_configuration(path: Path) -> bool:
    """Say whether a YAML file is a configuration of this workflow, which a user may have named as a table."""
    try:
        found = read_yaml(path)
    except FileError:
        return False
    if not isinstance(found, dict) or not set(found) <= _configured():
        return False
    return bool(set(found) - {*ABOUT, *CONSTANTS}) or isinstance(found.get("model"), dict)


@cache
def _configured() -> frozenset[str]:
    return frozenset(read_own_yaml(ROOT / "config" / "schema.yaml")["properties"])


def read(entry: dict[str, Any], model: str | None) -> Table:
    """Read one published table. entry: `file`, and what is known of it; it goes before the file x.yaml beside x.csv.

    model: of tables that do not name one. Raises PublishedError if there is nothing in the file to audit.
    """
    file = Path(entry["file"])
    about = describe(entry)
    read = table.read(str(file), lines.read(file), about, model)
    described = beside(file)
    return Table(
        file=str(file),
        described_by=str(described) if described else None,
        title=about.get("title") or file.stem,
        device=about.get("device"),
        source=about.get("source"),
        origin=about.get("origin"),
        columns={header: column.key for header, column in read.columns.items()},
        unknown=read.unknown,
        rows=read.rows,
        named=nearest(read.rows),
    )


def nearest(rows: list[Any]) -> dict[str, list[str]]:
    """Return the names of rows that are not known here, each with those that are nearest."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.model and not models.resolve(row.model):
            found.setdefault(row.model, models.nearest(row.model))
        if row.device and not devices.find(row.device).known and not devices.PROCESSOR.search(row.device):
            found.setdefault(row.device, devices.nearest(row.device))
        if row.precision and not precisions.known(row.precision):
            found.setdefault(row.precision, list(precisions.WORDS))
    return found


def describe(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a table from its entry and the file beside it. Raises PublishedError for other keys."""
    path = beside(entry["file"])
    keys = ", ".join((*ABOUT, *CONSTANTS))
    try:
        found = (read_yaml(path) or {}) if path else {}
    except FileError as error:
        raise PublishedError(f"{str(error).removesuffix('.')}; it describes a published table by {keys}.") from None
    if not isinstance(found, dict) or set(found) - {*ABOUT, *CONSTANTS}:
        given = found if isinstance(found, dict) else ["no mapping"]
        wrong = next(str(key) for key in given if key not in (*ABOUT, *CONSTANTS))
        raise PublishedError(f"{path} has {short(wrong)!r}; it describes a published table by {keys}.")
    for key, value in found.items():
        right, wanted = _right(key, value)
        if value is not None and not right:
            raise PublishedError(f"{path} has a {key} that is of type {type(value).__name__}; it must be {wanted}.")
    about = {key: value for key, value in (found | entry).items() if key != "file" and value is not None}
    if "decimal" in about and about["decimal"] not in MARKS:
        raise PublishedError(
            f"{entry['file']} has the decimal mark {about['decimal']!r}; it must be {' or '.join(MARKS)}."
        )
    if "figures" in about and not speeds.of_unit(about["figures"]):
        raise PublishedError(
            f"{entry['file']} has figures in {short(about['figures'])!r}; it must be a unit such as FPS or ms."
        )
    return about


def _right(key: str, value: Any) -> tuple[bool, str]:
    if key in NUMBERS:
        return type(value) is int and 0 < value <= axes.MOST, f"a number from 1 to {axes.MOST:,}"
    return isinstance(value, str), "text"

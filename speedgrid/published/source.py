"""Read a published table: a CSV file, and what is known of it beyond its figures."""

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from speedgrid.launcher.inputs import expanded, file_fault
from speedgrid.launcher.reading import FileError, read_yaml
from speedgrid.published import columns, lines
from speedgrid.published.lines import PublishedError, short
from speedgrid.published.quantities import Figure, Interval, printed

# What is known of a table. Where a table has a column of that name, each row says for itself.
ABOUT = ("title", "source", "origin")
NUMBERS = ("resolution", "batch_size")
CONSTANTS = ("device", "model", "backend", "precision", "resolution", "batch_size")
# One of the configured tables: its file, or a file with what is known of it.
Entry: TypeAlias = str | dict[str, Any]
# The letters of a name in a table, at most.
LETTERS = 200
EMPTY = {"", "-", "–", "—", "n/a", "na", "nan", "none", "null"}


@dataclass(frozen=True)
class Row:
    """One line of a table, with what is known of its device and model from elsewhere.

    figures: by quantity of speedgrid.published.columns. flop: of one image, 2 x multiply-adds, or None.
    data_sheet: TFLOP/s by precision, empty where the device is not known. reference_ms: time per image of the row that
    speed-ups are relative to, or None.
    """

    line: int
    backend: str | None = None
    precision: str | None = None
    resolution: int | None = None
    batch_size: int | None = None
    model: str | None = None
    device: str | None = None
    figures: dict[str, Figure] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    flop: int | None = None
    data_sheet: dict[str, float] = field(default_factory=dict)
    reference_ms: Interval | None = None

    @property
    def peak(self) -> float | None:
        """The data sheet's TFLOP/s in the precision of the row, or None where either is not known."""
        return self.data_sheet.get(self.precision) if self.precision else None

    def get(self, name: str) -> Interval | None:
        """Return the interval that a figure of the row stands for, or None if the row has no such figure."""
        return self.figures[name].interval if name in self.figures else None

    def scaled(self, factors: dict[str, float]) -> "Row":
        """Return the row with some figures multiplied by their factor."""
        changed = {name: self.figures[name].times(factor) for name, factor in factors.items() if name in self.figures}
        return replace(self, figures=self.figures | changed)


@dataclass(frozen=True)
class Table:
    """A published table. columns: header to quantity or axis. unknown: headers that are not understood.

    described_by: the file beside it that says more of it, or None.
    """

    file: str
    described_by: str | None
    title: str
    device: str | None
    source: str | None
    origin: str | None
    columns: dict[str, str]
    unknown: list[str]
    rows: list[Row]


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
        beside = sidecar(path)
        if (fault := file_fault(beside)) and os.path.lexists(beside):
            raise PublishedError(
                f"{which}whose description {str(beside)!r} {fault}; it must be a YAML file, or not there."
            )
        if fault and str(beside) in described_by(audited):
            raise PublishedError(
                f"{which}whose description {str(beside)!r} {fault}, though it was audited with it; "
                f"put it back, or remove {audited} to audit it without."
            )
    return [*tables, *(str(sidecar(path)) for path in tables if sidecar(path).exists())]


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
    return Path(f"{os.path.splitext(path)[0]}.yaml")


def read(entry: dict[str, Any], model: str) -> Table:
    """Read one published table. entry: `file`, and what is known of it; it goes before the file x.yaml beside x.csv.

    model: of tables that do not name one. Raises PublishedError if there is nothing in the file to audit.
    """
    file = Path(entry["file"])
    about = describe(entry)
    headers, found = lines.read(file)
    meanings: dict[str, columns.Column] = {}
    used: set[str] = set()
    for header in headers:
        column = columns.understand(header)
        if column and column.name not in used:  # of two columns of one meaning the first
            meanings[header] = column
            used.add(column.name)
    if not used & set(columns.QUANTITIES):
        raise PublishedError(
            f"published table {file} has the columns {short(', '.join(headers)) or '(none)'}; "
            "one of them must be a speed with its unit, such as fps, ms_per_image or latency (ms)."
        )
    return Table(
        file=str(file),
        described_by=str(sidecar(file)) if sidecar(file).exists() else None,
        title=about.get("title") or file.stem,
        device=about.get("device"),
        source=about.get("source"),
        origin=about.get("origin"),
        columns={header: column.name for header, column in meanings.items()},
        unknown=[header for header in headers if header not in meanings],
        rows=[_row(number, line, meanings, {"model": model} | about) for number, line in found],
    )


def describe(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a table from its entry and the file beside it. Raises PublishedError for other keys."""
    beside = sidecar(entry["file"])
    try:
        found = (read_yaml(beside) or {}) if beside.exists() else {}
    except FileError as error:
        raise PublishedError(
            f"{str(error).removesuffix('.')}; it describes a published table by {', '.join((*ABOUT, *CONSTANTS))}."
        ) from None
    if not isinstance(found, dict) or set(found) - {*ABOUT, *CONSTANTS}:
        keys = found if isinstance(found, dict) else ["no mapping"]
        wrong = next(str(key) for key in keys if key not in (*ABOUT, *CONSTANTS))
        raise PublishedError(
            f"{beside} has {short(wrong)!r}; it describes a published table by {', '.join((*ABOUT, *CONSTANTS))}."
        )
    for key, value in found.items():
        if key in NUMBERS:
            right, wanted = (
                type(value) is int and 0 < value <= columns.MOST,
                f"a number from 1 to {columns.MOST:,}",
            )
        else:
            right, wanted = isinstance(value, str), "text"
        if value is not None and not right:
            raise PublishedError(f"{beside} has a {key} that is of type {type(value).__name__}; it must be {wanted}.")
    return {key: value for key, value in (found | entry).items() if key != "file" and value is not None}


def _row(number: int, line: dict[str, str], meanings: dict[str, columns.Column], about: dict[str, Any]) -> Row:
    axes = {key: str(about[key]) for key in CONSTANTS if key in about}
    figures: dict[str, Figure] = {}
    unreadable: dict[str, str] = {}
    for header, column in meanings.items():
        text = line[header].strip()
        if text.lower() in EMPTY:
            continue
        if column.name in columns.AXES and len(text) <= LETTERS:
            axes[column.name] = text
            if column.name in READ and not READ[column.name](text):
                unreadable[header] = short(text)
        elif figure := printed(text, column.factor):
            figures[column.name] = figure
        else:
            unreadable[header] = short(text)
    precision = axes.pop("precision", None)
    return Row(
        line=number,
        backend=axes.get("backend"),
        model=axes.get("model"),
        device=axes.get("device"),
        precision=precision and columns.precision(precision),
        resolution=columns.side(axes.get("resolution", "")),
        batch_size=batch_size(axes.get("batch_size", "")),
        figures=figures,
        unreadable=unreadable,
    )


def batch_size(text: str) -> int | None:
    """Return the batch size that a text is, or None."""
    return columns.whole(printed(text))


# How the axes that are numbers are read.
READ = {"resolution": columns.side, "batch_size": batch_size}

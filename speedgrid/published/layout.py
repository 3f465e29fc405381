"""Rows of published tables as tables of text."""

from collections.abc import Callable, Sequence
from typing import TypedDict, TypeVar

from speedgrid.data.resolution import in_words
from speedgrid.published.verdict import AuditedRow
from speedgrid.text.language import _
from speedgrid.text.markup import Markdown
from speedgrid.text.names import NAMES

RowT = TypeVar("RowT", bound=AuditedRow)


class TextTable(TypedDict):
    """A table for the template: texts under a head, and whether a reader has to unfold it. caption: no Markdown."""

    caption: str
    head: list[str]
    rows: list[list[str]]
    folded: bool


def plain(text: str | None) -> str:
    """Return a name without what writers differ in: case, spaces, dashes."""
    return "".join(one for one in (text or "").lower() if one.isalnum())


def name(row: AuditedRow) -> str:
    """Name a row's backend and precision."""
    known = {plain(key): label for key, label in NAMES.items()}
    backend = known.get(plain(row["backend"]), row["backend"] or "")
    return cell(f"{backend} {row['precision'] or ''}".strip())


def full_name(row: AuditedRow) -> str:
    """Name a row's model, device, backend and precision."""
    return ", ".join(part for part in (row["model"], row["device"], name(row)) if part)


def place(row: AuditedRow, file: str) -> str:
    """Name a row in full: its file, line, model and device, and where it was measured."""
    line = _("{file}, line {line}").format(file=file, line=row["line"])
    return ", ".join(part for part in (line, full_name(row), *sizes(row)) if part)


def sizes(row: AuditedRow) -> list[str]:
    """Return the size of a row's images and of its batch in words, as far as its table states them."""
    parts = []
    if row["resolution"]:
        parts.append(_("{size} pixels").format(size=in_words(row["resolution"])))
    elif row["shape"]:
        parts.append(_("{shape} pixels").format(shape=row["shape"]))
    if row["batch_size"]:
        parts.append(_("batch size {size}").format(size=row["batch_size"]))
    return parts


def cell(value) -> str:
    """Return a value as the text of a cell."""
    return "" if value is None else str(value)


def table(caption: str, head: list[str], rows: list[list[str]], folded: bool = False) -> TextTable:
    """Return a table for the template, without the columns that are empty in every row."""
    filled = [index for index in range(len(head)) if any(row[index] for row in rows)]
    lines = [[row[index] for index in filled] for row in rows]
    return {"caption": caption, "head": [head[index] for index in filled], "rows": lines, "folded": folded}


def pivot(caption: str, rows: Sequence[RowT], text: Callable[[RowT], str]) -> TextTable:
    """Return a table with one column for each batch size, and a text for each row."""
    sizes = sorted({row["batch_size"] for row in rows}, key=lambda size: size or 0)
    several = {key: len({row[key] for row in rows}) > 1 for key in ("model", "device")}
    lines: dict[tuple[str, ...], dict[int | None, str]] = {}
    for row in rows:
        key = (
            *(cell(row[one]) if several[one] else "" for one in ("model", "device")),
            name(row),
            cell(row["resolution"]),
        )
        line = lines.setdefault(key, {})
        line[row["batch_size"]] = Markdown("; ").join(one for one in (line.get(row["batch_size"]), text(row)) if one)
    head = [_("model"), _("device"), "", _("resolution"), *(cell(size) for size in sizes)]
    return table(caption, head, [[*key, *(line.get(size, "") for size in sizes)] for key, line in lines.items()])

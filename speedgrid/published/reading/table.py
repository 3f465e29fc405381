"""The rows of a table from its lines: what each column means, in which unit and with which decimal mark."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from speedgrid.published.names import models, precisions
from speedgrid.published.quantities import Figure, printed
from speedgrid.published.reading import axes, headers, numbers, speeds
from speedgrid.published.reading.headers import AXES, Column
from speedgrid.published.reading.lines import Written
from speedgrid.published.reading.text import PublishedError, plain, short
from speedgrid.published.rows import Row

EMPTY = {"", "-", "--", "—", "–", "n/a", "na", "nan", "none", "null", "n.a.", "not available", "/", "x", "tbd", "?"}
# A time that may be the GPU's alone, without the copies of input and output.
PART = re.compile(r"\b(?:gpu|compute|kernels?|device)\b", re.IGNORECASE)
# Numbers of operations that have no prefix are billions, or count them all.
COUNTED = 1e6
Lines = list[tuple[int, dict[str, str]]]


@dataclass(frozen=True)
class Read:
    """A table as it was read: its columns by header, the headers that are not understood, and its rows."""

    columns: dict[str, Column]
    unknown: list[str]
    rows: list[Row]


def read(file: str, written: Written, about: dict[str, Any], model: str | None = None) -> Read:
    """Return the rows of a table. about: what is known of all of them; model: of a table that names none in any row.

    Raises PublishedError for models that are not read, and where no column is a speed.
    """
    names = written.headers
    cleaned = [(number, {header: plain(cell) for header, cell in line.items()}) for number, line in written.lines]
    columns, unknown = meanings(names, cleaned, about)
    refuse_models(file, unknown, columns, cleaned)
    if model and not any(column.name == "model" for column in columns.values()):
        about = {"model": model} | about
    cleaned = list(_merged(cleaned, columns))
    if not {column.name for column in columns.values()} - set(AXES):
        raise PublishedError(unread(file, names))
    marks = _marks(columns, cleaned, about, written.separator)
    rows = [row for number, line in cleaned for row in _rows(number, line, columns, marks, about)]
    return Read(columns, unknown, rows)


def unread(file: str, names: list[str]) -> str:
    """Return the sentence on a table of which no column is a speed, with what would be right."""
    places = {name: found.place for name in names if (found := headers.understand(name)) and found.name == "cells"}
    sentence = (
        f"published table {file} has the columns {short(', '.join(names)) or '(none)'}; "
        "one of them must be a speed with its unit, such as fps, ms_per_image or latency (ms)"
    )
    if not places:
        return f"{sentence}."
    header, place = next(iter(places.items()))
    axis, value = next(iter(place.items()))
    return (
        f"{sentence}. {short(header)!r} says where its figures were measured, not what they are: say `figures: FPS` "
        "(or ms) beside the table, or write one measurement a line, with columns such as "
        f"{axis.replace('_', ' ')} ({value}) and fps."
    )


def meanings(names: list[str], lines: Lines, about: dict[str, Any]) -> tuple[dict[str, Column], list[str]]:
    """Return the columns that are understood by header, and the headers that are not."""
    found: dict[str, Column] = {}
    seen: dict[tuple[str, str, tuple[tuple[str, str], ...]], int] = {}
    for header in names:
        cells = [line[header] for _, line in lines if line[header].lower() not in EMPTY]
        column = headers.understand(header)
        column = column and _with_cells(column, cells, about)
        if column is None:
            continue
        key = (column.name, column.statistic or "", tuple(sorted(column.place.items())))
        times = seen[key] = seen.get(key, 0) + 1
        if times > 1 and (column.name in AXES or column.name not in speeds.TIMES | speeds.RATES):
            continue  # of two columns of one meaning the first
        # Two of one speed are held against each other.
        found[header] = (
            column if times == 1 else replace(column, statistic=f"{column.statistic or ''}{chr(39) * (times - 1)}")
        )
    found |= _names_of_models(names, found, lines)
    found = {header: column for header, column in found.items() if not _amiss(column, found, lines, about)}
    return _parts(found), [header for header in names if header not in found]


def _names_of_models(names: list[str], found: dict[str, Column], lines: Lines) -> dict[str, Column]:
    """Return the one column of names, such as `Method`, whose lines have a model that is known, if none is `model`."""
    if any(column.name == "model" for column in found.values()):
        return {}
    asked = [header for header in names if header not in found and headers.names_something(header)]
    named = [header for header in asked if any(models.resolve(line[header]) for _, line in lines)]
    return {named[0]: Column("model")} if len(asked) == len(named) == 1 else {}


def _amiss(column: Column, found: dict[str, Column], lines: Lines, about: dict[str, Any]) -> bool:
    """Say whether a column is of what no other one is: operations of another size, a speed-up of another place."""
    if column.at is not None:
        cells = [line[header] for header, one in found.items() if one.name == "resolution" for _, line in lines]
        return any(axes.side(cell) != column.at for cell in cells or map(str, filter(None, [about.get("resolution")])))
    if not column.place or column.name not in ("speedup", "gain_percent", "reduction_percent", "percent_of_speed"):
        return False
    return not any(one.place == column.place for one in found.values() if one.name in speeds.TIMES | speeds.RATES)


def _parts(columns: dict[str, Column]) -> dict[str, Column]:
    """Return columns of which those of a part of each call are told from those of all of it, where there are both.

    trtexec has the latency, with the copies to and from the GPU, beside the GPU's own time.
    """
    times = {header: column for header, column in columns.items() if column.name in speeds.TIMES}
    parts = [header for header in times if PART.search(plain(header))]
    wholes = {(column.name, *sorted(column.place.items())) for header, column in times.items() if header not in parts}
    return columns | {
        header: replace(times[header], statistic=f"part {number}")
        for number, header in enumerate(parts, start=1)
        if (times[header].name, *sorted(times[header].place.items())) in wholes
    }


def _with_cells(column: Column, cells: list[str], about: dict[str, Any]) -> Column | None:
    """Return a column with the unit of its cells where its header has none; None where they say that it is another."""
    if column.name == "precision":
        numeric = [cell for cell in cells if numbers.split(cell)]
        # In tables of detectors it is the share of findings that are right.
        return None if cells and len(numeric) == len(cells) and not any(map(precisions.known, cells)) else column
    if column.name in ("device", "count"):
        counts = bool(cells) and all(cell.isdecimal() for cell in cells)
        return replace(column, name="count" if counts else "device")
    if column.name in speeds.OPERATIONS and column.factor in speeds.ONE:
        bare = [printed(found[0]) for cell in cells if (found := numbers.split(cell)) and not found[1]]
        return column if all(one and one.value >= COUNTED for one in bare) else None
    if column.factor is not None:
        return column
    parts = [found for cell in cells if (found := numbers.split(cell))]
    units = {unit for _, unit in parts}
    if column.name == "cells" and "figures" in about and not any(units):
        return headers.cells_as(column, about["figures"])
    kinds = {meant.name for unit in units if (meant := speeds.of_unit(unit))}
    if len(kinds) != 1 or "" in units:
        return None
    return headers.cells_as(column, next(unit for unit in units if speeds.of_unit(unit)))


def refuse_models(file: str, unknown: list[str], columns: dict[str, Column], lines: Lines) -> None:
    """Raise PublishedError for a column that may name models, and is not read, where no other column names them."""
    if any(column.name == "model" for column in columns.values()):
        return
    for header in unknown:
        texts = [line[header] for _, line in lines if line[header].lower() not in EMPTY]
        words = [text for text in texts if not numbers.split(text)]
        if words and (headers.may_name_models(header) or all(models.resolve(text) for text in words)):
            raise PublishedError(
                f"published table {file} has the column {short(header)!r}, which may name models (such as "
                f"{short(words[0])!r}) and is not read; its header must be `model` if it does, and else another word."
            )


def _merged(lines: Lines, columns: dict[str, Column]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield lines whose first cells are those of the line above where they are empty: cells that were merged.

    Only of the columns that say where a line was measured, up to the first one that has a text.
    """
    above: dict[str, str] = {}
    for number, line in lines:
        empty = [header for header, _ in itertools.takewhile(lambda cell: not cell[1], line.items())]
        of_place = [header for header in empty if header in columns and columns[header].name in AXES]
        above = line | {header: above.get(header, "") for header in of_place}
        yield number, above


def _marks(
    columns: dict[str, Column], lines: Lines, about: dict[str, Any], separator: str | None
) -> dict[str, str | None]:
    given = {"comma": numbers.COMMA, "point": numbers.POINT}.get(about.get("decimal", ""))
    cells = {
        header: [found[0] for _, line in lines if (found := numbers.split(line[header]))]
        for header, column in columns.items()
        if column.name not in AXES
    }
    # A semicolon parts the cells where commas are in the figures, so in countries that write 18.000 images/s.
    rates = {header for header in cells if columns[header].name in speeds.RATES} if separator == ";" else set()
    return dict.fromkeys(cells, given) if given else numbers.decimal_marks(cells, rates)


def _rows(
    number: int, line: dict[str, str], columns: dict[str, Column], marks: dict[str, str | None], about: dict[str, Any]
) -> list[Row]:
    """Return the measurements of one line: one, or one for each place that headers name."""
    shared = {header: column for header, column in columns.items() if column.name in AXES}
    places: dict[tuple[tuple[str, str], ...], dict[str, Column]] = {}
    for header, column in columns.items():
        if header not in shared:
            places.setdefault(tuple(sorted(column.place.items())), {})[header] = column
    # Of a model alone, whatever it was measured in.
    of_model = {header: one for header, one in places.get((), {}).items() if one.name in speeds.OPERATIONS}
    if len(places) > 1 and not any(one.name in speeds.TIMES | speeds.RATES for one in places.get((), {}).values()):
        places.pop((), None)
    rows = []
    for place, own in places.items():
        figures, unreadable = cells(line, own | of_model, marks)
        if len(places) > 1 and not figures and not unreadable:
            continue
        axis_cells = {header: line[header] for header in shared}
        rows.append(axes.row(number, axis_cells, shared, about, dict(place), figures, unreadable, _over(own)))
    return rows


def _over(columns: dict[str, Column]) -> str | None:
    return next((column.base for column in columns.values() if column.base), None)


def cells(
    line: dict[str, str], columns: dict[str, Column], marks: dict[str, str | None]
) -> tuple[dict[str, Figure], dict[str, str]]:
    """Return the figures of a line by their columns' keys, and by header the cells that are no figures."""
    figures: dict[str, Figure] = {}
    unreadable: dict[str, str] = {}
    for header, column in columns.items():
        text = line[header]
        if text.lower() in EMPTY:
            continue
        if figure := figure_of(text, column, marks[header]):
            figures[_key(column, text)] = figure
        else:
            unreadable[header] = short(text)
    return figures, unreadable


def _key(column: Column, text: str) -> str:
    """Return the key of a figure: a speed-up in percent is a gain where it has a sign, and may be one where not."""
    if column.name in ("speedup", "percent_of_speed") and text.endswith("%"):
        return "gain_percent" if text.lstrip()[0] in "+-" else "percent_of_speed"
    if column.name == "percent_of_speed" and text.lstrip()[0] in "+-":
        return "gain_percent"
    if column.name == "gain_percent" and text.lower().endswith(("x", "×")):
        return "speedup"
    return column.key


def figure_of(text: str, column: Column, mark: str | None) -> Figure | None:
    """Return the figure in a cell, in the unit of its quantity; None for what is none or can be read in two ways."""
    found = numbers.split(text)
    if not found:
        return None
    number = numbers.american(found[0], mark)
    factor = column.factor if not found[1] else speeds.in_cell(column.name, column.factor, found[1])
    if number is None or factor is None:
        return None
    figure = printed(number, factor)
    return figure and replace(figure, text=text)

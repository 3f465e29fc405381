"""The lines of a table that somebody else wrote, or one sentence on why it is none, with the line.

A table is separated by commas, semicolons or tabs, whichever gives all of its lines as many cells, or it is Markdown.
"""

import csv
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

from speedgrid.published.reading import text as texts
from speedgrid.published.reading.text import PublishedError, short

# What a table may have at most, in lines.
MOST = 10_000
# So many lines say what separates the cells of all.
SAMPLE = 200
SEPARATORS = ("\t", ";", ",")
# Excel's own line on what separates the cells.
HINT = re.compile(r"\"?sep=(?P<separator>[^\"\n])\"?\r?\n", re.IGNORECASE)
RULER = re.compile(r"[\s|:=+-]*--[\s|:=+-]*")
Line: TypeAlias = tuple[int, list[str]]


class Written(NamedTuple):
    """A table of text: its headers, of each line after them its number and its cells by header, what parts the cells.

    separator: None in Markdown.
    """

    headers: list[str]
    lines: list[tuple[int, dict[str, str]]]
    separator: str | None


def read(file: Path) -> Written:
    """Return the text of a table.

    Lines with nothing in them are none, and columns without a header. Raises PublishedError where they are no table.
    """
    text = texts.read(file)
    hint = HINT.match(text)
    separator = None if _is_markdown(text) else hint["separator"] if hint else _separator(text)
    found = _separated(file, text, separator) if separator else _markdown(file, text)
    _, headers = next(found, (0, []))
    headers = [header.strip() for header in headers]
    lines = [
        (number, {key: cell for key, cell in zip(headers, cells, strict=True) if key})
        for number, cells in _even(file, headers, found)
    ]
    if not lines:
        has = "a header and no lines after it" if any(headers) else "nothing in it"
        raise PublishedError(
            f"published table {file} has {has}; it must be a CSV file with a header, and a line for each measurement."
        )
    return Written([header for header in headers if header], lines, separator)


def _is_markdown(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    ruled = any("|" in line and RULER.fullmatch(line) and "|" in above for above, line in itertools.pairwise(lines))
    return ruled or bool(lines and re.fullmatch(r"\s*\|.*\|\s*", lines[0]))


def _markdown(file: Path, text: str) -> Iterator[Line]:
    """Yield the lines of the one Markdown table in a text, without its ruler and what stands around it."""
    before, ended = False, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if "|" not in line:
            ended = number if before else 0
        elif ended:
            raise PublishedError(
                f"published table {file}, line {number}, begins a second table; each must be in a file of its own."
            )
        elif not RULER.fullmatch(line):
            before = True
            inner = re.sub(r"^\||(?<!\\)\|$", "", line.strip())
            yield number, [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def _separated(file: Path, text: str, separator: str) -> Iterator[Line]:
    skipped = 0
    if hint := HINT.match(text):
        text, skipped = text[hint.end() :], 1
    reader = _reader(text, separator)
    try:
        for cells in reader:
            yield reader.line_num + skipped, cells
    except csv.Error as error:
        raise PublishedError(
            f"published table {file}, line {reader.line_num}, cannot be read: {error}; it must be a CSV file."
        ) from None


def _reader(text: str, separator: str):
    return csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator, skipinitialspace=True)


def _separator(text: str) -> str:
    """Return the separator of the cells: one that gives every line as many, and of several such the most."""
    found: list[tuple[bool, int, str]] = []
    for separator in SEPARATORS:
        try:
            lines = list(itertools.islice(_reader(text, separator), SAMPLE))
        except csv.Error:
            continue
        widths = [len(cells) for cells in lines if any(cell.strip() for cell in cells)]
        if widths and widths[0] > 1:
            found.append((len(set(widths)) == 1, widths[0], separator))
    return max(found)[2] if found else ","


def _even(file: Path, headers: list[str], lines: Iterator[Line]) -> Iterator[Line]:
    """Yield the lines that have cells. Raises PublishedError for a header or a line that fits no table."""
    if twice := next((one for one in headers if one and headers.count(one) > 1), None):
        raise PublishedError(
            f"published table {file}, line 1, has the column {short(twice)!r} twice; each must have a name of its own."
        )
    count = 0
    for number, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if not any(cell.strip() for cell in cells[len(headers) :]):
            cells = cells[: len(headers)]
        if len(cells) != len(headers):
            raise PublishedError(
                f"published table {file}, line {number}, has {len(cells)} cells, but the header has "
                f"{len(headers)}; they must be as many, and a cell with a comma in it must stand in quotes."
            )
        count += 1
        if count > MOST:
            raise PublishedError(f"published table {file} has more than {MOST:,} lines; audit it in parts.")
        yield number, cells

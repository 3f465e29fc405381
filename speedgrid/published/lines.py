"""The lines of a CSV file that somebody else wrote, or one sentence on why it is no table, with the line."""

import csv
import io
import stat
from collections.abc import Iterator
from pathlib import Path

from speedgrid import InputError

# What a table may have at most: bytes, and lines.
LARGEST, MOST = 10_000_000, 10_000


class PublishedError(InputError):
    """A published table that cannot be read; the message names the file, what it has and what would be right."""


def read(file: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the headers of a CSV file, and of each line after them its number and its cells by header.

    Lines with nothing in them are none, and columns without a header. Raises PublishedError where they are no table.
    """
    reader = csv.reader(io.StringIO(text_of(file), newline=""), strict=True)
    headers: list[str] = []
    lines: list[tuple[int, dict[str, str]]] = []
    try:
        headers = [header.strip() for header in next(reader, [])]
        for cells in cells_of(file, reader, headers):
            lines.append((reader.line_num, {key: cell for key, cell in zip(headers, cells, strict=True) if key}))
    except csv.Error as error:
        raise PublishedError(
            f"published table {file}, line {reader.line_num}, cannot be read: {error}; it must be a CSV file."
        ) from None
    if not lines:
        has = "a header and no lines after it" if any(headers) else "nothing in it"
        raise PublishedError(
            f"published table {file} has {has}; it must be a CSV file with a header, and a line for each measurement."
        )
    return [header for header in headers if header], lines


def text_of(file: Path) -> str:
    """Return the text of a file. Raises PublishedError for one that is not text in UTF-8."""
    try:
        state = file.stat()
        regular = stat.S_ISREG(state.st_mode)
        content = file.read_bytes() if regular and state.st_size <= LARGEST else None
    except OSError as error:
        raise PublishedError(
            f"published table {file} cannot be read: {error.strerror}; it must be a CSV file."
        ) from None
    if not regular:  # a pipe would be waited for, and a device has no end
        raise PublishedError(f"published table {file} is a folder or a device; it must be a CSV file.")
    if content is None:
        raise PublishedError(f"published table {file} has more than {LARGEST:,} bytes; a table of speeds is smaller.")
    try:
        text = content.decode("utf-8-sig")
        place = text.find("\0")
        line = text.count("\n", 0, place) + 1
        wrong = "a byte of zero, which no text has" if place >= 0 else None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        wrong = f"the byte {content[error.start]:#04x}, which is not UTF-8"
    if wrong:
        raise PublishedError(
            f"published table {file}, line {line}, cannot be read: it has {wrong}; it must be a CSV file in UTF-8."
        )
    return text


def cells_of(file: Path, reader, headers: list[str]) -> Iterator[list[str]]:
    """Yield the cells of each line that has some. Raises PublishedError for a header or a line that fits no table."""
    if twice := next((one for one in headers if one and headers.count(one) > 1), None):
        raise PublishedError(
            f"published table {file}, line 1, has the column {short(twice)!r} twice; each must have a name of its own."
        )
    count = 0
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(headers):
            raise PublishedError(
                f"published table {file}, line {reader.line_num}, has {len(cells)} cells, but the header has "
                f"{len(headers)}; they must be as many, and a cell with a comma in it must stand in quotes."
            )
        count += 1
        if count > MOST:
            raise PublishedError(f"published table {file} has more than {MOST:,} lines; audit it in parts.")
        yield cells


def short(text: str) -> str:
    """Return the beginning of a text that may be a whole book, in one line."""
    text = "".join(letter if letter.isprintable() else " " for letter in text[:200])
    return text if len(text) <= 100 else f"{text[:80]}..."

"""Where a row was measured: its model, device, precision, resolution and batch size as people write them."""

import re
from typing import Any

from speedgrid.published.names import devices, models, precisions
from speedgrid.published.quantities import Figure, printed
from speedgrid.published.reading.headers import Column
from speedgrid.published.reading.text import short
from speedgrid.published.rows import Row

CONSTANTS = ("device", "model", "backend", "precision", "resolution", "batch_size")
EMPTY = {"", "-", "--", "—", "–", "n/a", "na", "nan", "none", "null", "n.a.", "not available", "/", "tbd", "?"}
# The letters of a name in a table, and what is larger than any batch or image.
LETTERS, MOST = 200, 1_000_000
CHANNELS = (1, 3, 4)


def row(
    line: int,
    cells: dict[str, str],
    columns: dict[str, Column],
    about: dict[str, Any],
    place: dict[str, str],
    figures: dict[str, Figure],
    unreadable: dict[str, str],
    over: str | None,
) -> Row:
    """Return a row with the figures that it has. place: of the headers of its figures; it goes before `about`."""
    values = {key: str(about[key]) for key in CONSTANTS if key in about} | place
    wrong = dict(unreadable)
    for header, text in cells.items():
        axis = columns[header].name
        if text.lower() in EMPTY:
            continue
        if len(text) > LETTERS or (axis in READ and not READ[axis](text)):
            wrong[header] = short(text)
        elif axis not in place:
            values[axis] = text
    sides = shape(values.get("resolution", ""))
    square = sides is not None and sides[1] == sides[2]
    size = batch_size(values["batch_size"]) if "batch_size" in values else sides[0] if sides else None
    precision, model, device = values.get("precision"), values.get("model"), values.get("device")
    if "count" in values and values["count"] != "1" and not devices.COUNT.search(device or ""):
        device = f"{values['count']}x {device or 'GPU'}"
    return Row(
        line=line,
        backend=values.get("backend"),
        model=model and (models.resolve(model) or model),
        device=device,
        precision=precision and precisions.named(precision),
        resolution=sides[1] if sides and square else None,
        shape=values["resolution"] if sides and not square else None,
        batch_size=size,
        figures=figures,
        unreadable=wrong,
        over=over,
    )


def batch_size(text: str) -> int | None:
    """Return the batch size that a text is, as `8`, `bs=8` or `8 images`, or None."""
    found = re.fullmatch(
        r"(?:(?:batch(?:[ _-]?size)?|bs|b)\s*[=:_-]?\s*)?([\d,.eE+]{1,40})\s*(?:images?|imgs?|samples?|frames?|x)?",
        text.strip(),
        re.IGNORECASE,
    )
    return whole(printed(found[1])) if found else None


def whole(figure: Figure | None) -> int | None:
    """Return a figure as a whole number from 1 to MOST, or None if it is none."""
    return int(figure.value) if figure and figure.value == int(figure.value) and 0 < figure.value <= MOST else None


def shape(text: str) -> tuple[int | None, int, int] | None:
    """Return the batch size, height and width of images written as `224`, `224 px`, `224x224` or `1x3x224x224`."""
    bare = re.sub(r"(?:px|pixels?|²|\^2|p)\s*$", "", text.strip().lower().strip("()[] ")).strip("()[] ")
    if not re.fullmatch(r"\d{1,6}(?:\s*[x×*,;\s]\s*\d{1,6}){0,3}", bare):
        return None
    sizes = [int(one) for one in re.findall(r"\d+", bare)]
    if len(sizes) == 4:  # images, then channels first or last
        count, sizes = sizes[0], sizes[1:]
    else:
        count = 0
    if len(sizes) == 3:
        first, *middle, last = sizes
        if first not in CHANNELS and last not in CHANNELS:
            return None
        sizes = [*middle, last] if first in CHANNELS else [first, *middle]
    sizes = sizes * 2 if len(sizes) == 1 else sizes
    return (count or None, *sizes) if all(0 < size <= 99_999 for size in sizes) else None  # type: ignore[return-value]


def side(text: str) -> int | None:
    """Return the side in pixels of a square image, or None for one that is not square and for other texts."""
    found = shape(text)
    return found[1] if found and found[1] == found[2] else None


# How the axes that are numbers are read.
READ = {"resolution": shape, "batch_size": batch_size, "count": batch_size}

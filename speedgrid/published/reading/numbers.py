"""The figures of a column as people print them: which mark is the decimal one, and what stands after a number.

A comma with three digits after it stands between thousands in one country and before decimals in another. The column
says which, by figures that can be read in one way only; where none does, the other columns of the table may; else the
figure is not read, and its author is asked.
"""

import re
from collections.abc import Collection, Iterable

POINT, COMMA = ".", ","
# The longest figure with its unit.
LETTERS = 60
FIGURE = re.compile(
    r"(?P<times>[x×]\s*)?(?P<number>[+-]?(?:\d[\d.,'’]*(?: \d{3}(?!\d)[\d.,]*)*|[.,]\d+)(?:[eE][+-]?\d+)?)(?P<rest>.*)"
)
# How widely a figure spreads does not change it, and neither do words in brackets.
SPREAD = re.compile(r"[(\[]?\s*(?:±|\+/-|\+-)\s*[\d.,]+(?:[eE][+-]?\d+)?\s*%?\s*[)\]]?")
REMARK = re.compile(r"\s*\([^()\d]*\)\s*$")


def split(text: str) -> tuple[str, str] | None:
    """Return the number in a cell and the unit that stands at it, or None where it has no number or several."""
    found = FIGURE.fullmatch(text.strip()) if len(text.strip()) <= LETTERS else None
    if not found:
        return None
    unit = REMARK.sub("", SPREAD.sub(" ", found["rest"], count=1)).strip()
    if re.search(r"\d", re.sub(r"\^-1|⁻¹", "", unit)) or unit.startswith(("+", "-", "/", "~")):
        return None
    number = re.sub(r"(?<=\d)['’ ](?=\d{3})", "", found["number"])
    return number, f"x {unit}".strip() if found["times"] else unit


def mark(number: str) -> str | None:
    """Return the decimal mark of a number that can be read in one way only; None where it may be either or is none."""
    digits, _, exponent = number.lower().lstrip("+-").partition("e")
    marks = [letter for letter in digits if letter in ".,"]
    if not marks:
        return None
    head, tail = re.split(r"[.,]", digits)[0], re.split(r"[.,]", digits)[-1]
    if len(set(marks)) == 2:  # the last one is the decimal mark, the others stand between thousands
        return marks[-1] if marks.count(marks[-1]) == 1 else None
    if len(marks) > 1:
        return COMMA if marks[0] == POINT else POINT
    thousands = len(tail) == 3 and 0 < len(head) <= 3 and not head.startswith("0")
    return None if thousands and not exponent else marks[0]


def decimal_marks(columns: dict[str, list[str]], thousands: Collection[str] = ()) -> dict[str, str | None]:
    """Return the decimal mark of each column of numbers; None where figures of it can be read in two ways.

    Of a column that has both, each figure that can be read in one way only is read so. thousands: the columns in which
    three digits after a point may as well be thousands.
    """
    found = {name: {one for one in map(mark, numbers) if one} for name, numbers in columns.items()}
    everywhere = set[str]().union(*found.values())
    return {
        name: _decided(found[name], everywhere, numbers, name not in thousands) for name, numbers in columns.items()
    }


def _decided(own: set[str], everywhere: set[str], numbers: Iterable[str], points: bool) -> str | None:
    if len(own) == 1:
        return next(iter(own))
    if own:
        return None
    with_comma = any("," in one for one in numbers)
    if len(everywhere) == 1 and (with_comma or everywhere == {POINT}):
        return next(iter(everywhere))
    if with_comma:
        return None
    # Points with three digits after each of them: decimals, but for a table whose other columns have decimal commas.
    return POINT if (points and COMMA not in everywhere) or not any("." in one for one in numbers) else None


def american(number: str, decimal: str | None) -> str | None:
    """Return a number with a decimal point, commas between thousands or none; None where it may be read in two ways."""
    own = mark(number) if decimal is None else decimal
    if own is None:
        return None if re.search(r"[.,]", number) else number
    return number.translate({ord("."): ",", ord(","): "."}) if own == COMMA else number

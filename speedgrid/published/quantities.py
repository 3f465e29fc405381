"""Printed figures as intervals: a figure stands for every number that prints so.

Interval arithmetic (Moore, Interval Analysis, 1966) keeps rounding from looking like a contradiction: figures that
follow from one true value have intervals that overlap, however coarsely each was rounded.
"""

import re
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

# Beyond these powers of ten there is no speed, and products of figures would be no numbers; nor has one more letters.
POWERS, LETTERS = 30, 40
# Figures are sums and products of decimal fractions that binary numbers do not hold exactly.
SLACK = 1e-9
NUMBER = re.compile(r"(?P<number>[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?([eE][+-]?\d+)?)\s*(x|×|%)?")
# A whole number that ends in zeros may be rounded, to no less than this many digits: 1900 stands for 1850 to 1950.
KEPT_DIGITS = 2


@dataclass(frozen=True)
class Interval:
    """All numbers from low to high, both included; never below 0."""

    low: float
    high: float

    def __mul__(self, other: "Interval") -> "Interval":
        # What is endless is so because nothing is known of it: nothing of it is nothing.
        high = self.high * other.high if self.high and other.high else 0.0
        return Interval(self.low * other.low, high)

    def __truediv__(self, other: "Interval") -> "Interval":
        return Interval(
            self.low / other.high if other.high else 0.0,
            self.high / other.low if other.low else float("inf"),
        )

    def overlaps(self, other: "Interval") -> bool:
        """Say whether one number can lie in both intervals."""
        return self.low <= other.high * (1 + SLACK) and other.low <= self.high * (1 + SLACK)

    def above(self, other: "Interval") -> bool:
        """Say whether every number of this interval is more than any of the other."""
        return self.low > other.high * (1 + SLACK)

    @property
    def middle(self) -> float:
        """The number in the middle, or the lowest one where there is no highest."""
        return (self.low + self.high) / 2 if self.high != float("inf") else self.low


def exactly(value: float) -> Interval:
    """Return the interval of one number."""
    return Interval(value, value)


def within(value: float, share: float) -> Interval:
    """Return the interval of a number that is known to a share of it on either side."""
    return Interval(value * (1 - share), value * (1 + share))


@dataclass(frozen=True)
class Figure:
    """A figure of a table: its text as printed, and in the unit of its quantity its value and half its last digit."""

    text: str
    value: float
    half: float

    @property
    def interval(self) -> Interval:
        """Return the interval of the numbers that print so when they are rounded."""
        return Interval(max(0.0, self.value - self.half), max(0.0, self.value + self.half))

    def times(self, factor: float) -> "Figure":
        """Return the figure, `factor` times as large."""
        return replace(self, value=self.value * factor, half=self.half * factor)

    def cut_off(self) -> "Figure":
        """Return the figure of the numbers that print so when digits are cut off and nothing is rounded."""
        return replace(self, value=self.value + self.half)


def printed(text: str, factor: float = 1.0) -> Figure | None:
    """Read a figure as it is printed, times `factor` for its unit; None for what is no number, or none that can be.

    Commas between thousands, an exponent, and a sign of times or percent after it are understood.
    """
    found = NUMBER.fullmatch(text.strip()) if len(text.strip()) <= LETTERS else None
    if not found or not re.search(r"\d", re.split("[eE]", found["number"])[0]):
        return None
    try:
        number = Decimal(found["number"].replace(",", ""))
    except InvalidOperation:  # an exponent of twenty digits
        return None
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)  # it is neither infinite nor no number
    if abs(number.adjusted()) > POWERS or abs(exponent) > POWERS:
        return None
    if "." not in text and "e" not in text.lower():
        zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
        exponent += max(0, min(zeros, len(digits) - KEPT_DIGITS))
    return Figure(text.strip(), float(number) * factor, 0.5 * 10.0**exponent * factor)

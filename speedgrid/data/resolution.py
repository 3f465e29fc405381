"""The resolution of an input: a number for a square, HEIGHTxWIDTH for any other, so that each size has one name."""

import math
import re
from numbers import Integral
from typing import Any, TypeAlias

# Pixels of each side of a square, or a Rectangle; what comes from a file may be its plain text.
Resolution: TypeAlias = int | str
# A resolution within the name of a file.
PATTERN = r"\d+(?:x\d+)?"
TEXT = re.compile(r"([1-9]\d{0,8})(?:x([1-9]\d{0,8}))?")
# What an error says that a resolution must be.
WANTED = "a number of pixels such as 224, or HEIGHTxWIDTH such as 640x384"


class Rectangle(str):
    """The size of an input that is no square, as HEIGHTxWIDTH; it is ordered by pixels, among numbers of squares too.

    Of two with as many pixels the lower one comes first. It is equal to its text, which is what JSON has of it.
    """

    __slots__ = ()

    def __lt__(self, other: Any) -> bool:
        return _order(self) < _order(other)

    def __le__(self, other: Any) -> bool:
        return _order(self) <= _order(other)

    def __gt__(self, other: Any) -> bool:
        return _order(self) > _order(other)

    def __ge__(self, other: Any) -> bool:
        return _order(self) >= _order(other)


def read(value: Any) -> Resolution:
    """Return the resolution that a number or a text is: an int for squares, 224x224 too, else a Rectangle.

    Raises ValueError, whose message says what it must be.
    """
    if isinstance(value, Rectangle):
        return value
    if isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0:  # numpy's too
        return int(value)
    if not isinstance(value, str) or not (found := TEXT.fullmatch(value)):
        raise ValueError(f"{value!r:.100} is no resolution; it must be {WANTED}")
    height, width = found[1], found[2] or found[1]
    return int(height) if height == width else Rectangle(f"{height}x{width}")


def size_of(resolution: Resolution) -> tuple[int, int]:
    """Return height and width in pixels."""
    if isinstance(resolution, str):
        height, _, width = resolution.partition("x")
        return int(height), int(width or height)
    return resolution, resolution


def side_of(resolution: Resolution) -> float:
    """Return the side in pixels of a square with as many pixels."""
    height, width = size_of(resolution)
    return height if height == width else math.sqrt(height * width)


def in_words(resolution: Resolution) -> str:
    """Return height and width as a sentence has them, such as 640 x 384."""
    return " x ".join(map(str, size_of(resolution)))


def _order(resolution: Resolution) -> tuple[int, int]:
    height, width = size_of(resolution)
    return height * width, height

"""The grid of cells: which measurements exist, what their files are called, in which order they run."""

import itertools
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

AXES = ("backend", "precision", "resolution", "batch_size")


@dataclass(frozen=True, order=True)
class Cell:
    """One configuration to measure; the only place that knows how a cell is written in a file name.

    resolution: height and width of the square input, in pixels.
    batch_size: images per call.
    """

    PATTERN: ClassVar[str] = "{backend}-{precision}-r{resolution}-b{batch_size}"

    backend: str
    precision: str
    resolution: int
    batch_size: int

    @classmethod
    def parse(cls, name: str) -> "Cell":
        """Read a cell from its name. Raises ValueError when the name is not one that `str(cell)` gives."""
        match = re.fullmatch(r"(?P<backend>\w+)-(?P<precision>\w+)-r(?P<resolution>\d+)-b(?P<batch_size>\d+)", name)
        if not match:
            raise ValueError(f"cell name {name!r} does not read as {cls.PATTERN}, e.g. pytorch-fp32-r224-b1")
        return cls(match["backend"], match["precision"], int(match["resolution"]), int(match["batch_size"]))

    def __str__(self) -> str:
        return self.PATTERN.format(**asdict(self))


def cells(axes: Mapping[str, Iterable]) -> list[Cell]:
    """Return the full product of the four axes, the last axis fastest."""
    return [Cell(*values) for values in itertools.product(*(axes[axis] for axis in AXES))]


def measuring_priorities(grid: Iterable[Cell], seed: int, rounds: int) -> dict[tuple[str, int], int]:
    """Give every (cell name, round) a job priority, so that rounds follow each other, each in a fresh random order.

    Rounds are numbered from 1. A higher priority runs earlier; all are below 0, so that a job without a
    priority (0: exports, engines) comes before any timing. Random interleaving keeps drift of the machine from
    favouring one backend: https://github.com/google/benchmark/blob/main/docs/random_interleaving.md
    """
    names = sorted(str(cell) for cell in grid)
    order = []
    for number in range(1, rounds + 1):
        shuffled = names.copy()
        random.Random(f"{seed}-{number}").shuffle(shuffled)
        order += [(name, number) for name in shuffled]
    return {timing: -position for position, timing in enumerate(order, start=1)}

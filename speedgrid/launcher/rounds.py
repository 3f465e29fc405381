"""The rounds of a run: how many each cell has, and which timings are of some cells or some rounds."""

from collections.abc import Iterable, Mapping, Set
from typing import Any

from speedgrid.grid import kind_of, round_of

# What `timing.rounds` is where each cell gets as many rounds as the answer needs, and how many those are at most.
AUTO, MOST_ROUNDS = "auto", 3


def most_rounds(timing: Mapping[str, Any]) -> int:
    """Return the number of rounds that a cell has at most, by the key `timing` of a configuration."""
    return timing.get("max_rounds", MOST_ROUNDS) if timing["rounds"] == AUTO else timing["rounds"]


def certain_rounds(timing: Mapping[str, Any]) -> int:
    """Return the number of rounds that every cell has, by the key `timing` of a configuration."""
    return 1 if timing["rounds"] == AUTO else timing["rounds"]


def for_cells(order: Iterable[str], wanted: Set[str]) -> list[str]:
    """Return the timings of a round for some cells alone, with its controls; nothing where there are no cells."""
    return [one for one in order if kind_of(one) != "round" or cell_name(one) in wanted] if wanted else []


def cell_name(timing: str) -> str:
    """Return the name of a timing's cell."""
    return timing.rpartition("-")[0]


def up_to(names: Iterable[str], number: int) -> list[str]:
    """Return the timings that tell which cells are measured again after a round: those of it and of earlier ones."""
    return [one for one in names if (own := round_of(one)) is not None and own <= number]

"""The spread between processes that cells of few rounds are taken to have: that of the cells of the run like them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from speedgrid.evidence.between import Spread, common
from speedgrid.evidence.intervals import within
from speedgrid.grid import Cell, kind_of
from speedgrid.record import Record
from speedgrid.statistics import median
from speedgrid.table import aside
from speedgrid.table.limiter import waits_for_host
from speedgrid.text.status import SHOWN

# Cells that wait for their host jump between two speeds. Seen on an NVIDIA H200 in three rounds of 39 such cells: the
# standard deviation of the logarithms of the rounds' medians is 17 % in the median cell.
JUMPING = Spread(0.17**2, 39.0)


class Likes(NamedTuple):
    """The spreads of a run: of cells whose calls wait for their host, and of all others, None where nothing tells."""

    steady: Spread | None
    waiting: Spread

    def of(self, records: list[Record]) -> Spread | None:
        """Return the spread of cells that are like the one of some records."""
        return self.waiting if waits(records) else self.steady


def likes(rounds: Mapping[Cell, list[Record]], timings: Iterable[Record] = ()) -> Likes:
    """Return the spreads that the cells of a run have in common, from all cells that were timed more than once.

    rounds: those that each cell's figures are made of. timings: all of the run, of which its controls count, too,
    without what was set aside. Timings of two sessions of measuring are not held against each other.
    """
    timed: dict[tuple[Cell, str], list[Record]] = {}
    every = [one for found in rounds.values() for one in found]
    every += [one for one in timings if kind_of(one.turn) != "round"]
    shown = [(one, aside.judge(one).status) for one in every if one.seen]
    quiet = [one for one, status in shown if status in SHOWN and status != "busy"]
    for one in quiet or [one for one, status in shown if status in SHOWN]:
        timed.setdefault((one.cell, one.session), []).append(one)
    steady: list[Spread] = []
    waiting: list[Spread] = []
    for records in timed.values():
        if len(records) > 1:
            (waiting if waits(records) else steady).append(spread(records))
    return Likes(common(steady), common(waiting) or JUMPING)


def spread(records: list[Record]) -> Spread:
    """Return the spread of timings of one cell, two or more: never less than their own samples have it."""
    samples = [np.array(one.host_ms) for one in records]
    logs = np.log([median(one) for one in samples])
    return Spread(max(float(logs.var(ddof=1)), within(samples)), len(samples) - 1)


def waits(records: list[Record]) -> bool:
    """Say whether calls wait for their host, in the median of some timings of a cell."""
    middle = [median_of(records, name) for name in ("submit_ms", "device_ms")]
    return waits_for_host(*middle)


def median_of(records: list[Record], name: str) -> float | None:
    """Return the median over rounds of the rounds' medians of one kind of sample, or None where there are none."""
    samples = [getattr(record.seen.samples, name) for record in records if record.seen]
    return median([median(one) for one in samples if one]) if any(samples) else None

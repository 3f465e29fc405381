"""Sessions of measuring, and what ratios across them are worth: they go through the reference cell, timed in each.

A run that is ended goes on later, and cells are added to one that is finished: by then the machine may be another one.
What is measured for one start of the workflow is a session, and has controls of its own (speedgrid.grid.plan): a cell
of it is compared with the reference of its own session, and with a cell of another one by what the reference took in
both.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from speedgrid.data.resolution import Resolution
from speedgrid.evidence.intervals import compare, ratio_interval
from speedgrid.grid import AXES, Cell, kind_of, place_of
from speedgrid.record import Record
from speedgrid.statistics import LEVEL
from speedgrid.table import aside
from speedgrid.table.run import Reference, Sitting, Table
from speedgrid.text.status import SHOWN, TRUE_TO_LABEL

# Runtimes suffer differently where a machine is slower. Beside one steady neighbour on 2 cores a call of PyTorch took
# 4.8 times as long and one of ONNX Runtime 10 times: the logarithms differ by half of the smaller one.
UNEVEN = 0.5
SPEEDUP = ["speedup", "speedup_low", "speedup_high"]
SLOWDOWN = ["slowdown", "slowdown_low", "slowdown_high"]

Place = tuple[str, Resolution, int]
# A ratio with its interval: value, low, high.
Ratio = tuple[float, float, float]
ONE: Ratio = (1.0, 1.0, 1.0)
# Nothing is known of a ratio that nothing links.
WITHHELD = (0.0, float("inf"))


class Sessions(NamedTuple):
    """The sessions of a run, by what its records say.

    numbers: of each session, in time. usual: the number of the one that others are held against, the quickest. links:
    the rounds of the reference cell by place and session, and those of the control cell by session alone, in ms.
    variance, freedom: of the logarithm of one round of these within a session, and its degrees of freedom.
    """

    numbers: dict[str, int]
    usual: int
    links: dict[tuple[Place | None, int], list[np.ndarray]]
    variance: float
    freedom: int

    def slowdown(self, place: Place | None, number: int) -> Ratio | None:
        """Return how many times as long calls took in a session as in the usual one; None where nothing tells.

        By the reference at a place, or by the control cell where the place has none in both, or by that of any place.
        """
        if number == self.usual:
            return ONE
        for where in self.places(place):
            pair = [self.links.get((where, one)) for one in (number, self.usual)]
            if pair[0] and pair[1]:
                return self.ratio(pair[0], pair[1])
        return None

    def places(self, place: Place | None) -> Iterator[Place | None]:
        """Yield the places where a session may be linked with another one: its own, the control cell's, then any."""
        yield from (place, None)
        yield from sorted({where for where, _ in self.links if where}, key=str)

    def ratio(self, over: list[np.ndarray], under: list[np.ndarray]) -> Ratio:
        """Return the ratio of two cells' medians, its interval by what rounds of all links differ within sessions."""
        from scipy import special

        value, low, high = compare(over, under)
        if self.freedom < 2:
            return value, low, high
        error = np.sqrt(self.variance * (1 / len(over) + 1 / len(under)))
        half = float(special.stdtrit(self.freedom, 0.5 + LEVEL / 2) * error)
        if min(len(over), len(under)) > 1:  # else what one process shows of itself is the least
            return value, value * float(np.exp(-half)), value * float(np.exp(half))
        return widened((value, low, high), half)


def fill(table: Table, records: list[Record], reference: Reference) -> list[Sitting]:
    """Fill in the session of each row and its slowdown, and put right the speed-ups across sessions; return these.

    records: of all turns, without what was set aside. reference: the `backend` and `precision` of speed-ups. The table
    of a run that was measured in one session keeps its figures.
    """
    known = sessions(records, reference)
    rounds = rounds_by_cell(records)
    labels: list[str | None] = []
    slowdowns = []
    for cell, measured in zip(cells_of(table), table.latency_ms.notna(), strict=True):
        numbers = [known.numbers[one.session] for one in rounds.get(cell, [])]
        labels.append(label(numbers) if numbers else None)
        found = [known.slowdown(place_of(cell), number) for number in numbers]
        certain = measured and numbers and all(found)
        slowdowns.append(together([one for one in found if one]) if certain else (np.nan,) * 3)
    table["session"] = pd.Series(labels, table.index, object)
    table[SLOWDOWN] = np.reshape(slowdowns, (-1, 3))
    if len(known.numbers) > 1:
        put_right(table, records, rounds, known, reference)
    return sittings(records, known)


def sessions(records: list[Record], reference: Reference) -> Sessions:
    """Return the sessions of a run from all of its records."""
    began: dict[str, str] = {}
    for one in records:
        began[one.session] = min(one.measured_at, began.get(one.session, one.measured_at))
    numbers = {session: place for place, session in enumerate(sorted(began, key=lambda one: began[one]), start=1)}
    controls = {one.cell for one in records if kind_of(one.turn) == "sentinel"}
    links: dict[tuple[Place | None, int], list[np.ndarray]] = {}
    for one in records:
        if one.seen is None or aside.judge(one).status not in SHOWN:
            continue
        number = numbers[one.session]
        if one.cell in controls:
            links.setdefault((None, number), []).append(np.array(one.host_ms))
        if is_reference(one.cell, reference):
            links.setdefault((place_of(one.cell), number), []).append(np.array(one.host_ms))
    controlled = {number: middle(rounds) for (place, number), rounds in links.items() if place is None}
    usual = min(controlled, key=lambda one: controlled[one]) if controlled else 1
    variance, freedom = within(list(links.values()))
    return Sessions(numbers, usual, links, variance, freedom)


def middle(rounds: list[np.ndarray]) -> float:
    """Return the median of the rounds' medians."""
    return float(np.median([np.median(one) for one in rounds]))


def within(groups: list[list[np.ndarray]]) -> tuple[float, int]:
    """Return the variance of the logarithm of a round's median within groups of rounds, and its degrees of freedom."""
    logs = [np.log([np.median(one) for one in rounds]) for rounds in groups if len(rounds) > 1]
    freedom = sum(len(one) - 1 for one in logs)
    return (sum(float(((one - one.mean()) ** 2).sum()) for one in logs) / freedom if freedom else 0.0), freedom


def is_reference(cell: Cell, reference: Reference) -> bool:
    """Say whether a cell is of the reference."""
    return (cell.backend, cell.precision) == (reference["backend"], reference["precision"])


def cells_of(rows: Table) -> list[Cell]:
    """Return the cell of each row."""
    return [Cell(*one) for one in zip(*(rows[axis].tolist() for axis in AXES), strict=True)]


def cell_of(line) -> Cell:
    """Return the cell of a row."""
    return Cell(*(line[axis] for axis in AXES))


def rounds_by_cell(records: list[Record]) -> dict[Cell, list[Record]]:
    """Return the rounds that each cell's figures are made of."""
    found: dict[Cell, list[Record]] = {}
    for one in records:
        if kind_of(one.turn) == "round":
            found.setdefault(one.cell, []).append(one)
    return {cell: aside.in_quiet(rounds, [aside.judge(one) for one in rounds]) for cell, rounds in found.items()}


def label(numbers: list[int]) -> str:
    """Return the sessions of a row as text: those that its rounds were measured in, in order."""
    return ", ".join(f"s{number}" for number in (sorted(numbers) if len(set(numbers)) > 1 else numbers[:1]))


def together(found: list[Ratio]) -> Ratio:
    """Return the slowdown of a row from those of its rounds, as wide as these are, and as they are apart."""
    value, low, high = np.log(found).T
    apart = float(np.abs(value - value.mean()).max())
    ends = (value.mean(), low.mean() - apart, high.mean() + apart)
    return tuple(float(np.exp(one)) for one in ends)  # type: ignore[return-value]


def put_right(
    table: Table, records: list[Record], rounds: Mapping[Cell, list[Record]], known: Sessions, reference: Reference
) -> None:
    """Fill in speed-ups over what the reference took in each row's own sessions, or by its slowdown; else withhold."""
    places = {place_of(cell_of(line)): line for _, line in table.iterrows() if is_reference(cell_of(line), reference)}
    for index, line in table[table.latency_ms.notna()].iterrows():
        cell, base = cell_of(line), places.get(place_of(cell_of(line)))
        if base is None or is_reference(cell, reference) or "busy" in (line.status, base.status):
            continue
        if base.status not in TRUE_TO_LABEL:
            continue
        beside = [] if base.session == line.session else own_reference(cell, line, known)
        if beside:
            own = [np.array(one.host_ms) for one in rounds[cell] if one.seen]
            table.loc[index, SPEEDUP] = uneven(known.ratio(beside, own), line)
        else:
            ratio = tuple(line[SPEEDUP])
            if base.session != line.session:
                ratio = ratio_interval(*(tuple(one[name] for name in LATENCY) for one in (base, line)))
            value, low, high = bridged(ratio, line, base)
            table.loc[index, SPEEDUP] = (value, low, high) if np.isfinite(high) else (np.nan,) * 3
        table.loc[index, "reference_ms"] = table.loc[index, "speedup"] * line.latency_ms


LATENCY = ("latency_ms", "latency_ms_low", "latency_ms_high")


def own_reference(cell: Cell, line, known: Sessions) -> list[np.ndarray]:
    """Return the rounds of the reference at a cell's place in the one session of its row; empty where there is none."""
    number = line.session.removeprefix("s")
    return known.links.get((place_of(cell), int(number)), []) if number.isdecimal() else []


def uneven(ratio: Ratio, *lines) -> Ratio:
    """Return a ratio of rows, as much wider as runtimes suffer differently from what made their sessions slower."""
    logs = [abs(float(np.log(line["slowdown"]))) for line in lines if line["slowdown"] > 0]
    return widened(ratio, UNEVEN * max(logs, default=0.0))


def widened(ratio: Ratio, more: float) -> Ratio:
    """Return a ratio whose interval has a half-width more, of logarithms; both are added in quadrature."""
    value, low, high = ratio
    down, up = (float(np.hypot(np.log(ends), more)) for ends in (value / low, high / value))
    return value, value * float(np.exp(-down)), value * float(np.exp(up))


def bridged(ratio: Ratio, row, over) -> Ratio:
    """Return by how many times a row is better than another one, across sessions of measuring.

    ratio: as their figures have it. Both are rows of a table; an older one knows of no sessions. Where nothing links
    their sessions, the interval is that of what is not known: WITHHELD.
    """
    if ratio[1] <= 0 or "session" not in row or "session" not in over:
        return ratio
    if alike(row, over):
        return uneven(ratio, row, over)
    own, other = (tuple(float(one[name]) for name in SLOWDOWN) for one in (row, over))
    if not all(np.isfinite([*own, *other])):
        return ratio[0], *WITHHELD
    value, low, high = ratio_interval(own, other)  # type: ignore[arg-type]
    moved = (ratio[0] * value, ratio[1] * value, ratio[2] * value)
    down, up = (
        float(np.hypot(np.log(one), np.log(two)))
        for one, two in ((moved[0] / moved[1], value / low), (moved[2] / moved[0], high / value))
    )
    return uneven((moved[0], moved[0] * float(np.exp(-down)), moved[0] * float(np.exp(up))), row, over)


def comparable(rows: Table, figures: pd.Series, larger: bool) -> pd.Series:
    """Return figures of rows as they would be in the usual session, where they were measured in several.

    larger: they are larger where a call takes less time.
    """
    if "session" not in rows or rows.session.dropna().nunique() < 2:
        return figures
    slower = rows.slowdown.astype(float).fillna(1.0)
    return figures * slower if larger else figures / slower


def levelled(rows: Table) -> Table:
    """Return rows with times and rates as they would be in the usual session, for what is said of their ratios alone.

    Of a run that was measured in several sessions, without the rows that nothing links with it.
    """
    if "session" not in rows or rows.session.dropna().nunique() < 2:
        return rows
    known = rows[rows.slowdown.notna()]
    slower = known.slowdown.astype(float)
    times, rates = (known[[*names]] for names in (("latency_ms", "ms_per_image"), ("fps", "tflops")))
    return known.assign(**times.div(slower, axis=0), **rates.mul(slower, axis=0))


def alike(row, over) -> bool:
    """Say whether the figures of two rows are of one session, or of a table that knows of none."""
    first, second = (one.get("session") for one in (row, over))
    return not isinstance(first, str) or not isinstance(second, str) or first == second


def sittings(records: list[Record], known: Sessions) -> list[Sitting]:
    """Return the sessions as a report names them, in time."""
    found = []
    of_session: dict[str, list[Record]] = {}
    for one in records:
        of_session.setdefault(one.session, []).append(one)
    for session, number in known.numbers.items():
        own = of_session[session]
        slowdown = known.slowdown(None, number)
        found.append(
            Sitting(
                number=number,
                began=min(one.measured_at for one in own),
                ended=max(one.measured_at for one in own),
                timings=len(own),
                slowdown=list(slowdown) if slowdown else None,
            )
        )
    return found

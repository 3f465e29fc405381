"""What a run says about itself: drift from its first to its last timing, and how far two names of one cell differ."""

from statistics import median

import numpy as np

from speedgrid.evidence.between import common
from speedgrid.evidence.intervals import ENOUGH, compare, median_interval, ratio_interval
from speedgrid.grid import kind_of, session_number, turn_number
from speedgrid.record import Record
from speedgrid.table.borrowed import spread
from speedgrid.table.run import Drift, Noise, Tie
from speedgrid.table.verdict import judge
from speedgrid.text.status import SHOWN

# A control whose interval reaches farther from 1 than this says nothing of whether settings differ.
TELLING = 1.25


def summarise(records: list[Record], lending: bool = False) -> Noise:
    """Return the controls of a run from the records of its control cell, all turns (see speedgrid.grid).

    sentinel: `latency_ms` from the start to the end, `measured_at` and `drift_percent`, the largest difference between
    any two; None unless there are three at least. twin: `ratio` of the cell's latency under two names with its 95 %
    interval `low`, `high`, over `rounds`, whether it `ties` and whether it `tells` anything; None unless both were
    measured.
    noise_floor_percent: how far that ratio is from 1; None without it. lending: whether few rounds have the spread of
    all timings of the cell.
    """
    usable = {record.turn: record for record in shown(records)}
    # A session that was added to a run has the control cell as the reference, or as no more than a control.
    others = [*turns(usable, "round"), *turns(usable, "reference")] or turns(usable, "sentinel")
    twin = tie(others, turns(usable, "twin"), list(usable.values()) if lending else [])
    return {
        "sentinel": drift(turns(usable, "sentinel")),
        "twin": twin,
        "noise_floor_percent": 100 * abs(twin["ratio"] - 1) if twin else None,
    }


def of_sessions(records: list[Record], lending: bool = False) -> Noise:
    """Return the controls of a run that was measured in several sessions, as of `summarise`.

    Drift is that of the whole run. The twin is that of the session whose interval says least: all are ranked together.
    """
    by_session: dict[str, list[Record]] = {}
    for one in records:
        by_session.setdefault(one.session, []).append(one)
    found = [summarise(own, lending) for own in by_session.values()]
    ties = [one["twin"] for one in found if one["twin"]]
    floors = [one["noise_floor_percent"] for one in found if one["noise_floor_percent"] is not None]
    return {
        "sentinel": drift(sorted((one for one in shown(records) if kind_of(one.turn) == "sentinel"), key=when)),
        "twin": max(ties, key=lambda one: one["high"] / one["low"], default=None),
        "noise_floor_percent": max(floors, default=None),
    }


def when(record: Record) -> tuple[str, int, int]:
    """Return the place of a record in time."""
    return record.measured_at, session_number(record.turn), turn_number(record.turn)


def shown(records: list[Record]) -> list[Record]:
    """Return the records with a speed that is shown."""
    return [one for one in records if one.seen and judge(one).status in SHOWN]


def turns(records: dict[str, Record], kind: str) -> list[Record]:
    """Return the records of one kind of turn, in order."""
    ordered = sorted(records, key=lambda name: (session_number(name), turn_number(name)))
    return [records[name] for name in ordered if name.startswith(kind)]


def drift(sentinels: list[Record]) -> Drift | None:
    """Compare the timings of one cell from the start of a run to its end."""
    if len(sentinels) < 3:
        return None
    latencies = [median(record.host_ms) for record in sentinels]
    return {
        "latency_ms": latencies,
        "measured_at": [record.measured_at for record in sentinels],
        "drift_percent": 100 * (max(latencies) / min(latencies) - 1),
    }


def tie(rounds: list[Record], twins: list[Record], every: list[Record]) -> Tie | None:
    """Compare one cell measured under two names. every: its timings, which tell of few how far they differ."""
    if not rounds or not twins:
        return None
    over, under = ([np.array(one.host_ms) for one in kind] for kind in (rounds, twins))
    ratio, low, high = compare(over, under)
    if min(len(over), len(under)) < ENOUGH and len(every) > 2:
        like = common([spread(every)])
        ratio, low, high = ratio_interval(median_interval(over, like), median_interval(under, like))
    tells = low >= 1 / TELLING and high <= TELLING
    return {"ratio": ratio, "low": low, "high": high, "rounds": len(twins), "ties": low <= 1 <= high, "tells": tells}

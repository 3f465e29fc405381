"""Camera streams under load in the table of results: of each setting that served them, how many and how."""

from collections.abc import Iterable
from typing import Any

from speedgrid.serving.claims import Claim, claim
from speedgrid.serving.places import AXES
from speedgrid.serving.record import Run, Serving
from speedgrid.serving.seen import Streams
from speedgrid.serving.shown import streams_of, whole_run
from speedgrid.table.run import Table

# The claims beside the first, by their columns: how frames arrive, and how many deadlines late they may be.
BESIDE = {
    "streams_synchronised": ("synchronised", 1.0),
    "streams_poisson": ("poisson", 1.0),
    "streams_late": ("periodic", 2.0),
}


def fill(table: Table, records: Iterable[Serving]) -> list[Streams]:
    """Write STREAMS into the rows of what served, in place; return the records for their readers.

    Every batch size that was loaded has the figures of all of them, where its own speed is shown.
    """
    found = []
    for one in records:
        shown = streams_of(one)
        found.append(shown)
        rows = table.latency_ms.notna() & table.batch_size.isin(one.asked.place.batch_sizes)
        for axis in AXES:
            rows &= table[axis] == getattr(one.asked.place, axis)
        for name, value in figures(one, shown).items():
            table.loc[rows, name] = value
    return found


def figures(record: Serving, shown: Streams) -> dict[str, Any]:
    """Return the values of STREAMS of one record; none where nothing was served that can be relied on."""
    main = claim(shown) if record.seen else None
    if main is None or record.seen is None:
        return {}
    found: dict[str, Any] = {"streams": main.streams} | missed(main)
    for name, asked in BESIDE.items():
        beside = claim(shown, *asked)  # type: ignore[arg-type]
        found |= {name: beside.streams} if beside else {}
    run = whole_run(record.seen, main)
    return found | {"streams_memory_mb": shown["memory_mb"]} | (of_run(run) if run else {})


def missed(main: Claim) -> dict[str, float]:
    """Return the share of missed frames of the number that is claimed, in percent, with its bounds."""
    if main.verdict is None:
        return {}
    names = ("streams_missed_percent", "streams_missed_percent_low", "streams_missed_percent_high")
    return {name: 100 * getattr(main.verdict, of) for name, of in zip(names, ("rate", "low", "high"), strict=True)}


def of_run(run: Run) -> dict[str, Any]:
    """Return the figures of a run as a whole."""
    seen = run.figures
    return {
        "streams_offered": seen.offered_fps,
        "streams_served": seen.served_fps,
        "streams_good": seen.good_fps,
        "streams_dropped": seen.dropped,
        "streams_p50_ms": seen.latency_ms["p50"],
        "streams_p99_ms": seen.latency_ms["p99"],
        "streams_p99_9_ms": seen.latency_ms["p99_9"],
        "streams_max_ms": seen.latency_ms["max"],
        "streams_wait_p99_ms": seen.wait_ms["p99"],
        "streams_service_p99_ms": seen.service_ms["p99"],
        "streams_busy_percent": 100 * seen.utilisation,
        "streams_mean_batch": seen.mean_batch,
        "streams_worst_percent": 100 * seen.worst_stream,
        "streams_longest_gap": seen.longest_gap,
        "streams_lag_p99_ms": seen.lag_p99_ms,
    }

"""The probe of throughput: a loop that never waits, as one process has it that serves at its limit."""

import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np

from speedgrid.measure import probes
from speedgrid.record import Record
from speedgrid.text.column import HIGHER, NUMBER, RATE, Column
from speedgrid.text.language import N_

ORDER, WITH_TIMING = 0, True
COLUMNS = (
    Column(
        "throughput_fps",
        NUMBER,
        RATE,
        HIGHER,
        N_("images/s, back to back"),
        "Rate of a loop that never waits for a result, what a saturated server gets; on the CPU the same as `fps`.",
        interval=True,
        proven=True,
    ),
)
# The column that they follow.
AFTER = "fps"
SENTENCE = N_("`back to back` is the rate of a loop that never waits, on the CPU that of one call after another.")
# Calls of the loop that a cell always gets.
FEWEST = 5


def asked(cell, turn, device, timing, control) -> bool:
    """Whether a timing runs it: on a GPU always; on the CPU a call returns when it is done."""
    return device == "cuda"


def measure(session, context: probes.Context) -> dict[str, float]:
    """Return `ms` of a call, `runs` and `seconds` of a loop that never waits, between two CUDA events."""
    import torch

    from speedgrid.measure.timing import collector_off

    asked = context.asked
    seconds = min(asked.min_seconds, asked.max_seconds)
    runs = max(FEWEST, int(seconds * 1000 / statistics.median(context.samples.host_ms)))
    before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    with session.active(), collector_off():
        before.record(session.stream)
        for _ in range(runs):
            session.run()
        after.record(session.stream)
        after.synchronize()
    total = before.elapsed_time(after)
    return {"ms": total / runs, "runs": runs, "seconds": round(total / 1000, 6)}


def columns(records: list[Record], row: dict[str, Any]) -> dict[str, float | None]:
    """Return throughput in images/s with its interval; of one round it has none.

    That of the latency where that one has the spread of cells like it (speedgrid.table.borrowed).
    """
    from speedgrid.evidence.intervals import median_interval  # scipy, which planning need not import

    loops = [np.array([one["ms"]]) for one in probes.seen(records, "back_to_back")]
    latency = (row["latency_ms"], row["latency_ms_low"], row["latency_ms_high"])
    call, low, high = median_interval(loops) if loops else latency
    borrowing = row["freedom"] is not None and row["freedom"] >= row["rounds"]
    known = len(loops) != 1 or borrowing  # one figure of one round has no interval
    if loops and borrowing:
        low, high = (call * end / latency[0] for end in latency[1:])
    images = 1000 * row["batch_size"]
    return {
        "throughput_fps": images / call,
        "throughput_fps_low": images / high if known else None,
        "throughput_fps_high": images / low if known else None,
    }


def checks(line: dict[str, Any]) -> Iterator[str]:
    """Find nothing: the audit itself holds throughput against physics (speedgrid.table.audit)."""
    yield from ()

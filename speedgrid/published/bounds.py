"""What no row can exceed: the peak that its table states, what its device can compute, and what its memory can move."""

import math
from collections.abc import Iterator
from typing import TypeAlias

from speedgrid.precision import BYTES
from speedgrid.published.checks import Check, flop, latency_rates, rates, short, shown_flop
from speedgrid.published.cost import WINOGRAD
from speedgrid.published.quantities import Interval, exactly
from speedgrid.published.rows import Row

# What a rate is read from, images/s, and TFLOPS.
Reached: TypeAlias = tuple[str, Interval, Interval]
# The bytes of a weight in a precision that is not known: the narrowest that there are have four bits.
NARROWEST = 0.5
# Memories are sold with clocks that are raised by so much.
MEMORY_CLOCK = 1.05


def allowance(row: Row) -> float:
    """Return how many times a peak may seem to be reached, by Winograd's convolutions and by the clock."""
    return (row.cost.allowance if row.cost else WINOGRAD) * row.limits.clock


def bounds(row: Row) -> Iterator[Check]:
    """Yield the checks that no row computes or reads faster than the peak that its table states and its device allow.

    The data sheet is of the device, or of the fastest one that is known where the device is not. A peak that a table
    states allows for what the data sheet's does.
    """
    operations, shown, peak, use = flop(row), shown_flop(row), row.get("tflops_peak"), row.get("utilisation_percent")
    reached = [("fps", rate, operations * rate) for rate in at_least(row)] if operations else []
    if tflops := row.get("tflops"):
        reached.append(("tflops", tflops, tflops))
    highest = max(reached, key=lambda one: one[2].low, default=None)
    most = allowance(row)
    if highest and peak:
        yield _bound("stated_peak", highest, shown, peak, most)
    elif use:
        figures = {"evidence": "use", "use": short(use.middle), "most": f"{most:.3g}"}
        yield Check("stated_peak", not use.above(exactly(100 * most)), figures, use.middle / 100)
    if highest:
        yield _physics(row, highest, shown, peak, most)
    yield from traffic(row)


def at_least(row: Row) -> list[Interval]:
    """Return the images/s that a row has at least: of a call of a batch size that is not said, one image a call."""
    found = rates(row)
    if row.batch_size is None:
        found += [exactly(1000) / call for call in row.every("latency_ms")] + row.every("calls_per_s")
        found += row.every("throughput_calls_per_s")
    return found


def _physics(row: Row, highest: Reached, shown: float | None, peak: Interval | None, most: float) -> Check:
    limit, sheet = row.limits.bound(row.precision), row.peak
    if not row.limits.known and peak and peak.high < limit:
        return _bound("physics", highest, shown, peak, most, source="stated")
    # In what its device can only do as something else, as fp16 on a card without it, that is the peak.
    nominal = sheet if sheet and sheet >= limit / 2.01 else limit
    source = "sheet" if row.limits.known else "fastest"
    about = {"precision": str(row.precision) if row.precision else "", "device": row.device or ""}
    return _bound("physics", highest, shown, exactly(nominal), most * limit / nominal, source=source, **about)


def _bound(
    name: str,
    highest: Reached,
    operations: float | None,
    peak: Interval,
    most: float,
    **figures: str,
) -> Check:
    evidence, rate, computed = highest
    reached = rate.middle * operations if evidence == "fps" and operations else computed.middle
    ratio = reached / peak.middle if peak.middle else math.inf
    figures |= {"evidence": evidence, "rate": short(rate.middle), "computed": short(reached)}
    figures |= {"flop": short(operations * 1e3)} if operations else {}
    figures |= {
        "peak": short(peak.middle),
        "times": f"{ratio:.3g}",
        "percent": f"{100 * ratio:.3g}",
        "most": f"{most:.3g}",
    }
    return Check(name, not computed.above(peak * exactly(most)), figures, ratio)


def traffic(row: Row) -> Iterator[Check]:
    """Yield the check that no call is faster than its weights, input and output pass between device and memory.

    Weights pass once a call, less what the last-level cache may hold from the call before. An image is of a byte a
    colour at least.
    """
    cost, limits, batch = row.cost, row.limits, row.batch_size
    found = latency_rates(row) or rates(row)
    if not (cost and cost.weight_elements and limits.bandwidth_gb_s and limits.cache_mb and batch and found):
        return
    size = BYTES.get(row.precision or "", NARROWEST)
    kept = limits.cache_mb * limits.count
    megabytes = max(0.0, size * cost.weight_elements / 1e6 - kept) + batch * cost.image_elements / 1e6
    rate = max(found, key=lambda one: one.low)
    moved = rate * exactly(megabytes / batch / 1e3)
    most = limits.bandwidth_gb_s * limits.count
    figures = {
        "rate": short(rate.middle),
        "batch": str(batch),
        "megabytes": short(megabytes),
        "moved": short(moved.middle),
    }
    figures |= {
        "most": short(most),
        "cache": short(kept),
        "source": "sheet" if limits.known else "fastest",
        "device": row.device or "",
    }
    ratio = moved.middle / most
    yield Check("traffic", not moved.above(exactly(most * MEMORY_CLOCK)), figures | {"times": f"{ratio:.3g}"}, ratio)

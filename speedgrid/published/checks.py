"""What the figures of one row must agree with: each other, the arithmetic of the model, and the device.

Equalities hold where the intervals of both sides overlap, so that rounding contradicts nothing. Bounds are broken only
where all that a figure may stand for is beyond them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from speedgrid.published.quantities import Interval, exactly, within
from speedgrid.published.source import Row
from speedgrid.table.audit import WINOGRAD

# Counts of one network differ by this much: 1.8 for 1.814 GMACs, or batch norm and pooling counted too.
COUNTING = 0.02
# What no device can do makes a row impossible; the other checks make it inconsistent.
PHYSICS = ("positive", "physics")
BOUNDS = ("positive", "physics", "stated_peak")
NAMES = (
    "call_time",
    "image_rate",
    "call_rate",
    "calls",
    "arithmetic",
    "tflops",
    "utilisation",
    "speedup",
    "stated_peak",
    "physics",
    "positive",
)


@dataclass(frozen=True)
class Check:
    """One check of a row: its name, whether it holds, the figures of its arithmetic as text, and what is stated as a
    multiple of what follows or is possible."""

    name: str
    holds: bool
    figures: dict[str, str] = field(default_factory=dict)
    ratio: float = 1.0


def short(value: float) -> str:
    """Write a number with at most five significant digits, and no exponent where it is large."""
    return f"{value:.5g}" if abs(value) < 1e5 else f"{value:.0f}"


def times(row: Row) -> list[Interval]:
    """Return the times per image in ms that a row states: printed, or from the time of a call."""
    found = [row.get("ms_per_image")]
    if row.batch_size and (call := row.get("latency_ms")):
        found.append(call / exactly(row.batch_size))
    return [one for one in found if one]


def latency_rates(row: Row) -> list[Interval]:
    """Return the images/s that a row states with one request in flight: printed first, then from its times."""
    return [*_images(row, "fps", "calls_per_s"), *(exactly(1000) / time for time in times(row))]


def rates(row: Row) -> list[Interval]:
    """Return the images/s that TFLOPS may follow from: with one request in flight, and with several."""
    return [*latency_rates(row)[:1], *_images(row, "throughput_fps", "throughput_calls_per_s")[:1]]


def _images(row: Row, images: str, calls: str) -> list[Interval]:
    found = [row.get(images)]
    if row.batch_size and (one := row.get(calls)):
        found.append(one * exactly(row.batch_size))
    return [one for one in found if one]


def flop(row: Row) -> Interval | None:
    """Return the operations of one image, in units of 1e12: by this project's count, else as the table says."""
    if row.flop:
        return within(row.flop / 1e12, COUNTING)
    stated = row.get("gflop_per_image")
    return stated and stated * exactly(1e-3)


def check(row: Row) -> list[Check]:
    """Return every check that can be made of a row."""
    found = list(positive(row))
    # Nothing follows from a figure that cannot be.
    return found if any(not one.holds for one in found) else [*found, *equalities(row), *bounds(row)]


def positive(row: Row) -> Iterator[Check]:
    """Yield the failed checks that times, rates and shares are above 0."""
    for name, figure in row.figures.items():
        if figure.value < 0 or (figure.value == 0 and name in ("ms_per_image", "latency_ms") and figure.half == 0):
            yield Check("positive", False, {"name": name, "value": figure.text})


def equalities(row: Row) -> Iterator[Check]:
    """Yield the checks of figures that follow from each other."""
    batch, latency, image = row.batch_size, row.get("latency_ms"), row.get("ms_per_image")
    fps, calls = row.get("fps"), row.get("calls_per_s")
    if batch and latency and image:
        product = image * exactly(batch)
        yield _equality("call_time", latency, product, latency=latency, image=image, batch=batch, product=product)
    if fps and image:
        product = fps * image
        yield _equality("image_rate", exactly(1000), product, fps=fps, image=image, product=product)
    elif fps and latency and batch:
        product = fps * latency
        wanted = exactly(1000 * batch)
        yield _equality("call_rate", wanted, product, fps=fps, latency=latency, product=product, wanted=wanted)
    if calls and batch and times(row):
        rate = exactly(1000 / batch) / times(row)[0]
        yield _equality("calls", calls, rate, calls=calls, rate=rate)
    elif calls and batch and fps:
        rate = fps / exactly(batch)
        yield _equality("calls", calls, rate, calls=calls, rate=rate)
    throughput, throughput_calls = row.get("throughput_fps"), row.get("throughput_calls_per_s")
    if throughput and throughput_calls and batch:
        rate = throughput / exactly(batch)
        yield _equality("calls", throughput_calls, rate, calls=throughput_calls, rate=rate)
    yield from computing(row)
    yield from speedup(row)


def computing(row: Row) -> Iterator[Check]:
    """Yield the checks of an image's arithmetic, of the arithmetic in a second, and of its share of the peak."""
    stated, tflops, peak = row.get("gflop_per_image"), row.get("tflops"), row.get("tflops_peak")
    if stated and row.flop:
        counted = within(row.flop / 1e9, COUNTING)
        yield _equality("arithmetic", stated, counted, stated=stated, counted=counted)
    operations, images = flop(row), rates(row)
    computed = [operations * rate for rate in images] if operations else []
    if tflops and operations and computed:
        holds = any(tflops.overlaps(one) for one in computed)
        figures = {"tflops": tflops, "flop": operations * exactly(1e3), "fps": images[0], "computed": computed[0]}
        ratio = tflops.middle / computed[0].middle if computed[0].middle else math.inf
        yield Check("tflops", holds, {key: short(one.middle) for key, one in figures.items()}, ratio)
    use, rate = row.get("utilisation_percent"), tflops or (computed[0] if computed else None)
    if use and peak and rate:
        share = exactly(100) * rate / peak
        yield _equality("utilisation", use, share, use=use, rate=rate, peak=peak, share=share)


def speedup(row: Row) -> Iterator[Check]:
    """Yield the check that a speed-up is the ratio of two times of the table."""
    stated, own = row.get("speedup"), [*times(row), *(exactly(1000) / rate for rate in latency_rates(row))]
    if stated and own and row.reference_ms:
        ratio = row.reference_ms / own[0]
        yield _equality("speedup", stated, ratio, speedup=stated, reference=row.reference_ms, own=own[0], ratio=ratio)


def bounds(row: Row) -> Iterator[Check]:
    """Yield the checks that no row computes faster than the peak that its table states, nor than its device can.

    The stated peak is taken at its word: a use above 100 % contradicts the table whatever the reason, and makes a row
    inconsistent. The data sheet's peak, or the stated one of a device that is not known, allows for Winograd's 2.25
    times fewer multiplications (speedgrid.table.audit): what is beyond that is impossible.
    """
    operations, peak, use = flop(row), row.get("tflops_peak"), row.get("utilisation_percent")
    reached = [("fps", rate, operations * rate) for rate in rates(row)] if operations else []
    if tflops := row.get("tflops"):
        reached.append(("tflops", tflops, tflops))
    highest = max(reached, key=lambda one: one[2].low, default=None)
    if highest and peak:
        yield _bound("stated_peak", highest, peak, 1.0)
    elif use:
        figures = {"evidence": "use", "use": short(use.middle)}
        yield Check("stated_peak", not use.above(exactly(100)), figures, use.middle / 100)
    sheet = row.peak
    most = exactly(sheet) if sheet else None if row.data_sheet else peak
    if highest and most:
        source = "sheet" if sheet else "stated"
        yield _bound("physics", highest, most, WINOGRAD, source=source, precision=str(row.precision))


def _bound(name: str, highest: tuple[str, Interval, Interval], peak: Interval, most: float, **figures: str) -> Check:
    evidence, rate, computed = highest
    ratio = computed.middle / peak.middle if peak.middle else math.inf
    figures |= {"evidence": evidence, "rate": short(rate.middle), "computed": short(computed.middle)}
    figures |= {"peak": short(peak.middle), "times": f"{ratio:.3g}", "most": f"{most:g}"}
    return Check(name, not computed.above(peak * exactly(most)), figures, ratio)


def _equality(name: str, left: Interval, right: Interval, **figures: Interval | float) -> Check:
    numbers = {key: one.middle if isinstance(one, Interval) else one for key, one in figures.items()}
    ratio = left.middle / right.middle if right.middle else math.inf
    return Check(name, left.overlaps(right), {key: short(one) for key, one in numbers.items()}, ratio)

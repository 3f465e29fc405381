"""What the figures of one row must agree with: each other, the arithmetic of the model, and the device.

Equalities hold where the intervals of both sides overlap, so that rounding contradicts nothing. Bounds are broken only
where all that a figure may stand for is beyond them. Of several figures of one quantity (a mean and a median) each is
held against what fits it.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from speedgrid.published.quantities import Interval, exactly, within
from speedgrid.published.rows import Row

# Counts of one network differ by this much: 1.8 for 1.814 GMACs, or batch norm and pooling counted too.
COUNTING = 0.02
# Model tables count operations in more ways than that: with activations, of a paper's own layers, at another crop.
LOOSELY = 0.15
# The mean of timings is above their median by so much where some calls were slow, and rates are of the mean.
SKEW = 1.1
# What no device can do makes a row impossible; the other checks make it inconsistent.
PHYSICS = ("positive", "physics", "traffic")
BOUNDS = ("positive", "physics", "stated_peak", "traffic")
NAMES = (
    *("same", "order", "call_time", "image_rate", "call_rate", "calls", "arithmetic", "tflops", "utilisation"),
    *("speedup", "stated_peak", "physics", "traffic", "positive"),
)
ORDER = ("min", "median", "p90", "p95", "p99", "max")


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
    return [
        *row.every("ms_per_image"),
        *(call / exactly(row.batch_size) for call in row.every("latency_ms") if row.batch_size),
    ]


def latency_rates(row: Row) -> list[Interval]:
    """Return the images/s that a row states with one request in flight: printed first, then from its times."""
    return [*_images(row, "fps", "calls_per_s"), *(exactly(1000) / time for time in times(row))]


def rates(row: Row) -> list[Interval]:
    """Return the images/s that TFLOPS may follow from: with one request in flight, and with several."""
    return [*latency_rates(row), *_images(row, "throughput_fps", "throughput_calls_per_s")]


def _images(row: Row, images: str, calls: str) -> list[Interval]:
    return [*row.every(images), *(one * exactly(row.batch_size) for one in row.every(calls) if row.batch_size)]


def flop(row: Row) -> Interval | None:
    """Return the operations of one image, in units of 1e12: by this project's count, else as the table says.

    Of operations in a convention that the table does not say, all that they may be.
    """
    if row.cost:
        return within(row.cost.flop / 1e12, COUNTING)
    if stated := row.get("gflop_per_image"):
        return stated * exactly(1e-3)
    loosely = row.get("operations")
    return Interval(loosely.low * 1e-3, loosely.high * 2e-3) if loosely else None


def shown_flop(row: Row) -> float | None:
    """Return the operations of one image that arithmetic is shown with, in units of 1e12.

    Of operations in a convention that the table does not say the least that they may be: as they are printed.
    """
    loosely, operations = row.get("operations"), flop(row)
    if loosely and not row.cost and not row.get("gflop_per_image"):
        return loosely.middle * 1e-3
    return operations.middle if operations else None


def positive(row: Row) -> Iterator[Check]:
    """Yield the failed checks that times, rates and shares are above 0."""
    for key, figure in row.figures.items():
        name = key.partition(":")[0]
        if name in ("gain_percent", "reduction_percent", "percent_of_speed"):
            continue
        if figure.value < 0 or (figure.value == 0 and name in ("ms_per_image", "latency_ms") and figure.half == 0):
            yield Check("positive", False, {"name": name, "value": figure.text})


def equalities(row: Row) -> Iterator[Check]:
    """Yield the checks of figures that follow from each other."""
    yield from same(row)
    yield from order(row)
    yield from of_times(row)
    yield from of_calls(row)
    yield from computing(row)


def same(row: Row) -> Iterator[Check]:
    """Yield the checks that two columns of one quantity and one statistic say the same."""
    for key, figure in row.figures.items():
        first = row.figures.get(key.rstrip("'").removesuffix(":"))
        if key.endswith("'") and first:
            one, other = first.interval, figure.interval
            yield equality("same", one, other, quantity=key.partition(":")[0], one=one, other=other)


def order(row: Row) -> Iterator[Check]:
    """Yield the checks that percentiles of times rise."""
    for name in ("latency_ms", "ms_per_image"):
        tails = [(tail, row.figures[f"{name}:{tail}"].interval) for tail in ORDER if f"{name}:{tail}" in row.figures]
        for (lower, small), (upper, large) in itertools.pairwise(tails):
            figures = {"lower": lower, "small": short(small.middle), "upper": upper, "large": short(large.middle)}
            yield Check("order", not small.above(large), figures, small.middle / large.middle if large.middle else 1.0)


def of_times(row: Row) -> Iterator[Check]:
    """Yield the checks of the times of a call and of an image, and of the rate of images."""
    batch, images = row.batch_size, row.every("ms_per_image")
    latencies, fps = row.every("latency_ms"), row.every("fps")
    if batch and latencies and images:
        pairs = [(call, image, image * exactly(batch)) for call in latencies for image in images]
        yield _fitting(
            equality("call_time", call, product, latency=call, image=image, batch=batch, product=product)
            for call, image, product in pairs
        )
    if fps and images:
        yield _fitting(
            equality("image_rate", exactly(1000), rate * image, fps=rate, image=image, product=rate * image)
            for rate in fps
            for image in _skewed(row, "ms_per_image")
        )
    if fps and latencies and batch:
        wanted = exactly(1000 * batch)
        yield _fitting(
            equality("call_rate", wanted, rate * call, fps=rate, latency=call, product=rate * call, wanted=wanted)
            for rate in fps
            for call in _skewed(row, "latency_ms")
        )


def _skewed(row: Row, name: str) -> Iterator[Interval]:
    """Yield the times that rates of a mean follow from: above a median by so much as slow calls may add."""
    alone = not any(key.endswith(":mean") for key in row.figures)
    for key, figure in row.named(name).items():
        time = figure.interval
        if key.endswith(":median") and alone:
            yield time
            yield Interval(time.low, time.high * SKEW)
        else:
            yield time


def of_calls(row: Row) -> Iterator[Check]:
    """Yield the checks of the rate of calls: with one request in flight, with several, and of either as images."""
    batch = row.batch_size
    if not batch:
        return
    found = [exactly(1000 / batch) / time for time in times(row)] + [rate / exactly(batch) for rate in row.every("fps")]
    if found and (stated := row.every("calls_per_s")):
        yield _fitting(equality("calls", calls, rate, calls=calls, rate=rate) for calls in stated for rate in found)
    several = row.every("throughput_calls_per_s")
    images = row.every("throughput_fps")
    # Beside a time it is with one request in flight, if it follows from that.
    in_time = any(one.overlaps(exactly(1000) / time) for one in row.every("fps") for time in times(row))
    images = images or ([] if in_time else row.every("fps"))
    if several and images:
        pairs = [(calls, rate / exactly(batch)) for calls in several for rate in images]
        yield _fitting(equality("calls", calls, rate, calls=calls, rate=rate) for calls, rate in pairs)


def computing(row: Row) -> Iterator[Check]:
    """Yield the checks of an image's arithmetic, of the arithmetic in a second, and of its share of the peak."""
    stated, loosely = row.get("gflop_per_image"), row.get("operations")
    tflops, peak = row.get("tflops"), row.get("tflops_peak")
    if stated and row.cost:
        counted = within(row.cost.flop / 1e9, COUNTING)
        yield equality("arithmetic", stated, counted, stated=stated, counted=counted)
    if loosely and row.cost:
        ways = [within(row.cost.flop / 1e9 / way, LOOSELY) for way in (1, 2)]
        yield _fitting(equality("arithmetic", loosely, one, stated=loosely, counted=one) for one in ways)
    operations, images = flop(row), rates(row)
    computed = [operations * rate for rate in images] if operations else []
    if tflops and operations and computed:
        shown = shown_flop(row) or operations.middle
        least = shown / operations.middle if operations.middle else 1.0
        yield _fitting(
            equality("tflops", tflops, one, tflops=tflops, flop=shown * 1e3, fps=rate, computed=one.middle * least)
            for rate, one in zip(images, computed, strict=True)
        )
    use, rate = row.get("utilisation_percent"), tflops or (computed[0] if computed else None)
    if use and peak and rate:
        share = exactly(100) * rate / peak
        yield equality("utilisation", use, share, use=use, rate=rate, peak=peak, share=share)


def equality(name: str, left: Interval, right: Interval, **figures: Interval | float | str) -> Check:
    """Return the check that two intervals have a number in common, with the figures of its arithmetic."""
    numbers = {key: one.middle if isinstance(one, Interval) else one for key, one in figures.items()}
    ratio = left.middle / right.middle if right.middle else math.inf
    texts = {key: one if isinstance(one, str) else short(one) for key, one in numbers.items()}
    return Check(name, left.overlaps(right), texts, ratio)


def _fitting(found: Iterable[Check]) -> Check:
    """Return of several ways to hold a figure the first that holds, or the one that is least off."""
    known = list(found)
    return next(
        (one for one in known if one.holds), min(known, key=lambda one: round(abs(math.log(one.ratio or 1e-9)), 1))
    )

"""Speed-ups, gains and reductions: which row each is over, and whether it is the ratio of the two."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace

from speedgrid.published.checks import Check, short
from speedgrid.published.names import precisions
from speedgrid.published.quantities import Figure, Interval, exactly, within
from speedgrid.published.rows import Base, Row

# Ratios are of figures that their author has with more digits, and often of the mean where a table has the median.
RATIO = 0.01
RATIOS = ("speedup", "gain_percent", "percent_of_speed", "reduction_percent")
# What two rows are compared by, the most direct first.
PAIRS = (
    ("call", "call"),
    ("image", "image"),
    ("rate", "rate"),
    ("throughput", "throughput"),
    ("image", "rate"),
    ("rate", "image"),
)
LOOSE = (("image", "throughput"), ("throughput", "image"), ("rate", "throughput"), ("throughput", "rate"))


def stated(row: Row) -> list[Interval]:
    """Return the ratios that a row's speed-up may mean: of a percentage without a sign, a ratio or a gain."""
    for key, figure in row.figures.items():
        name = key.partition(":")[0]
        if name in RATIOS:
            return _ratios(name, figure)
    return []


def _ratios(name: str, figure: Figure) -> list[Interval]:
    low, high = figure.value - figure.half, figure.value + figure.half
    if name == "speedup":
        return [Interval(max(0.0, low), max(0.0, high))]
    gain = Interval(max(0.0, 1 + low / 100), max(0.0, 1 + high / 100))
    if name == "gain_percent":
        return [gain]
    if name == "percent_of_speed":
        return [Interval(max(0.0, low / 100), max(0.0, high / 100)), gain]
    shares = [1 - abs(one) / 100 for one in sorted((low, high), key=abs)]
    return [Interval(1 / shares[0], 1 / shares[1])] if all(share > 0 for share in shares) else []


def times(row: Row) -> dict[str, Interval]:
    """Return the times of a row that ratios are of, in ms: of a call, and of an image by what it was read from."""
    found: dict[str, Interval] = {}
    for key, figure in row.named("latency_ms").items():
        found[f"call {key}"] = figure.interval
        if row.batch_size:
            found[f"image {key}"] = figure.interval / exactly(row.batch_size)
    for key, figure in row.named("ms_per_image").items():
        found[f"image {key}"] = figure.interval
    for kind, images, calls in (
        ("rate", "fps", "calls_per_s"),
        ("throughput", "throughput_fps", "throughput_calls_per_s"),
    ):
        for key, figure in row.named(images).items():
            found[f"{kind} {key}"] = exactly(1000) / figure.interval
        for key, figure in row.named(calls).items():
            found[f"{kind} {key}"] = exactly(1000) / (figure.interval * exactly(row.batch_size or 1))
    return found


def with_bases(rows: list[Row]) -> list[Row]:
    """Return the rows of a table, each with the rows that its speed-up may be over."""
    own = [Base(row.line, times(row)) for row in rows]
    return [_with_bases(row, rows, own) if stated(row) else row for row in rows]


def _with_bases(row: Row, rows: list[Row], own: list[Base]) -> Row:
    places = (_place(row), _place(row)[:2])
    for size, place in zip((4, 2), places, strict=True):
        near = [(one, base) for one, base in zip(rows, own, strict=True) if _place(one)[:size] == place and base.times]
        named = [base for one, base in near if row.over and is_named(row.over, one)]
        first = [base for one, base in near if is_one(one)]
        if size == 4 and (named or first):
            return replace(row, bases=tuple(first or named), sure=bool(first))
        if not first:
            first = [base for one, base in near if not stated(one)]
        if named or first:
            return replace(row, bases=tuple([*named, *first]), sure=False)
    return row


def _place(row: Row) -> tuple[object, ...]:
    return row.model, row.device, row.resolution, row.batch_size


def is_one(row: Row) -> bool:
    """Say whether a row prints a speed-up of 1, or a gain of nothing."""
    found = {key.partition(":")[0]: figure.value for key, figure in row.figures.items()}
    return (
        found.get("speedup") == 1
        or 0 in (found.get("gain_percent"), found.get("reduction_percent"))
        or found.get("percent_of_speed") in (0, 100)
    )


def is_named(over: str, row: Row) -> bool:
    """Say whether words on what a speed-up is over are of a row: all that they say is in its names."""
    words = set(re.findall(r"[a-z0-9.]+", over.lower())) - {"the", "baseline", "base", "native", "gpu", "x"}
    names = f"{row.backend or ''} {row.precision or ''} {row.device or ''} {row.model or ''}".lower()
    own = set(re.findall(r"[a-z0-9.]+", names)) | ({precisions.named(row.precision)} if row.precision else set())
    return bool(words) and {precisions.known(word) or word for word in words} <= own


def speedup(row: Row) -> Iterator[Check]:
    """Yield the check that a speed-up is the ratio of two times of the table, where it says over which row it is."""
    ratios, own = stated(row), times(row)
    tried = [found for base in row.bases for found in _against(base, own, ratios)]
    fitting = [one for one in tried if one.holds]
    if fitting or (tried and row.sure):
        yield (fitting or sorted(tried, key=lambda one: abs(one.ratio - 1)))[0]


def _against(base: Base, own: dict[str, Interval], ratios: list[Interval]) -> Iterator[Check]:
    for pairs in (PAIRS, LOOSE):
        made = False
        for theirs, mine in pairs:
            for key, reference in base.times.items():
                for other, time in own.items():
                    if key.split()[0] == theirs and other.split()[0] == mine:
                        made = True
                        yield _compare(base, reference, time, ratios)
        if made:
            return


def _compare(base: Base, reference: Interval, own: Interval, ratios: list[Interval]) -> Check:
    ratio = reference / own * within(1.0, RATIO)
    said = next(
        (one for one in ratios if one.overlaps(ratio)), min(ratios, key=lambda one: abs(one.middle - ratio.middle))
    )
    figures = {"speedup": said.middle, "reference": reference.middle, "own": own.middle, "ratio": ratio.middle}
    texts = {key: short(value) for key, value in figures.items()} | {"line": str(base.line)}
    return Check("speedup", said.overlaps(ratio), texts, said.middle / ratio.middle if ratio.middle else 1.0)


def implied(row: Row) -> dict[str, str] | None:
    """Return a speed-up that no row is known to be over, with the speed that it says of one."""
    ratios, own = stated(row), times(row)
    if not ratios or is_one(row):
        return None
    ratio = ratios[-1].middle
    image = next((time for key, time in own.items() if not key.startswith("call")), None)
    call = next(iter(own.values()), None)
    if not ratio or not call:
        return {"speedup": short(ratio)}
    if image and image.low and math.isfinite(image.high):
        return {"speedup": short(ratio), "implied": f"{1000 / math.sqrt(image.low * image.high) / ratio:.4g}"}
    return {"speedup": short(ratio), "implied_ms": short(call.middle * ratio)}

"""The records of a run held against each other: what all of a model share, what none shares, and one cell's timings."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator
from typing import TypeAlias

import numpy as np

from speedgrid.precision import QUANTISED
from speedgrid.record import Record
from speedgrid.statistics import quantile_of
from speedgrid.table.conditions import BUSY_CORES, SLOWER, elsewhere, pace, throttled
from speedgrid.table.verdict import judge

# Clauses by the place of a record.
Clauses: TypeAlias = dict[int, list[str]]
# Relative differences of what was computed once for all, which versions of a library may round otherwise.
SAME = 1e-6
# Samples are copies of others where their ratio varies by less than this share of what they vary by themselves. Of
# independent samples it varies more than they do.
COPIED = 0.01
# Samples that are looked at for copies: fewer agree by chance.
FEWEST, FEWEST_BY_SHARE = 3, 20
# What rounding to nanoseconds leaves of the logarithm of a ratio of two samples of 1 ms.
ROUNDING = 3e-6
# Rounding to nanoseconds is so much smaller than what samples vary by; three agree by chance more easily.
FINE, FINE_OF_THREE = 10, 1000
# First samples of a series that are looked at; a copy's are so near to them, as a share of what all vary by, half more
# than what makes it one in the mean; and the dimensions in which they are searched.
PREFIX, FLAT = 16, 8
NEAR = 1.5 * COPIED * PREFIX**0.5
# Timings of one cell of which one can be told from the others.
ENOUGH = 4
# A timing of a cell that is so many times as fast or slow as all others of it, which agree among themselves, was not of
# that cell, unless the processor tells why. On GPUs calls that wait for the host have two latencies, 1.54 apart.
APART, AGREE = 1.7, 1.25


def together(*found: Clauses) -> Clauses:
    """Return clauses of several kinds, by record."""
    merged: defaultdict[int, list[str]] = defaultdict(list)
    for one in found:
        for place, clauses in one.items():
            merged[place] += clauses
    return dict(merged)


def grouped(records: list[Record], key: Callable[[Record], Hashable]) -> list[list[int]]:
    """Return the places of records with the same key, group by group."""
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place, record in enumerate(records):
        groups[key(record)].append(place)
    return list(groups.values())


def strangers(records: list[Record]) -> Clauses:
    """Find records whose right answers or expected errors are not those of most others of their model and size.

    Right answers are computed once for a model and a resolution, and so is the error that each precision makes; that of
    a quantised precision is of the file that runs.
    """
    found: Clauses = {}
    for group in grouped(records, lambda one: (one.cell.model, one.cell.resolution, output_of(one))):
        for what, look in (("the norms of its right answers", norms), ("the errors that it expects", expectations)):
            seen = {place: look(records[place]) for place in group}
            for place, other in odd(seen):
                clause = f"{what} are not those of the other records of its model and resolution ({other})"
                found.setdefault(place, []).append(clause)
    return found


def odd_types(records: list[Record]) -> Clauses:
    """Find records whose tensors are of another type than most others of their backend and precision.

    Only where a row would be ok with either: what is not of its label's precision is no contradiction but a verdict.
    """
    found: Clauses = {}
    for group in grouped(records, lambda one: (one.cell.backend, one.cell.precision)):
        types = {place: seen.dtype for place in group if (seen := records[place].seen)}
        usual, count = Counter(types.values()).most_common(1)[0]
        if len(types) > 2 and 2 * count > len(types):
            told = f"and of {usual} in {count} other records of its backend and precision"
            strange = [place for place, one in types.items() if one != usual and judge(records[place]).status == "ok"]
            found |= {place: [f"its tensors are of {types[place]}, {told}"] for place in strange}
    return found


def output_of(record: Record) -> str:
    """Return the name of the output that a record's errors are of; of a model with several it is the worst one."""
    return record.seen.errors.output if record.seen and record.seen.errors else ""


def norms(record: Record) -> dict[str, float]:
    """Return the norm and the margin of the right answer to each image, by name."""
    errors = record.seen.errors if record.seen else None
    if errors is None:
        return {}
    told = {f"norm of image {number + 1}": one for number, one in enumerate(errors.signal[: errors.images])}
    margins = enumerate(errors.margin[: errors.images])
    return told | {f"margin of image {number + 1}": one for number, one in margins if one is not None}


def expectations(record: Record) -> dict[str, float]:
    """Return the SNR that is expected of each precision in dB, but of the record's own where it is quantised."""
    expected = record.seen.expected if record.seen else None
    if expected is None:
        return {}
    own = record.cell.precision
    return {f"{name} in dB": one for name, one in expected.snr_db.items() if name != own or own not in QUANTISED}


def odd(seen: dict[int, dict[str, float]]) -> Iterator[tuple[int, str]]:
    """Yield the places of figures that differ from those of most others, with the first that does."""
    for name in dict.fromkeys(name for one in seen.values() for name in one):
        known = {place: one[name] for place, one in seen.items() if name in one}
        middle = float(np.median(list(known.values())))
        wrong = [place for place, one in known.items() if abs(one - middle) > SAME * abs(middle)]
        if len(known) > 2 and 2 * len(wrong) < len(known):
            for place in wrong:
                yield place, f"{name}: {known[place]:.6g}, elsewhere {middle:.6g}"


def copies(records: list[Record]) -> Clauses:
    """Find records whose samples are those of another one, times a number, in the same order or in another one."""
    found: Clauses = {}
    samples = {place: np.array(one.host_ms) for place, one in enumerate(records) if len(one.host_ms) >= FEWEST}
    for first, second in sorted(suspects(samples)):
        if why := copied(samples[first], samples[second]):
            for one, other in ((first, second), (second, first)):
                found.setdefault(one, []).append(f"its samples are those of {records[other].name} {why}")
    return found


def copied(one: np.ndarray, other: np.ndarray) -> str:
    """Return a clause that says how samples are those of another timing; empty where they are not."""
    least = min(len(one), len(other))
    pairs = [("", one[:least], other[:least])]
    if len(one) == len(other):
        pairs.append((" in another order", np.sort(one), np.sort(other)))
    for order, mine, others in pairs:
        ratio = np.log(mine / others)
        rounding = ROUNDING / min(mine.min(), others.min())
        varies = min(np.log(mine).std(), np.log(others).std())
        exact = np.ptp(ratio) <= rounding
        alike = not order and least >= FEWEST_BY_SHARE and ratio.std() < COPIED * varies
        if rounding * (FINE if least > FEWEST else FINE_OF_THREE) < varies and (exact or alike):
            factor = float(np.exp(np.median(ratio)))
            return f"times {factor:.6g}{order}: they vary by {varies:.2g}, their ratio by {ratio.std():.2g}"
    return ""


def suspects(samples: dict[int, np.ndarray]) -> set[tuple[int, int]]:
    """Return the pairs of places that may be copies: as their first samples have it, or how far all of them reach."""
    logs = {place: np.log(one) for place, one in samples.items()}
    exact = {place: 4 * ROUNDING / float(one.min()) for place, one in samples.items()}
    many = {place: one for place, one in logs.items() if len(one) >= PREFIX}
    wide = {
        place: max(float(one.std()) * NEAR * (len(one) >= FEWEST_BY_SHARE), exact[place]) for place, one in many.items()
    }
    # A short series is one by itself, or the beginning of any other.
    short = {place: 0.0 if place in many else exact[place] for place in logs}
    return (
        near({place: centred(one[:PREFIX]) for place, one in many.items()}, wide)
        | near({place: centred(one[:FEWEST]) for place, one in logs.items()}, short)
        | near({place: extent(one) for place, one in logs.items()}, exact)
    )


def near(points: dict[int, np.ndarray], reach: dict[int, float]) -> set[tuple[int, int]]:
    """Return the pairs of places whose points are within the reach of one of both.

    A k-d tree finds them, in a time that does not grow with the square of how many there are. It has few dimensions: a
    projection moves no two points apart.
    """
    from scipy.spatial import KDTree  # a third of a second, which a report need not pay

    if not points:
        return set()
    table, limits, names = np.array([*points.values()]), np.array([reach[one] for one in points]), np.array([*points])
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((table.shape[1], min(table.shape[1], FLAT))))[0]
    flat = table @ basis
    close = KDTree(flat).query_ball_point(flat, limits)
    first, second = np.repeat(np.arange(len(names)), [len(one) for one in close]), np.concatenate(close).astype(int)
    held = (first != second) & (np.linalg.norm(table[first] - table[second], axis=1) <= limits[first])
    both = np.sort(names[np.stack([first[held], second[held]], axis=1)], axis=1)
    return {(int(one), int(other)) for one, other in both}


def centred(logs: np.ndarray) -> np.ndarray:
    """Return the pattern of a series' first samples, which no factor changes: logarithms less their mean."""
    return logs - logs.mean()


def extent(logs: np.ndarray) -> np.ndarray:
    """Return how many samples there are, and how far their logarithms reach beyond the median."""
    ordered = np.sort(logs)
    quantiles = np.array([quantile_of(ordered, one) for one in (0, 0.25, 0.5, 0.75, 1)])
    return np.array([len(logs), *(quantiles - quantiles[2])[[0, 1, 3, 4]]])


def outliers(records: list[Record]) -> Clauses:
    """Find timings of a control cell that are far from all others of its session, where nothing seen tells why."""
    found: Clauses = {}
    for group in grouped(records, lambda one: (one.cell, one.session)):
        if len(group) < ENOUGH or all(records[place].turn.startswith("round") for place in group):
            continue
        medians = {place: float(np.median(records[place].host_ms)) for place in group}
        for place in group:
            others = [medians[one] for one in group if one != place]
            ratio = medians[place] / float(np.median(others))
            apart = max(ratio, 1 / ratio) > APART and max(others) < AGREE * min(others)
            if apart and not explained(records[place], [records[one] for one in group if one != place], ratio > 1):
                found[place] = [
                    f"its median of {medians[place]:.4g} ms is {ratio:.3g} times that of the same cell's {len(others)} "
                    f"other timings, {min(others):.4g} to {max(others):.4g} ms, and it saw nothing else at work"
                ]
    return found


def explained(record: Record, others: list[Record], slower: bool) -> bool:
    """Say whether what else was seen may be why a timing was slower, or faster, than the others of its cell."""
    own, theirs = pace(record), [one for one in map(pace, others) if one]
    if own is None or not theirs or throttled([record]) != throttled(others):
        return True
    ratio = own / float(np.median(theirs))
    busy = [elsewhere(record) or 0.0] if slower else [elsewhere(one) or 0.0 for one in others]
    return min(busy) > BUSY_CORES / 2 or (ratio if slower else 1 / ratio) > SLOWER

"""What only several rows of a table show: what its headers mean, times that do not grow, and rows that are equal."""

import math
from collections import defaultdict
from dataclasses import replace
from statistics import median

from speedgrid.published import checks
from speedgrid.published.hypotheses import About, Suggestion
from speedgrid.published.quantities import Interval
from speedgrid.published.rows import Row

# Of rows that go from one batch size to another, times that grow by less than this power of the batch do not grow.
FLAT = 0.35
# A time that falls to less than this of what it was is no time of a call: it is of an image.
FALLEN = 0.7
# Batch sizes must differ by so much for that to say anything.
SPAN = 4
# The mean of rates is above the rate of the mean time, by no more than this where calls are alike.
MEAN_OF_RATES = 1.3
# So many rows say of a table that all are off in one way.
ALIKE = 3
# What is further from the operations of the model than this, as a logarithm, is none of them.
NEAR = math.log(2)


def settled(rows: list[Row]) -> list[Row]:
    """Return rows of which figures headed `GFLOPS` are the operations of an image, or those of a second.

    The figures decide, row by row where the model is known: what is nearer to its operations, counted either way, or to
    those times its rate. Where no model is known, one figure for several speeds of a model is of the model.
    """
    if not any("gflops" in row.figures for row in rows):
        return rows
    near = [found for row in rows if (found := _nearness(row))]
    if near:
        of_image = median(image for image, _ in near) <= min(NEAR, median(second for _, second in near))
        return [_as(row, "operations" if of_image else "tflops") for row in rows]
    values: dict[str | None, set[float]] = defaultdict(set)
    speeds: dict[str | None, int] = defaultdict(int)
    for row in rows:
        if "gflops" in row.figures:
            values[row.model].add(row.figures["gflops"].value)
            speeds[row.model] += 1
    repeated = [model for model, count in speeds.items() if count > 1]
    if repeated and all(len(values[model]) == 1 for model in repeated):
        return [_as(row, "operations") for row in rows]
    return rows


def _nearness(row: Row) -> tuple[float, float] | None:
    """Return the distance of a figure from the operations of an image, and from those of a second, as logarithms."""
    figure, rates = row.figures.get("gflops"), checks.rates(row)
    if not figure or not row.cost or figure.value <= 0:
        return None
    gflop = row.cost.flop / 1e9
    image = min(abs(math.log(figure.value / gflop * way)) for way in (1, 2))
    seconds = [abs(math.log(figure.value / gflop / rate.middle)) for rate in rates if rate.middle]
    if (peak := row.get("tflops_peak")) and (use := row.get("utilisation_percent")) and use.middle:
        seconds.append(abs(math.log(figure.value / (peak * use).middle / 10)))
    second = min(seconds, default=math.inf)
    return image, second


def _as(row: Row, name: str) -> Row:
    if "gflops" not in row.figures:
        return row
    factor = 1e-3 if name == "tflops" else 1.0
    others = {key: one for key, one in row.figures.items() if key != "gflops"}
    return replace(row, figures=others | {name: row.figures["gflops"].times(factor)})


def explained(rows: list[Row], failed: list[set[str]]) -> list[list[Suggestion]]:
    """Return for each row what several rows together say of why it fails. failed: the names of its failed checks."""
    found: list[list[Suggestion]] = [[] for _ in rows]
    for positions in _series(rows):
        if _does_not_grow([rows[position] for position in positions]):
            guilty = [one for one in positions if failed[one] & {"physics", "traffic"}]
            if guilty and max(positions, key=lambda one: rows[one].batch_size or 0) in guilty:
                for one in guilty:
                    mended = sorted(failed[one] & {"physics", "traffic", "stated_peak"})
                    found[one].append(Suggestion(name="not_waited", about={}, mended=mended))
    for name in ("call_rate", "image_rate"):
        wrong = [position for position, names in enumerate(failed) if name in names]
        ratios = [_product(rows[position], name) for position in wrong]
        if len(wrong) >= ALIKE and all(1 < ratio <= MEAN_OF_RATES for ratio in ratios):
            for position in wrong:
                found[position].append(Suggestion(name="mean_of_rates", about=About(), mended=[name]))
    return found


def _product(row: Row, name: str) -> float:
    """Return a row's rate times its time as a multiple of what it should be."""
    rate, image, call = row.get("fps"), row.get("ms_per_image"), row.get("latency_ms")
    time = image if name == "image_rate" else call
    images = 1 if name == "image_rate" else row.batch_size or 1
    return (rate * time).middle / 1000 / images if rate and time else 0.0


def _series(rows: list[Row]) -> list[list[int]]:
    """Return the positions of rows that differ in their batch size alone."""
    series: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for position, row in enumerate(rows):
        if row.batch_size and checks.times(row):
            series[row.backend, row.model, row.device, row.precision, row.resolution].append(position)
    return list(series.values())


def _does_not_grow(rows: list[Row]) -> bool:
    calls: dict[int, Interval] = {row.batch_size or 1: checks.times(row)[0] for row in rows}
    least, most = min(calls), max(calls)
    if most < SPAN * least or not calls[least].middle:
        return False
    growth = calls[most].middle * most / (calls[least].middle * least)
    return FALLEN <= growth <= (most / least) ** FLAT


def equal(rows: list[Row]) -> list[list[int]]:
    """Return the lines of rows that print the same speeds though they are of other settings: one may be a copy."""
    alike: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        speeds = tuple(sorted((key, one.text) for key, one in row.figures.items() if key.partition(":")[0] in SPEEDS))
        # A single figure of two digits is soon printed twice.
        if sum(len("".join(filter(str.isdigit, text))) for _, text in speeds) >= DIGITS:
            alike[speeds].append(row)
    return [[row.line for row in found] for found in alike.values() if len({row.line for row in found}) > 1]


SPEEDS = ("latency_ms", "ms_per_image", "fps", "calls_per_s", "throughput_fps", "throughput_calls_per_s")
DIGITS = 6

"""How resolution, batch size and precision act: tables with a sentence on each, where rows support it."""

from typing import Any

import numpy as np

from speedgrid.data.resolution import Resolution, side_of
from speedgrid.report.findings.objectives import MARGIN, OBJECTIVES, advantage
from speedgrid.report.findings.topic import Topic
from speedgrid.table.across import levelled
from speedgrid.table.run import Table
from speedgrid.text.markup import Markdown, _, ngettext
from speedgrid.text.words import backend_name, label, listed, measured, number, place, relabelled

# Throughput is saturated from the first batch size whose best successor gains less than 5 %.
SATURATED = 1 / 1.05
LATENCY = OBJECTIVES["latency"]
# A power of resolution that is smaller by less says nothing.
LESS = 0.1


def resolution_effect(table: Table, batch_size: int) -> Topic:
    """Return the growth of time per image with resolution: the exponent of a least-squares fit on logarithms."""
    rows = levelled(measured(table))
    rows = rows[rows.batch_size == batch_size]
    lines, less = [], 0
    for _name, line in rows.groupby(["backend", "precision"], sort=False):
        if found := _growth(line):
            power, of_flop, texts = found
            less += power < of_flop - LESS
            lines.append(texts)
    if not lines:
        return Topic()
    sentence = ngettext(
        "In {less} of {count} setting the time of an image grows more slowly with resolution than its arithmetic.",
        "In {less} of {count} settings the time of an image grows more slowly with resolution than its arithmetic.",
        len(lines),
    ).format(less=less, count=len(lines))
    head = [
        _("setting"),
        _("pixels"),
        _("its time, times"),
        _("power of resolution"),
        _("its arithmetic, times"),
        _("power of that"),
    ]
    return Topic([sentence], head, lines)


def _growth(line: Table) -> tuple[float, float, list[Markdown | str]] | None:
    """Return the powers of resolution by which a setting's time and arithmetic grow, and the cells of its line.

    None where all sizes have as many pixels.
    """
    # Arithmetic of an image follows from two columns of the table.
    flop, sides = line.tflops / line.fps, line.resolution.map(side_of)
    if sides.nunique() < 2:
        return None
    sizes = np.log(sides)
    power, of_flop = (float(np.polyfit(sizes, np.log(values), 1)[0]) for values in (line.ms_per_image, flop))
    low, high = line.loc[sides.idxmin()], line.loc[sides.idxmax()]
    texts = [
        label(low),
        _("{low} to {high}").format(low=low.resolution, high=high.resolution),
        number(high.ms_per_image / low.ms_per_image),
        f"{power:.1f}",
        number(flop[high.name] / flop[low.name]),
        f"{of_flop:.1f}",
    ]
    return power, of_flop, texts


def batch_effect(table: Table, resolution: Resolution) -> Topic:
    """Return the batch size of each setting from which on more images no longer raise throughput."""
    rows = levelled(measured(table))
    rows = rows[rows.resolution == resolution]
    lines = [line.sort_values("batch_size") for _name, line in rows.groupby(["backend", "precision"], sort=False)]
    lines = [line for line in lines if line.batch_size.nunique() > 1]
    if not lines:
        return Topic()
    rising = sum(saturation(line).batch_size == line.iloc[-1].batch_size for line in lines)
    sentence = ngettext(
        "In {rising} of {count} setting images/s still rise at the largest batch size: a larger one may give more.",
        "In {rising} of {count} settings images/s still rise at the largest batch size: a larger one may give more.",
        len(lines),
    )
    head = [_("setting"), _("saturated from batch size"), _("images/s over those of the smallest batch, times")]
    texts = [sentence.format(rising=rising, count=len(lines))]
    return Topic(texts, head, [saturated(line) for line in lines])


def saturation(line: Table):
    """Return the row from which on more images gain less than 5 %; its rows rise in batch size."""
    return line[line.fps >= SATURATED * line.fps.max()].iloc[0]


def saturated(line: Table) -> list[str]:
    """Return the line of one backend and precision: where it saturates, and what batching gains until there."""
    first, end, enough = line.iloc[0], line.iloc[-1].batch_size, saturation(line)
    where = str(enough.batch_size)
    if enough.batch_size == end:
        where = _("not up to {batch_size}").format(batch_size=end)
    return [label(first), where, number(enough.fps / first.fps)]


def precision_effect(table: Table, margin: float = MARGIN) -> Topic:
    """Return the gain of each precision over fp32 on the same backend, with the cells in which it is beyond doubt."""
    rows = measured(table)
    keys = ["backend", "resolution", "batch_size"]
    strict, level = rows[rows.precision == "fp32"], levelled(rows)
    found = []
    for (backend, precision), line in rows[rows.precision != "fp32"].groupby(["backend", "precision"], sort=False):
        both = of(level, line).merge(of(level, strict), on=keys, suffixes=("", "_base"))
        if len(both):
            ratios = both.latency_ms_base / both.latency_ms
            certain, most = where_it_matters(both, line, strict, margin)
            over = base_of(strict[strict.backend == backend])
            spread = _("{low} to {high}").format(low=number(ratios.min()), high=number(ratios.max()))
            cells = [backend_name(backend), precision, over, number(ratios.median()), spread, len(both), certain, most]
            found.append((ratios.median() if certain else 0.0, cells))
    if not found:
        return Topic()
    head = [
        _("backend"),
        _("precision"),
        _("over"),
        _("times as fast, median"),
        _("least to most"),
        _("cells"),
        _("certainly faster in"),
        _("most of all at"),
    ]
    return Topic([most_gained(found)], head, [cells for _gain, cells in found])


def most_gained(found: list[tuple[float, list[Any]]]) -> Markdown:
    """Say which precision gains most in the median of its cells, of those that are certainly faster anywhere."""
    gain, cells = max(found, key=lambda one: one[0])
    if not gain:
        return _("No precision is certainly faster than fp32 anywhere.")
    return _("Most is gained with {backend} {precision}: {times} times as fast as {over}, in the median.").format(
        backend=cells[0], precision=cells[1], times=cells[3], over=cells[2]
    )


def of(level: Table, rows: Table) -> Table:
    """Return some rows of a table as another one has them, that may lack some."""
    return level[level.index.isin(rows.index)]


def base_of(strict: Table) -> Markdown:
    """Name the base of a comparison of precisions: fp32, or the precision that rows of that label ran."""
    if relabelled(strict).all() and len(strict):
        return _("fp32, which ran {precision}").format(precision=listed(sorted(set(strict.observed_precision))))
    return Markdown("fp32")


def where_it_matters(both: Table, line: Table, strict: Table, margin: float) -> tuple[int, str]:
    """Return the number of cells in which a precision is faster beyond doubt, and the place where it matters most.

    both: rows that have `latency_ms` and `latency_ms_base`.
    """
    keys = ["backend", "resolution", "batch_size"]
    own, base = line.set_index(keys), strict.set_index(keys)
    certain = sum(
        advantage(own.loc[key], base.loc[key], LATENCY)[1] > margin for key in both[keys].itertuples(index=False)
    )
    top = both.loc[(both.latency_ms_base / both.latency_ms).idxmax()]
    return certain, place(top) if certain else ""

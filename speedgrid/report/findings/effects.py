"""How resolution, batch size and precision act: every sentence is computed, and one without support is not there."""

import numpy as np

from speedgrid.report.findings.objectives import MARGIN, OBJECTIVES, advantage, best, ties
from speedgrid.table.across import levelled
from speedgrid.table.run import Table
from speedgrid.text.markup import Markdown, _, ngettext
from speedgrid.text.words import backend_name, label, listed, measured, number, place, relabelled

# Throughput is saturated from the first batch size whose best successor gains less than 5 %.
SATURATED = 1 / 1.05
LATENCY = OBJECTIVES["latency"]


def fastest(table: Table, resolution: int, batch_size: int, margin: float = MARGIN) -> list[Markdown]:
    """Say what is fastest at the report's resolution and batch size, and where most images pass in a second."""
    rows = measured(table)
    sentences = []
    here = rows[(rows.resolution == resolution) & (rows.batch_size == batch_size)]
    if len(here):
        sentences.append(fastest_here(here, margin))
    if len(rows):
        most = best(rows, OBJECTIVES["throughput"])
        sentences.append(
            _("Most images pass with {label} at {place}: {rate} images/s back to back.").format(
                label=label(most), place=place(most), rate=number(most.throughput_fps)
            )
        )
    return sentences


def fastest_here(rows: Table, margin: float) -> Markdown:
    """Name the fastest of the rows of one place, and the others that it may not be faster than."""
    first = best(rows, LATENCY)
    gain = Markdown()
    if first.speedup_low > margin:
        gain = _(", {ratio} times the reference").format(ratio=number(first.speedup))
    text = _("At {place}, **{label}** is fastest: {ms} ms an image, {rate} images/s{gain}.").format(
        place=place(first), label=label(first), ms=number(first.ms_per_image), rate=number(first.fps), gain=gain
    )
    others = ties(rows, first, LATENCY, margin)
    if others.empty:
        return text
    doubt = _("It ties with {names}: that they differ by more than {doubt} % is not certain.").format(
        names=listed([label(row) for _index, row in others.iterrows()]), doubt=f"{100 * (margin - 1):.1f}"
    )
    return Markdown(" ").join([text, doubt])


def resolution_effect(table: Table, batch_size: int) -> list[Markdown]:
    """Say how time per image grows with resolution: the exponent of a least-squares fit on logarithms."""
    rows = levelled(measured(table))
    rows = rows[rows.batch_size == batch_size]
    sentences = []
    for _name, line in rows.groupby(["backend", "precision"], sort=False):
        if line.resolution.nunique() < 2:
            continue
        # Arithmetic of an image follows from two columns of the table.
        flop, sizes = line.tflops / line.fps, np.log(line.resolution)
        exponent, of_flop = (np.polyfit(sizes, np.log(values), 1)[0] for values in (line.ms_per_image, flop))
        low, high = line.loc[line.resolution.idxmin()], line.loc[line.resolution.idxmax()]
        sentences.append(
            _(
                "{label}: {ratio} times the time per image from {low} to {high} pixels, growing as resolution to the "
                "power {exponent:.1f} (arithmetic grows {flop_ratio} times, power {flop_exponent:.1f})."
            ).format(
                label=label(low),
                ratio=number(high.ms_per_image / low.ms_per_image),
                low=low.resolution,
                high=high.resolution,
                exponent=exponent,
                flop_ratio=number(flop[high.name] / flop[low.name]),
                flop_exponent=of_flop,
            )
        )
    return sentences


def batch_effect(table: Table, resolution: int) -> list[Markdown]:
    """Say from which batch size on more images at once no longer raise throughput."""
    rows = levelled(measured(table))
    rows = rows[rows.resolution == resolution]
    lines = [line.sort_values("batch_size") for _name, line in rows.groupby(["backend", "precision"], sort=False)]
    return [saturation(line) for line in lines if line.batch_size.nunique() > 1]


def saturation(line: Table) -> Markdown:
    """Say where one backend and precision saturates; its rows rise in batch size."""
    first, end = line.iloc[0], line.iloc[-1].batch_size
    enough = line[line.fps >= SATURATED * line.fps.max()].iloc[0]
    known = {
        "label": label(first),
        "first": first.batch_size,
        "batch_size": enough.batch_size,
        "ratio": number(enough.fps / first.fps),
    }
    if enough.batch_size == end:
        text = _(
            "{label}: still rising at batch size {batch_size}, the largest measured "
            "({ratio} times the images/s of batch size {first})."
        )
    elif enough.batch_size == first.batch_size:
        text = _("{label}: saturated from batch size {first} on; batching gains less than 5 %.")
    else:
        text = _(
            "{label}: saturated from batch size {batch_size} on, with {ratio} times the images/s of batch size "
            "{first}, within 5 % of its best."
        )
    return text.format(**known)


def precision_effect(table: Table, margin: float = MARGIN) -> list[Markdown]:
    """Say what each precision gains over fp32 on the same backend, and where that is beyond doubt."""
    rows = measured(table)
    keys = ["backend", "resolution", "batch_size"]
    strict, level = rows[rows.precision == "fp32"], levelled(rows)
    sentences = []
    for (backend, precision), line in rows[rows.precision != "fp32"].groupby(["backend", "precision"], sort=False):
        both = of(level, line).merge(of(level, strict), on=keys, suffixes=("", "_base"))
        if both.empty:
            continue
        sentences.append(
            Markdown("{}: {} {}").format(
                backend_name(backend),
                gain_over(strict[strict.backend == backend], both, precision, margin),
                where_it_matters(both, line, strict, margin),
            )
        )
    return sentences


def of(level: Table, rows: Table) -> Table:
    """Return some rows of a table as another one has them, that may lack some."""
    return level[level.index.isin(rows.index)]


def gain_over(strict: Table, both: Table, precision: str, margin: float) -> Markdown:
    """Say what a precision gains over fp32 in the median; both: rows that have `latency_ms` and `latency_ms_base`."""
    ratios = both.latency_ms_base / both.latency_ms
    over = Markdown("fp32")
    if len(ran := strict[relabelled(strict)].observed_precision) and relabelled(strict).all():
        over = _("its rows labelled fp32, which ran {precision}").format(precision=listed(sorted(set(ran))))
    if 1 / margin < ratios.median() < margin:
        text = _("{precision} is as fast as {over}, in the median ({low} to {high} over {count} cells).")
    else:
        text = _("{precision} is {ratio} times as fast as {over}, in the median ({low} to {high} over {count} cells).")
    return text.format(
        precision=precision,
        over=over,
        ratio=number(ratios.median()),
        low=number(ratios.min()),
        high=number(ratios.max()),
        count=len(ratios),
    )


def where_it_matters(both: Table, line: Table, strict: Table, margin: float) -> Markdown:
    """Say in how many cells a precision is faster beyond doubt, and where it matters most."""
    keys = ["backend", "resolution", "batch_size"]
    own, base = line.set_index(keys), strict.set_index(keys)
    certain = [
        advantage(own.loc[key], base.loc[key], LATENCY)[1] > margin for key in both[keys].itertuples(index=False)
    ]
    top = both.loc[(both.latency_ms_base / both.latency_ms).idxmax()]
    if not any(certain):
        return _("It is certainly faster in none of them.")
    return ngettext(
        "It is certainly faster in {certain} of {count} cell, most of all at {place}.",
        "It is certainly faster in {certain} of {count} cells, most of all at {place}.",
        len(both),
    ).format(certain=sum(certain), count=len(both), place=place(top))

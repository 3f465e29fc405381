"""What the table says, in sentences: every one is computed, and one that the rows do not support is not there."""

import numpy as np
import pandas as pd

from speedgrid.grid import nearest
from speedgrid.plots import NAMES
from speedgrid.record import SHOWN
from speedgrid.statistics import ratio_interval

# One setting is faster than another only where the interval of their ratio excludes 1 by this factor, or by the run's
# noise floor where that is more.
MARGIN = 1.02
INTERVAL = ["latency_ms", "latency_ms_low", "latency_ms_high"]
# Throughput is saturated from the first batch size whose best successor gains less than 5 %.
SATURATED = 1 / 1.05


def label(row) -> str:
    """Name a row's backend and precision, with what it really ran where that differs."""
    ran = f" (ran {row.observed_precision})" if row.status == "wrong_precision" else ""
    return f"{NAMES.get(row.backend, row.backend)} {row.precision}{ran}"


def place(row) -> str:
    """Name a row's resolution and batch size."""
    return f"{row.resolution} x {row.resolution} pixels, batch size {row.batch_size}"


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose speed is shown."""
    return table[table.status.isin(SHOWN) & table.latency_ms.notna()]


def number(value: float) -> str:
    """Write a number with three significant digits, and no exponent."""
    if value is None or not np.isfinite(value):
        return ""
    value = float(f"{value:.3g}")
    digits = 2 - int(np.floor(np.log10(abs(value)))) if value else 0
    return f"{round(value, digits):,.{max(digits, 0)}f}"


def ties(rows: pd.DataFrame, best, margin: float) -> list[str]:
    """Return the labels of the other rows that are not slower than `best` beyond doubt, at the same place."""
    others = rows[(rows.resolution == best.resolution) & (rows.batch_size == best.batch_size)].drop(best.name)
    return [
        label(row)
        for _, row in others.iterrows()
        if ratio_interval(tuple(row[INTERVAL]), tuple(best[INTERVAL]))[1] <= margin
    ]


def with_ties(sentence: str, rows: pd.DataFrame, best, margin: float) -> str:
    """Add to a sentence about the best row which rows it cannot be told apart from."""
    tied = ties(rows, best, margin)
    if not tied:
        return sentence
    doubt = f"that they differ by more than {100 * (margin - 1):.1f} % is not certain"
    return f"{sentence} It ties with {' and '.join(tied)}: {doubt}."


def fastest(table: pd.DataFrame, resolution: int, batch_size: int, margin: float = MARGIN) -> list[str]:
    """Say what is fastest at the report's resolution and batch size, and where most images pass in a second."""
    rows = measured(table)
    sentences = []
    here = rows[(rows.resolution == resolution) & (rows.batch_size == batch_size)]
    if len(here):
        best = here.loc[here.latency_ms.idxmin()]
        gain = f", {number(best.speedup)} times the reference" if best.speedup_low > margin else ""
        sentences.append(
            with_ties(
                f"At {place(best)}, **{label(best)}** is fastest: {number(best.ms_per_image)} ms an image, "
                f"{number(best.fps)} images/s{gain}.",
                here,
                best,
                margin,
            )
        )
    if len(rows):
        best = rows.loc[rows.throughput_fps.idxmax()]
        sentences.append(
            f"Most images pass with {label(best)} at {place(best)}: "
            f"{number(best.throughput_fps)} images/s back to back."
        )
    return sentences


def resolution_effect(table: pd.DataFrame, batch_size: int) -> list[str]:
    """Say how time per image grows with resolution: the exponent of a least-squares fit on logarithms."""
    rows = measured(table)
    rows = rows[rows.batch_size == batch_size]
    sentences = []
    for _, line in rows.groupby(["backend", "precision"], sort=False):
        if line.resolution.nunique() < 2:
            continue
        exponent = np.polyfit(np.log(line.resolution), np.log(line.ms_per_image), 1)[0]
        low, high = line.loc[line.resolution.idxmin()], line.loc[line.resolution.idxmax()]
        sentences.append(
            f"{label(low)}: {number(high.ms_per_image / low.ms_per_image)} times the time per image from "
            f"{low.resolution} to {high.resolution} pixels, growing as resolution to the power {exponent:.1f} "
            f"(arithmetic grows {number((high.resolution / low.resolution) ** 2)} times, power 2)."
        )
    return sentences


def batch_effect(table: pd.DataFrame, resolution: int) -> list[str]:
    """Say from which batch size on more images at once no longer raise throughput."""
    rows = measured(table)
    rows = rows[rows.resolution == resolution]
    sentences = []
    for _, line in rows.groupby(["backend", "precision"], sort=False):
        if line.batch_size.nunique() < 2:
            continue
        line = line.sort_values("batch_size")
        first, best = line.iloc[0], line.loc[line.fps.idxmax()]
        enough = line[line.fps >= SATURATED * best.fps].iloc[0]
        gain = f"{number(enough.fps / first.fps)} times the images/s of batch size {first.batch_size}"
        end = line.iloc[-1].batch_size
        if enough.batch_size == end:
            sentences.append(f"{label(first)}: still rising at batch size {end}, the largest measured ({gain}).")
        elif enough.batch_size == first.batch_size:
            sentences.append(
                f"{label(first)}: saturated from batch size {first.batch_size} on; batching gains less than 5 %."
            )
        else:
            sentences.append(
                f"{label(first)}: saturated from batch size {enough.batch_size} on, "
                f"with {gain}, within 5 % of its best."
            )
    return sentences


def precision_effect(table: pd.DataFrame, margin: float = MARGIN) -> list[str]:
    """Say what each precision gains over fp32 on the same backend: median and range over the cells both have."""
    rows = measured(table)
    keys = ["backend", "resolution", "batch_size"]
    strict = rows[rows.precision == "fp32"]
    base = strict.set_index(keys).latency_ms
    sentences = []
    for (backend, precision), line in rows[rows.precision != "fp32"].groupby(["backend", "precision"], sort=False):
        ratios = (base / line.set_index(keys).latency_ms).dropna()
        if ratios.empty:
            continue
        ran = strict[(strict.backend == backend) & (strict.status == "wrong_precision")].observed_precision
        over = f"its rows labelled fp32, which ran {ran.iloc[0]}" if len(ran) else "fp32"
        middle = ratios.median()
        if 1 / margin < middle < margin:
            verdict = f"is as fast as {over}, in the median"
        else:
            verdict = f"is {number(middle)} times as fast as {over}, in the median"
        sentences.append(
            f"{NAMES.get(backend, backend)}: {precision} {verdict} "
            f"({number(ratios.min())} to {number(ratios.max())} over {len(ratios)} cells)."
        )
    return sentences


def recommendations(table: pd.DataFrame, resolution: int, margin: float = MARGIN) -> list[str]:
    """Say what to deploy at a resolution, for throughput and for latency, with the price in accuracy and memory."""
    rows = measured(table)
    rows = rows[rows.resolution == resolution]
    if rows.empty:
        return [f"Nothing was measured at {resolution} x {resolution} pixels, so there is nothing to recommend."]
    most, least = rows.loc[rows.throughput_fps.idxmax()], rows.loc[rows.latency_ms.idxmin()]
    tied = rows[(rows.throughput_fps >= most.throughput_fps / margin)].sort_values(["memory_mb", "batch_size"])
    chosen = tied.iloc[0] if len(tied) > 1 else most
    sentences = [
        f"**For throughput** at {resolution} x {resolution} pixels: {label(chosen)} with batch size "
        f"{chosen.batch_size}, {number(chosen.throughput_fps)} images/s{price(chosen)}."
    ]
    if len(tied) > 1:
        least_memory = "; this one needs least memory" if tied.memory_mb.notna().any() else ""
        others = "1 other setting is" if len(tied) == 2 else f"{len(tied) - 1} other settings are"
        sentences[0] += f" {others} within {100 * (margin - 1):.1f} % of the best{least_memory}."
    sentences.append(
        with_ties(
            f"**For latency** at {resolution} x {resolution} pixels: {label(least)} with batch size "
            f"{least.batch_size}, {number(least.latency_ms)} ms a call "
            f"(95 % interval {number(least.latency_ms_low)} to {number(least.latency_ms_high)}){price(least)}.",
            rows,
            least,
            margin,
        )
    )
    return sentences


def price(row) -> str:
    """Name what a row costs: memory, agreement with the float64 reference, build time."""
    parts = [f"{number(row.memory_mb)} MB"] if pd.notna(row.memory_mb) else []
    if pd.notna(row.snr_db):
        parts.append(f"SNR {row.snr_db:.0f} dB")
    if pd.notna(row.build_seconds):
        parts.append(f"built in {number(row.build_seconds)} s")
    return f" ({', '.join(parts)})" if parts else ""


def compute(
    table: pd.DataFrame, resolution: int, batch_size: int, noise_floor_percent: float | None = None
) -> dict[str, list[str]]:
    """Return all findings by topic, at the values of the grid that are nearest to the wanted ones.

    noise_floor_percent: by how much the run's control cell differs from itself; None where it was not measured.
    """
    margin = max(MARGIN, 1 + (noise_floor_percent or 0) / 100)
    resolution, batch_size = nearest(table.resolution, resolution), nearest(table.batch_size, batch_size)
    return {
        "recommendations": recommendations(table, resolution, margin),
        "fastest": fastest(table, resolution, batch_size, margin),
        "resolution": resolution_effect(table, batch_size),
        "batch_size": batch_effect(table, resolution),
        "precision": precision_effect(table, margin),
    }

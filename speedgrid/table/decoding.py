"""Decoding in the table of results: frames a second of one core, from video to a model's input."""

from dataclasses import dataclass
from math import ceil, floor
from statistics import median

import numpy as np

from speedgrid.data.resolution import Resolution
from speedgrid.serving.decoded import Decoding, Series
from speedgrid.statistics import order_statistic_interval
from speedgrid.table.columns_of_video import DECODING
from speedgrid.table.run import Table

# Streams and cores are whole: a rate that is just enough is.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Rate:
    """The frames a second of one core's time, with the 95 % interval of their median over passes."""

    middle: float
    low: float
    high: float

    def cores(self, streams: int, fps: float) -> int:
        """Return the cores that decode a number of streams of `fps` frames a second, by the lower end."""
        return ceil(streams * fps / self.low - ROUNDING)

    def streams(self, cores: int, fps: float) -> int:
        """Return the streams of `fps` frames a second that a number of cores decode, by the lower end."""
        return floor(cores * self.low / fps + ROUNDING)


def rate(series: Series) -> Rate:
    """Return the frames of a core-second: of all cores' time together, which other programs do not lengthen much."""
    found = np.array([one["frames"] / max(one["cpu_s"], 1e-6) for passes in series["passes"] for one in passes])
    low, high = order_statistic_interval(found)
    return Rate(float(np.median(found)), low, high)


def wall_fps(series: Series) -> float:
    """Return the frames a second of all processes of a series together, as time passed."""
    return sum(median(one["frames"] / max(one["wall_s"], 1e-6) for one in passes) for passes in series["passes"])


def find(decoding: Decoding, way: str, resolution: Resolution | None = None, at_once: int = 1) -> Series | None:
    """Return the series of a way of decoding with one thread a stream, or None. at_once: how many streams."""
    for one in decoding["series"]:
        found = (one["way"], one["resolution"], one["threads"], len(one["passes"]))
        if found == (way, resolution, 1, at_once):
            return one
    return None


def to_input(decoding: Decoding | None, resolution: Resolution) -> Rate | None:
    """Return the rate of one core from video to a model's input, with a stream on each core; None if not measured."""
    if decoding is None or decoding["status"] != "ok":
        return None
    series = find(decoding, "input", resolution, decoding["cores"])
    return rate(series) if series else None


def fill(table: Table, decoding: Decoding | None) -> None:
    """Write DECODING into the rows with a speed, in place, by their resolution."""
    for resolution in table.resolution.unique():
        if found := to_input(decoding, resolution):
            rows = (table.resolution == resolution) & table.latency_ms.notna()
            table.loc[rows, list(DECODING[0].names())] = (found.middle, found.low, found.high)

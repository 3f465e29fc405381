"""The verdict on a number of streams: whether the share of missed frames is below a limit, with what confidence.

Frames of one draw of phases are not independent: a draw of N streams is worth about N/3 frames, however long it
lasts (simulated: twenty streams, constant service, utilisation 0.8). So blocks are counted, not frames.
"""

from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
from scipy import special

from speedgrid.serving.arrivals import Arrivals, Kind
from speedgrid.serving.figures import missed
from speedgrid.serving.loop import Served
from speedgrid.statistics import correlation_window

Word = Literal["passes", "fails", "undecided", "diverges"]
# Those above which no number is claimed.
FAILED: tuple[Word, ...] = ("fails", "diverges")
# Periods of each block that are not judged: there the last draw of phases is still being served.
SETTLING = 2
# Fewer blocks that missed say too little of how misses are spread for a bootstrap.
FEWEST_BLOCKS = 10
RESAMPLES = 4000


@dataclass(frozen=True)
class Blocks:
    """The frames and the misses of each block that is judged, int64 [blocks]; of several runs one after the other."""

    frames: np.ndarray
    misses: np.ndarray
    streams: int
    diverged: bool = False
    kind: Kind = "periodic"

    def __add__(self, other: "Blocks") -> "Blocks":
        return Blocks(
            np.r_[self.frames, other.frames],
            np.r_[self.misses, other.misses],
            self.streams,
            self.diverged or other.diverged,
            self.kind,
        )


@dataclass(frozen=True)
class Verdict:
    """The verdict on a number of streams. rate: of missed frames, with its one-sided bounds at the confidence given.

    effective: the number of independent frames that the run is worth. method: how the bounds were found.
    """

    word: Word
    rate: float
    low: float
    high: float
    blocks: int
    effective: float
    method: Literal["bootstrap over blocks", "exact binomial"]


def by_block(arrivals: Arrivals, served: Served, deadline_ns: float) -> Blocks:
    """Return the frames and misses of each block but the first, which warms up, without the settling periods."""
    misses = missed(arrivals, served, deadline_ns)
    within = arrivals.planned_ns - arrivals.block.astype(np.int64) * arrivals.block_ns
    settling = 0.0 if arrivals.kind == "poisson" else SETTLING * 1e9 / arrivals.fps
    judged = (within >= settling) & (arrivals.block > 0)
    block = arrivals.block[judged]
    frames = np.bincount(block, minlength=arrivals.blocks)[1:]
    return Blocks(
        frames[frames > 0],
        np.bincount(block, misses[judged], arrivals.blocks)[1:].astype(np.int64)[frames > 0],
        arrivals.streams,
        served.diverged,
        arrivals.kind,
    )


def judge(blocks: Blocks, limit: float = 0.01, confidence: float = 0.95, seed: int = 0) -> Verdict:
    """Return whether the share of missed frames is at most `limit`: the bound on that side decides.

    With FEWEST_BLOCKS blocks that missed, bounds come from a bootstrap over blocks, in runs as long as neighbouring
    blocks are correlated (Künsch, Annals of Statistics 17, 1989). With fewer, from the exact binomial distribution
    (Clopper and Pearson, Biometrika 26, 1934) of the effective number of frames: frames over their design effect (Kish,
    Survey Sampling, 1965), at most a third of the streams for each block, at least one. Of one stream and of
    synchronised ones no phases are drawn: there at most one for each moment at which frames come. Where nothing was
    missed that is the rule of three, on effective frames and never on all.
    """
    count, total = len(blocks.frames), int(blocks.frames.sum())
    rate = float(blocks.misses.sum() / total) if total else 1.0
    effective = _effective(blocks)
    if (blocks.misses > 0).sum() >= FEWEST_BLOCKS:
        method: Literal["bootstrap over blocks", "exact binomial"] = "bootstrap over blocks"
        low, high = _bootstrap(blocks, confidence, seed)
    else:
        method = "exact binomial"
        low, high = _exact(rate * effective, effective, confidence)
    word: Word = "undecided"
    if blocks.diverged:
        word = "diverges"
    elif high <= limit:
        word = "passes"
    elif low > limit:
        word = "fails"
    return Verdict(word, rate, low, high, count, effective, method)


def _effective(blocks: Blocks) -> float:
    """Return the number of independent frames that blocks are worth."""
    count, total = len(blocks.frames), int(blocks.frames.sum())
    drawn = blocks.kind == "poisson" or (blocks.kind == "periodic" and blocks.streams > 1)
    most = count * max(1.0, blocks.streams / 3) if drawn else total / blocks.streams
    rate = blocks.misses.sum() / total if total else 0.0
    if count < 2 or not 0 < rate < 1:
        return float(min(most, total))
    size = total / count
    spread = float(np.sum((blocks.misses - rate * blocks.frames) ** 2) / (count - 1)) / size
    design = spread / (rate * (1 - rate))
    return float(np.clip(total / max(design, 1e-9), min(count, total), min(most, total)))


def _bootstrap(blocks: Blocks, confidence: float, seed: int) -> tuple[float, float]:
    """Return the lower and upper bound of the rate: percentiles of resampled runs of neighbouring blocks."""
    time, _ = correlation_window(blocks.misses / blocks.frames)
    length, count = min(ceil(time), len(blocks.frames)), len(blocks.frames)
    random = np.random.default_rng(seed)
    starts = random.integers(0, count, (RESAMPLES, ceil(count / length)))
    chosen = (starts[:, :, None] + np.arange(length)) % count  # around the end, so that all blocks weigh the same
    chosen = chosen.reshape(RESAMPLES, -1)[:, :count]
    rates = blocks.misses[chosen].sum(axis=1) / blocks.frames[chosen].sum(axis=1)
    return float(np.quantile(rates, 1 - confidence)), float(np.quantile(rates, confidence))


def _exact(misses: float, frames: float, confidence: float) -> tuple[float, float]:
    """Return the lower and upper bound of a share, `misses` of `frames`, which need not be whole."""
    low = float(special.betaincinv(misses, frames - misses + 1, 1 - confidence)) if misses > 0 else 0.0
    high = float(special.betaincinv(misses + 1, frames - misses, confidence)) if misses < frames else 1.0
    return low, high

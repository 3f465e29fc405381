"""The arrivals of frames: a table that is drawn before a run, so that nothing that happens in it moves a frame."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["periodic", "synchronised", "poisson"]
SECOND = 1_000_000_000


@dataclass(frozen=True)
class Arrivals:
    """The plan of a run: when each frame arrives, of which stream, in which block; sorted by time.

    planned_ns: int64 [frames], from the start of the run. stream, block: int32 [frames]. blocks: their count, each of
    block_ns. A block is what is drawn anew, and so the unit of statistics.
    """

    kind: Kind
    streams: int
    fps: float
    blocks: int
    block_ns: int
    planned_ns: np.ndarray
    stream: np.ndarray
    block: np.ndarray

    def __len__(self) -> int:
        return len(self.planned_ns)

    @property
    def seconds(self) -> float:
        """The length of the run in s."""
        return self.blocks * self.block_ns / SECOND


def draw(
    kind: Kind, streams: int, fps: float, blocks: int, seed: int, periods: int = 12, jitter_ms: float = 0.0
) -> Arrivals:
    """Return the arrivals of `streams` cameras of `fps` frames a second, in blocks of `periods` frames of each.

    periodic: each stream has a phase of its own, drawn anew in each block: within one draw all periods are alike where
    service is constant, so that a long run with one draw is worth a single sample. synchronised: all streams at once,
    as cameras with a common trigger. poisson: independent requests of the same rate, which is pessimistic for cameras
    (Eckberg, IEEE Transactions on Communications 27, 1979). jitter_ms: each frame is later by up to that much,
    uniformly, as on a network. Times are made of uniform numbers of PCG64, and of logarithms to a microsecond, so that
    a seed gives the same table on every machine. Raises ValueError for counts that are no counts.
    """
    if streams < 1 or blocks < 1 or periods < 1 or not fps > 0:
        raise ValueError(f"{streams} streams of {fps} frames a second in {blocks} blocks of {periods} are no arrivals")
    uniform = np.random.Generator(np.random.PCG64(seed)).random
    block_ns = round(periods * SECOND / fps)
    if kind == "poisson":
        planned, stream = _poisson(uniform, streams, fps, blocks * block_ns)
        block = planned // block_ns
    else:
        planned, stream, block = _by_blocks(kind, uniform, (blocks, streams, periods), fps, block_ns)
    if jitter_ms:
        planned = planned + np.floor(uniform(len(planned)) * jitter_ms * 1e6).astype(np.int64)
    order = np.argsort(planned, kind="stable")
    stream, block = stream[order].astype(np.int32), block[order].astype(np.int32)
    return Arrivals(kind, streams, fps, blocks, block_ns, planned[order], stream, block)


def _poisson(uniform, streams: int, fps: float, end_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (times in ns, streams) of a Poisson process of all streams together, until `end_ns`."""
    mean_us = 1e6 / (streams * fps)
    planned = np.zeros(0, dtype=np.int64)
    while len(planned) == 0 or planned[-1] < end_ns:
        gaps = np.rint(-np.log1p(-uniform(4096)) * mean_us).astype(np.int64) * 1000
        planned = np.concatenate([planned, (planned[-1] if len(planned) else 0) + np.cumsum(gaps)])
    planned = planned[planned < end_ns]
    return planned, np.floor(uniform(len(planned)) * streams).astype(np.int64)


def _by_blocks(kind: Kind, uniform, shape: tuple[int, int, int], fps: float, block_ns: int):
    """Return (times in ns, streams, blocks) of periodic frames, each stream with one phase in a block."""
    blocks, streams, periods = shape
    phase = np.zeros((blocks, streams, 1)) if kind == "synchronised" else uniform((blocks, streams, 1))
    within = np.floor((np.arange(periods)[None, None, :] + phase) * (SECOND / fps)).astype(np.int64)
    block, stream, _ = np.indices(shape)
    return (block * block_ns + within).ravel(), stream.ravel(), block.ravel()

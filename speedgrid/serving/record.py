"""The record of a setting under load, declared: what was asked, and what was seen. Nothing in it is a judgement.

Whether a number of streams passes is decided where the record is read (speedgrid.serving.verdict.judge), from the
frames and misses of its blocks.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from speedgrid.data.resolution import Resolution
from speedgrid.data.samples import Host
from speedgrid.grid import Cell
from speedgrid.launcher.outputs import one_line, write_checked
from speedgrid.launcher.reading import REMEDY, Readable, read_json, short
from speedgrid.record import Memory, Outcome, RecordError
from speedgrid.serving.arrivals import Arrivals, Kind
from speedgrid.serving.batching import Policy
from speedgrid.serving.figures import Figures, doubts, figures
from speedgrid.serving.loop import DROPPED, Queue, Served
from speedgrid.serving.seen import FORMAT
from speedgrid.serving.verdict import Blocks, by_block

# The shares of frames at which a distribution is kept: each hundredth, and finer where deadlines are missed.
SHARES = tuple(
    [number / 100 for number in range(100)] + [0.99 + number / 1000 for number in range(1, 10)] + [0.9995, 1]
)


@dataclass(frozen=True)
class Place:
    """The place that is served: one setting of a model at a resolution, with the batch sizes that are loaded."""

    model: str
    backend: str
    precision: str
    resolution: Resolution
    batch_sizes: list[int]

    def __str__(self) -> str:
        return f"{self.model}-{self.backend}-{self.precision}-r{self.resolution}"


@dataclass(frozen=True)
class Asked:
    """The demand of a serving job. deadline_ms: from planned arrival to result. quantile: of frames that must keep it.

    blocks: of a confirmation, over all of its rounds. seed: of the tables of arrivals. arrivals: of which something is
    said, the periodic ones among them. patience_seconds: how long each run waits for others to be quiet, and is made
    again where they were not. in_flight: calls that are begun before the oldest has ended.
    """

    place: Place
    device: str
    fps: float
    deadline_ms: float
    quantile: float
    confidence: float
    batching: Policy | Literal["auto"]
    queue: Queue
    blocks: int
    rounds: int
    seed: int
    cpu_threads: int
    arrivals: list[Kind] = field(default_factory=lambda: list(get_args(Kind)))
    patience_seconds: float = 0.0
    in_flight: int = 1


@dataclass(frozen=True)
class Run:
    """One run of a number of streams, in the process of a round.

    arrivals: how frames came. round: of the confirmation, from 1; 0 is a probe of the search. deadline_ms: that misses
    are counted by. frames, misses: of each block that is judged. doubts: why it says nothing of the setting, in one
    clause each. quantiles: in ms, at SHARES, of `latency`, `wait` and `service` of the frames that were served.
    seconds: of the whole run; host: what the processors did meanwhile.
    """

    arrivals: Kind
    streams: int
    round: int
    seed: int
    deadline_ms: float
    frames: list[int]
    misses: list[int]
    diverged: bool
    doubts: list[str]
    figures: Figures
    quantiles: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    host: Host | None = None

    def blocks(self) -> Blocks:
        """Return the blocks of the run, to be judged."""
        frames, misses = np.array(self.frames, np.int64), np.array(self.misses, np.int64)
        return Blocks(frames, misses, self.streams, self.diverged, self.arrivals)


@dataclass(frozen=True)
class Timeline:
    """A stretch of one run, to be drawn; times in ms from its start.

    planned_ms, stream, started_ms, finished_ms: of each frame, None where it was dropped. calls: of each its start,
    end, batch size, frames in it, and frames that waited when it began.
    """

    streams: int
    deadline_ms: float
    planned_ms: list[float]
    stream: list[int]
    started_ms: list[float | None]
    finished_ms: list[float | None]
    calls: list[tuple[float, float, int, int, int]]


@dataclass(frozen=True)
class Service:
    """The time of one call by its batch size, in ms, measured one call after another: median and 99th percentile."""

    batch_size: int
    median_ms: float
    p99_ms: float
    calls: int


@dataclass(frozen=True)
class Load:
    """The observations of a setting under load.

    policy: that was taken. predicted: streams that a replay with the times of `service` lets through. probes: of the
    search, in their order; runs: that were confirmed on data of their own. memory: of all sessions in one process.
    seconds: where the time went. timeline: of a run with as many streams as were confirmed.
    """

    policy: Policy
    service: list[Service]
    predicted: int
    probes: list[Run]
    runs: list[Run]
    memory: Memory
    seconds: dict[str, float]
    timeline: Timeline | None = None


@dataclass(frozen=True)
class Serving(Outcome):
    """One setting under load: what was asked, and what was seen; None unless it ran."""

    asked: Asked
    seen: Load | None = None
    format: int = FORMAT

    @property
    def cell(self) -> Cell:
        """The cell of its smallest batch size."""
        place = self.asked.place
        return Cell(place.model, place.backend, place.precision, place.resolution, place.batch_sizes[0])


def run_of(arrivals: Arrivals, served: Served, deadline_ms: float, round_: int, seed: int) -> Run:
    """Return the run, as a record keeps it, of a number of streams that was served."""
    blocks = by_block(arrivals, served, deadline_ms * 1e6)
    return Run(
        arrivals=arrivals.kind,
        streams=arrivals.streams,
        round=round_,
        seed=seed,
        deadline_ms=deadline_ms,
        frames=blocks.frames.tolist(),
        misses=blocks.misses.tolist(),
        diverged=served.diverged,
        doubts=doubts(served, deadline_ms * 1e6),
        figures=figures(arrivals, served, deadline_ms * 1e6),
        quantiles=_quantiles(arrivals, served),
        seconds=round(served.elapsed_ns / 1e9, 4),
    )


def _quantiles(arrivals: Arrivals, served: Served) -> dict[str, list[float]]:
    ran = served.finished_ns != DROPPED
    if not ran.any():
        return {}
    wait = (served.started_ns - arrivals.planned_ns)[ran] / 1e6
    latency = (served.finished_ns - arrivals.planned_ns)[ran] / 1e6
    found = {"latency": latency, "wait": wait, "service": latency - wait}
    return {name: np.quantile(values, SHARES).round(4).tolist() for name, values in found.items()}


def timeline(arrivals: Arrivals, served: Served, deadline_ms: float, block: int = 1) -> Timeline:
    """Return the timeline of a block, by the planned arrival of its frames, with the calls that had any of them."""
    of_block = np.flatnonzero((arrivals.block == block) & (served.finished_ns != DROPPED))
    start, end = block * arrivals.block_ns, (block + 1) * arrivals.block_ns
    last = int(served.finished_ns[of_block].max()) if len(of_block) else end
    shown = np.flatnonzero(arrivals.block == block)

    def ms(moment: int) -> float | None:
        return None if moment == DROPPED else round((moment - start) / 1e6, 4)

    calls = [one for one in served.calls.tolist() if one[1] > start and one[0] < last]
    return Timeline(
        streams=arrivals.streams,
        deadline_ms=deadline_ms,
        planned_ms=[round((one - start) / 1e6, 4) for one in arrivals.planned_ns[shown].tolist()],
        stream=arrivals.stream[shown].tolist(),
        started_ms=[ms(one) for one in served.started_ns[shown].tolist()],
        finished_ms=[ms(one) for one in served.finished_ns[shown].tolist()],
        calls=[(round((a - start) / 1e6, 4), round((b - start) / 1e6, 4), *rest) for a, b, *rest in calls],
    )


def pooled(runs: list[Run]) -> Blocks | None:
    """Return the blocks of those runs of a number of streams that count, one after another; None where none does."""
    counted = [one.blocks() for one in runs if not one.doubts]
    return sum(counted[1:], counted[0]) if counted else None


def write(path: str | Path, serving: Serving) -> None:
    """Write a record to `path`, as JSON with its checksum, whole or not at all."""
    write_checked(path, asdict(serving))


def read(path: str | Readable, remedy: str = REMEDY) -> Serving:
    """Return the record in `path`, a path or one inside a ZIP file. Raises RecordError or FileError if it is none.

    remedy: what to do about it, in one clause.
    """
    import msgspec

    content = read_json(path, dict, remedy)
    if (version := content.get("format")) != FORMAT:
        raise RecordError(f"{path} has format {short(version)}; this version reads {FORMAT}; {remedy}.")
    try:
        found = msgspec.convert(content, Serving)
    except (msgspec.ValidationError, ValueError, TypeError, RecursionError) as error:
        raise RecordError(f"{path} is not a readable record of serving ({one_line(error)}); {remedy}.") from error
    if (found.status == "ok") == (found.seen is None):
        raise RecordError(f"{path} is no record of serving (its status contradicts what it saw); {remedy}.")
    return found

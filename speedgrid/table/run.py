"""The types of a finished run: its table of results, and the description of what was asked and measured beside it.

Importing this imports no more than pandas; speedgrid.table.description makes them.
"""

from typing import Any, NotRequired, TypeAlias, TypedDict

import pandas as pd

from speedgrid.data.resolution import Resolution
from speedgrid.data.source import Images
from speedgrid.grid import Config
from speedgrid.machine.data_sheet import Peaks
from speedgrid.model.described import Arithmetic, Origin
from speedgrid.record import Machine
from speedgrid.serving.decoded import Decoding
from speedgrid.serving.seen import Streams
from speedgrid.table.operators import Profile

# The results of a run, or some rows of them: one for each cell, with the columns of speedgrid.table.columns.
Table: TypeAlias = pd.DataFrame
# A row of them by the names of its columns.
Row: TypeAlias = dict[str, Any]
# One row for each timing, with the columns of speedgrid.table.rounds.
Timings: TypeAlias = pd.DataFrame


class Reference(TypedDict):
    """The setting that speed-ups are relative to."""

    backend: str
    precision: str


class Drift(TypedDict):
    """The timings of a run's control cell from its start to its end, and the largest difference between any two."""

    latency_ms: list[float]
    measured_at: list[str]
    drift_percent: float


class Tie(TypedDict):
    """The ratio of the control cell's latency under two names, with its 95 % interval over `rounds` of them.

    ties: the interval contains 1. tells: it is narrow enough to say something; not in older descriptions.
    """

    ratio: float
    low: float
    high: float
    rounds: int
    ties: bool
    tells: NotRequired[bool]


class Noise(TypedDict):
    """The differences of a run from itself, as of speedgrid.table.controls.summarise."""

    sentinel: Drift | None
    twin: Tie | None
    noise_floor_percent: float | None


class Controls(Noise):
    """The differences of a run from itself, with the name of the control cell that shows them."""

    cell: str | None


class Share(TypedDict):
    """The share of right answers of a model, with its 95 % interval."""

    top1: float
    top1_low: float
    top1_high: float


class Accuracy(TypedDict):
    """The evaluations of a run: on which images, how often the float32 models are right, and which are missing.

    missing: model, backend, precision, status and reason of each.
    """

    resolution: Resolution
    batch_size: int
    images: Images
    models: dict[str, Share | None]
    missing: list[dict[str, str]]


class Neighbours(TypedDict):
    """The cores that something else had during the measurements."""

    median_cores: float
    most_cores: float


class Processor(TypedDict):
    """The times of a fixed loop around all measurements, as of speedgrid.table.conditions.processor."""

    best_ms: float
    median_ms: float
    worst_ms: float
    slow_percent: float


class Held(TypedDict):
    """The records of a run held against themselves and each other, as of speedgrid.table.held.

    records: how many there are, of which so many have no checksum. contradictory: why, by the name of each that cannot
    be true.
    """

    records: int
    without_checksum: int
    contradictory: dict[str, str]


class Sitting(TypedDict):
    """One session of measuring: what was timed for one start of the workflow.

    number: in time. slowdown: how many times as long the control cell took as in the quickest session, with its 95 %
    interval; None where that is not known.
    """

    number: int
    began: str
    ended: str
    timings: int
    slowdown: list[float] | None


class Summary(TypedDict):
    """The facts of a run beside its tables, as plain JSON values."""

    machine: Machine
    weights: list[Origin]
    accuracy: Accuracy | None
    arithmetic: Arithmetic
    peaks: Peaks
    measured_from: str
    measured_to: str
    statuses: dict[str, int]
    gpus: int
    loaded_beside: int
    threads: int
    details: dict[str, dict[str, Any]]
    commands: dict[str, str]
    controls: Controls
    neighbours: Neighbours | None
    processor: Processor | None
    held: Held | None
    decoding: NotRequired[Decoding | None]
    streams: NotRequired[list[Streams]]
    operators: NotRequired[list[Profile]]  # not in older descriptions
    sessions: NotRequired[list[Sitting]]


class Description(Summary):
    """A summary with the configuration that the run was asked for, every default filled in."""

    config: Config

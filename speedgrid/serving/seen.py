"""The types of streams under load as they were seen, as plain JSON values; importing this imports nothing else.

A record is of one place: a model at a resolution in one setting, with the batch sizes that were loaded. It holds what
was asked and what was seen; speedgrid.serving.claims judges it.
"""

from typing import Literal, NotRequired, TypedDict

from speedgrid.data.resolution import Resolution

# Of the records of streams under load.
FORMAT = 1
Kind = Literal["periodic", "synchronised", "poisson"]
# Percents at which a distribution is kept: enough for its curve, and its end.
PERCENTS = (*range(0, 95, 5), 95, 96, 97, 98, 99, 99.5, 99.9, 100)


class Place(TypedDict):
    """The setting that serves: batch sizes of one model, backend, precision and resolution, in one process."""

    model: str
    backend: str
    precision: str
    resolution: Resolution
    batch_sizes: list[int]


class Asked(TypedDict):
    """The demand on a place, and how it serves. quantile: the share of frames that must be in time, 0 to 1.

    batching, queue: policies of speedgrid.serving.batching and .loop. in_flight: calls at once, 1 where it is not said.
    """

    fps: float
    deadline_ms: float
    quantile: float
    confidence: float
    batching: str
    queue: str
    seed: int
    in_flight: NotRequired[int]


class Run(TypedDict):
    """The frames and the misses of each judged block of one run under load, in one process.

    confirms: it was made after the search, on arrivals that the search did not use. doubts: why it says nothing of the
    machine, a clause each.
    """

    kind: Kind
    streams: int
    deadline_ms: float
    confirms: bool
    frames: list[int]
    misses: list[int]
    diverged: bool
    doubts: list[str]


class Distribution(TypedDict):
    """The times of all frames of a run that were served, in ms, at PERCENTS."""

    wait_ms: list[float]
    service_ms: list[float]
    latency_ms: list[float]


class Call(TypedDict):
    """One call of a timeline: its begin and end in ms, its batch size, and how many of its images were frames."""

    start_ms: float
    end_ms: float
    batch_size: int
    frames: int


class Timeline(TypedDict):
    """One block of a run, in ms from its begin: when frames came, and the calls that began in it.

    waiting: frames that had come before and were not yet in a call.
    """

    milliseconds: float
    arrived_ms: list[float]
    waiting: int
    calls: list[Call]


class Loaded(TypedDict):
    """A run under load as a whole, of the largest number of streams that was confirmed.

    utilisation: time in calls over elapsed time. lag_p99_ms: how late the loop itself noticed a frame.
    """

    streams: int
    served_fps: float
    utilisation: float
    mean_batch: float
    worst_stream: float
    longest_gap: int
    lag_p99_ms: float
    distribution: Distribution
    timeline: Timeline


class Streams(TypedDict):
    """Streams under load at one place. status: `ok`, or why there is nothing, with its reason.

    service_ms: of one call by batch size, one after another, before the search. memory_mb: of all sessions together.
    """

    status: str
    reason: str
    place: Place
    asked: Asked
    service_ms: dict[str, float]
    memory_mb: float | None
    runs: list[Run]
    loaded: Loaded | None

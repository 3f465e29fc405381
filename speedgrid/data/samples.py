"""The types of what a timing gives: samples in slices, and what others took of the machine meanwhile."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Host:
    """The processors of a machine while a cell was timed, as of speedgrid.measure.host; None is what nobody told.

    In cores: busy with other processes; given to other machines by the host of a virtual one; that this process was
    ready to use and had to wait for; that it used; that the machine has. pace_ms: of a fixed piece of work.
    """

    busy_elsewhere_cores: float
    stolen_cores: float
    pace_ms: list[float] = field(default_factory=list)
    waited_cores: float | None = None
    own_cores: float | None = None
    cores: int | None = None


@dataclass(frozen=True)
class Slice:
    """A short turn of a cell: some of its timed calls, one right after another, and what others took meanwhile.

    started: seconds since the epoch. seconds: from its first timed call to its last one's end. calls: how many of the
    samples are its own, in their order. host: None where the system does not tell.
    """

    started: float
    seconds: float
    calls: int
    host: Host | None = None


@dataclass(frozen=True)
class Samples:
    """Raw samples of one cell in one round, in ms a call.

    host_ms: until its result is there. device_ms: between CUDA events around it; empty on the CPU. submit_ms: until it
    returned. steady: two windows of warm-up calls agreed. timed_seconds: of all slices. capped: max_seconds was over
    before the interval was narrow. slices: all that were taken, disturbed ones too; none in older records.
    paused_seconds: of its turns, in which nothing was timed: looks at the machine, waiting for quiet, filling caches.
    """

    host_ms: list[float]
    device_ms: list[float] = field(default_factory=list)
    submit_ms: list[float] = field(default_factory=list)
    warmup_runs: int = 0
    warmup_seconds: float = 0.0
    timed_seconds: float = 0.0
    steady: bool = False
    capped: bool = False
    slices: list[Slice] = field(default_factory=list)
    paused_seconds: float = 0.0


def of_slices(series: list[float], slices: list[Slice], kept: list[bool]) -> list[float]:
    """Return the values of a series in the slices that are kept, in order; of a clock that nobody read it is empty."""
    found, place = [], 0
    for one, keep in zip(slices, kept, strict=True):
        found += series[place : place + one.calls] if keep else []
        place += one.calls
    return found


def calls_of(slices: list[Slice], kept: list[bool]) -> int:
    """Return how many calls the slices have that are kept."""
    return sum(one.calls for one, keep in zip(slices, kept, strict=True) if keep)

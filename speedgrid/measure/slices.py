"""Timing in slices: short turns, each of which knows what others took meanwhile; a disturbed one is taken again.

Between two slices others may have their turn, so that cells that are compared are timed in the same minutes, and a
speed-up is a ratio of neighbours: duet benchmarking (Bulej et al., ICPE 2020, doi:10.1145/3358960.3379132) and
randomised interleaved trials (Abedi and Brecht, ICPE 2017).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from statistics import median
from typing import TypeAlias

from speedgrid.data.samples import Host, Samples, Slice, calls_of, of_slices
from speedgrid.evidence.quiet import quiet, stood_still
from speedgrid.measure.host import HostLoad
from speedgrid.measure.patience import Patience
from speedgrid.record import Asked

# A turn: nothing else is timed meanwhile. Its value says whether others may have had one since this process's last.
Turn: TypeAlias = Callable[[], AbstractContextManager[bool]]
# A slice ends with the first call after so many seconds.
SLICE_SECONDS = 0.1
# Calls at the beginning of a turn that fill the caches again and are not timed; of those as long as a slice, none.
REFILLS = 2
# Timed calls that a cell always gets, however slow it is: fewer give no spread at all.
FEWEST_RUNS = 3
# Sums of seconds are off by less than this.
ROUNDING = 1e-9


@contextmanager
def undivided() -> Iterator[bool]:
    """Give a turn to a process that has the device to itself anyway."""
    yield False


class Course:
    """The slices of one timing, one after another until it has what was asked.

    once: times one call of the session and appends it to samples. tight: whether an interval is narrow enough.
    """

    def __init__(
        self,
        session,
        asked: Asked,
        samples: Samples,
        once: Callable[..., None],
        tight: Callable[[list[float], float], bool],
        turn: Turn = undivided,
    ):
        self.session, self.asked, self.samples = session, asked, samples
        self.once, self.tight, self.turn = once, tight, turn
        self.patience, self.next_look = Patience(asked.patience_seconds), asked.timed_runs
        self.capped = self.looked = False

    def run(self) -> Samples:
        """Return the samples of all slices."""
        had = 0.0
        while not self.enough():
            with self.turn() as shared:
                began = time.perf_counter()
                self.prepare(shared)
                self.take()
                had += time.perf_counter() - began
        seconds = sum(one.seconds for one in self.samples.slices)
        paused = round(max(0.0, had - seconds), 6)
        return replace(self.samples, timed_seconds=round(seconds, 6), capped=self.capped, paused_seconds=paused)

    def prepare(self, shared: bool) -> None:
        """Wait for quiet where the last slice was disturbed, and fill the caches where others had their turn."""
        if not all(quiet(self.samples.slices)[-1:]):
            self.patience.await_quiet()
        call = median(self.samples.host_ms) / 1000 if self.samples.host_ms else 0.0
        if shared and call < SLICE_SECONDS:
            for _ in range(REFILLS):
                self.session.run()
                self.session.synchronize()

    def take(self) -> None:
        """Time calls for one slice, or until the next look."""
        host, runs_before, seconds_before = HostLoad(), len(self.samples.host_ms), self.counted_seconds()
        counted, began, started = self.counted_runs() - runs_before, time.time(), time.perf_counter()
        while True:
            self.once(self.session, self.samples)
            seconds = time.perf_counter() - started
            done = self.due(len(self.samples.host_ms) + counted, seconds_before + seconds)
            # The first look comes as soon as it may; a turn for a later one should be worth its beginning.
            if seconds >= SLICE_SECONDS or (done and (not self.looked or seconds >= SLICE_SECONDS / 2)):
                break
        calls = len(self.samples.host_ms) - runs_before
        self.samples.slices.append(Slice(round(began, 3), round(seconds, 6), calls, host.read()))
        if not quiet(self.samples.slices)[-1]:
            self.patience.lose(seconds)

    def due(self, runs: int, seconds: float) -> bool:
        """Tell if a look is due after a number of calls and seconds, or the time is over."""
        seconds += ROUNDING
        if runs >= FEWEST_RUNS and seconds >= self.asked.max_seconds:
            return True
        return runs >= max(self.next_look, 1) and seconds >= self.asked.min_seconds

    def enough(self) -> bool:
        """Say whether what counts is all that was asked, or all that there is time for."""
        runs, seconds = self.counted_runs(), self.counted_seconds()
        # A first slice that is far too long may be one in which this process was stopped: a second one tells.
        alone = len(self.samples.slices) == 1 and seconds > 2 * SLICE_SECONDS
        if alone or not runs or not self.due(runs, seconds):
            return False
        narrow = runs >= self.asked.timed_runs and self.tight(self.counted_ms(), self.asked.target_percent)
        # Looking costs a millisecond: each time wait for a quarter more samples.
        self.next_look, self.looked = max(runs * 5 // 4, runs + 1), True
        self.capped = not narrow and seconds + ROUNDING >= self.asked.max_seconds
        return narrow or self.capped

    def counting(self) -> list[bool]:
        """Return which slices count: the quiet ones, or others too where there is no patience left for more."""
        slices = self.samples.slices
        return quiet(slices) if self.patience.left > 0 else [not still for still in stood_still(slices)]

    def counted_runs(self) -> int:
        """Return the number of calls that count."""
        return calls_of(self.samples.slices, self.counting())

    def counted_seconds(self) -> float:
        """Return the time of the slices that count."""
        return sum(one.seconds for one, counts in zip(self.samples.slices, self.counting(), strict=True) if counts)

    def counted_ms(self) -> list[float]:
        """Return the calls that count, in ms."""
        return of_slices(self.samples.host_ms, self.samples.slices, self.counting())


def together(slices: list[Slice]) -> Host | None:
    """Return the load of others over all slices: means over their time, and the pace of each."""
    known = [(one.host, one.seconds) for one in slices if one.host]
    if not known:
        return None

    def mean(values: list[float | None]) -> float | None:
        present = [(value, seconds) for value, (_, seconds) in zip(values, known, strict=True) if value is not None]
        total = sum(seconds for _, seconds in present)
        return round(sum(value * seconds for value, seconds in present) / total, 3) if total else None

    return Host(
        busy_elsewhere_cores=mean([host.busy_elsewhere_cores for host, _ in known]) or 0.0,
        stolen_cores=mean([host.stolen_cores for host, _ in known]) or 0.0,
        pace_ms=[pace for host, _ in known for pace in host.pace_ms],
        waited_cores=mean([host.waited_cores for host, _ in known]),
        own_cores=mean([host.own_cores for host, _ in known]),
        cores=known[0][0].cores,
    )

"""The loop that serves frames as they arrive: one thread, no generator that competes with what it measures.

Latency is from the planned arrival to the finished result. A stall therefore makes later frames late by itself: who
times from the moment of sending, or sends the next frame when the last is done, does not see it (coordinated
omission; Tene, "How NOT to measure latency", 2013). MLPerf's LoadGen takes the same view in its Server scenario.
"""

import time
from collections import deque
from dataclasses import dataclass
from math import ceil
from typing import Literal, Protocol

import numpy as np

from speedgrid.serving.arrivals import Arrivals
from speedgrid.serving.batching import Choose, Waiting

Queue = Literal["keep", "latest"]
# A sleep ends late by some 50 us; what is left is spun, while there is nothing to serve and so no core is missed.
SPIN_NS = 300_000
DROPPED = -1


class Clock(Protocol):
    """The time of a run in ns, real or pretended."""

    def now(self) -> int:
        """Return the time in ns."""
        ...

    def wait_until(self, moment: int) -> None:
        """Return at `moment`, or at once where it has passed."""
        ...


class RealClock:
    """The clock of this machine."""

    now = staticmethod(time.perf_counter_ns)

    def wait_until(self, moment: int) -> None:
        """Sleep until shortly before `moment`, and spin from there."""
        while (left := moment - time.perf_counter_ns()) > 0:
            if left > SPIN_NS:
                time.sleep((left - SPIN_NS) / 1e9)


class Server(Protocol):
    """The runner of batches: sessions of all batch sizes of a family, or a pretended one."""

    def submit(self, size: int, frames: list[int]) -> object:
        """Begin a call of `size` images on these frames, and return what `wait` takes; it may have ended already."""
        ...

    def wait(self, call: object, moment: int | None = None) -> bool:
        """Block until the results of the call are there, or until `moment` of the clock; say whether they are."""
        ...


@dataclass(frozen=True)
class Served:
    """The result of a run. Times in ns from its start; frames in the order of their planned arrival.

    started_ns, finished_ns: int64 [frames]; DROPPED where a frame never ran. calls: int64 [calls, 5], for each call its
    start, end, batch size, frames in it, and frames that waited then. lag_ns: int64, how late the loop noticed a frame
    that it had waited for. idle_ns: the time that it waited so. elapsed_ns: of the whole run. diverged: the backlog
    outgrew its limit, and the run was ended.
    """

    started_ns: np.ndarray
    finished_ns: np.ndarray
    calls: np.ndarray
    lag_ns: np.ndarray
    idle_ns: int
    elapsed_ns: int
    diverged: bool = False


@dataclass(frozen=True)
class Plan:
    """The way in which frames are served.

    choose: how many go into a call. queue: `keep` serves every frame, in order; `latest` keeps one of each stream, and
    a newer one takes its place. in_flight: calls that are begun before the oldest is waited for. backlog: with more
    frames than this in the queue the run ends as diverged. patience_ns: how long `choose` lets a frame wait for others.
    """

    choose: Choose
    queue: Queue = "keep"
    in_flight: int = 1
    backlog: int | None = None
    patience_ns: float | None = None


def serve(arrivals: Arrivals, server: Server, plan: Plan, clock: Clock) -> Served:
    """Return the fate of each frame of `arrivals`."""
    run = _Run(arrivals, server, plan, clock)
    diverged = False
    while not diverged and run.step():
        diverged = plan.backlog is not None and len(run.waiting) > plan.backlog
    while run.flying:
        run.land()
    calls = np.array(run.calls, dtype=np.int64).reshape(-1, 5)
    started, finished = np.array(run.started, dtype=np.int64), np.array(run.finished, dtype=np.int64)
    return Served(started, finished, calls, np.array(run.lag, dtype=np.int64), run.idle_ns, run.now(), diverged)


class _Run:
    """The state of a run: the frames that wait, the calls that are in flight, and what became of the others."""

    def __init__(self, arrivals: Arrivals, server: Server, plan: Plan, clock: Clock):
        self.server, self.plan, self.clock = server, plan, clock
        # Lists: a number out of an array takes three times as long.
        self.planned, self.stream = arrivals.planned_ns.tolist(), arrivals.stream.tolist()
        self.next = 0
        self.waiting: deque[int] = deque()
        self.newest: dict[int, int] = {}
        self.flying: deque[tuple[object, list[int], tuple[int, int, int]]] = deque()
        self.started = [DROPPED] * len(arrivals)
        self.finished = [DROPPED] * len(arrivals)
        self.calls: list[tuple[int, int, int, int, int]] = []
        self.lag: list[int] = []
        self.idle_ns = 0
        self.start = clock.now()

    def now(self) -> int:
        """Return the time since the start of the run in ns."""
        return self.clock.now() - self.start

    def step(self) -> bool:
        """Begin a call, or wait for one, or for a frame; say whether there is anything left to do."""
        now = self.now()
        self.take_due(now)
        more = self.next < len(self.planned)
        size = None
        if self.waiting and len(self.flying) < self.plan.in_flight:
            oldest = now - self.planned[self.waiting[0]]
            size = self.plan.choose(Waiting(len(self.waiting), oldest, more))
        if size is not None:
            self.begin(size, now)
        elif self.flying:
            self.land(self.next_moment() if len(self.flying) < self.plan.in_flight else None)
        elif more or self.waiting:
            self.idle()
        else:
            return False
        return True

    def take_due(self, now: int) -> None:
        """Put every frame whose time has come into the queue."""
        while self.next < len(self.planned) and self.planned[self.next] <= now:
            frame, of = self.next, self.stream[self.next]
            if self.plan.queue == "latest" and of in self.newest:
                # In the place of the old one: else a stream that is replaced often would wait for ever.
                self.waiting[self.waiting.index(self.newest[of])] = frame
            else:
                self.waiting.append(frame)
            self.newest[of] = frame
            self.next += 1

    def begin(self, size: int, now: int) -> None:
        """Begin a call on the oldest frames that wait; where as many fly as may, the oldest call is waited for."""
        length = len(self.waiting)
        frames = [self.waiting.popleft() for _ in range(min(size, length))]
        for frame in frames:
            self.started[frame] = now
            if self.newest.get(self.stream[frame]) == frame:
                del self.newest[self.stream[frame]]
        self.flying.append((self.server.submit(size, frames), frames, (now, size, length)))
        if len(self.flying) == self.plan.in_flight:
            self.land()

    def land(self, moment: int | None = None) -> None:
        """Wait for the oldest call, and write down when its frames were finished; or until `moment`, if that is sooner.

        Where another call may begin, a frame that comes meanwhile is not kept waiting.
        """
        call, frames, (began, size, length) = self.flying[0]
        done = self.server.wait(call, None if moment is None else self.start + moment)
        end = self.now()
        if moment is not None and not done:
            self.lag.append(max(0, end - moment))
        if not done:
            return
        self.flying.popleft()
        for frame in frames:
            self.finished[frame] = end
        self.calls.append((began, end, size, len(frames), length))

    def next_moment(self) -> int | None:
        """Return the time of the next frame, or at which `choose` will wait no longer; None where there is neither."""
        moments = [self.planned[self.next]] if self.next < len(self.planned) else []
        if self.waiting and self.plan.patience_ns is not None:
            moments.append(self.planned[self.waiting[0]] + ceil(self.plan.patience_ns))
        return min(moments, default=None)

    def idle(self) -> None:
        """Wait for the next frame, or until `choose` will wait no longer, and write down how late that was noticed."""
        moment, before = self.next_moment(), self.now()
        assert moment is not None  # there are frames to come, or such as wait
        self.clock.wait_until(self.start + moment)
        self.idle_ns += self.now() - before
        self.lag.append(max(0, self.now() - moment))

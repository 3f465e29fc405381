"""The replay of arrivals with known times of service: what a queue does that nothing disturbs, in no time."""

import numpy as np

from speedgrid.serving.arrivals import Arrivals
from speedgrid.serving.batching import Choose, Waiting
from speedgrid.serving.loop import Plan, Served, serve


class PretendedClock:
    """A clock that stands still but for who waits."""

    def __init__(self) -> None:
        self.time = 0

    def now(self) -> int:
        """Return the pretended time in ns."""
        return self.time

    def wait_until(self, moment: int) -> None:
        """Be at `moment`, or stay."""
        self.time = max(self.time, moment)


class PretendedServer:
    """A server whose calls take what a table says. service_ns: by batch size, or a function of (call, size)."""

    def __init__(self, clock: PretendedClock, service_ns):
        self.clock, self.calls = clock, 0
        self.service_ns = service_ns if callable(service_ns) else lambda call, size: service_ns[size]
        self.free = 0

    def submit(self, size: int, frames: list[int]) -> int:
        """Return the time at which the call will have ended: one call after another."""
        self.free = max(self.free, self.clock.now()) + int(self.service_ns(self.calls, size))
        self.calls += 1
        return self.free

    def wait(self, call: object, moment: int | None = None) -> bool:
        """Let that time come, or `moment`; say whether the call has ended."""
        assert isinstance(call, int)
        self.clock.wait_until(call if moment is None else min(call, moment))
        return call <= self.clock.now()


def replay(arrivals: Arrivals, service_ns: dict[int, int], plan: Plan) -> Served:
    """Return the fate of frames where a call of b images takes service_ns[b], and nothing else happens."""
    clock = PretendedClock()
    return serve(arrivals, PretendedServer(clock, service_ns), plan, clock)


def at_once_ns(service_ns: dict[int, int], choose: Choose, most: int) -> list[int]:
    """Return the time in ns until all of 1, 2 ... `most` frames are served that come at once, to an idle server.

    More frames may take less time: seven in calls of 4, 1, 1 and 1 more than eight in one of 8.
    """
    found = [0]
    for frames in range(1, most + 1):
        size = choose(Waiting(frames, 0, False))
        assert size is not None  # none is waited for where no more are to come
        found.append(service_ns[size] + found[max(0, frames - size)])
    return found[1:]


def capacity(service_ns: dict[int, int], fps: float) -> int:
    """Return the number of streams beyond which no policy keeps up: the best rate of all batch sizes over `fps`."""
    best = max(size / ns for size, ns in service_ns.items())
    return int(np.floor(best * 1e9 / fps))

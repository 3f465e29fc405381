"""A machine with neighbours that come and go, on a clock that only work and waiting move."""

from builders import Clock

from speedgrid.data.samples import Host
from speedgrid.measure import patience


class Beside:
    """A machine with a neighbour that has one of two cores during some spans of time, in ms on a clock."""

    def __init__(self, monkeypatch, *spans):
        self.clock, self.spans = Clock(), spans
        monkeypatch.setattr(patience, "time", self.clock)
        monkeypatch.setattr(patience, "reading", self.now)
        monkeypatch.setattr(patience, "load", lambda start, end: self.between(start, end))

    def now(self):
        return self.clock.ns / 1e6

    def taken(self, start, end):
        return sum(max(0.0, min(end, stop) - max(start, begin)) for begin, stop in self.spans) / max(end - start, 1e-9)

    def between(self, start, end):
        share = self.taken(start, end)
        return Host(share, 0.0, [0.25, 0.25], waited_cores=share, own_cores=2 - share, cores=2)

    def load(self):
        start, machine = self.now(), self

        class Load:
            def read(self):
                return machine.between(start, machine.now())

        return Load()

    def cost(self, ms):
        """Return the cost of a call that takes five times as long beside the neighbour."""
        return lambda _: ms * (5 if any(begin <= self.now() < stop for begin, stop in self.spans) else 1)

"""The patience of a measurement: how long it waits for others to be quiet, and takes again what they disturbed."""

import time
from dataclasses import replace

from speedgrid.evidence.quiet import disturbance
from speedgrid.measure.host import load, reading

# How long it is looked whether others are quiet, and how much of a long measurement is taken from the patience.
LOOK_SECONDS, MOST_LOST = 0.1, 1.0


class Patience:
    """The rest of a time in s: waiting takes all of its own from it, what was disturbed MOST_LOST at most."""

    def __init__(self, seconds: float):
        self.left = seconds

    def await_quiet(self) -> bool:
        """Sleep until nothing else has the processors, for as long as there is patience; say whether that came."""
        while self.left > 0:
            before, began = reading(), time.perf_counter()
            time.sleep(LOOK_SECONDS)
            self.left -= time.perf_counter() - began
            found = load(before, reading())
            if found is None or not disturbance(replace(found, waited_cores=None, own_cores=None), LOOK_SECONDS):
                return True
        return False

    def lose(self, seconds: float) -> None:
        """Shorten the rest by a measurement in vain. seconds: that it took."""
        self.left -= min(seconds, MOST_LOST)

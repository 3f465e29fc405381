"""Turns of cells that are loaded side by side on a processor: one at a time has it, in an order that varies.

A turn is the processor's own lock, taken for a slice of a timing and not for all of it: the kernel gives it to whoever
has waited longest (seen on Linux 6.18: 4 processes, 120 turns, no two of one process in a row), and lets go of it when
its process ends, however that ends. No process coordinates the others, so none can be left behind or missing, and
another workflow's cells take turns with these.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fcntl import LOCK_SH

from speedgrid.machine import locks
from speedgrid.machine.locks import Lock

# Who has the processor sooner than this after asking for it was alone.
SOON_SECONDS = 0.002
# The pause before a turn is a random part of this share of the time that was waited for the last one, at most so long:
# as long as there are two others, one of them has the processor meanwhile.
PAUSE_SHARE, LONGEST_SECONDS = 0.5, 2.0
# What the cells hold that have turns to come.
GROUP = "cpu-group"
# Cells on the processor at once, and the memory that there should be for each: a model, its runtime and a batch.
MOST_LOADED, BYTES_EACH = 6, 2e9


class Turns:
    """The turns of this process. take: returns what it holds during one. lost: seconds that it waited for all of them.

    Calling it gives a turn, which says whether others may have had theirs since the last one.
    """

    def __init__(self, take: Callable[[], AbstractContextManager[object]]):
        self.take, self.waited, self.lost = take, 0.0, 0.0
        self.random = random.Random()

    @contextmanager
    def __call__(self) -> Iterator[bool]:
        began = time.monotonic()
        # In the order of a queue each cell would come after the same one every time, which may have cooled or filled
        # what it finds.
        time.sleep(self.random.uniform(0, min(PAUSE_SHARE * self.waited, LONGEST_SECONDS)))
        asked = time.monotonic()
        with self.take():
            had = time.monotonic()
            self.waited, self.lost = had - asked, self.lost + had - began
            yield had - began > SOON_SECONDS


@contextmanager
def in_group() -> Iterator[None]:
    """Take part in a group while the block goes on, and then wait until all others have had their turns too.

    What follows a timing (its process ends, the next one starts) works the processor, and would disturb them.
    """
    held: Lock = locks.locked(GROUP, LOCK_SH)
    try:
        yield
    finally:
        held.close()
    locks.wait_until_free(GROUP)


def loaded() -> int:
    """Return how many cells may be loaded side by side on this machine's processor."""
    import psutil

    return max(1, min(MOST_LOADED, int(psutil.virtual_memory().available // BYTES_EACH)))

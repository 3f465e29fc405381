"""How far a run is: timings done in it, and the time that the rest will take."""

import time
from pathlib import Path

# Timings that the pace is taken from: enough for every backend to be among them.
RECENT = 40


class Progress:
    """Text for the log, computed whenever it is formatted; empty before `start` (a dry run never starts).

    Knows what was done from the records that were written since the start, so it is right with any number of jobs.
    """

    def __init__(self, folder: str):
        self.folder, self.total, self.started = Path(folder), 0, 0.0

    def start(self, total: int) -> None:
        """Begin a run that will write `total` records."""
        self.total, self.started = total, time.time()

    def __format__(self, _: str) -> str:
        if not self.total:
            return ""
        times = sorted(path.stat().st_mtime for path in self.folder.glob("*.json"))
        done = [when for when in times if when >= self.started]
        return f" ({len(done)} of {self.total} done{left(done, self.total)})"


def left(done: list[float], total: int) -> str:
    """Return the time left at the pace of the latest records, as text; empty while there is no pace.

    done: when each record was written, in seconds, in order.
    """
    recent = done[-RECENT:]
    if len(recent) < 5:
        return ""
    seconds = (recent[-1] - recent[0]) / (len(recent) - 1) * (total - len(done))
    return f", {seconds / 60:.0f} min left" if seconds >= 90 else f", {seconds:.0f} s left"

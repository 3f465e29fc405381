"""How far a run is: timings done in it, and the time that the rest will take."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

# Timings that the pace is taken from: enough for every backend to be among them.
RECENT = 40


class Progress:
    """The progress of a run as text for the log, computed whenever it is formatted.

    Empty before `start`; a dry run never starts.

    Knows what was done from the records that were written since the start, so it is right with any number of jobs.
    """

    def __init__(self, folder: str):
        self.folder, self.started = Path(folder), 0.0
        self.wanted: set[str] = set()
        self.look: Callable[[], Iterable[str]] = tuple
        self.about: Callable[[], str] = str

    def start(self, look: Callable[[], Iterable[str]], about: Callable[[], str] = str) -> None:
        """Begin a run. look: the records that are still to be written, as far as that is known at a time.

        about: a clause on what they are for, and what may follow.
        """
        self.look, self.about, self.started = look, about, time.time()

    def __format__(self, _: str) -> str:
        self.wanted.update(self.look())
        if not self.wanted:
            return ""
        total = len(self.wanted)
        with os.scandir(self.folder) if self.folder.is_dir() else contextlib.nullcontext(()) as entries:
            done = sorted(when for when in map(written, entries) if when >= self.started)
        return f" ({len(done)} of {total} done{left(done, total)}{self.about()})"


def written(entry: os.DirEntry[str]) -> float:
    """Return the time at which a record was written; 0 for a file that is no record, or gone."""
    try:
        return entry.stat().st_mtime if entry.name.endswith(".json") else 0.0
    except FileNotFoundError:
        return 0.0


def left(done: list[float], total: int) -> str:
    """Return the time left at the pace of the latest records, as text; empty while there is no pace.

    done: when each record was written, in seconds, in order.
    """
    recent = done[-RECENT:]
    if len(recent) < 5:
        return ""
    seconds = (recent[-1] - recent[0]) / (len(recent) - 1) * (total - len(done))
    return f", {seconds / 60:.0f} min left" if seconds >= 90 else f", {seconds:.0f} s left"

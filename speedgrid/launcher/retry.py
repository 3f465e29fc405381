"""What to try again: the records of what did not come to its end, by their status."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from speedgrid.launcher.reading import load, printable

# What may end otherwise the next time: something went wrong, memory was short, or the file itself is damaged.
UNREADABLE = "unreadable"
WORTH_IT = ("failed", "out_of_memory", UNREADABLE)
# The letters of a reason that are shown.
MOST = 400


class Unmade(NamedTuple):
    """A record of something that was not made or measured: its file, its status and why."""

    path: Path
    status: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.status}" + (f" ({printable(self.reason, MOST)})" if self.reason else "")


def unmade(artifacts: Path, statuses: Collection[str] = WORTH_IT) -> Iterator[Unmade]:
    """Yield the records below `artifacts` whose status is one of some."""
    for path in sorted(artifacts.glob("*/*.json")):
        status, reason = read(path)
        if status in statuses:
            yield Unmade(path, status, reason)


def read(path: Path) -> tuple[str, str]:
    """Return status and reason of a record; of a file that has no status, two empty texts."""
    try:
        found = load(path)
    except ValueError:
        return UNREADABLE, "it is not JSON"
    if not isinstance(found, dict):
        return UNREADABLE, "it is no record"
    return str(found.get("status", "")), str(found.get("reason", ""))

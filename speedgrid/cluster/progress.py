"""How far a job is, from what it printed, and why it waits: clauses of the line that a run is told in."""

import math
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from speedgrid.cluster import script
from speedgrid.cluster.slurm import Job
from speedgrid.launcher.reading import printable, require_regular

# The end of a job's log that is looked at.
BYTES = 100_000
# The letters of a line, which may have a sentence of Slurm's in it.
MOST_LETTERS = 1000
TIMED = re.compile(r"\((\d+ of \d+ done(?:, \d+ (?:s|min) left)?)[;)]")
STEPS = re.compile(r"^(\d+ of \d+ steps) \(", re.MULTILINE)
# Reasons that do not go away by themselves (squeue(1), JOB REASON CODES), and what to do.
REASONS = {
    "PartitionConfig": "no node of the partition has what is asked for: look at partition, gpus, cpus and memory_mb",
    "PartitionNodeLimit": "the partition does not give so much to one job",
    "PartitionTimeLimit": "minutes is more than the partition allows",
    "PartitionDown": "the partition takes no jobs at this time",
    "PartitionInactive": "the partition takes no jobs at this time",
    "ReqNodeNotAvail": "the node that is asked for is down, drained or reserved",
    "BadConstraints": "no node has what is asked for: look at constraint, gpus, cpus and memory_mb",
    "AccountNotAllowed": "the account may not use this partition",
    "JobHeldUser": "it is held: scontrol release lets it go on",
    "JobHeldAdmin": "an administrator holds it",
    "launch failed requeued held": "it failed to start and is held: scontrol release tries again",
    "Resources": "for free resources",
    "Priority": "for jobs before it",
    "BeginTime": "until it may begin again",
    "None": "to be looked at",
}


def waiting(job: Job) -> str:
    """Return the reason why a job waits, as a clause."""
    reason = job.reason.split(",")[0].strip("()")
    if job.state == "CONFIGURING":
        return f"starts on {job.node}"
    known = REASONS.get(reason) or next(
        (words for begin, words in REASONS.items() if reason.startswith(begin) and len(begin) > 4), None
    )
    return f"waits: {known} ({printable(reason)})" if known else f"waits ({printable(reason)})"


def progress(folder: Path) -> str:
    """Return the progress of a run as a clause that begins with a comma; empty where none is told yet."""
    text = tail(folder / script.LOG)
    # What an earlier start of the job printed is before its own first words.
    found = TIMED.findall(text) or STEPS.findall(text)
    return f", {found[-1]}" if found else ""


def last_words(folder: Path) -> str:
    """Return the last line that a run printed, in brackets; empty if it printed nothing."""
    lines = [line.strip() for line in tail(folder / script.LOG).splitlines() if line.strip()]
    return f" ({printable(lines[-1])})" if lines else ""


def tail(path: Path) -> str:
    """Return the end of a text file; empty where there is none."""
    try:
        require_regular(path, math.inf)
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - BYTES))
            return file.read().decode(errors="replace")
    except (OSError, ValueError):
        return ""


class Screen:
    """Lines of a terminal that are drawn again in their place; of a file, each line once it has changed."""

    def __init__(self) -> None:
        self.drawn: dict[str, str] = {}
        self.live = sys.stdout.isatty()

    def show(self, lines: Mapping[str, str]) -> None:
        """Show a line for each name."""
        lines = {name: printable(text, MOST_LETTERS) for name, text in lines.items()}
        if self.live:
            columns = os.get_terminal_size().columns
            up = f"\033[{len(self.drawn)}A" if self.drawn else ""
            print(up + "\n".join(f"\033[K{f'{name}: {text}'[: columns - 1]}" for name, text in lines.items()))
        else:
            now = time.strftime("%H:%M:%S", time.gmtime())
            for name, text in lines.items():
                if self.drawn.get(name) != text:
                    print(f"{now} {name}: {text}", flush=True)
        self.drawn = dict(lines)

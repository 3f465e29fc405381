"""The jobs of several machines: submitted, found again by a later call, followed until they end, or cancelled.

Nothing is kept in this process that its end would lose: which job a folder has is in its own file, and in the name of
the job; how it ended is what the job wrote there. So a call may be closed at any time, and the next one goes on.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from speedgrid import InputError
from speedgrid.cluster import script, slurm
from speedgrid.cluster.machines import Machine
from speedgrid.cluster.progress import last_words, progress, waiting
from speedgrid.launcher import outputs
from speedgrid.launcher.reading import read_json

RECORD = "job.json"
LOCK = ".submit.lock"
# Between two tries to submit a job to a full queue, or to a controller that does not answer.
TRY_SECONDS = 60.0
# How an ended job is told of, by its state.
ENDS = {
    "CANCELLED": "was cancelled",
    "TIMEOUT": "reached its limit of time (minutes)",
    "OUT_OF_MEMORY": "took more memory than it had (memory_mb)",
    "NODE_FAIL": "lost its node",
    "BOOT_FAIL": "had a node that did not start",
    "PREEMPTED": "was preempted",
    "DEADLINE": "reached its deadline",
}
AGAIN = "the same command goes on where it stopped"


class Record(TypedDict):
    """The job that a folder's run has, or had last."""

    job: int
    submitted: str


class BusyError(InputError):
    """A folder that another call is submitting for."""


@dataclass(frozen=True)
class Told:
    """A run in words. over: nothing more happens without another call. good: it went through."""

    words: str
    over: bool = False
    good: bool = False


@dataclass
class Run:
    """One machine's run: its folder, and what is still to be submitted for it."""

    name: str
    machine: Machine
    folder: Path
    wanted: bool = False
    refused: str = ""
    tried: float = field(default=float("-inf"))

    @property
    def job_name(self) -> str:
        """Return the name of its jobs."""
        return slurm.job_name(self.name, self.folder)

    def record(self) -> int | None:
        """Return the number of its last job that is known here."""
        path = self.folder / RECORD
        return read_json(path, Record, "delete it, and submit again")["job"] if path.exists() else None

    def remember(self, number: int) -> None:
        """Keep the number of its job."""
        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        outputs.write_json(self.folder / RECORD, {"job": number, "submitted": moment})


def begin(runs: list[Run], again: bool = False) -> None:
    """Take up what each run has: its job in the queue, its end if that was good, else one that is to be submitted.

    again: submit what went through, too. Raises UnreachableError.
    """
    found = slurm.jobs([one.job_name for one in runs])
    for run in runs:
        active = [job for job in found if job.name == run.job_name and job.active]
        if active:  # of a call that was closed, before it could note the number perhaps
            run.remember(active[-1].number)
        else:
            ended = script.ended(run.folder)
            run.wanted = again or ended is None or ended[0] != run.record() or ended[1] != 0


def submit(run: Run) -> None:
    """Submit the job of a run that wants one; what is refused for good is kept in words, the rest is tried later."""
    now = time.monotonic()
    if not run.wanted or now - run.tried < TRY_SECONDS:
        return
    run.tried = now
    with alone(run.folder):
        try:
            # By another call meanwhile, or by this one: sbatch may have been heard when it was not answered.
            if active := [job for job in slurm.jobs([run.job_name]) if job.active]:
                number = active[-1].number
            else:
                number = slurm.submit(run.name, run.machine, run.folder)
        except (slurm.FullError, slurm.UnreachableError) as error:
            run.refused = f"{error}; tried again in {TRY_SECONDS:.0f} s"
            return
        except slurm.SlurmError as error:
            run.refused, run.wanted = str(error), False
            return
        run.remember(number)
        run.refused, run.wanted = "", False


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let no other call submit for a folder meanwhile. Raises BusyError."""
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BusyError(f"another call submits for {folder} at this moment; call again.") from None
    finally:
        os.close(lock)


def look(runs: list[Run]) -> dict[str, Told]:
    """Return each run in words, and submit what is still to be submitted."""
    for run in runs:
        submit(run)
    unreachable, found = "", []
    try:
        found = slurm.jobs([one.job_name for one in runs])
    except slurm.UnreachableError as error:
        unreachable = str(error)
    return {run.name: tell(run, found, unreachable) for run in runs}


def tell(run: Run, found: list[slurm.Job], unreachable: str) -> Told:
    """Return a run in words, of the jobs that the controller knows, or why it does not answer."""
    if run.refused or run.wanted:
        return Told(run.refused or "is to be submitted", over=not run.wanted)
    number = run.record()
    job = next((one for one in found if one.number == number), None)
    ended = script.ended(run.folder)
    if ended and ended[0] == number and not (job and job.active):
        return _ended(run, ended[1])
    if unreachable:
        return Told(f"{unreachable}{progress(run.folder)}")
    if job is None:
        return Told(f"job {number} left the queue and did not say how it ended; {AGAIN}", over=True)
    if job.state in slurm.WAITING:
        return Told(f"job {number} {waiting(job)}")
    if job.active:
        return Told(f"job {number} runs on {job.node}{progress(run.folder)}")
    how = ENDS.get(job.state, f"ended ({job.state.lower()}, {job.reason})")
    return Told(f"job {number} {how}{last_words(run.folder)}; {AGAIN}", over=True)


def _ended(run: Run, code: int) -> Told:
    if code == 0:
        return Told(f"done: {run.folder / 'report' / 'report.md'}", over=True, good=True)
    log = run.folder / script.LOG
    return Told(f"failed with exit code {code}{last_words(run.folder)}; {log} says why, and {AGAIN}", over=True)


def follow(runs: list[Run], seconds: float, show: Callable[[dict[str, Told]], None]) -> bool:
    """Show each run in words, at intervals of some seconds, until all are over; return whether all went through."""
    while True:
        told = look(runs)
        show(told)
        if all(one.over for one in told.values()):
            return all(one.good for one in told.values())
        time.sleep(seconds)

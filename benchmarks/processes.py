"""The processes of one run of the workflow: which there are, of what kind, of which job, and whether they compute."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

# Set for a run to a value of its own: every process inherits it, whatever session, group or parent it moves to.
MARKER = "SPEEDGRID_FAULTS_RUN"
# What a run consists of; `terminal` is Snakemake's whole process group, as Ctrl-C or a closed terminal reach it.
KINDS = ("snakemake", "terminal", "guard", "launcher", "child", "client", "shell", "script")
# Where the modules are that run as a process; those that a kind is named after.
ROOM, NAMED = "speedgrid.launcher.", ("client", "guard")
SHELLS = ("sh", "bash", "dash")
# How long two readings of a process's CPU time lie apart, in seconds.
LOOK_SECONDS = 0.5
# How long the system may take to take a killed process away, in seconds: one that writes may stay for a while.
DEATH_SECONDS = 30.0


@dataclass(frozen=True)
class Process:
    """One process of a run: its number, its parent's, its kind, and the log of its job, empty if it has none."""

    pid: int
    parent: int
    kind: str
    job: str

    def __str__(self) -> str:
        return f"{self.kind} {self.pid}" + (f" of {self.job}" if self.job else "")


def kind_of(pid: int, parent: int, words: list[str], snakemake: int) -> str:
    """Return the kind of a process from its number, its parent's, its command's words and the number of Snakemake.

    Children of the launcher are forks, so they have its command, and another parent than it has.
    """
    if pid == snakemake:
        return "snakemake"
    module = next((word for option, word in pairwise(words) if option == "-m"), "")
    if module == f"{ROOM}server":
        return "launcher" if parent == snakemake else "child"
    if module.startswith("scripts."):
        return "script"
    if (name := module.removeprefix(ROOM)) in NAMED:
        return name
    return "shell" if words and os.path.basename(words[0]) in SHELLS else "other"


def of_run(marker: str, folder: Path, snakemake: int) -> list[Process]:
    """Return the processes of a run that live: those with its marker, in its folder or in Snakemake's session."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if one.status() != psutil.STATUS_ZOMBIE and belongs(one, marker, folder, snakemake):
                kind = kind_of(one.pid, one.ppid(), one.cmdline(), snakemake)
                found.append(Process(one.pid, one.ppid(), kind, job_of(one.pid, folder)))
    return found


def belongs(one: psutil.Process, marker: str, folder: Path, snakemake: int) -> bool:
    """Say whether a process belongs to a run; what may not be read of it does not count."""
    with contextlib.suppress(psutil.Error, OSError):
        if one.environ().get(MARKER) == marker:
            return True
    with contextlib.suppress(psutil.Error, OSError):
        if Path(one.cwd()).is_relative_to(folder):
            return True
    return os.getsid(one.pid) == snakemake


def job_of(pid: int, folder: Path) -> str:
    """Return the log that a process writes to, by which the processes of one job are told; empty if it has none."""
    with contextlib.suppress(OSError):
        output = Path(os.readlink(f"/proc/{pid}/fd/1"))
        if output.is_relative_to(folder / "logs"):
            return str(output.relative_to(folder))
    return ""


def below(victim: Process, processes: Iterable[Process]) -> list[Process]:
    """Return the processes that must end with `victim`, which started them: its descendants, and those of its job.

    A script in a child of the launcher is no descendant of its client, but writes to the same log.
    """
    everyone = list(processes)
    found = [victim]
    for one in found:
        found += [other for other in everyone if other.parent == one.pid and other not in found]
    jobs = {one.job for one in found if one.job}
    if victim.kind in ("shell", "client"):
        found += [other for other in everyone if other.job in jobs and other not in found and other.kind != "shell"]
    return found[1:]


def cpu_seconds(pid: int) -> float | None:
    """Return the CPU time of a process in seconds; None if it is gone or a zombie."""
    try:
        one = psutil.Process(pid)
        return None if one.status() == psutil.STATUS_ZOMBIE else sum(one.cpu_times()[:2])
    except psutil.Error:
        return None


def computing(processes: Iterable[Process]) -> list[Process]:
    """Return the busy ones among processes: those that use CPU time while they are looked at."""
    before = {one: cpu_seconds(one.pid) for one in processes}
    time.sleep(LOOK_SECONDS)
    after = {one: cpu_seconds(one.pid) for one in before}
    return [one for one, then in before.items() if then is not None and (after[one] or 0.0) > then]


def end(processes: Iterable[Process]) -> None:
    """Kill processes and wait until they are gone or zombies, for a killed one still lives until it next may run."""
    killed = list(processes)
    for one in killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)
    late = time.monotonic() + DEATH_SECONDS
    while any(cpu_seconds(one.pid) is not None for one in killed) and time.monotonic() < late:
        time.sleep(0.01)

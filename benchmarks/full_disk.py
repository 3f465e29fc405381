"""A run of which every folder is full in its turn: what it says, what is half, and what it gives once there is space.

    unshare --user --map-root-user --mount python -m benchmarks.full_disk FOLDER UNDISTURBED

Each folder of the run becomes a small file system of its own (tmpfs), those of results with half the space that they
need. The run is started, and again after each failure, when the folders that it failed for have been given their space:
one run meets them all. In the end those that every job needs are full, one by one, while a last result is made.
`benchmarks.faults` starts this in a mount namespace of its own, which needs no rights and leaves nothing.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks import disturbed, whole
from benchmarks.disturbed import ROOT, Run

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
FILLER = ".filler"
# The name of the folder of temporary files, which lies beside the run.
TEMPORARY = "TMPDIR"
SNAKEMAKE = ".snakemake"
# Folders that every job needs. They are full one by one at the end, when one result is made again: without its log
# nobody sees what a job says of another folder.
BESIDE = ("logs", TEMPORARY, SNAKEMAKE)
LAST = "report/report.md"
TRACEBACK = "Traceback (most recent call last)"
PAGE = os.sysconf("SC_PAGE_SIZE")
# What a folder has beyond its need once there is space; memory is taken only for what is written.
SPARE = 64 * 2**20
SPACE = re.compile(r"\bspace\b|ENOSPC", re.IGNORECASE)
OUTPUTS = re.compile(r"^Error in rule .*?^ +output: ([^\n]*)$", re.MULTILINE | re.DOTALL)


@dataclass
class Trial:
    """The trial of one folder: if the run failed for it, what was said of space, and what was not as it should be."""

    folder: str
    stopped: bool = False
    said: str = ""
    faults: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """The trials of all folders, how the result differs from an undisturbed run's, and why nothing was tried if so."""

    trials: list[Trial] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    skipped: str = ""


def tried(undisturbed: Run, folder: Path) -> Outcome:
    """Try a run in `folder` in a mount namespace of its own, where this machine lets its users have one."""
    if why := refused(folder.parent):
        return Outcome(skipped=why)
    run = Run.fresh(folder)
    command = [*NAMESPACE, sys.executable, "-m", __name__, str(folder), str(undisturbed.folder)]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    run.end()
    if done.returncode:
        return Outcome(differences=[f"the trial itself ended with {done.returncode}"])
    found = json.loads(done.stdout)
    return Outcome([Trial(**one) for one in found["trials"]], found["differences"])


def refused(place: Path) -> str:
    """Return why this user cannot mount a small file system; empty if that works."""
    if not shutil.which("unshare"):
        return "unshare (util-linux) is not installed"
    command = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"no small file system can be mounted: {done.stderr.strip()}" if done.returncode else ""


def needs(undisturbed: Run) -> dict[str, int]:
    """Return the folders of a run, parents first, and the bytes that each needs, its subfolders' not counted."""
    found: dict[str, int] = {}
    for name in sorted(whole.results(undisturbed.folder)):
        parent = str(Path(name).parent)
        found[parent] = found.get(parent, 0) + pages(undisturbed.folder / name)
    for name in (SNAKEMAKE, "logs"):
        found[name] = sum(pages(path) for path in (undisturbed.folder / name).rglob("*") if path.is_file())
    return dict(sorted(found.items())) | {TEMPORARY: 0}


def pages(path: Path) -> int:
    """Return the bytes that a file takes, in whole pages."""
    return -(-path.stat().st_size // PAGE) * PAGE


def mount(path: Path, need: int) -> None:
    """Make a folder a file system of its own, with all the space that is needed."""
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={2 * need + SPARE}", "tmpfs", str(path)], check=True)
    (path / FILLER).touch()


def fill(path: Path, room: int) -> None:
    """Take the space of a folder but for this many bytes, in whole pages."""
    free = os.statvfs(path)
    with open(path / FILLER, "wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, free.f_bavail * free.f_bsize - room // PAGE * PAGE)


def blamed(log: str, folders: Iterable[str]) -> list[str]:
    """Return the folders that a log of Snakemake's blames: those of failed jobs' outputs and those it says are full."""
    names = [name for line in OUTPUTS.findall(log) for name in re.split(r", | \(", line)]
    names += [word.strip("'\":,.()") for line in log.splitlines() if SPACE.search(line) for word in line.split()]
    found = {folder_of(name, folders) for name in names}
    return sorted(found - {None})


def folder_of(name: str, folders: Iterable[str]) -> str | None:
    """Return the innermost of the folders that a path lies in; None for any other word."""
    inside = [folder for folder in folders if f"/{folder}/" in f"/{name}"]
    return max(inside, key=len, default=None)


def said_of(folder: str, log: str, folders: Iterable[str]) -> str:
    """Return the first line of a log that says there is no space, and names a file in this folder; empty without.

    Of its own folder Snakemake names no file.
    """
    for line in log.splitlines():
        if SPACE.search(line) and (folder == SNAKEMAKE or folder in blamed(line, folders)):
            return line.strip()[:200]
    return ""


def finish(run: Run, trials: dict[str, Trial], looker: whole.Looker, names: Iterable[str]) -> int:
    """Start the run until it is done, each time with space in the folders that it failed for; return its exit code.

    names: of the files that may be looked at.
    """
    while True:
        before = run.log.stat().st_size if run.log.exists() else 0
        code = run.resume().wait()
        log = run.log.read_bytes()[before:].decode(errors="replace").replace(str(run.temporary), TEMPORARY)
        orphans, half = disturbed.settle(run), looker.half_files(run.folder, names)
        full = [name for name in trials if (place(run, name) / FILLER).stat().st_size]
        if not code or not full:
            return code
        for name in [name for name in blamed(log, trials) if name in full] or full:
            one = trials[name]
            one.stopped, one.said = True, said_of(name, log, trials)
            one.faults += [] if one.said else [f"no sentence says that there is no space: {run.last_words()}"]
            # Of its own folder Snakemake says it in its own way.
            one.faults += ["a traceback"] if TRACEBACK in log and name != SNAKEMAKE else []
            one.faults += [f"half file {flaw}" for flaw in half if folder_of(flaw.split(":")[0], trials) == name]
            one.faults += [f"orphan: {orphan}" for orphan in orphans]
            # Not removed: Snakemake removes folders that are empty, which no mounted one can be.
            os.truncate(place(run, name) / FILLER, 0)


def place(run: Run, name: str) -> Path:
    """Return the path of a folder of a run by its name in the table."""
    return run.temporary if name == TEMPORARY else run.folder / name


def main(folder: Path, undisturbed: Run) -> Outcome:
    """Try all folders of a run in `folder`; only in a mount namespace of its own."""
    run, sizes = Run(folder), needs(undisturbed)
    trials, looker, names = {name: Trial(name) for name in sizes}, whole.Looker(), whole.results(undisturbed.folder)
    for name, need in sizes.items():
        mount(place(run, name), need)
    for name in sizes.keys() - BESIDE:
        fill(place(run, name), sizes[name] // 2)
    code = finish(run, trials, looker, names)
    for name in trials:
        os.truncate(place(run, name) / FILLER, 0)
    for name in BESIDE:
        (folder / LAST).unlink(missing_ok=True)
        fill(place(run, name), 0)
        code = code or finish(run, trials, looker, names)
        os.truncate(place(run, name) / FILLER, 0)
    for name in trials:
        (place(run, name) / FILLER).unlink()
    end = [f"with space everywhere it fails: {run.last_words()}"] if code else []
    return Outcome(list(trials.values()), end + whole.differences(folder, undisturbed.folder))


def summary(found: Outcome) -> str:
    """Return the table of full folders in Markdown, and every finding."""
    if found.skipped:
        return f"Full disks were not tried: {found.skipped}."
    lines = ["| full | stops the run | what is said |", "|---|---|---|"]
    lines += [f"| {one.folder} | {'yes' if one.stopped else 'no'} | {one.said} |" for one in found.trials]
    lines.append("")
    lines += [f"* {one.folder} is full: {said}" for one in found.trials for said in one.faults]
    lines += [f"* with space again: {said}" for said in found.differences]
    return "\n".join(lines)


if __name__ == "__main__":
    print(json.dumps(asdict(main(Path(sys.argv[1]), Run(Path(sys.argv[2]))))))

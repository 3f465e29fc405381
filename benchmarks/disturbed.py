"""A run of the workflow in a folder of its own, which is started, cut short, disturbed and resumed."""

import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import processes, whole
from benchmarks.processes import MARKER, Process
from speedgrid.launcher import ADDRESS_VARIABLE

ROOT = Path(__file__).parent.parent
CONFIG = "benchmarks/faults.yaml"
SNAKEMAKE = (sys.executable, "-m", "snakemake")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Where Snakemake keeps what it knows of finished outputs, and of those that are being made.
METADATA, INCOMPLETE, LOCKS = ".snakemake/metadata", ".snakemake/incomplete", ".snakemake/locks"
# How long a run may compute once it has been ended, and how long what only waits may take to go; in seconds.
GRACE_SECONDS = 2.0
LINGER_SECONDS = 10.0
POLL_SECONDS = 0.2


class Run:
    """A copy of the tree with a run in it. Its temporary files and its log lie beside it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.temporary = folder.with_name(f"{folder.name}-tmp")
        self.log = folder.with_name(f"{folder.name}.log")
        self.process: subprocess.Popen[bytes] | None = None
        self.checksums: dict[tuple[Path, int, int, int], str] = {}
        self.temporary.mkdir(parents=True, exist_ok=True)

    @classmethod
    def fresh(cls, folder: Path) -> "Run":
        """Copy what git tracks, or would, and nothing that was generated."""
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
        for name in names:
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        return cls(folder)

    def as_it_was(self, folder: Path, share: float) -> "Run":
        """Copy this finished run as it was when a share, 0 to 1, of its time was over: only what was done by then."""
        shutil.copytree(self.folder, folder, symlinks=True)
        copy = Run(folder)
        ends = self.ends()
        cut = min(ends.values()) + share * (max(ends.values()) - min(ends.values())) if share else 0.0
        for name, note in copy.notes(METADATA).items():
            if ends[name] > cut:
                (folder / name).unlink(missing_ok=True)
                note.unlink()
        return copy

    def ends(self) -> dict[str, float]:
        """Return for each output when the job was over that wrote it; the outputs of one job belong together."""
        notes = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in self.notes(METADATA).items()}
        jobs: dict[str, float] = {}
        for about in notes.values():
            jobs[str(about["log"])] = max(about["endtime"], jobs.get(str(about["log"]), 0.0))
        return {name: jobs[str(about["log"])] for name, about in notes.items()}

    def notes(self, kind: str) -> dict[str, Path]:
        """Return Snakemake's notes of one kind by the name of the output that each is of."""
        found = {}
        for path in (self.folder / kind).rglob("*"):
            if path.is_file():
                # A name that is too long for one file is cut into folders that begin with @.
                encoded = "".join(part.removeprefix("@") for part in path.relative_to(self.folder / kind).parts)
                found[base64.urlsafe_b64decode(encoded).decode()] = path
        return found

    def done(self) -> dict[str, str]:
        """Return the checksum of each output that Snakemake takes for finished."""
        under_way, found = self.notes(INCOMPLETE), {}
        for name in self.notes(METADATA):
            if name.startswith(whole.RESULTS) and name not in under_way:
                with contextlib.suppress(FileNotFoundError):
                    found[name] = self.checksum(self.folder / name)
        return found

    def checksum(self, path: Path) -> str:
        """Return the checksum of a file, and read none twice that has not changed."""
        about = path.stat()
        key = (path, about.st_ino, about.st_mtime_ns, about.st_size)
        if key not in self.checksums:
            self.checksums[key] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self.checksums[key]

    def environment(self) -> dict[str, str]:
        """Return the environment of whoever has activated this interpreter's; every process of the run is marked."""
        kept = {name: value for name, value in os.environ.items() if name != ADDRESS_VARIABLE}
        path = f"{Path(sys.executable).parent}:{kept['PATH']}"
        return kept | {"PATH": path, "TMPDIR": str(self.temporary), MARKER: str(self.folder)}

    def call(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command that is Snakemake or becomes it, in a session of its own as a terminal has one."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*command, "--configfile", CONFIG],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=heed_signals,
            )
        return self.process

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start Snakemake."""
        return self.call(*SNAKEMAKE, *arguments)

    def resume(self) -> subprocess.Popen[bytes]:
        """Start Snakemake again as the README says: with --unlock first where the killed one left its lock."""
        if self.locked():
            self.start("--unlock").wait()
        return self.start("--rerun-incomplete")

    def retry(self) -> subprocess.Popen[bytes]:
        """Start the command that tries again what failed: a script that was killed may have said so in its record."""
        return self.call(sys.executable, "-m", "scripts.retry")

    def locked(self) -> bool:
        """Say whether Snakemake left its lock."""
        return any((self.folder / LOCKS).glob("*"))

    def processes(self) -> list[Process]:
        """Return the processes of the run that live."""
        snakemake = self.process.pid if self.process else -1
        return processes.of_run(str(self.folder), self.folder, snakemake)

    def leftovers(self) -> list[str]:
        """Return the names of what lies in the folder of temporary files, but for Snakemake's own."""
        names = sorted(path.name for path in self.temporary.iterdir())
        return [name for name in names if not name.startswith("snakemake")]

    def last_words(self, lines: int = 3) -> str:
        """Return the last lines of the run's log, as one that is not too long."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return " / ".join(text.split("\n")[-lines - 1 :]).strip(" /")[:300]

    def end(self) -> None:
        """Kill whatever lives of the run."""
        processes.end(self.processes())
        if self.process:
            self.process.wait()


def heed_signals() -> None:
    """Give signals their default effect: a shell has what it runs in its background, or with nohup, ignore some."""
    for one in SIGNALS[1:]:
        signal.signal(one, signal.SIG_DFL)


def settle(run: Run) -> list[str]:
    """Return a sentence for each process of the run that computes 2 s from now, or waits though its run is over."""
    for _ in range(round(GRACE_SECONDS / POLL_SECONDS)):
        if not run.processes():
            return []
        time.sleep(POLL_SECONDS)
    # Snakemake and the guard may take their time to end the rest.
    busy = processes.computing(one for one in run.processes() if one.kind not in ("snakemake", "guard"))
    return [f"{one} computes" for one in busy] or lingering(run)


def lingering(run: Run) -> list[str]:
    """Return a sentence for each process that is there for some seconds more, though it does nothing."""
    for _ in range(round(LINGER_SECONDS / POLL_SECONDS)):
        if not run.processes():
            return []
        time.sleep(POLL_SECONDS)
    return [f"{one} is still there" for one in run.processes()]


def going_on(run: Run, victim: Process, doomed: list[Process]) -> list[str]:
    """Return a sentence for each process that computes 2 s from now, though `victim`, which it worked for, is gone."""
    until = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < until and set(doomed) & set(run.processes()):
        time.sleep(POLL_SECONDS)
    living = set(run.processes())
    if victim in living:
        return []
    return [f"{one} computes on" for one in processes.computing(living & set(doomed))]

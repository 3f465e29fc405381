"""The script of a job: a shell script that runs the workflow in one folder, whoever starts it."""

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from speedgrid.cluster.machines import Machine
from speedgrid.launcher import ADDRESS_VARIABLE, RUN_VARIABLE
from speedgrid.launcher.reading import require_regular

# Files in the folder of a run: the script, what it printed, and how it ended.
SCRIPT, LOG, ENDED = "job.sh", "job.log", "job.ended"
# The exit code of a job that finds another one at work in its folder (sysexits.h, EX_TEMPFAIL).
TAKEN = 75
BODY = """\
cd {folder}
export PATH={bin}:"$PATH"
unset {variables}
exec 9> {notes}.job.lock
# A job that was cancelled takes half a minute to end, at most.
flock --timeout 60 9 || {{ echo "Another job works in {shown}; this one ends." >&2; exit {taken}; }}
rm -f {notes}{ended}
# A node that was lost has left its lock; whoever holds the lock above is alone here.
[ -z "$(ls -A .snakemake/locks 2> /dev/null)" ] || snakemake --unlock {arguments}
snakemake {arguments}
code=$?
echo "${{SLURM_JOB_ID:-0}} $code" > {notes}.{ended}.part && mv {notes}.{ended}.part {notes}{ended}
exit $code
"""


def arguments(machine: Machine) -> list[str]:
    """Return the arguments of snakemake for a machine: as many GPUs as it has, its configuration, and the user's."""
    gpus = ["--resources", f"gpu={machine.gpus}"] if machine.gpus > 1 else []
    files = ["--configfile", *machine.configfiles] if machine.configfiles else []
    return [*machine.snakemake, *gpus, *files]


def body(machine: Machine, folder: Path, programs: Path | None = None, notes: str = "") -> str:
    """Return the commands of a job, for any scheduler: the workflow in `folder`, once at a time, and how it ended.

    programs: the folder of `snakemake`; that of this Python without it. notes: where the job's own files are in
    `folder`, ending with a slash.
    """
    return BODY.format(
        folder=shlex.quote(str(folder)),
        shown=str(folder).translate(dict.fromkeys(map(ord, '"$`\\'), "?")),
        bin=shlex.quote(str(programs or Path(sys.executable).parent)),
        notes=notes,
        variables=f"{ADDRESS_VARIABLE} {RUN_VARIABLE}",
        arguments=shlex.join(arguments(machine)),
        ended=ENDED,
        taken=TAKEN,
    )


def whole(directives: Iterable[str], machine: Machine, folder: Path) -> str:
    """Return a job's script: the lines that a scheduler reads, then the commands."""
    return "\n".join(["#!/bin/bash", *directives, body(machine, folder)])


def ended(folder: Path) -> tuple[int, int] | None:
    """Return which job ended last in a folder, and its exit code; None if none has since the last one began."""
    try:
        require_regular(folder / ENDED)
        job, code = (folder / ENDED).read_text(encoding="utf-8").split()
        return int(job), int(code)
    except (OSError, ValueError):
        return None

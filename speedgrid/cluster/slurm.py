"""Slurm by its own commands, sbatch, squeue and scancel, and one sentence for what each of them refuses.

Nothing else is asked of a cluster: no accounting database, no `sacct`, no shared home folder but the run's.
"""

import hashlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from speedgrid import InputError
from speedgrid.cluster import script
from speedgrid.cluster.machines import Machine
from speedgrid.launcher.outputs import write_text

SECONDS = 20.0
UNREACHABLE = re.compile(
    r"unable to contact slurm controller|connection refused|socket timed out|connect failure|communications connection",
    re.IGNORECASE,
)
FULL = re.compile(
    r"temporarily unable to accept job|MaxSubmit|job count limit|submit limit|MaxJobCount|resource temporarily unavail"
    r"|violates accounting/QOS policy",
    re.IGNORECASE,
)
# The keys that a refusal is about, by what sbatch says.
ABOUT = (
    (r"partition", ("partition", "account")),
    (r"account", ("account", "partition")),
    (r"qos", ("qos",)),
    (r"node name|invalid node", ("node",)),
    (r"feature", ("constraint",)),
    (r"generic resource|gres", ("gpus", "gpu_model")),
    (r"time limit", ("minutes",)),
    (r"memory", ("memory_mb",)),
    (
        r"configuration is not available|more processors",
        ("partition", "node", "gpus", "gpu_model", "cpus", "memory_mb"),
    ),
)
# States of a job that has not ended (squeue(1)); all others are ends.
WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
RUNNING = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}


class SlurmError(InputError):
    """A thing that Slurm refuses, in one sentence."""


class UnreachableError(SlurmError):
    """A controller that does not answer; jobs that run go on without it."""


class FullError(SlurmError):
    """A queue that takes no more jobs now."""


@dataclass(frozen=True)
class Job:
    """One job as squeue shows it. reason: why it waits, or ended. node: where it runs, or nothing."""

    number: int
    name: str
    state: str
    reason: str
    node: str

    @property
    def active(self) -> bool:
        """Say whether the job waits or runs."""
        return self.state in WAITING or self.state in RUNNING


def job_name(name: str, folder: Path) -> str:
    """Return the name of a machine's jobs, which no other folder's have: a second call finds them by it."""
    return f"speedgrid-{name}-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}"


def directives(name: str, machine: Machine) -> list[str]:
    """Return the lines of a job script that sbatch reads."""
    model = f"{machine.gpu_model}:" if machine.gpu_model else ""
    options = {
        "job-name": name,
        "partition": machine.partition,
        "account": machine.account,
        "qos": machine.qos,
        "nodelist": machine.node,
        "constraint": machine.constraint,
        "gres": f"gpu:{model}{machine.gpus}" if machine.gpus else None,
        "cpus-per-task": machine.cpus,
        # All of a node's memory where the node is the job's alone.
        "mem": machine.memory_mb or (0 if machine.exclusive else None),
        "time": machine.minutes,
        "output": script.LOG,
    }
    fixed = ["--nodes=1", "--ntasks=1", "--requeue", "--open-mode=append"]
    given = [f"--{key}={value}" for key, value in options.items() if value is not None]
    return [f"#SBATCH {one}" for one in (*fixed, *given, *["--exclusive"] * machine.exclusive, *machine.sbatch)]


def submit(name: str, machine: Machine, folder: Path) -> int:
    """Submit the job of a machine, and return its number. Raises SlurmError."""
    lines = directives(job_name(name, folder), machine)
    write_text(folder / script.SCRIPT, script.whole(lines, machine, folder))
    said = call("sbatch", "--parsable", script.SCRIPT, folder=folder, machine=machine)
    last = (said.strip().splitlines() or [""])[-1]
    number = last.split(";")[0]  # with the name of the cluster, where there are several
    if not number.isdecimal():
        raise SlurmError(f"sbatch answers {last[:100]!r}; it should answer with the number of a job")
    return int(number)


def jobs(names: list[str]) -> list[Job]:
    """Return the jobs of some names that the controller still knows, the first submitted first. Raises SlurmError."""
    said = call("squeue", "--noheader", "--states=all", "--format=%i|%j|%T|%r|%N", f"--name={','.join(names)}")
    found = [line.strip().split("|") for line in said.splitlines()]
    rows = [Job(int(number), *rest) for number, *rest in found if number.isdecimal() and len(rest) == 4]
    return sorted(rows, key=lambda job: job.number)


def cancel(names: list[str]) -> None:
    """Cancel all jobs of some names. Raises SlurmError."""
    for name in names:
        call("scancel", f"--name={name}")


def call(*command: str, folder: Path | None = None, machine: Machine | None = None) -> str:
    """Return the output of a command of Slurm. Raises SlurmError, with the keys of the machine that it is about."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            env=os.environ | {"LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise SlurmError(
            f"{command[0]} is not installed here; submit from a machine of the cluster that has Slurm's commands."
        ) from None
    except subprocess.TimeoutExpired as error:
        said = error.stderr or b""
        raise refusal(command[0], said.decode(errors="replace") if isinstance(said, bytes) else said, machine) from None
    if done.returncode:
        raise refusal(command[0], done.stderr or done.stdout, machine)
    return done.stdout


def refusal(command: str, said: str, machine: Machine | None) -> SlurmError:
    """Return the error of a command that was refused, or did not answer in time. said: what it printed."""
    lines = [re.sub(r"^\w+: (error: )?(Batch job submission failed: )?", "", line) for line in said.splitlines()]
    text = ("; ".join(dict.fromkeys(filter(None, map(str.strip, lines)))) or "no answer in time")[:300].rstrip(". ")
    if FULL.search(text):
        return FullError(f"the queue takes no more jobs now ({text})")
    if UNREACHABLE.search(text) or not said.strip():
        return UnreachableError(f"Slurm's controller does not answer ({text}); jobs that run go on without it")
    keys = next((keys for pattern, keys in ABOUT if re.search(pattern, text, re.IGNORECASE)), ())
    asked = [f"{key}: {getattr(machine, key)}" for key in keys if machine and getattr(machine, key)]
    return SlurmError(f"{command} refuses ({text}); look at {', '.join(asked) or 'what is asked for'}")

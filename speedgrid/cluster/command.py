"""The command `python -m scripts.submit`: what it does with the machines that are named, and how it ends."""

import math
import shlex
from argparse import ArgumentTypeError, Namespace
from pathlib import Path

from speedgrid.cluster import campaign, kubernetes, machines, place, slurm
from speedgrid.cluster.campaign import Run, Told
from speedgrid.cluster.progress import Screen

SCHEDULERS = ("slurm", "kubernetes")
# Seconds between two looks at the queue: fewer are a burden for its controller.
FEWEST, MOST = 0.1, 3600.0
CLOSED = "The jobs go on. The same command follows them again, and --cancel ends them."


def interval(text: str) -> float:
    """Return the seconds between two looks at the queue. Raises ArgumentTypeError for what is no such number."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not FEWEST <= seconds <= MOST:
        raise ArgumentTypeError(f"it is {text!r}; it must be a number of seconds, {FEWEST:g} to {MOST:g}")
    return seconds


def run(asked: Namespace, root: Path) -> int:
    """Do what is asked, and return the exit code: 0 if all went well, 1 if a run did not, 130 after Ctrl-C.

    root: the workflow's folder. Raises InputError.
    """
    named = machines.choose(machines.read(asked.machines), asked.names, asked.machines)
    if asked.scheduler == "kubernetes":
        kubernetes.require(named, asked.machines)
        paths = [kubernetes.write(name, machine, place.prepare(root, name)) for name, machine in named.items()]
        print(*(f"kubectl apply --filename {shlex.quote(str(path))}" for path in paths), sep="\n")
        return 0
    runs = [Run(name, machine, place.prepare(root, name)) for name, machine in named.items()]
    if asked.cancel:
        slurm.cancel([one.job_name for one in runs])
        print(f"Cancelled: {', '.join(named)}. What was measured is kept; the same command without --cancel goes on.")
        return 0
    try:
        return _slurm(runs, asked)
    except KeyboardInterrupt:
        print(CLOSED)
        return 130


def _slurm(runs: list[Run], asked: Namespace) -> int:
    campaign.begin(runs, asked.again)
    screen = Screen()

    def show(told: dict[str, Told]) -> None:
        screen.show({name: one.words for name, one in told.items()})

    if asked.leave:
        show(campaign.look(runs))
        return int(any(one.wanted or one.refused for one in runs))
    return 0 if campaign.follow(runs, asked.seconds, show) else 1

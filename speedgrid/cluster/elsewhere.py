"""A run whose jobs an executor sends to another machine: what that machine is, and that all of them work on it.

The process that plans such a run, at the head of a cluster, measures nothing. What its results depend on is described
by a job of its own on a node, and each later job compares its node with that before it begins.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from speedgrid import InputError
from speedgrid.backends.fingerprint import fingerprint
from speedgrid.launcher import ADDRESS_VARIABLE
from speedgrid.launcher.reading import read_json
from speedgrid.record import Machine

DESCRIPTION, RULE = "artifacts/machine.json", "describe_machine"
# Tells jobs for which machine a run is planned.
VARIABLE = "SPEEDGRID_MACHINE"
AGAIN = f"`snakemake --profile profiles/slurm --force {RULE}`"
UNKNOWN = "a machine that is not described yet"


class ElsewhereError(InputError):
    """A run that cannot be planned for another machine, or a job that is on a wrong one."""


def require_device(device: object) -> None:
    """Raise ElsewhereError for a device that is to be found out: the head's would be found."""
    if device == "auto":
        raise ElsewhereError(
            "config key device is 'auto', but jobs run on other machines than this one; it must be cuda or cpu, e.g. "
            "with `--config device=cuda`."
        )


def described(device: str) -> Machine:
    """Return the machine that a job has described for this device; one without a name or versions until then."""
    if Path(DESCRIPTION).exists():
        machine = read_json(DESCRIPTION, Machine, f"run {AGAIN}")
        if machine.get("device") == device:
            return machine
    return {"device": device, "device_name": UNKNOWN, "cpu": UNKNOWN, "packages": {}}


def begin(machine: Machine, rules: Iterable[str]) -> None:
    """Begin a run at the head: jobs are told which machine it is planned for, and get no address of a launcher.

    rules: of the jobs that are to run. Raises ElsewhereError where they need a description and there is none.
    """
    for name in (ADDRESS_VARIABLE, VARIABLE):
        os.environ.pop(name, None)
    if set(rules) <= {RULE, "all"}:
        return
    if machine["device_name"] == UNKNOWN:
        raise ElsewhereError(f"no job has described the machine that is measured; run {AGAIN} first.")
    os.environ[VARIABLE] = fingerprint(machine)


def require_same(machine: Machine) -> None:
    """Raise ElsewhereError in a job whose machine is not the one that the run is planned for."""
    planned, found = os.environ.get(VARIABLE), fingerprint(machine)
    if planned and planned != found:
        raise ElsewhereError(
            f"this job is on {found}, and the run is planned for {planned}; keep all jobs on one node (--nodelist in "
            f"slurm_extra), and after a change of that node run {AGAIN}."
        )

"""The machines that runs are sent to: a YAML file of the user's, by name, each with what to ask the scheduler for."""

import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from speedgrid import InputError
from speedgrid.launcher.reading import as_number, read_yaml, short

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
# No spaces, quotes or line ends: a value is one word of a job script's line. (`$` would allow a newline at the end.)
WORD = r"\A[A-Za-z0-9_.,:@%+/&|()*\[\]=-]{1,200}\Z"
Word = Annotated[str, Meta(pattern=WORD)]
# The name of an object of Kubernetes (RFC 1123), and the value of a label of its nodes.
OBJECT = r"\A[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?\Z"
LABEL = r"\A[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z"
Object = Annotated[str, Meta(pattern=OBJECT)]
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
LINE = r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,1000}\Z"
Text = Annotated[str, Meta(pattern=LINE)]


class MachinesError(InputError):
    """A file of machines that cannot be used; the message names the machine, the key, its value and what is right."""


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One machine, or one kind of machine, and what a scheduler is asked for; each key is told of in KEYS."""

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    node: Word | None = None
    constraint: Word | None = None
    gpus: Annotated[int, Meta(ge=0, le=64)] = 0
    gpu_model: Word | None = None
    cpus: Count | None = None
    memory_mb: Count | None = None
    minutes: Count | None = None
    exclusive: bool = True
    sbatch: list[Word] = []
    configfiles: list[Text] = []
    snakemake: list[Text] = []
    image: Word | None = None
    gpu_product: Annotated[str, Meta(pattern=LABEL)] | None = None
    volume: Object | None = None
    namespace: Object | None = None


# What each key must be; docs/clusters.md has them all.
KEYS = {
    "partition": "the name of a partition of Slurm",
    "account": "the account of Slurm that pays",
    "qos": "a quality of service of Slurm",
    "node": "the name of one node of Slurm",
    "constraint": "features of Slurm's nodes, such as h100 or [a100|h100]",
    "gpus": "a number of GPUs of one node, 0 to 64",
    "gpu_model": "the model of GPU as the scheduler names it, such as h100",
    "cpus": "a number of CPUs, at least 1",
    "memory_mb": "the memory in MB, at least 1",
    "minutes": "the longest time of the job in minutes, at least 1",
    "exclusive": "true for a whole node, or false",
    "sbatch": "a list of further options of sbatch, each one word that begins with --",
    "configfiles": "a list of configuration files, such as config/quick.yaml",
    "snakemake": "a list of further arguments of snakemake, each a text",
    "image": "the name of a container image, for Kubernetes",
    "gpu_product": "the value of the node label nvidia.com/gpu.product, for Kubernetes",
    "volume": "the name of a PersistentVolumeClaim that keeps results, for Kubernetes",
    "namespace": "a namespace, for Kubernetes",
}


def read(path: str | Path) -> dict[str, Machine]:
    """Return the machines of a file by their names. Raises MachinesError, and FileError for a file that is no YAML."""
    found = read_yaml(path)
    if not isinstance(found, dict) or set(found) != {"machines"} or not isinstance(found["machines"], dict):
        raise MachinesError(
            f"{path} has {short(found)}; it must have one key, machines, with a name for each machine and below it "
            f"what to ask for: {', '.join(KEYS)}."
        )
    if not found["machines"]:
        raise MachinesError(f"{path} names no machine below the key machines; it must name at least one.")
    machines = {name: _machine(str(path), name, asked) for name, asked in found["machines"].items()}
    lower = [name.lower() for name in machines]
    if twice := next((name for name in machines if lower.count(name.lower()) > 1), None):
        raise MachinesError(f"{path}: the name {twice} differs from another only in its case; give each its own name.")
    return machines


def choose(machines: dict[str, Machine], names: list[str], path: str | Path) -> dict[str, Machine]:
    """Return the machines of some names, or all where no name is given. Raises MachinesError for an unknown one."""
    if unknown := next((name for name in names if name not in machines), None):
        raise MachinesError(f"{path} has no machine {short(unknown)}; it has {', '.join(machines)}.")
    return {name: machines[name] for name in (names or machines)}


def _counted(value: Any) -> Any:
    """Return a number such as 1e3, or 240.0, as the integer that it is."""
    number = as_number(value)
    return int(number) if isinstance(number, float) and number.is_integer() else value


def _machine(path: str, name: object, asked: object) -> Machine:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise MachinesError(
            f"{path}: the name {short(name)} of a machine must be of letters, digits, - and _, 40 at most, and begin "
            "with a letter or digit."
        )
    asked = {} if asked is None else asked
    if not isinstance(asked, dict):
        raise MachinesError(f"{path}: machine {name} is {short(asked)}; it must have keys, of {', '.join(KEYS)}.")
    if unknown := next((key for key in asked if key not in KEYS), None):
        raise MachinesError(f"{path}: machine {name} has the key {short(unknown)}; known keys are {', '.join(KEYS)}.")
    asked = {key: _counted(value) for key, value in asked.items()}
    for key, value in asked.items():
        try:
            msgspec.convert({key: value}, Machine)
        except msgspec.ValidationError:
            raise MachinesError(f"{path}: machine {name}: {key} is {short(value)}; it must be {KEYS[key]}.") from None
    machine = msgspec.convert(asked, Machine)
    if wrong := next((one for one in machine.sbatch if not one.startswith("--")), None):
        raise MachinesError(f"{path}: machine {name}: sbatch has {short(wrong)}; it must be {KEYS['sbatch']}.")
    if machine.gpu_model and not machine.gpus:
        raise MachinesError(
            f"{path}: machine {name}: gpu_model is {machine.gpu_model} and gpus is 0; say how many with gpus: 1."
        )
    return machine

"""A Job of Kubernetes for each machine: a manifest that one `kubectl apply` runs, with the workflow's image.

Results lie on a PersistentVolumeClaim, in a folder for each machine; a pod that is lost is started again there, and
goes on. Configurations travel as a ConfigMap, so that the image need not have them. Labels of GPUs are those that
NVIDIA's feature discovery gives nodes (https://github.com/NVIDIA/k8s-device-plugin).
"""

from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import yaml

from speedgrid.cluster import script
from speedgrid.cluster.machines import Machine, MachinesError
from speedgrid.launcher.inputs import file_fault
from speedgrid.launcher.outputs import write_text

MANIFEST = "job.yaml"
# In the image (envs/Containerfile); folders of it that a run writes, which are the machine's own on the volume.
ROOT, WRITTEN = PurePosixPath("/speedgrid"), ("artifacts", "report", "logs", ".snakemake")
CONFIG = PurePosixPath("/etc/speedgrid")
# Lost pods are replaced as often as that; a run that fails for a reason of its own fails as often.
REPLACED = 3
LABEL, PRODUCT, HOST = "app.kubernetes.io/name", "nvidia.com/gpu.product", "kubernetes.io/hostname"
# The bytes that a ConfigMap may have.
MOST_BYTES = 1 << 20

Manifest = dict[str, Any]


def object_name(name: str) -> str:
    """Return the name of a machine's objects: lower-case letters, digits and hyphens (RFC 1123)."""
    return f"speedgrid-{name.lower().replace('_', '-')}".rstrip("-")


def require(machines: dict[str, Machine], path: str | Path) -> None:
    """Raise MachinesError for a machine that lacks what a manifest needs, or that shares its name with another."""
    for name, machine in machines.items():
        for key, example in (("image", "registry.example/speedgrid:1"), ("volume", "speedgrid-results")):
            if not getattr(machine, key):
                raise MachinesError(
                    f"{path}: machine {name} has no {key}, which Kubernetes needs; e.g. {key}: {example}."
                )
    names = {name: object_name(name) for name in machines}
    if twice := next((one for one, object_ in names.items() if list(names.values()).count(object_) > 1), None):
        raise MachinesError(f"{path}: machine {twice} has the name {names[twice]} in Kubernetes, as another has.")


def write(name: str, machine: Machine, folder: Path) -> Path:
    """Write the manifest of a machine to its folder and return its path. Raises MachinesError and Unwritable."""
    path = folder / MANIFEST
    texts = [_text(name, file, folder) for file in machine.configfiles]
    documents = [*([_config_map(name, machine, texts)] if texts else []), job(name, machine)]
    write_text(path, yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True))
    return path


def job(name: str, machine: Machine) -> Manifest:
    """Return the Job of a machine (batch/v1)."""
    spec: Manifest = {
        "backoffLimit": REPLACED,
        "template": {"metadata": {"labels": {LABEL: "speedgrid"}}, "spec": _pod(name, machine)},
    }
    if machine.minutes:
        spec["activeDeadlineSeconds"] = 60 * machine.minutes
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(name, machine), "spec": spec}


def _pod(name: str, machine: Machine) -> Manifest:
    mounts: list[Manifest] = [
        {"name": "results", "mountPath": str(ROOT / one), "subPath": f"{object_name(name)}/{one.lstrip('.')}"}
        for one in WRITTEN
    ]
    volumes: list[Manifest] = [{"name": "results", "persistentVolumeClaim": {"claimName": machine.volume}}]
    if machine.configfiles:
        mounts.append({"name": "config", "mountPath": str(CONFIG), "readOnly": True})
        volumes.append({"name": "config", "configMap": {"name": object_name(name)}})
    pod: Manifest = {
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "speedgrid",
                "image": machine.image,
                "command": ["bash", "-c", _commands(machine)],
                "workingDir": str(ROOT),
                "resources": _resources(machine),
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
        # The image runs as this user (envs/Containerfile), to whom a volume of root's is given.
        "securityContext": {"fsGroup": 1000},
    }
    chosen = {PRODUCT: machine.gpu_product, HOST: machine.node}
    if selector := {label: value for label, value in chosen.items() if value}:
        pod["nodeSelector"] = selector
    if machine.gpus:
        pod["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    if machine.exclusive:
        # Two of these never share a node; what else runs there Kubernetes has no word for.
        rule = {"labelSelector": {"matchLabels": {LABEL: "speedgrid"}}, "topologyKey": HOST}
        pod["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}}
    return pod


def _commands(machine: Machine) -> str:
    given = [str(CONFIG / f"{number}.yaml") for number, _ in enumerate(machine.configfiles)]
    there = msgspec.structs.replace(machine, configfiles=given)
    return script.body(there, Path(ROOT), programs=Path(ROOT / ".venv/bin"), notes="artifacts/")


def _resources(machine: Machine) -> Manifest:
    """Return limits, which are requests too: GPUs are given out by limits alone, and equal ones keep a pod its CPUs."""
    asked = {"cpu": machine.cpus, "memory": machine.memory_mb and f"{machine.memory_mb}M"}
    limits = {key: str(value) for key, value in asked.items() if value}
    return {"limits": limits | ({"nvidia.com/gpu": str(machine.gpus)} if machine.gpus else {})}


def _config_map(name: str, machine: Machine, texts: list[str]) -> Manifest:
    data = {f"{number}.yaml": text for number, text in enumerate(texts)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(name, machine), "data": data}


def _metadata(name: str, machine: Machine) -> Manifest:
    found: Manifest = {"name": object_name(name), "labels": {LABEL: "speedgrid"}}
    return found | ({"namespace": machine.namespace} if machine.namespace else {})


def _text(name: str, file: str, folder: Path) -> str:
    path = folder / file
    if fault := file_fault(path):
        raise MachinesError(f"machine {name}: configfiles has {file}, which {fault}; it must be a file that is there.")
    if path.stat().st_size > MOST_BYTES // 2:
        raise MachinesError(f"machine {name}: configfiles has {file}, which is larger than a ConfigMap may be.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise MachinesError(f"machine {name}: configfiles has {file}, which is not UTF-8; it must be YAML.") from None

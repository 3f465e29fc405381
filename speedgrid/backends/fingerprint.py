"""What must not change between two numbers of one backend in a table."""

from speedgrid import backends
from speedgrid.record import Machine


def fingerprint(machine: Machine, backend: str | None = None) -> str:
    """Return the device and the versions that all numbers of one backend in a table must share, as readable text.

    machine: as of `describe`. A different fingerprint makes measurements stale (it is a param of the rules) and is
    refused by the table. With no backend: the device and torch, for what is prepared with torch alone.
    """
    packages = backends.get(backend).PACKAGES if backend else ("torch",)
    driver = machine.get("driver") if machine["device"] == "cuda" else None
    parts = [machine["device_name"], *([f"driver {driver}"] if driver else [])]
    if machine["device"] == "cpu":  # its threads, and their speed, follow from what a container leaves
        limits = {"on {} CPUs": machine.get("cpus_allowed"), "quota of {:g} CPUs": machine.get("cpu_quota")}
        parts += [text.format(limit) for text, limit in limits.items() if limit]
    installed = machine["packages"]
    return ", ".join(parts + [f"{name} {installed[name]}" for name in packages if name in installed])

"""The CPU time that a container may use, by its control groups, in versions 1 and 2.

`docker run --cpus 1.5` and limits of Kubernetes are quotas: a process sees all processors and is stopped, for the rest
of each tenth of a second, once it has used its share. Threads beyond the quota only use it up sooner.
https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu, https://docs.kernel.org/scheduler/sched-bwc.html
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from speedgrid.machine.proc import lines

PROC = Path("/proc/self")


def quota() -> float | None:
    """Return the CPUs that this process may use at most, as a number of whole ones; None without a limit."""
    found = [limit for folder in folders() if (limit := of(folder)) is not None]
    return min(found, default=None)


def of(folder: Path) -> float | None:
    """Return the quota of one control group in CPUs; None without one."""
    if whole := lines(folder / "cpu.max"):  # version 2: "QUOTA PERIOD" or "max PERIOD"
        quota, _, period = whole[0].partition(" ")
        return _share(quota, period or "100000")
    quota, period = (next(iter(lines(folder / f"cpu.cfs_{name}_us")), "") for name in ("quota", "period"))
    return _share(quota, period)


def _share(quota: str, period: str) -> float | None:
    """Return quota / period; None where either is no number above 0, as `max` and -1 are."""
    try:
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return share if share > 0 else None


def folders() -> Iterator[Path]:
    """Yield the folders of this process's control groups for the CPU, and of all above them."""
    own: dict[str, PurePosixPath] = {}
    for line in lines(PROC / "cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        own |= {name: PurePosixPath(path) for name in controllers.split(",")}  # version 2 has no names
    for mount, root, names in mounts():
        group = own.get("" if names is None else "cpu")
        if group is None or (names is not None and "cpu" not in names):
            continue
        # A container may see its own group as the root, under a path that the host gave it.
        below = group.relative_to(root) if group.is_relative_to(root) else PurePosixPath()
        yield from (mount / part for part in (below, *below.parents))


def mounts() -> Iterator[tuple[Path, PurePosixPath, set[str] | None]]:
    """Yield the folder of a mount of control groups, the group there, and version 1's controllers; None for 2."""
    for line in lines(PROC / "mountinfo"):
        fields, _, kind = line.partition(" - ")
        parts, (name, *rest) = fields.split(), kind.split() or [""]
        if name in ("cgroup", "cgroup2") and len(parts) > 4:
            names = set(rest[-1].split(",")) if name == "cgroup" and rest else None
            yield Path(parts[4]), PurePosixPath(parts[3]), names

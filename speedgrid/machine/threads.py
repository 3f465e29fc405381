"""How many threads a computation on the CPU gets."""

import os
from pathlib import Path

from speedgrid.machine import cgroup
from speedgrid.machine.proc import lines

CPUS = Path("/sys/devices/system/cpu")


def shared_cores() -> int:
    """Return the threads of work that prepares measurements: several such scripts run side by side."""
    return min(2, physical_cores())


def session_threads(device: str, cpu_threads: int) -> int:
    """Return torch's threads in a process that measures a cell: for a GPU they only load it, as others do beside it."""
    return cpu_threads if device == "cpu" else shared_cores()


def physical_cores() -> int:
    """Return the physical cores that this process may use, of those that a container's quota of CPU time pays for.

    Two hardware threads of one core share its arithmetic units, so more threads than cores only wait for each other.
    """
    import psutil

    try:
        physical = psutil.cpu_count(logical=False)
    except (OSError, ValueError, IndexError):  # /proc and /sys may be hidden
        physical = None
    usable = allowed()
    cores = min(physical or len(usable), len(usable), distinct_cores(usable) or len(usable))
    return max(1, min(cores, int(cgroup.quota() or cores)))


def allowed() -> set[int]:
    """Return the numbers of the logical CPUs that this process may run on, as its affinity and cpuset say."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def distinct_cores(numbers: set[int]) -> int:
    """Return how many physical cores some logical CPUs are of; 0 where the kernel does not tell of each."""
    siblings = [lines(CPUS / f"cpu{number}/topology/thread_siblings_list") for number in sorted(numbers)]
    return len({one[0] for one in siblings}) if all(siblings) else 0

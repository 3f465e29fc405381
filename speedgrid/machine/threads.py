"""How many threads a computation on the CPU gets."""

import os


def shared_cores() -> int:
    """Return the threads of work that prepares measurements: several such scripts run side by side."""
    return min(2, physical_cores())


def session_threads(device: str, cpu_threads: int) -> int:
    """Return torch's threads in a process that measures a cell: for a GPU they only load it, as others do beside it."""
    return cpu_threads if device == "cpu" else shared_cores()


def physical_cores() -> int:
    """Return the physical cores that this process may use.

    Two hardware threads of one core share its arithmetic units, so more threads than cores only wait for each other.
    """
    import psutil

    try:
        physical = psutil.cpu_count(logical=False)
    except (OSError, ValueError, IndexError):  # /proc and /sys may be hidden
        physical = None
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(physical or allowed, allowed)

"""Where a script's output goes."""

import os


def log_to(path: str) -> None:
    """Send everything that this process prints to a file, native libraries and tracebacks included."""
    file = open(path, "w", buffering=1)  # noqa: SIM115 - it stays open as long as the process
    for descriptor in (1, 2):
        os.dup2(file.fileno(), descriptor)

"""The circumstances of a measurement, which every record has: when, where, with which versions, by which command."""

import os
from datetime import UTC, datetime
from typing import Any

from speedgrid.backends.fingerprint import fingerprint
from speedgrid.launcher import SESSION_VARIABLE
from speedgrid.machine import environment
from speedgrid.record import Machine


def circumstances(machine: Machine, backend: str) -> dict[str, Any]:
    """Return the fields of speedgrid.record.Outcome that this process has, for a backend on a machine."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": machine,
        "fingerprint": fingerprint(machine, backend),
        "command": environment.command(),
        "session": os.environ.get(SESSION_VARIABLE, ""),
    }

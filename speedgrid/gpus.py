"""Which of a machine's GPUs a process measures on: one that no other measurement has, whoever runs it."""

import fcntl
import os
import tempfile
import time
from pathlib import Path

from speedgrid.device import nvml

POLL_SECONDS = 0.2
# What this process holds; the kernel lets go of it when the process ends, however it ends.
CLAIMED: dict[str, object] = {}


def usable() -> list[tuple[int, str]]:
    """Return (NVML index, UUID) of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES says or all.

    Only those of the first one's model: a table must not mix models.
    """
    with nvml() as api:
        if not api:
            return []
        handles = [api.nvmlDeviceGetHandleByIndex(index) for index in range(api.nvmlDeviceGetCount())]
        found = [(index, api.nvmlDeviceGetUUID(handle)) for index, handle in enumerate(handles)]
        if wanted := os.environ.get("CUDA_VISIBLE_DEVICES"):
            names = [name.strip() for name in wanted.split(",")]
            matching = [
                [(index, uuid) for index, uuid in found if name == str(index) or uuid.startswith(name)]
                for name in names
            ]
            found = [one for matches in matching for one in matches[:1]]
        models = {index: api.nvmlDeviceGetName(handles[index]) for index, _ in found}
        return [(index, uuid) for index, uuid in found if models[index] == models[found[0][0]]]


def claim() -> str | None:
    """Take the first usable GPU that no other process has, for the life of this process, and return its UUID.

    Waits while all are taken. CUDA then sees this GPU alone, so call it before anything touches CUDA. A second call
    changes nothing. None where there is no GPU.
    """
    if CLAIMED:
        return next(iter(CLAIMED))
    told = False
    while candidates := usable():
        for _, uuid in candidates:
            # One file for all users of the machine: it is never removed, since others may be waiting on it.
            path = Path(tempfile.gettempdir()) / f"speedgrid-{uuid}.lock"
            path.touch(mode=0o666, exist_ok=True)
            handle = path.open()
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.close()
                continue
            CLAIMED[uuid] = handle
            os.environ["CUDA_VISIBLE_DEVICES"] = uuid
            return uuid
        if not told:
            print("All GPUs are measuring something else; waiting for one.", flush=True)
            told = True
        time.sleep(POLL_SECONDS)
    return None

"""Which of a machine's GPUs a process uses, and when it has one to itself.

Cells are loaded side by side, which is mostly waiting for drivers and compilers, and measured one at a time. Advisory
locks (flock(2)) see to it, for all users and workflows of a machine: a loaded cell holds one of its GPU's slots;
whoever works shares the GPU's lock, and whoever measures holds it alone, so that nothing else works meanwhile. Two more
locks of each GPU order its cells in groups, and the GPUs in turns: cells are loaded on one while others measure.
"""

import contextlib
import fcntl
import os
import resource
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from speedgrid.machine.device import nvml

POLL_SECONDS = 0.2
TURN_POLL_SECONDS = 0.05
# Cells on one GPU at once. The driver makes contexts one after another, 0.2 s each on an H200, and 1.4 s later the
# last of them is loaded: the more at once, the less of that for each, and the longer the wait for the last cells.
MOST_SLOTS = 12
BYTES_PER_SLOT = 12e9
# The longest that a GPU's cells wait for those of another to be loaded: what takes longer is no driver's work.
TURN_SECONDS = 10.0
# A process's files are closed from its lowest number up or from its highest down: a lock that is let go of last,
# after the driver has cleared up, needs a number at either end.
HIGH_DESCRIPTOR = min(900, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


@dataclass(frozen=True)
class Gpu:
    """One GPU. index: its number for NVML. slots: how many cells it may have loaded at once."""

    index: int
    uuid: str
    slots: int


@dataclass
class Claim:
    """The locks that a process holds of its GPU; the kernel lets go of them when the process ends.

    lock: the GPU's lock. slots: its slots. stage: says to others that this cell is being loaded, or that it is loaded.
    """

    lock: TextIO
    slots: list[TextIO]
    stage: TextIO | None = None


CLAIMED: dict[Gpu, Claim] = {}


def usable() -> list[Gpu]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES says or all.

    Only those of the first one's model: a table must not mix models.
    """
    with nvml() as api:
        if not api:
            return []
        handles = [api.nvmlDeviceGetHandleByIndex(index) for index in range(api.nvmlDeviceGetCount())]
        found = [
            Gpu(index, api.nvmlDeviceGetUUID(handle), slots(api.nvmlDeviceGetMemoryInfo(handle).total))
            for index, handle in enumerate(handles)
        ]
        if (wanted := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
            names = [name.strip() for name in wanted.split(",") if name.strip()]
            matching = [[gpu for gpu in found if name == str(gpu.index) or gpu.uuid.startswith(name)] for name in names]
            found = list(dict.fromkeys(one for matches in matching for one in matches[:1]))
        models = {gpu: api.nvmlDeviceGetName(handles[gpu.index]) for gpu in found}
        return [gpu for gpu in found if models[gpu] == models[found[0]]]


def use(count: int) -> int:
    """Let this process and its children see `count` GPUs; return the number of cells that these may have loaded."""
    used = usable()[:count]
    if used:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpu.uuid for gpu in used)
    return sum(gpu.slots for gpu in used) or 1


def slots(memory: int) -> int:
    """Return the number of cells that a GPU with `memory` bytes may have loaded: few get in each other's way."""
    return max(1, min(MOST_SLOTS, int(memory // BYTES_PER_SLOT)))


def claim(alone: bool = False) -> str | None:
    """Take a slot of the first GPU with a free slot, for the life of this process, and return the GPU's UUID.

    Waits while all slots are taken, until those that are loaded on the GPU are measured, and while cells are loaded on
    another. CUDA then sees this GPU alone, so call it before anything touches CUDA. A second call changes nothing.
    alone: take all slots of the first GPU and measure alone from now on, so that nothing else is loaded on it. None
    where there is no GPU.
    """
    if not CLAIMED and (candidates := usable()):
        gpu, held = _all_slots(candidates[0]) if alone else _one_slot(candidates)
        stage = None if alone else _begin_loading(gpu, [one for one in candidates if one != gpu])
        lock = _locked(gpu.uuid, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        CLAIMED[gpu] = Claim(lock, held, stage)
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu.uuid
    return next((gpu.uuid for gpu in CLAIMED), None)


def crowded() -> bool:
    """Say whether other cells may be loaded on the claimed GPU, and so take memory from this one."""
    return any(len(claimed.slots) < gpu.slots for gpu, claimed in CLAIMED.items())


def measure_alone() -> None:
    """Wait until nothing else works on the claimed GPU, and keep it so until this process has ended."""
    for gpu, claimed in CLAIMED.items():
        # In this order, so that none begins to load on this GPU in between.
        loaded = _locked(f"{gpu.uuid}-loaded", fcntl.LOCK_SH)
        if claimed.stage:
            claimed.stage.close()
        claimed.stage = loaded
        # Between letting go of the shared lock and having the exclusive one, others may measure: they wait for us too.
        fcntl.flock(claimed.lock, fcntl.LOCK_EX)
        fcntl.fcntl(claimed.lock, fcntl.F_DUPFD_CLOEXEC, HIGH_DESCRIPTOR)


@contextmanager
def working(alone: bool = False):
    """Do work that must not go on while a GPU of this machine is measured; with no GPU, just do it.

    alone: nothing else may work meanwhile either. CUDA sees one GPU, the same one throughout a process.
    """
    candidates = usable()
    with contextlib.ExitStack() as locks:
        # In one order for all processes, so that none waits for another in a circle.
        for uuid in sorted(gpu.uuid for gpu in candidates):
            locks.enter_context(_locked(uuid, fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
        if candidates:
            os.environ["CUDA_VISIBLE_DEVICES"] = candidates[os.getpid() % len(candidates)].uuid
        yield


def _one_slot(candidates: list[Gpu]) -> tuple[Gpu, list[TextIO]]:
    told = False
    while True:
        # One GPU is filled before the next, so that the first has a whole group of cells to load and to measure.
        for gpu in candidates:
            for number in range(gpu.slots):
                if handle := _try(f"{gpu.uuid}-{number}"):
                    return gpu, [handle]
        if not told:
            print("All GPUs are taken; waiting for one.", flush=True)
            told = True
        time.sleep(POLL_SECONDS)


def _begin_loading(gpu: Gpu, others: list[Gpu]) -> TextIO:
    """Wait until a cell may be loaded on `gpu`, and return the lock that tells others of the loading.

    Not while loaded ones wait to be measured: it would keep them waiting, each time for as long as a whole group takes.
    Nor while cells are loaded on another GPU: drivers make contexts one after another for all GPUs together, so that
    two that load at once, and then measure at once, take twice as long to load, and go on so.
    """
    _locked(f"{gpu.uuid}-loaded", fcntl.LOCK_EX).close()
    deadline = time.monotonic() + TURN_SECONDS
    while not all(_free(f"{other.uuid}-loading") for other in others) and time.monotonic() < deadline:
        time.sleep(TURN_POLL_SECONDS)
    return _locked(f"{gpu.uuid}-loading", fcntl.LOCK_SH)


def _all_slots(gpu: Gpu) -> tuple[Gpu, list[TextIO]]:
    """Lock all slots of a GPU in order, so that two processes that want all never wait for each other."""
    return gpu, [_locked(f"{gpu.uuid}-{number}", fcntl.LOCK_EX) for number in range(gpu.slots)]


def _locked(name: str, kind: int) -> TextIO:
    """Return a lock file, locked as soon as nobody else holds it. kind: as of flock(2)."""
    handle = _open(name)
    fcntl.flock(handle, kind)
    return handle


def _free(name: str) -> bool:
    """Say whether nobody holds a lock."""
    if handle := _try(name):
        handle.close()
    return handle is not None


def _try(name: str) -> TextIO | None:
    handle = _open(name)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle


def _open(name: str) -> TextIO:
    """Open a lock file of all users of the machine; it is never removed, since others may be waiting on it."""
    path = Path(tempfile.gettempdir()) / f"speedgrid-{name}.lock"
    # Reading is all that a lock needs, and all that others may do with a file of ours.
    with contextlib.suppress(FileExistsError, PermissionError):
        path.touch(exist_ok=False)
        path.chmod(0o644)  # whatever the umask
    return path.open()

"""Which of a machine's GPUs a process uses, and when it has one to itself.

Cells are loaded side by side, which is mostly waiting for drivers and compilers, and measured one at a time. Locks
(speedgrid.machine.locks) see to it, for all users and workflows of a machine: a loaded cell holds one of its GPU's
slots; whoever works shares the GPU's lock, and whoever measures holds it alone, so that nothing else works meanwhile.
Two more locks of each GPU order its cells in groups, and the GPUs in turns: cells are loaded on one while others
measure. The processor is shared with all but what is timed on it (speedgrid.machine.cpu).
"""

import contextlib
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_SH

from speedgrid.machine import cpu, locks, visible, waiting
from speedgrid.machine.device import nvml
from speedgrid.machine.locks import Lock

POLL_SECONDS = 0.2
TURN_POLL_SECONDS = 0.05
# Cells on one GPU at once. The driver makes contexts one after another, 0.2 s each on an H200, and 1.4 s later the
# last of them is loaded: the more at once, the less of that for each, and the longer the wait for the last cells.
MOST_SLOTS = 12
BYTES_PER_SLOT = 12e9
# The longest that a GPU's cells wait for those of another to be loaded: what takes longer is no driver's work.
TURN_SECONDS = 10.0


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
    processor: that of the CPU, from when it measures.
    """

    lock: Lock
    slots: list[Lock]
    stage: Lock | None = None
    processor: Lock | None = None


CLAIMED: dict[Gpu, Claim] = {}


def usable() -> list[Gpu]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES says or all.

    Only those of the first one's model: a table must not mix models.
    """
    with nvml() as api:
        if not api:
            return []
        handles = [api.nvmlDeviceGetHandleByIndex(index) for index in range(api.nvmlDeviceGetCount())]
        cards = [
            visible.Card(index, api.nvmlDeviceGetUUID(handle), api.nvmlDeviceGetName(handle))
            for index, handle in enumerate(handles)
        ]
        seen = visible.chosen(cards)
        alike = [card for card in seen if card.model == seen[0].model]
        memory = {card: api.nvmlDeviceGetMemoryInfo(handles[card.index]).total for card in alike}
        return [Gpu(card.index, card.uuid, slots(memory[card])) for card in alike]


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
        lock = locks.locked(gpu.uuid, LOCK_EX if alone else LOCK_SH)
        CLAIMED[gpu] = Claim(lock, held, stage)
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu.uuid
    return next((gpu.uuid for gpu in CLAIMED), None)


def crowded() -> bool:
    """Say whether other cells may be loaded on the claimed GPU, and so take memory from this one."""
    return any(len(claimed.slots) < gpu.slots for gpu, claimed in CLAIMED.items())


def measure_alone() -> None:
    """Wait until nothing else works on the claimed GPU, and keep it so until this process has ended."""
    for gpu, claimed in CLAIMED.items():
        if claimed.processor:
            continue  # it measures already
        # In this order, so that none begins to load on this GPU in between.
        loaded = locks.locked(f"{gpu.uuid}-loaded", LOCK_SH)
        if claimed.stage:
            claimed.stage.close()
        claimed.stage = loaded
        if claimed.lock.kind != LOCK_EX:
            # Between letting go of the shared lock and having the exclusive one, others may measure: they wait for us
            # too.
            claimed.lock.close()
            claimed.lock = locks.locked(gpu.uuid, LOCK_EX)
        claimed.lock.keep()
        claimed.processor = cpu.shared()


@contextmanager
def working(alone: bool = False):
    """Do work that must not go on while a GPU of this machine, or a cell on its CPU, is measured.

    alone: nothing else may work meanwhile either, on the GPUs, or where there is none on the CPU. CUDA sees one GPU,
    the same one throughout a process.
    """
    candidates = usable()
    with contextlib.ExitStack() as held:
        # In one order for all processes, so that none waits for another in a circle.
        for uuid in sorted(gpu.uuid for gpu in candidates):
            held.enter_context(locks.locked(uuid, LOCK_EX if alone else LOCK_SH))
        held.enter_context(cpu.alone() if alone and not candidates else cpu.shared())
        if candidates:
            os.environ["CUDA_VISIBLE_DEVICES"] = candidates[os.getpid() % len(candidates)].uuid
        yield


def _one_slot(candidates: list[Gpu]) -> tuple[Gpu, list[Lock]]:
    if found := _free_slot(candidates):
        return found
    print("All GPUs are taken; waiting for one.", flush=True)
    names = [_slot(gpu, number) for gpu in candidates for number in range(gpu.slots)]
    with waiting.told("a GPU", [path for name in names for path in locks.paths(name)]):
        while not (found := _free_slot(candidates)):
            time.sleep(POLL_SECONDS)
    return found


def _free_slot(candidates: list[Gpu]) -> tuple[Gpu, list[Lock]] | None:
    # One GPU is filled before the next, so that the first has a whole group of cells to load and to measure.
    for gpu in candidates:
        for number in range(gpu.slots):
            if slot := locks.tried(_slot(gpu, number)):
                return gpu, [slot]
    return None


def _slot(gpu: Gpu, number: int) -> str:
    return f"{gpu.uuid}-{number}"


def _begin_loading(gpu: Gpu, others: list[Gpu]) -> Lock:
    """Wait until a cell may be loaded on `gpu`, and return the lock that tells others of the loading.

    Not while loaded ones wait to be measured: it would keep them waiting, each time for as long as a whole group takes.
    Nor while cells are loaded on another GPU: drivers make contexts one after another for all GPUs together, so that
    two that load at once, and then measure at once, take twice as long to load, and go on so.
    """
    locks.wait_until_free(f"{gpu.uuid}-loaded")
    deadline = time.monotonic() + TURN_SECONDS
    while not all(locks.free(f"{other.uuid}-loading") for other in others) and time.monotonic() < deadline:
        time.sleep(TURN_POLL_SECONDS)
    return locks.locked(f"{gpu.uuid}-loading", LOCK_SH)


def _all_slots(gpu: Gpu) -> tuple[Gpu, list[Lock]]:
    """Lock all slots of a GPU in order, so that two processes that want all never wait for each other."""
    return gpu, [locks.locked(_slot(gpu, number), LOCK_EX) for number in range(gpu.slots)]

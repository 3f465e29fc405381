"""Energy that a GPU has used, from the counter of its driver: joules between two readings, whoever used them."""

import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TypedDict

import numpy as np

from speedgrid.machine.device import nvml

# How long a change of the counter is waited for: it comes every 20 to 100 ms, on an H200 every 100 ms.
CHANGE_SECONDS = 1.0
# Between two looks; with how long a look takes, what a change's time is uncertain by.
POLL_SECONDS = 0.001
# Over how much a mean power is taken: so many updates, and long enough that none of them weighs much.
UPDATES = 20
LEAST_SECONDS = 1.0
MOST_SECONDS = 5.0
# Calls of a measured session are enqueued for so long at once; between them they are counted.
CHUNK_SECONDS = 0.02


class PerCall(TypedDict):
    """The energy and the power of calls back to back; see `per_call`."""

    joules_per_call: float
    power_w: float
    seconds: float
    calls: float
    updates: int


class EnergyCounter:
    """The counter of total energy of the GPU `uuid`, by NVML; with no uuid, driver or counter it has no reading.

    nvmlDeviceGetTotalEnergyConsumption counts mJ since the driver was loaded, on Volta and newer. NVML stays open as
    long as the counter is there, because opening it takes 20 ms.
    """

    def __init__(self, uuid: str | None):
        self._opened = ExitStack()
        self._api = self._opened.enter_context(nvml()) if uuid is not None else None
        self._handle = None
        if self._api:
            with suppress(self._api.NVMLError):
                self._handle = self._api.nvmlDeviceGetHandleByUUID(uuid)

    def read(self) -> float | None:
        """Return the joules that the GPU has used up to the counter's last update, or None."""
        if self._api is None or self._handle is None:
            return None
        try:
            return self._api.nvmlDeviceGetTotalEnergyConsumption(self._handle) / 1000
        except self._api.NVMLError:
            return None


def next_change(counter: EnergyCounter, timeout: float = CHANGE_SECONDS) -> tuple[float, float] | None:
    """Wait for the counter's next update, and return when it was seen (time.perf_counter) and its joules.

    None if there was none in `timeout` seconds, or if the counter has no reading. The power between two changes is
    their difference in joules over that in seconds, with no error from how rarely the counter is updated.
    """
    before = counter.read()
    end = time.perf_counter() + timeout
    while before is not None and time.perf_counter() < end:
        joules = counter.read()
        if joules is None:
            return None
        if joules != before:
            return time.perf_counter(), joules
        time.sleep(POLL_SECONDS)
    return None


def mean_power(counter: EnergyCounter) -> float | None:
    """Return the mean power in W over 20 updates of the counter and a second, whichever is longer.

    None if the counter has no reading, and if that takes more than 5 seconds.
    """
    end = time.perf_counter() + MOST_SECONDS
    changes: list[tuple[float, float]] = []
    while not enough(changes):
        change = next_change(counter, min(CHANGE_SECONDS, end - time.perf_counter()))
        if change is None:
            return None
        changes.append(change)
    (started, first), (ended, last) = changes[0], changes[-1]
    return (last - first) / (ended - started)


def per_call(session, counter: EnergyCounter, call_seconds: float) -> PerCall | None:
    """Run a loaded session back to back over 20 updates of the counter, and return what a call takes.

    call_seconds: about how long a call is. Returns `joules_per_call`, `power_w` and `seconds`, `calls` and `updates`
    seen between the first change of the counter and the last, so that how rarely it is updated is no error. It is
    the energy of the whole GPU, idle power included. None if the counter has no reading or is too rarely updated.
    """
    if counter.read() is None:
        return None
    chunk, end = max(1, round(CHUNK_SECONDS / call_seconds)), time.perf_counter() + MOST_SECONDS
    with session.active(), watched(counter) as changes:
        progress = [(time.perf_counter(), 0)]
        while time.perf_counter() < end and not enough(changes):
            for _ in range(chunk):
                session.run()
            session.synchronize()
            progress.append((time.perf_counter(), progress[-1][1] + chunk))
    return between(changes, progress) if enough(changes) else None


@contextmanager
def watched(counter: EnergyCounter):
    """Give a list to which a thread adds each change of the counter, as of `next_change`, while the block goes on.

    A reading takes 6 ms on a virtual machine. Taken by the thread that submits the work, readings left an H200 idle
    for a quarter of the time, and what it takes when idle was counted as the work's.
    """
    changes: list[tuple[float, float]] = []
    over = threading.Event()

    def watch():
        while not over.is_set():
            change = next_change(counter)
            if change and not over.is_set():
                changes.append(change)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield changes
    finally:
        over.set()
        thread.join()


def between(changes: list[tuple[float, float]], progress: list[tuple[float, int]]) -> PerCall:
    """Return a call's energy between the first change of the counter and the last, as of `per_call`.

    progress: (time, calls done by then). Calls are counted in fractions: they go on as the counter changes.
    """
    (started, first), (ended, last) = changes[0], changes[-1]
    times, counts = zip(*progress, strict=True)
    before, after = np.interp([started, ended], times, counts)
    return {
        "joules_per_call": (last - first) / (after - before),
        "power_w": round((last - first) / (ended - started), 3),
        "seconds": round(ended - started, 6),
        "calls": round(after - before, 3),
        "updates": len(changes) - 1,
    }


def enough(changes: list[tuple[float, float]]) -> bool:
    """Say whether the changes of a counter, each beginning with its time, span 20 updates and a second."""
    # Between the first change and the last there is one update less than there are changes.
    return len(changes) > UPDATES and changes[-1][0] - changes[0][0] >= LEAST_SECONDS

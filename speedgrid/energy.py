"""Energy that a GPU has used, from the counter of its driver: joules between two readings, whoever used them."""

import time
from contextlib import ExitStack, suppress

from speedgrid.device import nvml

# How long a change of the counter is waited for: it comes every 20 to 100 ms, on an H200 every 100 ms.
CHANGE_SECONDS = 1.0
# Between two looks; what a change's time is uncertain by.
POLL_SECONDS = 0.0005
# Over how much a mean power is taken: so many updates, and long enough that none of them weighs much.
UPDATES = 20
LEAST_SECONDS = 1.0
MOST_SECONDS = 5.0
# Calls of a measured session are enqueued for so long at once; between them the counter is looked at.
CHUNK_SECONDS = 0.02
# So long a window has 20 updates even where calls are too slow to see each of them.
LONG_SECONDS = 3.0


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
        if self._handle is None:
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
    # Between the first change and the last there is one update less than there are changes.
    while len(changes) <= UPDATES or changes[-1][0] - changes[0][0] < LEAST_SECONDS:
        change = next_change(counter, min(CHANGE_SECONDS, end - time.perf_counter()))
        if change is None:
            return None
        changes.append(change)
    (started, first), (ended, last) = changes[0], changes[-1]
    return (last - first) / (ended - started)


def per_call(session, counter: EnergyCounter, call_seconds: float) -> dict | None:
    """Run a loaded session back to back over 20 updates of the counter, and return what a call takes.

    call_seconds: about how long a call is. Returns `joules_per_call`, `power_w` and `seconds`, `calls` and `updates`
    seen between the first change of the counter and the last, so that how rarely it is updated is no error. It is
    the energy of the whole GPU, idle power included. None if the counter has no reading or is too rarely updated.
    """
    chunk, calls = max(1, round(CHUNK_SECONDS / call_seconds)), 0
    latest, changes = counter.read(), []
    end = time.perf_counter() + MOST_SECONDS
    with session.active():
        while latest is not None and time.perf_counter() < end and not enough(changes):
            for _ in range(chunk):
                session.run()
            session.synchronize()
            calls += chunk
            before, latest = latest, counter.read()
            if latest is not None and latest != before:
                changes.append((time.perf_counter(), latest, calls))
    if latest is None or not enough(changes):
        return None
    (started, first, calls_before), (ended, last, calls_after) = changes[0], changes[-1]
    seconds, calls = ended - started, calls_after - calls_before
    return {
        "joules_per_call": (last - first) / calls,
        "power_w": round((last - first) / seconds, 3),
        "seconds": round(seconds, 6),
        "calls": calls,
        "updates": len(changes) - 1,
    }


def enough(changes: list[tuple]) -> bool:
    """Say whether the changes of a counter, each beginning with its time, span 20 updates."""
    seconds = changes[-1][0] - changes[0][0] if changes else 0.0
    return (len(changes) > UPDATES and seconds >= LEAST_SECONDS) or (len(changes) > 2 and seconds >= LONG_SECONDS)

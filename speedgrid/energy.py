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

"""What else the machine's processors did while a cell was measured: another program's load is seen, not guessed."""

import os
import time
from pathlib import Path

# Columns of the first line of proc(5)'s stat, in ticks: user, nice, system, idle, iowait, irq, softirq, steal.
STAT = Path("/proc/stat")
BUSY, STEAL = (0, 1, 2, 5, 6), 7


class HostLoad:
    """Count processor time from when it is made to `as_dict`, on Linux."""

    def __init__(self):
        self.before = reading()

    def as_dict(self) -> dict | None:
        """Return plain JSON values, None where the system does not tell.

        busy_elsewhere_cores: cores that were busy with anything but this process, on average. stolen_cores: cores
        that the host of a virtual machine gave to others while this machine had work for them.
        """
        after = reading()
        if self.before is None or after is None:
            return None
        seconds, own, busy, stolen = (new - old for new, old in zip(after, self.before, strict=True))
        return {
            "busy_elsewhere_cores": round(max(0.0, busy - own) / seconds, 3),
            "stolen_cores": round(stolen / seconds, 3),
        }


def reading() -> tuple[float, float, float, float] | None:
    """Return (time, this process's processor time, all busy time, stolen time) in seconds; None if not on Linux."""
    try:
        ticks = [int(field) for field in STAT.read_text().splitlines()[0].split()[1:]]
    except OSError:
        return None
    rate = os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), time.process_time(), sum(ticks[i] for i in BUSY) / rate, ticks[STEAL] / rate

"""What the machine's processors did while a cell was measured: another program's load is seen, not guessed."""

import os
import time
from pathlib import Path
from statistics import median

from speedgrid.machine.proc import lines
from speedgrid.record import Host

# Columns of the first line of proc(5)'s stat, in ticks: user, nice, system, idle, iowait, irq, softirq, steal.
STAT = Path("/proc/stat")
BUSY, STEAL = (0, 1, 2, 5, 6), 7
# A fixed piece of work for one thread, of half a millisecond, and how often it is done to see how fast it goes.
ADDITIONS, TRIES = 10_000, 5


class HostLoad:
    """Count processor time from when it is made to `read`, on Linux."""

    def __init__(self):
        self.pace = pace()
        self.before = reading()

    def read(self) -> Host | None:
        """Return the load of the processors since then, or None where the system does not tell.

        busy_elsewhere_cores: cores that were busy with anything but this process, on average. stolen_cores: cores
        that the host of a virtual machine gave to others while this machine had work for them. pace_ms: `pace` before
        and after.
        """
        after = reading()
        if self.before is None or after is None:
            return None
        seconds, own, busy, stolen = (new - old for new, old in zip(after, self.before, strict=True))
        return Host(
            busy_elsewhere_cores=round(max(0.0, busy - own) / seconds, 3),
            stolen_cores=round(stolen / seconds, 3),
            pace_ms=[round(self.pace, 4), round(pace(), 4)],
        )


def pace() -> float:
    """Return the time of a fixed Python loop of ADDITIONS now, in ms: the median of TRIES.

    On a machine that others use too, the same core may be half as fast a moment later: it runs two threads side by
    side, and a virtual machine does not see the one that is not its own, nor the core's clock.
    """
    found = []
    for _ in range(TRIES):
        started = time.perf_counter()
        total = 0
        for number in range(ADDITIONS):
            total += number
        found.append((time.perf_counter() - started) * 1000)
    return median(found)


def reading() -> tuple[float, float, float, float] | None:
    """Return (time, this process's processor time, all busy time, stolen time) in seconds, or None: not told."""
    fields = [line.split()[1:] for line in lines(STAT) if line.startswith("cpu ")]
    if not fields or len(fields[0]) <= STEAL or not all(field.isdecimal() for field in fields[0]):
        return None
    ticks = [int(field) for field in fields[0]]
    rate = os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), time.process_time(), sum(ticks[i] for i in BUSY) / rate, ticks[STEAL] / rate

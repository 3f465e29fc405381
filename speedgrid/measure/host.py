"""What the machine's processors did while a cell was measured: another program's load is seen, not guessed."""

import os
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

from speedgrid.data.samples import Host
from speedgrid.machine.proc import lines

# Columns of the first line of proc(5)'s stat, in ticks: user, nice, system, idle, iowait, irq, softirq, steal.
STAT = Path("/proc/stat")
BUSY, STEAL = (0, 1, 2, 5, 6), 7
# Each thread's account of its waiting, in nanoseconds: Documentation/scheduler/sched-stats.rst of the kernel.
TASKS = Path("/proc/self/task")
# A fixed piece of work for one thread, of half a millisecond, and how often it is done to see how fast it goes.
ADDITIONS, TRIES = 10_000, 5


class Reading(NamedTuple):
    """The processors' accounts at one moment, all in seconds; waited: None where the kernel does not keep it."""

    time: float
    own: float
    busy: float
    stolen: float
    waited: float | None


class HostLoad:
    """Count processor time from when it is made to `read`, on Linux."""

    def __init__(self):
        self.pace = pace()
        self.before = reading()

    def read(self) -> Host | None:
        """Return the load of the processors since then, or None where the system does not tell.

        waited_cores: time that this process's threads were ready to run and did not, by the second: exact to a
        microsecond where the other accounts are kept in ticks of 10 ms. pace_ms: `pace` before and after.
        """
        found = load(self.before, reading())
        return replace(found, pace_ms=[round(self.pace, 4), round(pace(), 4)]) if found else None


def load(before: Reading | None, after: Reading | None) -> Host | None:
    """Return the load of the processors between two readings; None where the system does not tell."""
    if before is None or after is None:
        return None
    seconds = after.time - before.time
    own = after.own - before.own
    # A thread that has ended takes its account of waiting with it.
    missed = None if before.waited is None or after.waited is None else max(0.0, after.waited - before.waited)
    return Host(
        busy_elsewhere_cores=round(max(0.0, after.busy - before.busy - own) / seconds, 3),
        stolen_cores=round((after.stolen - before.stolen) / seconds, 3),
        waited_cores=None if missed is None else round(missed / seconds, 3),
        own_cores=round(own / seconds, 3),
        cores=os.cpu_count(),
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


def reading() -> Reading | None:
    """Return the processors' accounts now, or None where the system does not tell."""
    fields = [line.split()[1:] for line in lines(STAT) if line.startswith("cpu ")]
    if not fields or len(fields[0]) <= STEAL or not all(field.isdecimal() for field in fields[0]):
        return None
    ticks = [int(field) for field in fields[0]]
    rate = os.sysconf("SC_CLK_TCK")
    busy = sum(ticks[i] for i in BUSY) / rate
    return Reading(time.perf_counter(), time.process_time(), busy, ticks[STEAL] / rate, waited())


def waited() -> float | None:
    """Return the seconds that this process's threads were ready to run and did not; None where nobody counts them."""
    found = [line.split() for path in TASKS.glob("*/schedstat") for line in lines(path)]
    if not found or not all(len(one) == 3 and one[1].isdecimal() for one in found):
        return None
    return sum(int(one[1]) for one in found) / 1e9

"""Which slices of a timing others disturbed, told from what they took meanwhile.

What a timing takes again, and what counts when its record is judged, is decided by the same limits. Seen on 2 cores:
slices of 0.1 s in quiet had waited for 0.00 to 0.05 cores and saw 0.00 to 0.13 busy elsewhere; beside one process that
computes, 0.15 and more of either, and calls took 1.1 to 17 times as long.
"""

from collections.abc import Sequence

import numpy as np

from speedgrid.data.samples import Host, Slice

# Cores that a timing's threads may have waited for.
WAITED_CORES = 0.1
# Cores that may be busy with something else: a share of the machine's, of few and of many cores between two bounds.
# Where a machine has cores to spare, a neighbour takes memory bandwidth, caches and clock alone.
LEAST_CORES, BUSY_SHARE, BUSY_CORES = 0.25, 1 / 16, 1.0
# Cores that a process of one thread uses, with what its runtime does beside it.
ONE_THREAD = 1.5
# Cores that the host of a virtual machine may have given to others.
STOLEN_CORES = 0.1
# Such a part of a second is lost to waking up in any slice; the accounts of all processes are kept in ticks.
WAKING_SECONDS, TICK_SECONDS = 0.001, 0.01
# So many times as long for the same work, before a slice and after it, is another processor: a thread of a core whose
# other thread another virtual machine has. Seen: 1.5 times, with calls 1.4 times as long, and no other sign of it.
SLOWER = 1.3
# A process that has less than this share of the processor that its other slices had stood still for a while.
STOOD_STILL, STILL_SECONDS = 0.5, 0.05


def disturbances(slices: Sequence[Slice], best_pace: float = 0.0) -> list[str]:
    """Return why each slice of a timing was disturbed, as a clause; empty for those that were not.

    best_pace: as of `disturbance`, from other timings of this machine.
    """
    paces = [pace for one in slices if one.host and (pace := steady_pace(one.host))]
    best = min([*paces, best_pace] if best_pace else paces, default=0.0)
    return [disturbance(one.host, one.seconds, best) if one.host else "" for one in slices]


def disturbance(host: Host, seconds: float, best_pace: float = 0.0) -> str:
    """Return the disturbance of a timing of some seconds, as a clause; empty where there was none.

    best_pace: the least time in ms that a fixed piece of work took; 0 where it is not known.
    """
    if host.waited_cores is not None and host.waited_cores > WAITED_CORES + WAKING_SECONDS / seconds:
        return f"it waited for {host.waited_cores:.1f} cores that something else had"
    if host.stolen_cores > STOLEN_CORES + TICK_SECONDS / seconds:
        return f"the host of this virtual machine gave {host.stolen_cores:.1f} of its cores to others"
    if host.busy_elsewhere_cores > allowed(host.cores, host.own_cores) + TICK_SECONDS / seconds:
        return f"{host.busy_elsewhere_cores:.1f} cores were busy with something else"
    if best_pace and (pace := steady_pace(host)) > SLOWER * best_pace:
        return f"the processor itself was {pace / best_pace:.1f} times slower"
    return ""


def allowed(cores: int | None, own_cores: float | None = None) -> float:
    """Return how many of a machine's cores may be busy with something else; None where their number is not known.

    A process of one thread, as one that waits for a GPU, leaves half of the others to whoever wants them: cells of
    another GPU, which are loaded meanwhile. What keeps it from its own core is seen by what it waits for.
    """
    if not cores:
        return BUSY_CORES
    spare = (cores - own_cores) / 2 if own_cores is not None and own_cores <= ONE_THREAD else 0.0
    return max(min(BUSY_CORES, max(LEAST_CORES, BUSY_SHARE * cores)), spare)


def steady_pace(host: Host) -> float:
    """Return the shorter of the times that a fixed piece of work took before and after, in ms; 0 where not known.

    One of them alone may be long for no more than a moment.
    """
    return min(host.pace_ms, default=0.0)


def stood_still(slices: Sequence[Slice]) -> list[bool]:
    """Return in which slices the process itself did not run for a while: it was stopped, or its machine slept."""
    used = [one.host.own_cores if one.host else None for one in slices]
    known = [cores for cores in used if cores is not None]
    usual = float(np.median(known)) if known else 0.0
    return [
        cores is not None and cores < STOOD_STILL * usual and one.seconds * (1 - cores / usual) > STILL_SECONDS
        for cores, one in zip(used, slices, strict=True)
    ]


def quiet(slices: Sequence[Slice], why: Sequence[str] | None = None) -> list[bool]:
    """Return which slices of a timing count: nobody disturbed them, and the process never stood still.

    why: of each why it was disturbed, where more is known than `disturbances` has from the slices alone.
    """
    found = disturbances(slices) if why is None else why
    return [not one and not stopped for one, stopped in zip(found, stood_still(slices), strict=True)]

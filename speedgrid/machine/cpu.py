"""When a process has this machine's processor to itself, and when it shares it with others that work.

A cell that is timed on the CPU has all of it, from loading to its last answer; what prepares cells, and what is timed
on a GPU, shares it. So no two workflows time on one CPU at once, and none prepares what another one disturbs by it.
Locks that GPUs also have (speedgrid.machine.locks) see to it, for all users of a machine.
"""

import fcntl

from speedgrid.machine import locks, waiting
from speedgrid.machine.locks import Lock

NAME = "cpu"
TURN = "cpu-turn"


def alone() -> Lock:
    """Return the lock of a processor on which nothing else is timed or prepared until it is closed."""
    return _locked(fcntl.LOCK_EX)


def shared() -> Lock:
    """Return the lock of a processor on which others may work too, but nothing is timed that wants all of it.

    Whoever holds it must not wait for another lock: it is taken after all others.
    """
    return _locked(fcntl.LOCK_SH)


def in_the_way() -> list[str]:
    """Return who has this machine's processor now, in words, as far as the kernel names them."""
    held = [path for path in locks.paths(NAME) if waiting.pids(path)]
    return list(dict.fromkeys(one for path in held for one in waiting.holders(path)))


class InTheWay:
    """Who has the processor, as text for the log of a run, found whenever it is formatted; empty where nobody has it.

    A timing that waits says so in its own log alone. look: whether to look at all; a dry run does not.
    """

    look = False

    def __format__(self, _: str) -> str:
        found = in_the_way() if self.look else []
        return f"; waits for the processor, held by {'; and by '.join(found)}" if found else ""


def _locked(kind: int) -> Lock:
    # The kernel lets sharers in as long as there are any. Here they wait behind whoever waits to be alone, who would
    # else wait until no other workflow prepares anything any more.
    with locks.locked(TURN, kind, turn_of=NAME):
        return locks.locked(NAME, kind)

"""The lifetime of a run: which process it is, whether that one still lives, and which processes work for it.

A run is a process of Snakemake. Everything that works for it has its name in the environment (RUN_VARIABLE), whatever
started it and whichever group or session it went to. This module imports only what starts in milliseconds.
"""

import contextlib
import os
import select
import signal
import sys

from speedgrid.launcher import RUN_VARIABLE
from speedgrid.launcher.protocol import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# prctl(2): a process gets this signal when its parent ends.
PR_SET_PDEATHSIG = 1


def supported() -> bool:
    """Tell if this system can watch a process: Linux from 5.3 on, and no sandbox that leaves out pidfd_open(2)."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


def name(pid: int) -> str:
    """Return the name of a run that a process is: no other process has it, on any machine or later on this one."""
    return f"{_machine()} {pid} {_started(pid)}"


def process(run: str) -> int:
    """Return the number of the process that a run is."""
    return int(run.split()[-2])


def ended(run: str | None, within: float = 0.0) -> bool:
    """Tell if a run has ended, or does so `within` some seconds.

    A run of another machine has not, as far as can be seen from here, nor has what is no name of a run.
    """
    try:
        machine, pid, started = (run or "").split()
        if machine != _machine():
            return False
        if _started(int(pid)) != started:
            return True
        with _watching(int(pid)) as handle:
            return _started(int(pid)) != started or bool(select.select([handle], [], [], within)[0])
    except ProcessLookupError:
        return True
    except (OSError, ValueError, AttributeError):
        return False


def workers(run: str) -> list[int]:
    """Return handles (pidfd_open(2)) of the processes that work for a run, but for this one and the run itself."""
    wanted, found = f"{RUN_VARIABLE}={run}".encode(), []
    others = {str(os.getpid()), str(process(run))}
    for number in os.listdir("/proc"):
        if not number.isdecimal() or number in others:
            continue
        # Opened first, so that it is the process whose environment is read, and not a later one of that number.
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(int(number))
            try:
                with open(f"/proc/{number}/environ", "rb") as file:
                    works = wanted in file.read().split(b"\0")
            except OSError:  # another user's, or gone
                works = False
            if works:
                found.append(handle)
            else:
                os.close(handle)
    return found


def end_with(parent: int) -> "Callable[[], None] | None":
    """Return a function with which a child of `parent` has itself killed when that ends; None where there is none.

    It is the thread that starts the child which counts (prctl(2)): have it be one that lives as long as the process.
    """
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl

    def end() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has ended meanwhile
            os.kill(os.getpid(), signal.SIGKILL)

    return end


@contextlib.contextmanager
def _watching(pid: int):
    handle = os.pidfd_open(pid)
    try:
        yield handle
    finally:
        os.close(handle)


def _machine() -> str:
    """Return which boot of which machine this is, and which numbering of processes; without spaces.

    Its name too: machines that were copied while they ran are of one boot.
    """
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        return f"{os.uname().nodename}/{file.read().strip()}/{os.readlink('/proc/self/ns/pid')}".replace(" ", "_")


def _started(pid: int) -> str | None:
    """Return the time at which a process started, in the kernel's ticks; None if it has ended (proc(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The second field is a name that may hold anything.
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()

"""The guard of a run: a process that ends all work of the run with it, however the run ends.

    python -S -m speedgrid.launcher.guard [FOLDER ...]

It watches the process of the run, and is told of a signal by the end of its standard input. Then it stops all that
works for the run (speedgrid.launcher.lifetime), so that nobody sees another one end and acts on it, and kills it; then
it removes folders that the run would have removed. It is in a session of its own, where no signal of a terminal reaches
it, and holds no file of the run's. Where it is killed itself, the run starts another.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from speedgrid import ROOT
from speedgrid.launcher import RUN_VARIABLE, lifetime

# Between two looks at what still works for a run that ends; longer once there is nothing.
PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.32
# Looks at a run that has ended which find nothing, before nothing can come any more: a process that is just becoming
# another program has no environment for a moment.
LOOKS = 3
# Held, because a Popen that is collected closes the pipe that its guard waits on.
STARTED: list[subprocess.Popen[bytes]] = []


def start(cancels: bool = False, leaves: Iterable[str | Path] = ()) -> None:
    """Make this process a run whose work ends with it, and with a signal to it (Ctrl-C, SIGTERM, a closed terminal).

    cancels: its jobs are elsewhere and it ends them itself, by commands; then a signal is its own affair. leaves:
    folders that it removes when it ends, and leaves behind where it is killed.
    """
    told: list[int] = []
    if lifetime.supported():
        os.environ[RUN_VARIABLE] = lifetime.name(os.getpid())
        command = [sys.executable, "-S", "-m", __name__, *(os.path.abspath(folder) for folder in leaves)]
        first = begin(command)
        threading.Thread(target=replace, args=(first, command, told, cancels), daemon=True).start()

    def end(number: int, frame: object) -> None:
        """Have the guard end the jobs, and end this process as Ctrl-C does, which lets go of its locks."""
        first = not told  # a second one must not disturb that
        told.append(number)
        if not cancels:
            for one in STARTED:
                tell(one)
        if first:
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What was ignored when it started (nohup, a shell's background) stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            with contextlib.suppress(ValueError):  # not the main thread, which alone gets signals
                signal.signal(number, end)


def begin(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a guard."""
    nothing = subprocess.DEVNULL
    one = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=nothing, stderr=nothing, start_new_session=True, cwd=ROOT
    )
    STARTED.append(one)
    return one


def replace(one: subprocess.Popen[bytes], command: list[str], told: list[int], cancels: bool) -> None:
    """Start another guard whenever one is killed, for as long as the run lives.

    told: the signals that the run has had. One that ended by itself cannot work here, nor would the next.
    """
    while one.wait() < 0:
        one = begin(command)
        if told and not cancels:  # the signal came before it could be told
            tell(one)


def tell(one: subprocess.Popen[bytes]) -> None:
    """Tell a guard that the run had a signal."""
    if one.stdin:
        one.stdin.close()


def main() -> None:
    """Wait until the run ends or is told to, and end its work."""
    run = os.environ[RUN_VARIABLE]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(lifetime.process(run))
        if not lifetime.ended(run):
            select.select([handle, 0], [], [])
    end_work(run)
    for folder in sys.argv[1:]:
        shutil.rmtree(folder, ignore_errors=True)


def end_work(run: str) -> None:
    """End what works for a run, again and again until the run itself has ended and nothing works for it."""
    quiet, pause = 0, PAUSE_SECONDS
    while quiet < LOOKS:
        if kill_workers(run):
            quiet, pause = 0, PAUSE_SECONDS
        elif lifetime.ended(run):
            quiet, pause = quiet + 1, PAUSE_SECONDS
        else:
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        time.sleep(pause)


def kill_workers(run: str) -> int:
    """Stop all that works for a run, then kill it; return how many processes that were."""
    stopped: list[int] = []
    while True:
        # What one of them started before it was stopped is found the next time.
        found = lifetime.workers(run)
        send(signal.SIGSTOP, found)
        more = len(found) > len(stopped)
        for handle in stopped:
            os.close(handle)
        stopped = found
        if not more:
            break
    send(signal.SIGKILL, stopped)
    for handle in stopped:
        os.close(handle)
    return len(stopped)


def send(number: signal.Signals, handles: list[int]) -> None:
    """Send a signal to processes."""
    for handle in handles:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(handle, number)


if __name__ == "__main__":
    main()

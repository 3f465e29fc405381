"""Who is in the way of whoever waits for a lock: which processes, whose, since when, and what they do.

The kernel tells which processes hold a lock, also of one that never signed (proc(5), /proc/locks). Whoever takes a lock
signs its file, because a command line says little: all children of a launcher have that of the launcher.
"""

import contextlib
import fcntl
import os
import re
import shlex
import stat
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from speedgrid.launcher.reading import printable

LOCKS = Path("/proc/locks")
# When a wait is first told, and how long it is at most until it is told again; each pause is twice as long as the last.
FIRST_SECONDS = 5.0
LONGEST_SECONDS = 600.0
# A file that many have signed is begun anew.
MOST_BYTES = 16_000


@contextmanager
def told(what: str, paths: Iterable[Path], queue: Path | None = None) -> Iterator[None]:
    """Say every now and then, while the body waits, for what it waits, for whom and since when.

    what: in words. paths: the lock files. queue: the file of a lock that whoever waits before this process holds.
    """
    began, done, said = datetime.now(UTC), threading.Event(), threading.Event()
    held = list(paths)

    def tell() -> None:
        for pause in pauses():
            if done.wait(pause):
                return
            print(sentence(what, began, held, queue), flush=True)
            said.set()

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
        if said.is_set():
            print(f"Waited {(datetime.now(UTC) - began).total_seconds():.0f} s for {what}.", flush=True)


def pauses() -> Iterator[float]:
    """Yield the seconds after which a wait is told, and told again, without end."""
    pause = FIRST_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_SECONDS)


def sentence(what: str, began: datetime, paths: list[Path], queue: Path | None = None) -> str:
    """Return the sentence that tells of a wait since `began`. The other arguments are those of `told`."""
    having = list(dict.fromkeys(one for path in paths for one in holders(path)))
    ahead = [one for one in holders(queue) if one not in having] if queue else []
    unseen = "a process that this one cannot see, as one of another container is, or one that has just let go of it"
    words = f"Waiting since {when(began)} for {what}, held by {'; and by '.join(having) or unseen}"
    return "; waiting before this one: ".join([words, *ahead])


def holders(path: Path) -> list[str]:
    """Return who holds a lock, each in words; where the kernel names nobody, who has signed it last."""
    signed = signatures(path)
    found = [described(pid, signed.get(pid)) for pid in pids(path)]
    if found or not signed:
        return found
    pid, (since, command) = list(signed.items())[-1]
    return [f"a process that this one cannot see, or nobody any more; last signed by process {pid}, {since}: {command}"]


def pids(path: Path) -> list[int]:
    """Return the processes that hold a lock and are seen from here, by the kernel's account."""
    try:
        found = os.stat(path, follow_symlinks=False)
        text = LOCKS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return []
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    held = re.findall(rf"^\d+: FLOCK +\w+ +\w+ +(\d+) {place} ", text, re.MULTILINE)
    return sorted(set(map(int, held)) - {0})


def described(pid: int, signature: tuple[str, str] | None) -> str:
    """Return a process in words: number, user, since when, and its command as it signed, or as the system has it."""
    import psutil

    try:
        process = psutil.Process(pid)
        user, began = process.username(), datetime.fromtimestamp(process.create_time(), UTC)
        command = shlex.join(process.cmdline()) or process.name()
    except psutil.Error:  # ended, or hidden from other users
        return f"process {pid}" + (f" since {signature[0]}: {signature[1]}" if signature else "")
    # An older signature is that of another process, which had this number before.
    if signature and signature[0] >= when(began):
        return f"process {pid} of {printable(user)} since {signature[0]}: {signature[1]}"
    return f"process {pid} of {printable(user)}, which runs since {when(began)}: {printable(command)}"


def sign(handle: int, kind: int) -> None:
    """Write into a lock file that this process has the lock. handle: of the file. kind: as of flock(2)."""
    line = f"{os.getpid()} {when(datetime.now(UTC))} {printable(shlex.join(sys.argv))}\n"
    with contextlib.suppress(OSError):  # the lock is as good in a folder that is full, or can only be read
        file = os.fstat(handle)
        if not file.st_mode & stat.S_IWOTH:
            return  # not one that every user may write to: it may be dear to somebody
        if kind == fcntl.LOCK_EX or file.st_size > MOST_BYTES:
            os.ftruncate(handle, 0)
        os.write(handle, line.encode())


def signatures(path: Path) -> dict[int, tuple[str, str]]:
    """Return by process what it has signed a lock file with, in that order: since when it has the lock, its command."""
    try:
        with open(
            os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), encoding="utf-8", errors="replace"
        ) as file:
            lines = file.read(2 * MOST_BYTES).splitlines()
    except OSError:
        return {}
    found: dict[int, tuple[str, str]] = {}
    for line in lines:
        if signed := re.fullmatch(r"(\d{1,9}) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC) (.*)", line):
            found.pop(int(signed[1]), None)
            found[int(signed[1])] = (signed[2], printable(signed[3]))
    return found


def when(time: datetime) -> str:
    """Return a time as it is written in messages: containers of one machine may have several time zones."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

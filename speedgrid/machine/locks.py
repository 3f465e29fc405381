"""Locks that all processes of a machine share: files that the kernel locks, and lets go of when their process ends.

A lock is a file in each of FOLDERS, and whoever takes it locks all of them (flock(2)): two processes that see any one
of these folders in common keep out of each other's way, whatever TMPDIR, user, job or container they have.
docs/locks.md says who shares which. A lock file need only be open, for reading; what is in it are signatures
(speedgrid.machine.waiting). It is never removed, since others may be waiting on it.
"""

import errno
import fcntl
import os
import pwd
import resource
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from speedgrid.machine import waiting

# All processes lock in this order, so that none waits for another in a circle.
FOLDERS = ("/run/lock", "/var/tmp", "/dev/shm")
# A mode that lets everyone make files in a folder, and nobody remove or rename those of others.
EVERYONES = stat.S_IWOTH | stat.S_ISVTX
# A process's files are closed from its lowest number up or from its highest down: a lock that is let go of last,
# after the driver has cleared up, needs a number at either end.
HIGH_DESCRIPTOR = min(900, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
# What locks an open lock file: waits for it, or raises BlockingIOError.
Locking: TypeAlias = Callable[[int, Path], None]
# What says that a file cannot be written to. Reading is all that a lock needs.
ONLY_READABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
# What may lie where a lock file should.
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFREG: "a file",
}


class LockError(SystemExit):
    """A lock that cannot be used, in one sentence.

    It ends the script with this sentence: neither a build nor a cell has failed because of it.
    """


@dataclass
class Lock:
    """A lock that this process holds: its open files, and how it holds it. kind: as of flock(2)."""

    handles: list[int]
    kind: int

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the lock, if `keep` has not been called."""
        while self.handles:
            os.close(self.handles.pop())

    def keep(self) -> None:
        """Hold the lock until this process has ended, whatever is closed before."""
        for handle in self.handles:
            fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, HIGH_DESCRIPTOR)


def locked(name: str, kind: int, turn_of: str | None = None) -> Lock:
    """Return a lock as soon as nobody holds it who is in the way. kind: LOCK_EX or LOCK_SH, as of flock(2).

    turn_of: the name of the lock that whoever has this one waits for next. Raises LockError if it cannot be used.
    """
    return _signed(Lock(_in_each_folder(name, _waiting(kind, turn_of)), kind))


def tried(name: str) -> Lock | None:
    """Return a lock that nobody else holds, or None if somebody does."""
    try:
        return _signed(Lock(_in_each_folder(name, _try), fcntl.LOCK_EX))
    except BlockingIOError:
        return None


def free(name: str) -> bool:
    """Say whether nobody holds a lock."""
    try:
        return not _in_each_folder(name, _try, hold=False)
    except BlockingIOError:
        return False


def wait_until_free(name: str) -> None:
    """Wait until nobody holds a lock, in one folder after the other.

    It is held in none of them meanwhile: processes that do not see the same folders, and each of which holds it in
    one of them and waits in another, could wait for each other in a circle.
    """
    _in_each_folder(name, _waiting(fcntl.LOCK_EX), hold=False)


def paths(name: str) -> list[Path]:
    """Return the files of a lock, whether or not they are there."""
    return [_path(folder, name) for folder in FOLDERS]


def _path(folder: str | Path, name: str) -> Path:
    return Path(folder) / f"speedgrid-{name}.lock"


def _signed(lock: Lock) -> Lock:
    for handle in lock.handles:
        waiting.sign(handle, lock.kind)
    return lock


def _try(handle: int, _: Path) -> None:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _waiting(kind: int, turn_of: str | None = None) -> Locking:
    def wait(handle: int, path: Path) -> None:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            wanted = _path(path.parent, turn_of) if turn_of else path
            with waiting.told(f"the lock {wanted}", [wanted], path if turn_of else None):
                fcntl.flock(handle, kind)

    return wait


def _in_each_folder(name: str, lock: Locking, hold: bool = True) -> list[int]:
    """Return the open and locked files of a lock, of every folder that holds locks; none if they need not be held."""
    handles: list[int] = []
    reasons: list[str] = []
    seen: set[tuple[int, int]] = set()
    try:
        for path in paths(name):
            try:
                folder = _folder(path.parent)
                if folder in seen:  # under two names
                    continue
                handle = _file(path, lock)
            except BlockingIOError:
                raise
            except OSError as error:
                reasons.append(f"{path.parent}: {error.strerror}")
                continue
            seen.add(folder)
            handles.append(handle)
            if not hold:
                os.close(handles.pop())
    except BaseException:
        Lock(handles, fcntl.LOCK_EX).close()
        raise
    if not seen:
        raise LockError(
            f"No folder can hold the lock speedgrid-{name}.lock ({'; '.join(reasons)}); one of them should be there, "
            "writable by everyone and with the sticky bit, as `chmod 1777` makes it."
        )
    return handles


def _folder(path: Path) -> tuple[int, int]:
    """Return the identity of a folder. Raises OSError if it is not there, or cannot hold locks of all users."""
    found = path.stat()
    if not stat.S_ISDIR(found.st_mode) or found.st_mode & EVERYONES != EVERYONES:
        mode = stat.S_IMODE(found.st_mode)
        raise PermissionError(0, f"mode {mode:04o}, not 1777")
    return found.st_dev, found.st_ino


def _file(path: Path, lock: Locking) -> int:
    """Return a lock file, open and locked. Raises OSError where the folder does not take it."""
    while True:
        handle = _open(path)
        try:
            lock(handle, path)
            if _lies_at(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # removed meanwhile, as by a cleaner of temporary files: others lock another one


def _open(path: Path) -> int:
    """Open a lock file, which is made where there is none, and nothing else that may lie there."""
    while True:
        try:
            handle = _open_there(path)
            break
        except FileNotFoundError:
            _make(path)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(handle)
        raise LockError(_unusable(path, found))
    return handle


def _open_there(path: Path) -> int:
    # No link is followed, and nobody is waited for at the other end of a FIFO.
    flags = os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        try:
            return os.open(path, os.O_RDWR | flags)
        except OSError as error:
            if error.errno not in ONLY_READABLE:
                raise
            return os.open(path, os.O_RDONLY | flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise LockError(_unusable(path, os.lstat(path), error)) from None


def _make(path: Path) -> None:
    """Make a lock file for all users at once: there is no moment in which it has another mode."""
    before = os.umask(0)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o666))
    except FileExistsError:
        pass  # somebody was faster
    finally:
        os.umask(before)


def _lies_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False


def _unusable(path: Path, found: os.stat_result, error: OSError | None = None) -> str:
    """Return the sentence on a thing that lies where a lock file should, with the remedy."""
    regular, mode = stat.S_ISREG(found.st_mode), stat.S_IMODE(found.st_mode)
    if error and error.errno not in ONLY_READABLE and regular:
        return f"The lock {path} cannot be opened: {error.strerror}."
    kind = KINDS.get(stat.S_IFMT(found.st_mode), "something else")
    names = f" and {found.st_nlink} names (hard links)" if regular and found.st_nlink > 1 else ""
    owner = _user(found.st_uid)
    allowed = " or ".join(dict.fromkeys([owner, "root"]))
    return (
        f"The lock {path} cannot be used: there is {kind} of {owner} with mode {mode:04o}{names}, where there should "
        f"be a file with mode 0666 and one name; have {allowed} remove it, and start again."
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"

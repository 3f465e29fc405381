"""What a script leaves behind: files that are written whole or not at all, and why one could not be made.

Every file is written under its own name in a folder beside its place, `.NAME.part`, and renamed when it is whole:
`replacing`, whatever library writes it. A lock in that folder, which the kernel lets go of when its process ends, tells
work from what a killed process left; the next who writes the same file takes that over, and `sweep` removes it.
"""

from __future__ import annotations  # speedgrid.machine.doctor runs with any Python from 3.9 on

import errno
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from speedgrid import in_one_line

# The name of a folder for what is not whole yet ends so; it begins with a dot and the name of the file.
PART = ".part"
LOCK = ".lock"
# What a disk without room says, and what to do about it; also about other reasons why a file cannot be written.
FULL = {
    errno.ENOSPC: "free some space on its disk",
    errno.EDQUOT: "free some of the quota on its disk",
    errno.EFBIG: "allow larger files (ulimit -f)",
}
REMEDIES = FULL | {
    errno.EROFS: "choose a folder on a disk that can be written to",
    errno.ENOTDIR: "choose a name below a folder",
    errno.EISDIR: "choose a name that is no folder's",
    errno.ENAMETOOLONG: "choose a shorter name",
}
# Bytes that a disk must still take for it not to be full: where an exception has no number.
PROBE = 1 << 20


class Unwritable(SystemExit):
    """A file that cannot be written; the message names it, and what to do.

    No script can go on without its output, and so ends with this sentence. Not an Exception, so that nobody takes a
    full disk for a failure of what was built or measured, which would then stay in a record.
    """

    def __init__(self, path: Path, reason: int, remedy: str | None = None):
        remedy = remedy or REMEDIES.get(reason, "make its folder one that you may write to")
        super().__init__(
            f"{in_one_line(str(path))} cannot be written ({os.strerror(reason)}); {remedy}, then run again."
        )


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield the path of a temporary file; what is written to it, and beside it, takes its place when the block ends.

    It has the same name, in a folder of its own beside `path`: libraries look at the name, and some write further
    files. Where the block raises, all stays as it was. Raises Unwritable.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder, lock = _begin(path)
    except OSError as error:
        raise Unwritable(path, error.errno or errno.EIO) from error
    try:
        yield folder / path.name
        try:
            _finish(folder, path)
        except OSError as error:
            raise Unwritable(path, error.errno or errno.EIO) from error
    except Exception as error:
        if reason := no_room(folder):
            raise Unwritable(path, reason) from error
        if reason := number_of(error):  # libraries have temporary files of their own
            raise Unwritable(path, reason, f"free some space in {tempfile.gettempdir()} (TMPDIR)") from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all. Raises Unwritable."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write `content` to `path` as JSON, whole or not at all. Raises Unwritable."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_checked(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write `content` to `path` as JSON with its checksum, whole or not at all. Raises Unwritable."""
    write_json(path, {**content, "checksum": checksum(content)})


def write_made(path: str | Path, made: Mapping[str, Any], artifact: str | Path) -> None:
    """Write to `path` how `artifact` was made, as `write_checked` does, with what is in it, as of `contents`."""
    write_checked(path, {**made, "file": contents(artifact)})


def contents(path: str | Path) -> dict[str, Any]:
    """Return the size of a file, `bytes`, and the SHA-256 of what is in it, `sha256`, to know it again."""
    with open(path, "rb") as file:
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def one_line(error: BaseException) -> str:
    """Return an exception's type and text in one line, for a reason."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def unmade(output: str | Path, reason: str, status: str = "failed") -> dict[str, Any]:
    """Return the description of a file that could not be made, and leave it empty; its cells show the reason."""
    write_text(output, "")
    return {"status": status, "reason": reason}


def checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a JSON object but for its own `checksum`, whatever the order of its keys and its layout."""
    bare = {key: value for key, value in content.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def make_way(folder: Path) -> None:
    """Remove the folder that another one is to replace. Raises Unwritable for a file or a link, which nobody made."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise Unwritable(folder, errno.ENOTDIR, "remove what lies there")
    if folder.exists():
        shutil.rmtree(folder)


def no_room(folder: str | Path) -> int | None:
    """Return the number (errno(3)) that says why a disk takes no more, with all that was written to `folder`, or None.

    Tried rather than read from an exception: C++ libraries pass no number on (torch.save says "unexpected pos").
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(PROBE))
            probe.flush()
    except OSError as failed:
        return failed.errno if failed.errno in FULL else None
    return None


def number_of(error: BaseException | None) -> int | None:
    """Return the number with which a disk took no more, if that is what an exception came of, else None."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return error.errno
        error = error.__cause__ or error.__context__
    return None


def sweep(*folders: str | Path) -> None:
    """Remove from folders, and those in them, what killed processes left half written."""
    for folder in folders:
        for inside, names, _ in os.walk(folder):
            parts = [name for name in names if name.startswith(".") and name.endswith(PART)]
            names[:] = [name for name in names if name not in parts]
            for name in parts:
                with_lock = Path(inside, name)
                try:
                    lock = _take(with_lock)
                except OSError:  # no locks on this disk, or not ours: nobody can tell whether it is in use
                    continue
                if lock is not None:
                    shutil.rmtree(with_lock, ignore_errors=True)
                    os.close(lock)


def _begin(path: Path) -> tuple[Path, int | None]:
    """Return an empty folder for what is to be `path`, and its lock; None where the disk has no locks."""
    for number in itertools.count(1):
        folder = path.with_name(f".{path.name}{f'.{number}' if number > 1 else ''}{PART}")
        folder.mkdir(exist_ok=True)
        try:
            lock = _take(folder)
        except FileNotFoundError:  # whoever had it has just removed it
            continue
        except OSError as error:
            if error.errno in REMEDIES:
                raise
            return Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)), None
        if lock is not None:
            left = [one for one in folder.iterdir() if one.name != LOCK]
            # A C++ library that finds the disk full may kill its process, as torch.jit.save does.
            filled = no_room(folder) if left else None
            for one in left:
                shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
            if filled:
                shutil.rmtree(folder)
                os.close(lock)
                raise OSError(filled, os.strerror(filled))
            return folder, lock
    raise AssertionError  # the numbers do not end


def _take(folder: Path) -> int | None:
    """Return the lock of a folder, held by us from now on; None where another process holds it."""
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Not one that its last holder has removed since it was opened.
        if os.path.samestat(os.fstat(lock), os.stat(folder / LOCK)):
            return lock
    except BlockingIOError:
        pass
    except OSError:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _finish(folder: Path, path: Path) -> None:
    """Move what is in a folder to where `path` is, that one last: what it names is then there."""
    made = [one for one in folder.iterdir() if one.name != LOCK]
    for one in sorted(made, key=lambda one: one.name == path.name):
        for written in [one] if one.is_file() else filter(Path.is_file, one.rglob("*")):
            # On the disk before it has its name, so that after a power cut it is whole too.
            with written.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(one, path.with_name(one.name))

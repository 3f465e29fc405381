"""Files and folders that a user names: there, of the right kind and readable, or a clause that says what is wrong.

Snakemake takes the old result of a rule whose input is gone for a source file, and shows it as it is. So everything
that a user can remove is looked at before there are any rules.
"""

from __future__ import annotations  # speedgrid.machine.doctor runs with any Python from 3.9 on

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

# How the rules mark their own placeholders; a path that has one cannot be an input.
BRACES = "{}"
# How it marks folders that a module may rename: an input with one is no input, and the old result of its rule is shown.
RENAMED = re.compile(r"<[a-z][a-z0-9_]*>")


def expanded(path: str) -> str:
    """Return a path with `~` and `~user` as the home folders that they stand for, where there are such."""
    return os.path.expanduser(path)


def file_fault(path: str | Path) -> str | None:
    """Return the fault of a file that is to be read, as a clause after its name; None if it has none."""
    return _fault(str(path), stat.S_ISREG, "no file but a", os.R_OK)


def folder_fault(path: str | Path) -> str | None:
    """Return the fault of a folder whose files are to be read, as a clause after its name; None if it has none."""
    return _fault(str(path), stat.S_ISDIR, "no folder but a", os.R_OK | os.X_OK)


def _fault(path: str, is_wanted: Callable[[int], bool], instead: str, access: int) -> str | None:
    if not path:
        return "is empty"
    if any(brace in path for brace in BRACES):
        return "has a brace in its path, where the rules of the workflow have placeholders"
    if found := RENAMED.search(path):
        return f"has {found[0]} in its path, which the rules of the workflow take for a folder to be filled in"
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return f"is a link to {os.readlink(path)!r}, which is not there" if os.path.islink(path) else "is not there"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except ValueError as error:  # a null character, or one that file names cannot have
        return f"is no path ({error})"
    if not is_wanted(mode):
        return f"is {instead} {_kind(mode)}"
    return None if os.access(path, access) else "may not be read by this user"


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "folder"), (stat.S_ISREG, "file"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))
    return next((name for is_kind, name in kinds if is_kind(mode)), "device")

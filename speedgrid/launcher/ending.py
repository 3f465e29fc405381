"""How a script ends that cannot go on: with one sentence where whoever runs it can mend that, else with a traceback."""

from __future__ import annotations  # speedgrid.machine.doctor runs with any Python from 3.9 on

import errno
import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from speedgrid import InputError, in_one_line
from speedgrid.launcher.outputs import FULL, Unwritable, one_line

if TYPE_CHECKING:
    from typing import TypeGuard  # of Python 3.10

# How torch, CUDA, ONNX Runtime, numpy, the C++ library and the dynamic linker say that memory is used up.
OUT_OF_MEMORY = (
    "outofmemory",
    "out of memory",
    "to allocate",
    "allocate memory",
    "bad_alloc",
    "failed to map segment from shared object",
)


def prepare() -> None:
    """Have this process end so, and print what its terminal cannot show in escapes.

    Each line is printed at once: what cannot be printed is then known while the script runs, and not after its end.
    """
    sys.excepthook = tell
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):  # not of a stream that a test has put there
            reconfigure(errors="backslashreplace", line_buffering=True)


def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the sentence on an error, or its traceback where there is none; of the kind of sys.excepthook.

    Nothing is printed about Ctrl-C, nor about a reader who has heard enough, as `head` has.
    """
    if isinstance(error, KeyboardInterrupt):
        return
    if is_of_output(error):
        silence()
    if isinstance(error, BrokenPipeError):
        return
    text = sentence(error)
    if text is None:
        sys.__excepthook__(kind, error, trace)
    else:
        print(text, file=sys.stderr)


def sentence(error: BaseException) -> str | None:
    """Return the sentence on what the user of a script can mend; None for a fault of this program."""
    if isinstance(error, InputError | Unwritable):
        return str(error)
    if is_out_of_memory(error):
        return f"this takes more memory than there is ({one_line(error)}); {more_memory()}."
    if is_of_output(error):
        return f"what this prints cannot be written ({error.strerror}); free some space where it goes, then run again."
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        shown = in_one_line(str(error.filename))
        return f"{shown} cannot be used ({error.strerror}); it must be a file or folder that this user may use."
    return None


def is_of_output(error: BaseException) -> TypeGuard[OSError]:
    """Say whether an error is that standard output takes no more: no file is named, as in all errors of a path."""
    return isinstance(error, OSError) and error.filename is None and error.errno in {errno.EPIPE, *FULL}


def nowhere() -> int:
    """Return a descriptor that takes whatever is written, and keeps none of it."""
    return os.open(os.devnull, os.O_WRONLY)


def silence() -> None:
    """Have what is still to be printed go nowhere, so that Python does not try again as it ends."""
    try:
        descriptor = nowhere()
        os.dup2(descriptor, sys.stdout.fileno())
        os.close(descriptor)
    except (OSError, ValueError):  # of a stream that a test has put there
        pass


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error is one of many that mean that memory is used up."""
    words = f"{type(error).__name__} {error}".lower()
    return isinstance(error, MemoryError) or any(sign in words for sign in OUT_OF_MEMORY)


def more_memory() -> str:
    """Return the advice on getting a process more memory: to lift its limit where it has one."""
    try:
        import resource
    except ImportError:  # not on Windows
        return "close other programs, or take a machine with more"
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return "close other programs, or take a machine with more"
    return (
        f"its limit is {limit / 1e6:.0f} MB of address space (ulimit -v), so lift that, e.g. with `ulimit -v unlimited`"
    )

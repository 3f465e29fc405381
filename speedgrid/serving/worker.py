"""Processes of this package's own that are asked for things through pipes, a line each way."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from speedgrid import ROOT
from speedgrid.launcher import lifetime


@contextmanager
def worker(module: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a module as a process with pipes for what it reads and prints; end it with the block, or with this process.

    module: its full name. arguments: of its command line.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        cwd=ROOT,
        preexec_fn=lifetime.end_with(os.getpid()),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()

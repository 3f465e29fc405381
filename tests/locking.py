"""Processes that take locks, for tests to start and to wait for; a pytest plugin.

PYTEST_DONT_REWRITE: tests also import from here, which pytest would warn about.
"""

import os
import re
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

PRELUDE = "import sys; from speedgrid.machine import cpu, gpus, locks, waiting; locks.FOLDERS = sys.argv[1:]"


def lock_folders(folder):
    """Return two folders of locks in a folder."""
    names = [folder / "locks-1", folder / "locks-2"]
    for name in names:
        name.mkdir(exist_ok=True)
        name.chmod(0o1777)
    return list(map(str, names))


def of_machine(folder):
    """Return the environment of a process that imports what is in a folder, and the library."""
    return os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{Path(__file__).parent.parent}"}


@pytest.fixture
def start(tmp_path):
    """Start a process; none of them lives longer than its test, or than two minutes.

    folders: those of its locks, where they are not the two of the test.
    """
    started = []

    def make(code, folders=None, **variables):
        process = subprocess.Popen(
            [sys.executable, "-c", f"{PRELUDE}; {code}", *(folders or lock_folders(tmp_path))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=of_machine(tmp_path) | variables,
        )
        started.append(process)
        return process

    def end():
        for process in reversed(started):  # the last first, which would else be given what it waits for
            process.kill()
            process.wait()

    timer = threading.Timer(120, end)
    timer.start()
    yield make
    timer.cancel()
    end()
    for process in started:
        process.communicate()


def line(process):
    """Return the next line that a process writes, or nothing if it was killed."""
    return process.stdout.readline().strip()


def waits(process):
    """Say whether a process comes to wait for a lock, by the kernel's account of them (proc(5))."""
    waiting, deadline = rf"-> FLOCK +ADVISORY +\w+ {process.pid} ", time.monotonic() + 60
    while (
        not (found := re.search(waiting, Path("/proc/locks").read_text(encoding="utf-8")))
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    return bool(found)


def go_on(process):
    """Let a process go on after its `input()`."""
    process.stdin.write("\n")
    process.stdin.flush()


def hands_over(first, second, killed=False):
    """Hold that a process waits until the first one lets go, or is killed; return the next line that it writes then."""
    assert waits(second)
    first.kill() if killed else go_on(first)
    return line(second)


def first_to_answer(processes):
    """Return the processes, the one that writes a line first before the others."""
    [[output], _, _] = select.select([process.stdout for process in processes], [], [], 60)
    return sorted(processes, key=lambda process: process.stdout is not output)

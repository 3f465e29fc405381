"""Run a script warm if there is a launcher, else in a fresh process; the exit code is the script's.

    python -S -m speedgrid.launcher.client [--keep NAME] [--record-death] MODULE [ARGUMENT ...]

--keep NAME: run in a process that is kept for scripts of that name (engine builds), not in a fresh fork.
--record-death: if a signal kills the script, run it once more with `--died REASON`, so that it can say so in a file.
A script that ends with EX_TEMPFAIL (sysexits.h) is run once more with `--alone`: others were in its way.
This module imports only what starts in milliseconds.
"""

import os
import signal
import socket
import subprocess
import sys

from speedgrid.launcher import ADDRESS_VARIABLE
from speedgrid.launcher.protocol import TYPE_CHECKING, send

if TYPE_CHECKING:
    from speedgrid.launcher.protocol import Request

# These end a script from outside (Ctrl-C, a scheduler); they say nothing about the script.
FROM_OUTSIDE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str]) -> int:
    """Run the script that `arguments` name and return its exit code: 128 + number where a signal ended it."""
    keep, record_death = None, False
    while arguments and arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option == "--keep":
            keep = arguments.pop(0)
        elif option == "--record-death":
            record_death = True
        else:
            raise SystemExit(f"unknown option {option}; known are --keep NAME and --record-death")
    code = run(arguments, keep)
    if code == os.EX_TEMPFAIL:
        code = run([*arguments, "--alone"], keep)
    if code < 0 and record_death and -code not in FROM_OUTSIDE:
        names = {one.value: one.name for one in signal.Signals}
        reason = f"the process was killed by signal {-code} ({names.get(-code, 'real-time')})"
        code = run_alone([*arguments, "--died", reason])
    return code if code >= 0 else 128 - code


def run(arguments: list[str], keep: str | None) -> int:
    """Run a script warm, or in a fresh process where there is no launcher; return its exit code."""
    code = ask(os.environ.get(ADDRESS_VARIABLE), arguments, keep)
    return run_alone(arguments) if code is None else code


def run_alone(arguments: list[str]) -> int:
    """Run a script in a fresh process and return its exit code: negative for a signal.

    Where a signal kills it, its standard error says in which line, as that of the launcher's children does.
    """
    return subprocess.call([sys.executable, "-X", "faulthandler", "-m", *arguments], env=variables())


def variables() -> dict[str, str]:
    """Return this process's environment without the thread limits that Snakemake sets for a job.

    They follow `--cores`; the scripts set their threads themselves, and a timing has all cores by declaration.
    """
    return {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}


def ask(address: str | None, arguments: list[str], keep: str | None) -> int | None:
    """Have the launcher at `address` run a script; None if there is no launcher to ask.

    The script writes to this process's standard output and error, whose descriptors travel with the request.
    """
    if not address:
        return None
    request: Request = {"arguments": arguments, "keep": keep, "folder": os.getcwd(), "environment": variables()}
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
        except OSError:
            return None
        try:
            send(connection, request, [1, 2])
            answer = connection.makefile("r").readline()
        except OSError:
            answer = ""
    if not answer:
        print("The launcher ended while it ran this script; running it in a fresh process.", file=sys.stderr)
    return int(answer) if answer else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

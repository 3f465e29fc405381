"""Run a script warm if there is a launcher, else in a fresh process; the exit code is the script's.

    python -S -m speedgrid.launcher.client [--keep NAME] [--record-death] MODULE [ARGUMENT ...]

--keep NAME: run in a process that is kept for scripts of that name (engine builds), not in a fresh fork.
--record-death: if a signal kills the script, run it once more with `--died REASON`, so that it can say so in a file.
A script that ends with EX_TEMPFAIL (sysexits.h) is run once more with `--alone`: others were in its way.
No script begins once the run that it works for has ended. This module imports only what starts in milliseconds.
"""

import os
import signal
import socket
import subprocess
import sys

from speedgrid.launcher import ADDRESS_VARIABLE, RUN_VARIABLE, lifetime
from speedgrid.launcher.protocol import TYPE_CHECKING, bound_to, is_ours, send

if TYPE_CHECKING:
    from speedgrid.launcher.protocol import Request

# These end a script from outside (Ctrl-C, a scheduler); they say nothing about the script.
FROM_OUTSIDE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A launcher that ends with its run is seen to end up to so long before it: the time that a process takes to end.
ENDING_SECONDS = 0.5


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
        code = run_alone([*arguments, "--died", reason], ENDING_SECONDS)
    return code if code >= 0 else 128 - code


def run(arguments: list[str], keep: str | None) -> int:
    """Run a script warm, or in a fresh process where there is no launcher; return its exit code."""
    address = os.environ.get(ADDRESS_VARIABLE)
    code = ask(address, arguments, keep)
    return run_alone(arguments, ENDING_SECONDS if address else 0) if code is None else code


def run_alone(arguments: list[str], patience: float = 0) -> int:
    """Run a script in a fresh process and return its exit code: negative for a signal.

    Where a signal kills it, its standard error says in which line, as that of the launcher's children does. It ends
    with this process. Raises SystemExit if the run that it works for has ended, or ends within `patience` seconds.
    """
    if lifetime.ended(os.environ.get(RUN_VARIABLE), patience):
        raise SystemExit("The run that this script works for has ended; it is not run.")
    command = [sys.executable, "-X", "faulthandler", "-m", *arguments]
    return subprocess.call(command, env=variables(), preexec_fn=lifetime.end_with(os.getpid()))


def variables() -> dict[str, str]:
    """Return this process's environment without the thread limits that Snakemake sets for a job.

    They follow `--cores`; the scripts set their threads themselves, and a timing has all cores by declaration.
    """
    return {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}


def ask(address: str | None, arguments: list[str], keep: str | None) -> int | None:
    """Have the launcher at `address` run a script; None if there is no launcher to ask, or it does not run it.

    The script writes to this process's standard output and error, whose descriptors travel with the request.
    """
    if not address:
        return None
    request: Request = {"arguments": arguments, "keep": keep, "folder": os.getcwd(), "environment": variables()}
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(bound_to(address))
            if not is_ours(connection):  # another user's, which has taken the name of one that is gone
                return None
        except OSError:
            return None
        try:
            send(connection, request, [1, 2])
            answer = connection.makefile("r").readline().strip()
        except OSError:
            answer = ""
    if answer.removeprefix("-").isdecimal():
        return int(answer)
    why = f"did not take this script ({answer})" if answer else "ended while it ran this script"
    print(f"The launcher {why}; running it in a fresh process.", file=sys.stderr)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

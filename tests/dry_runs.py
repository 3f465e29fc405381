"""Snakemake in forks of processes that have imported it: most of a dry-run is imports.

Run as a program it is such a process: it reads a request a line, and answers with the exit code of its fork and the
CPU seconds that it took. What a fork had to import is imported for the next ones too, but not what lies in the copy of
the tree that it looked at.
"""

import atexit
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

LOCAL = threading.local()


def snakemake(folder: Path, arguments: list[str], environment: dict[str, str]) -> tuple[int, str, float]:
    """Run Snakemake with some arguments in a folder; return exit code, all that it printed and its CPU seconds."""
    if not hasattr(LOCAL, "server"):  # one for each thread, which asks one thing at a time
        given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        LOCAL.server = subprocess.Popen([sys.executable, "-P", __file__], **given)
        atexit.register(LOCAL.server.kill)
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
        asked = {"folder": str(folder), "arguments": list(map(str, arguments)), "environment": environment}
        print(json.dumps(asked | {"output": output.name}), file=LOCAL.server.stdin, flush=True)
        code, seconds = LOCAL.server.stdout.readline().split()
        return int(code), output.read(), float(seconds)


def obey(asked: dict, loaded: int) -> None:
    """Become Snakemake as a command of its own would be, and end with it. loaded: where imported names are written."""
    from snakemake.cli import main

    known = set(sys.modules)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    tempfile.tempdir = None
    sys.path[0:0] = filter(None, asked["environment"].get("PYTHONPATH", "").split(os.pathsep))
    output = os.open(asked["output"], os.O_WRONLY)
    for number, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
        os.dup2(file, number)
    sys.argv = [str(Path(sys.executable).parent / "snakemake"), *asked["arguments"]]
    try:
        main()
    finally:
        names = [name for name in set(sys.modules) - known if not name.startswith(("speedgrid", "_"))]
        os.write(loaded, json.dumps(sorted(names)).encode())


def end_as(work: Callable[[dict, int], None], *arguments) -> None:
    """Do a fork's work and end it as Python would, but for what libraries do at the end.

    Threads of a library that was imported before are not in a fork: ONNX Runtime's waits for its own for ever.
    """
    code = 0
    try:
        work(*arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve() -> None:
    """Answer one request after the other, until there are no more."""
    import snakemake.cli  # noqa: F401

    while line := sys.stdin.readline():
        reading, writing = os.pipe()
        if not (child := os.fork()):
            end_as(obey, json.loads(line), writing)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            names = json.loads(pipe.read() or "[]")
        _, status, used = os.wait4(child, 0)
        print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, flush=True)
        for name in names:
            try:
                importlib.import_module(name)
            except ImportError:  # a module that only its package can make
                continue


if __name__ == "__main__":
    serve()

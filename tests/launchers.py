"""Launchers in processes of their own, with clients; a pytest plugin of the tests that need one.

PYTEST_DONT_REWRITE: those tests also import from here, which pytest would warn about.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from speedgrid.launcher import ADDRESS_VARIABLE, RUN_VARIABLE

ROOT = Path(__file__).parent.parent
STARTER = """
import os, sys
from speedgrid.launcher import ADDRESS_VARIABLE, RUN_VARIABLE, server
from speedgrid.launcher.protocol import bound_to
process = server.start(sys.argv[1:])
print(process.pid, os.environ[ADDRESS_VARIABLE], flush=True)
sys.stdin.read()
"""
# Modules in the folder where the launcher and its clients run.
MODULES = {
    "parent": "import os; print(os.getppid())",
    "speak": """
import os, subprocess, sys
print("printed", *sys.argv[1:], flush=True)
os.write(1, b"written\\n")
subprocess.run(["echo", "echoed"], check=True)
print("complained", file=sys.stderr)
print(os.environ["MARK"], os.getcwd())
""",
    "end": "import sys; exec(sys.argv[1])",
    "death": """
import os, signal, sys
if "--died" in sys.argv:
    print("told:", sys.argv[sys.argv.index("--died") + 1])
else:
    print("tried", flush=True)
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
""",
    "crowded": """
import sys
print(*sys.argv[1:], flush=True)
sys.exit(0 if "--alone" in sys.argv else 75)
""",
    "state": "number = 0",
    "count": "import os, state; state.number += 1; print(state.number, os.getppid())",
    "noted": "import os; open('imports', 'a').write(f'{os.getpid()}\\n')",
    "use_noted": "import noted",
    "wait": """
import os, sys, time
temporary = sys.argv[1] + ".part"
with open(temporary, "w") as file:
    file.write(str(os.getpid()))
os.rename(temporary, sys.argv[1])
time.sleep(600)
""",
    "meet": """
import sys, time
from pathlib import Path
mine, other = map(Path, sys.argv[1:])
mine.touch()
end = time.monotonic() + 60
while not other.exists():
    if time.monotonic() > end:
        sys.exit("nobody came")
    time.sleep(0.01)
""",
    "slow": "import time; from pathlib import Path; Path('importing').touch(); time.sleep(600)",
    "broken": "raise OSError('libcudart.so.99: cannot open shared object file')",
}


def wait_for(condition, seconds=60):
    """Return the first true value of `condition()`; fail after some seconds."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return value


def state(pid):
    """Return the letter that /proc has for the state of a process; Z, as of one that has ended, if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def alive(pid):
    """Tell if a process runs; one that has ended and waits to be reaped does not."""
    return state(pid) not in "ZX"


def children(pid):
    """Return the processes that a process has forked and that still run."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    return [int(one) for one in listed if alive(int(one))]


class Launcher:
    """A launcher in a process of its own, as a workflow has it, with clients to talk to it."""

    def __init__(self, folder, preload):
        self.folder = folder
        left_out = {ADDRESS_VARIABLE, RUN_VARIABLE, "PYTHONUNBUFFERED"}  # buffered output is what a user has
        self.environment = {name: value for name, value in os.environ.items() if name not in left_out}
        self.environment |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "MARK": "marked"}
        for name, text in MODULES.items():
            (folder / f"{name}.py").write_text(text)
        self.starter = subprocess.Popen(
            [sys.executable, "-c", STARTER, *preload],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        pid, self.address = self.starter.stdout.readline().split()
        self.pid = int(pid)
        self.environment[ADDRESS_VARIABLE] = self.address

    def begin(self, *arguments, **options):
        """Start a client."""
        command = [sys.executable, "-S", "-m", "speedgrid.launcher.client", *arguments]
        settings = {"cwd": self.folder, "env": self.environment, "text": True}
        settings |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, **settings | options)

    def run(self, *arguments):
        """Run a client to its end, with its output in files as in a workflow; return (exit code, output, errors)."""
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8") as output,
            tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        ):
            code = self.begin(*arguments, stdout=output, stderr=errors).wait(120)
            output.seek(0)
            errors.seek(0)
            return code, output.read(), errors.read()

    def wait_for_pid(self, name):
        """Return the process id that the script `wait` writes to a file, and remove the file."""
        file = self.folder / name
        wait_for(file.exists)
        pid = int(file.read_text())
        file.unlink()
        return pid

    def is_warm(self):
        """Tell if a script runs in a fork of this server."""
        return self.run("parent")[1] == f"{self.pid}\n"

    def close(self):
        """End the starter, and with it everything else."""
        self.starter.kill()
        self.starter.communicate()
        wait_for(lambda: not alive(self.pid))


@pytest.fixture
def folder():
    """Return a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def launch(folder):
    """Return a function that starts a launcher with modules to preload."""
    started = []

    def start(*preload):
        started.append(Launcher(folder, preload))
        return started[-1]

    yield start
    for one in started:
        one.close()


def processes_in(folder):
    """Return the processes that work in a folder, or in one below: a run's jobs, and what they have started."""
    found = []
    for one in Path("/proc").iterdir():
        if one.name.isdecimal() and alive(int(one.name)):
            try:
                where = Path(os.readlink(one / "cwd"))
            except OSError:
                continue
            if where.is_relative_to(folder):
                found.append(int(one.name))
    return found

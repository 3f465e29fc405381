"""Commands that tests run to their end; a test that fails shows what they complained of, whatever it failed of."""

import io
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

ROOT = Path(__file__).parent.parent


def show(text: str | None) -> None:
    """Print what a process printed, for pytest, which keeps it and shows it where the test fails."""
    if text:
        print(text)


def run(*command, code: int | None = 0, **options) -> subprocess.CompletedProcess:
    """Run a command in the repository and return what it printed, as text; its exit code has to be `code`.

    code: None for a test that looks at the exit code itself. options: as of subprocess.run.
    """
    given = {"cwd": ROOT, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True} | options
    done = subprocess.run([str(word) for word in command], check=False, **given)
    show(done.stderr)
    # Not CalledProcessError, which names the command and keeps what it printed to itself.
    assert code in (None, done.returncode), "\n".join(
        [f"exit code {done.returncode} of {' '.join(done.args)[:300]}", done.stdout or "", done.stderr or ""]
    )
    return done


def python(*arguments, **options) -> subprocess.CompletedProcess:
    """Run Python with these arguments, as `run` does."""
    return run(sys.executable, *arguments, **options)


def script(name: str, *arguments, code: int = 0) -> SimpleNamespace:
    """Run scripts/`name`.py in this process, where its imports are made, and return what it printed: stdout, stderr."""
    output, errors, ended = io.StringIO(), io.StringIO(), 0
    with patch.object(sys, "argv", [name, *map(str, arguments)]), redirect_stdout(output), redirect_stderr(errors):
        try:
            runpy.run_module(f"scripts.{name}", run_name="__main__", alter_sys=True)
        except SystemExit as end:
            ended = end.code or 0
        except Exception:
            sys.excepthook(*sys.exc_info())
            ended = 1
    found = SimpleNamespace(stdout=output.getvalue(), stderr=errors.getvalue())
    show(found.stderr)
    assert ended == code, f"exit code {ended} of scripts.{name}\n{found.stdout}\n{found.stderr}"
    return found

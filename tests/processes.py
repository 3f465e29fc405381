"""Commands that tests run to their end; one that fails shows what it printed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(*command, code: int | None = 0, **options) -> subprocess.CompletedProcess:
    """Run a command in the repository and return what it printed, as text; its exit code has to be `code`.

    code: None for a test that looks at the exit code itself. options: as of subprocess.run.
    """
    given = {"cwd": ROOT, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True} | options
    done = subprocess.run([str(word) for word in command], check=False, **given)
    # Not CalledProcessError, which names the command and keeps what it printed to itself.
    assert code in (None, done.returncode), "\n".join(
        [f"exit code {done.returncode} of {' '.join(done.args)[:300]}", done.stdout or "", done.stderr or ""]
    )
    return done


def python(*arguments, **options) -> subprocess.CompletedProcess:
    """Run Python with these arguments, as `run` does."""
    return run(sys.executable, *arguments, **options)

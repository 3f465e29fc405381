"""Two runs on one machine at once: never do both measure, whatever TMPDIR they have."""

import itertools
import os
import subprocess
import sys
import time

import pytest
from workflow import BIN, ROOT, SMOKE

pytest_plugins = ["workflow"]

CELLS = ("resnet18-pytorch-fp32-r64-b1-round1", "resnet18-onnxruntime-fp32-r64-b1-round1")
# What a copy of the tree writes down beside its records: its turns, on the clock of the whole machine.
WITNESS = """

_unwitnessed = Turns.__call__


@contextmanager
def _witnessed(turns):
    with _unwitnessed(turns) as shared:
        began = time.monotonic()
        try:
            yield shared
        finally:
            with open("measured.txt", "a") as file:
                file.write(f"{began} {time.monotonic()}\\n")


Turns.__call__ = _witnessed
"""


@pytest.fixture
def trees(smoke, tmp_path):
    """Return two copies of the finished run that write down when they measure."""
    found = [smoke.workflow.copy(tmp_path / name) for name in ("one", "two")]
    for tree in found:
        code = tree / "speedgrid/machine/turns.py"
        code.write_text(code.read_text() + WITNESS)
    return found


@pytest.fixture
def working():
    """Return a process that works on the machine's processor, so that nothing is measured until it ends."""
    code = "from speedgrid.machine import cpu; lock = cpu.shared(); print(flush=True); input()"
    given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, **given) as process:
        process.stdout.readline()
        yield process
        process.kill()


def logs(tree):
    """Return what a tree's timings have said."""
    files = [tree / f"logs/time_cell/{cell}.log" for cell in CELLS]
    texts = [file.read_text() for file in files if file.exists()]  # Snakemake removes them before it begins
    return "".join(text for text in texts if text.startswith("Waiting since"))


def begin(tree):
    """Start a run of a tree that measures two cells again."""
    targets = [f"artifacts/timings/{cell}.json" for cell in CELLS]
    for cell, target in zip(CELLS, targets, strict=True):
        (tree / target).unlink()
        (tree / f"logs/time_cell/{cell}.log").unlink()  # of the run that the tree is a copy of, which may have waited
    given = {"cwd": tree.folder, "env": tree.environment(), "stdin": subprocess.DEVNULL, "text": True}
    given |= {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([str(BIN / "snakemake"), *targets, *SMOKE], **given)


def test_the_cells_of_two_runs_take_turns_and_say_for_whom_they_wait(trees, working):
    runs = [begin(tree) for tree in trees]
    deadline = time.monotonic() + 200
    # Other runs of this machine may have the lock before the process does: both wait for that one in the end.
    asked = f"held by process {working.pid} of "
    while not all(asked in logs(tree) for tree in trees) and time.monotonic() < deadline:
        time.sleep(0.1)
    try:
        for tree in trees:
            assert f"held by process {working.pid} of " in logs(tree)
            assert not (tree / "measured.txt").exists()
        assert any("waiting before this one: process" in logs(tree) for tree in trees)
        working.communicate("\n")
        outputs = [run.communicate(timeout=200)[0] for run in runs]
        assert [run.returncode for run in runs] == [0, 0], outputs
    finally:
        for run in runs:
            run.kill()
    times = [sorted(tuple(map(float, row.split())) for row in (tree / "measured.txt").open()) for tree in trees]
    # Of each of two cells: to load, to warm up, for a slice at least, and for its answers.
    assert min(map(len, times)) >= 8
    one_after_the_other = sorted(times[0] + times[1])
    for (_, ended), (began, _) in itertools.pairwise(one_after_the_other):
        assert ended <= began
    # Else nothing was shown: each wanted to measure while the other one did.
    assert times[0][0][0] < times[1][-1][0]
    assert times[1][0][0] < times[0][-1][0]

"""GPUs are claimed one process each, whatever the processes are."""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from speedgrid import gpus

FAKE_DRIVER = """
class NVMLError(Exception): pass
NAMES = {names!r}
def nvmlInit(): pass
def nvmlShutdown(): pass
def nvmlDeviceGetCount(): return len(NAMES)
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetUUID(handle): return f"GPU-{{handle}}{{handle}}"
def nvmlDeviceGetName(handle): return NAMES[handle]
"""
CLAIM_AND_WAIT = "from speedgrid import gpus; print(gpus.claim(), flush=True); input()"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Pretend that this machine has GPUs of the given names; locks are in a folder of this test."""
    monkeypatch.setattr(gpus.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "CLAIMED", {})

    def make(*names):
        code = FAKE_DRIVER.format(names=names)
        (tmp_path / "pynvml.py").write_text(code)
        driver = types.ModuleType("pynvml")
        exec(code, driver.__dict__)
        monkeypatch.setitem(sys.modules, "pynvml", driver)
        return tmp_path

    return make


def other_process(folder):
    """Start a process that claims a GPU and holds it until its input closes."""
    paths = os.pathsep.join([str(folder), str(Path(__file__).parent.parent)])
    return subprocess.Popen(
        [sys.executable, "-c", CLAIM_AND_WAIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )


def test_a_claimed_gpu_is_the_only_one_that_cuda_sees(machine, monkeypatch):
    machine("A", "A")
    assert gpus.claim() == "GPU-00"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-00"
    assert gpus.claim() == "GPU-00"


def test_two_processes_have_two_gpus_and_a_third_waits_for_the_first_to_end(machine):
    folder = machine("A", "A")
    first, second = other_process(folder), other_process(folder)
    claimed = {first.stdout.readline().strip(): first, second.stdout.readline().strip(): second}
    assert set(claimed) == {"GPU-00", "GPU-11"}
    third = other_process(folder)
    assert third.stdout.readline().startswith("All GPUs are measuring")
    claimed["GPU-11"].kill()
    assert third.stdout.readline().strip() == "GPU-11"
    for process in (first, second, third):
        process.kill()
        process.communicate()


def test_gpus_of_another_model_are_left_alone(machine):
    machine("A", "B", "A")
    assert gpus.usable() == [(0, "GPU-00"), (2, "GPU-22")]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("1", [(1, "GPU-11")]), ("2,0", [(2, "GPU-22"), (0, "GPU-00")]), ("GPU-22", [(2, "GPU-22")]), ("7", [])],
)
def test_cuda_visible_devices_is_obeyed_by_number_and_by_uuid(machine, monkeypatch, visible, expected):
    machine("A", "A", "A")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.usable() == expected


def test_without_a_gpu_nothing_is_claimed(machine):
    machine()
    assert gpus.claim() is None
    assert "CUDA_VISIBLE_DEVICES" not in os.environ

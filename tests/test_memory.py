"""The memory of a cell, on the CPU as it is and on a GPU by a driver that is made up."""

import gc
import json
import mmap
import os
import sys
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from speedgrid.measure import memory
from speedgrid.measure.memory import MemoryMeter
from speedgrid.record import Memory

SIZE = 64_000_000


def take():
    """Take memory from the kernel, past allocators that keep what was given back, and write to all of it."""
    memory = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for _ in range(SIZE // 1_000_000):
        memory.write(b"1" * 1_000_000)
    return memory


@pytest.fixture(autouse=True)
def nothing_is_given_back_meanwhile():
    """Collect what earlier tests left before anything is read."""
    gc.collect()


def test_memory_that_was_given_back_is_in_the_peak():
    meter = MemoryMeter("cpu")
    take().close()
    meter.read("later")
    assert meter.found().peak_mb() == pytest.approx(64, abs=8)


def test_what_was_there_before_does_not_count():
    before = take()
    meter = MemoryMeter("cpu")
    meter.read("loaded")
    assert meter.found().peak_mb() < 8
    assert meter.readings["baseline"] > len(before) / 1e6


def test_the_peak_is_the_largest_reading_less_the_baseline_and_never_negative():
    assert Memory({"baseline": 100.0, "loaded": 250.0, "timed": 175.5}).peak_mb() == 150.0
    assert Memory({"baseline": 100.0, "loaded": 90.0}).peak_mb() == 0.0


def test_where_the_driver_gave_no_other_reading_there_is_no_peak():
    assert Memory({"baseline": 100.0}).peak_mb() is None
    assert Memory({"baseline": 100.0, "loaded": None}).peak_mb() is None
    assert Memory({"baseline": None, "loaded": 100.0}).peak_mb() is None
    assert Memory({"baseline": 100.0, "loaded": None, "timed": 120.5}).peak_mb() == 20.5


def test_readings_are_kept_by_name():
    meter = MemoryMeter("cpu")
    meter.read("loaded")
    assert list(meter.readings) == ["baseline", "loaded"]


def test_a_kernel_that_cannot_reset_the_peak_still_gives_one(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "PEAK_RESET", tmp_path / "clear_refs")
    meter = MemoryMeter("cpu")
    take().close()
    meter.read("later")
    assert not (tmp_path / "clear_refs").exists()
    assert meter.found().peak_mb() > 56


class FakeGpu:
    """Stands in for NVML and for torch; lists this process, with `own` bytes, once it has a context."""

    NVMLError = type("NVMLError", (Exception,), {})
    used, others = 9_000_000_000, {}

    def __init__(self, own):
        self.own, self.context = own, False
        self.cuda = self

    def nvmlInit(self):
        pass

    def nvmlShutdown(self):
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid):
        return uuid

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        assert handle == "GPU-1"
        listed = self.others | ({os.getpid(): self.own} if self.context and self.own != "not listed" else {})
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in listed.items()]

    def synchronize(self):
        self.context = True

    def mem_get_info(self):
        return 80_000_000_000 - self.used, 80_000_000_000


@pytest.fixture
def gpu(monkeypatch):
    """Pretend that this machine has a GPU, `GPU-1`, on which this process has `own` bytes."""

    def make(own):
        made = FakeGpu(own)
        monkeypatch.setitem(sys.modules, "torch", made)
        monkeypatch.setitem(sys.modules, "pynvml", made)
        return made

    return make


def test_on_a_gpu_memory_is_what_the_driver_says_of_this_process_whatever_others_take(gpu):
    device = gpu(500_000_000)
    meter = MemoryMeter("cuda", "GPU-1")
    device.own, device.used, device.others = 750_000_000, 60_000_000_000, {1: 50_000_000_000}
    meter.read("loaded")
    assert meter.readings == {"baseline": 500.0, "loaded": 750.0}
    assert not meter.whole_device


@pytest.mark.parametrize("own", ["not listed", None], ids=["not listed", "no figure"])
def test_where_the_driver_cannot_tell_of_this_process_the_whole_device_is_read(gpu, own):
    device = gpu(own)
    meter = MemoryMeter("cuda", "GPU-1")
    device.used += 1_000_000_000
    meter.read("loaded")
    assert meter.readings == {"baseline": 9000.0, "loaded": 10_000.0}
    assert meter.whole_device


def test_without_the_uuid_of_the_gpu_the_whole_device_is_read(gpu):
    gpu(500_000_000)
    assert MemoryMeter("cuda").readings == {"baseline": 9000.0}


def test_a_driver_that_refuses_to_list_processes_leaves_the_whole_device(gpu):
    device = gpu(500_000_000)

    def refuse(_):
        raise device.NVMLError("Not Supported")

    device.nvmlDeviceGetComputeRunningProcesses = refuse
    assert MemoryMeter("cuda", "GPU-1").whole_device


def test_processes_are_counted_that_have_something_on_the_same_gpu_without_this_one(gpu):
    device = gpu(500_000_000)
    meter = MemoryMeter("cuda", "GPU-1")
    assert meter.others() == 0
    device.others = {1: 300_000_000, 2: None}
    assert meter.others() == 2


def test_where_this_process_is_not_listed_nobody_knows_how_many_others_there_are(gpu):
    gpu("not listed").others = {1: 300_000_000}
    assert MemoryMeter("cuda", "GPU-1").others() is None


def test_a_cpu_has_no_count_of_other_processes():
    assert MemoryMeter("cpu").others() is None


def test_the_record_of_memory_is_plain_json(gpu):
    device = gpu(500_000_000)
    meter = MemoryMeter("cuda", "GPU-1")
    device.own, device.others = 1_250_000_000, {1: 300_000_000}
    meter.read("loaded")
    found = meter.found()
    assert json.loads(json.dumps(asdict(found))) == {
        "readings_mb": {"baseline": 500.0, "loaded": 1250.0},
        "whole_device": False,
        "other_processes": 1,
    }
    assert found.peak_mb() == 750.0
    meter.read("timed")
    assert "timed" not in found.readings_mb  # what was found stays as it was

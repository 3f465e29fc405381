"""The memory of a cell on the CPU."""

import mmap

import pytest

from speedgrid import memory
from speedgrid.memory import MemoryMeter

SIZE = 64_000_000


def take():
    """Take memory from the kernel, past allocators that keep what was given back, and write to all of it."""
    memory = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for _ in range(SIZE // 1_000_000):
        memory.write(b"1" * 1_000_000)
    return memory


def test_memory_that_was_given_back_is_in_the_peak():
    meter = MemoryMeter("cpu")
    take().close()
    meter.read("later")
    assert meter.peak_mb() == pytest.approx(64, abs=8)


def test_what_was_there_before_does_not_count():
    before = take()
    meter = MemoryMeter("cpu")
    meter.read("loaded")
    assert meter.peak_mb() < 8
    assert meter.readings["baseline"] > len(before) / 1e6


def test_the_peak_is_the_largest_reading_less_the_baseline_and_never_negative():
    meter = MemoryMeter("cpu")
    meter.readings = {"baseline": 100.0, "loaded": 250.0, "timed": 175.5}
    assert meter.peak_mb() == 150.0
    meter.readings = {"baseline": 100.0, "loaded": 90.0}
    assert meter.peak_mb() == 0.0


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
    assert meter.peak_mb() > 56

"""The telemetry of the GPU."""

import json
import os
import select
import threading
from pathlib import Path

import pytest
from builders import make_record, make_table

from speedgrid.measure import telemetry
from speedgrid.measure.telemetry import Sampler, gather
from speedgrid.record import LOWER_CLOCK, Telemetry
from speedgrid.table.conditions import throttled

NAME = "resnet18-pytorch-fp32-r64-b8"

SAMPLES = [
    {
        "sm_clock_mhz": 1900,
        "power_w": 300.0,
        "temperature_c": 40,
        "utilisation_percent": 90,
        "reasons": 0,
    },
    {
        "sm_clock_mhz": 1500,
        "power_w": 500.0,
        "temperature_c": 60,
        "utilisation_percent": 100,
        "reasons": 0x4,
    },
    {
        "sm_clock_mhz": 1800,
        "power_w": 400.0,
        "temperature_c": 50,
        "utilisation_percent": 95,
        "reasons": 0x20,
    },
]


def test_samples_are_kept_quantity_by_quantity():
    assert gather([{"time": float(at), **one} for at, one in enumerate(SAMPLES)]) == Telemetry(
        time=[0.0, 1.0, 2.0],
        sm_clock_mhz=[1900, 1500, 1800],
        power_w=[300.0, 500.0, 400.0],
        temperature_c=[40, 60, 50],
        utilisation_percent=[90, 100, 95],
        reasons=[0, 0x4, 0x20],
    )


def row_of(*samples):
    """Return the row of a cell whose one round has these samples."""
    return make_table([make_record(NAME, telemetry=gather(list(samples)))]).loc[0]


def test_samples_become_medians_in_the_table():
    found = row_of(*SAMPLES)
    assert (found.sm_clock_mhz, found.power_w, found.gpu_busy_percent) == (1800, 400.0, 95)
    assert found.throttled == "software power cap, software thermal slowdown"


def test_a_quantity_that_was_never_read_stays_none():
    found = row_of({"sm_clock_mhz": None, "power_w": 0.0, "reasons": None}, {})
    assert found[["sm_clock_mhz", "gpu_busy_percent", "throttled"]].isna().all()
    assert found.power_w == 0.0
    assert gather([{}]).temperature_c == [None]


def test_a_reading_that_failed_once_does_not_count():
    assert row_of(SAMPLES[0], {**SAMPLES[1], "power_w": None}).power_w == 300.0


def test_no_samples_have_no_telemetry():
    assert gather([]) is None


@pytest.mark.parametrize(("bit", "words"), LOWER_CLOCK.items())
def test_each_throttle_bit_becomes_words(bit, words):
    assert throttled([make_record(NAME, telemetry=gather([{"reasons": bit}]))]) == [words]


def test_an_idle_gpu_is_not_called_throttled():
    assert throttled([make_record(NAME, telemetry=gather([{"reasons": 0x1 | 0x2 | 0x10 | 0x100}]))]) == []


def test_a_cpu_has_no_telemetry_and_starts_no_process():
    sampler = Sampler(None)
    sampler.start()
    assert sampler.process is None
    assert sampler.stop() is None


@pytest.fixture
def ending():
    """Return a function after which a Sampler's process ends with the test, and before if it hangs."""
    ended = []

    def end_soon(made):
        ended.append((made.process, threading.Timer(10, made.process.kill)))
        ended[-1][1].start()
        return made

    yield end_soon
    for process, timer in ended:
        timer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def sampler(monkeypatch, tmp_path, ending):
    """Return a Sampler whose process is a shell script that is given."""

    def make(script):
        program = tmp_path / "sampler"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(telemetry.sys, "executable", str(program))
        return ending(Sampler("GPU-1"))

    return make


def test_a_sampler_that_dies_gives_no_readings_and_does_not_hang(sampler):
    dead = sampler("exit 1")
    dead.start()
    assert dead.stop() is None


def test_the_first_sample_is_waited_for_and_not_counted(sampler):
    script = """read line; echo '{"power_w": 900}'; cat > /dev/null; echo '{"power_w": 300}'"""
    running = sampler(script)
    running.start()
    found = running.stop()
    assert found.power_w == [300]


def test_what_is_no_sample_is_passed_over(sampler):
    running = sampler("""read line; echo; cat > /dev/null; echo noise; echo '{"power_w": 300}'""")
    running.start()
    assert running.stop().power_w == [300]


FAKE_DRIVER = """
class NVMLError(Exception): pass
NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0
def nvmlInit(): pass
def nvmlDeviceGetHandleByUUID(uuid): print("ready:", uuid, flush=True)
def nvmlDeviceGetPowerUsage(handle): return 300_000
def refuse(*_): raise NVMLError
def __getattr__(name): return refuse
"""


@pytest.fixture
def real_sampler(monkeypatch, tmp_path, ending):
    """Return a Sampler whose process is the real one, on a driver that is made up, and ready."""
    (tmp_path / "pynvml.py").write_text(FAKE_DRIVER)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path(__file__).parent.parent}")
    made = ending(Sampler("GPU-1"))
    assert made.process.stdout.readline() == "ready: GPU-1\n"
    return made


def test_nothing_is_sampled_before_the_start(real_sampler):
    # A sampler that does not wait would print a sample at once.
    assert select.select([real_sampler.process.stdout], [], [], 0.1)[0] == []


def test_samples_come_from_the_start_until_the_stop(real_sampler):
    real_sampler.start()
    assert json.loads(real_sampler.process.stdout.readline())["power_w"] == 300.0
    real_sampler.stop()
    assert real_sampler.process.returncode == 0


def test_a_sampler_that_is_never_started_ends_with_whoever_made_it(real_sampler):
    real_sampler.process.stdin.close()
    assert real_sampler.process.wait(5) == 0


class Api:
    """An NVML that gives the clock, the power and nothing else."""

    NVMLError = type("NVMLError", (Exception,), {})
    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0

    def nvmlDeviceGetClockInfo(self, handle, clock):
        return 1980

    def nvmlDeviceGetPowerUsage(self, handle):
        return 350_500

    def __getattr__(self, name):
        def refuse(*_):
            raise self.NVMLError

        return refuse


def test_a_board_that_does_not_answer_gives_none_and_power_is_in_watts():
    read = telemetry.sample(Api(), object())
    read.pop("time")
    assert read == {
        "sm_clock_mhz": 1980,
        "power_w": 350.5,
        "temperature_c": None,
        "utilisation_percent": None,
        "reasons": None,
    }

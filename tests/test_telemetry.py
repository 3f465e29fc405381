"""The telemetry of the GPU."""

import pytest

from speedgrid import telemetry
from speedgrid.telemetry import Telemetry, summarise

SAMPLES = [
    {
        "sm_clock_mhz": 1900,
        "power_w": 300.0,
        "temperature_c": 40,
        "utilisation_percent": 90,
        "used_mb": 10.0,
        "reasons": 0,
    },
    {
        "sm_clock_mhz": 1500,
        "power_w": 500.0,
        "temperature_c": 60,
        "utilisation_percent": 100,
        "used_mb": 30.0,
        "reasons": 0x4,
    },
    {
        "sm_clock_mhz": 1800,
        "power_w": 400.0,
        "temperature_c": 50,
        "utilisation_percent": 95,
        "used_mb": 20.0,
        "reasons": 0x20,
    },
]


def test_samples_become_medians_and_extremes():
    assert summarise(SAMPLES) == {
        "samples": 3,
        "sm_clock_mhz": 1800,
        "sm_clock_mhz_min": 1500,
        "power_w": 400.0,
        "power_w_max": 500.0,
        "temperature_c": 60,
        "utilisation_percent": 95,
        "used_mb_max": 30.0,
        "throttled": ["software power cap", "software thermal slowdown"],
    }


def test_a_quantity_that_was_never_read_stays_none():
    found = summarise([{"sm_clock_mhz": None, "power_w": 0.0, "reasons": None}, {}])
    assert {name for name, value in found.items() if value is None} == {
        "sm_clock_mhz",
        "sm_clock_mhz_min",
        "temperature_c",
        "utilisation_percent",
        "used_mb_max",
    }
    assert (found["power_w"], found["samples"], found["throttled"]) == (0.0, 2, [])


def test_a_reading_that_failed_once_does_not_count():
    assert summarise([SAMPLES[0], {**SAMPLES[1], "power_w": None}])["power_w"] == 300.0


def test_no_samples_have_no_summary():
    assert summarise([]) is None


@pytest.mark.parametrize(("bit", "words"), telemetry.THROTTLE_REASONS.items())
def test_each_throttle_bit_becomes_words(bit, words):
    assert summarise([{"reasons": bit}])["throttled"] == [words]


def test_an_idle_gpu_is_not_called_throttled():
    assert summarise([{"reasons": 0x1 | 0x2 | 0x10 | 0x100}])["throttled"] == []


def test_a_cpu_has_no_telemetry_and_starts_no_process():
    sampler = Telemetry(None)
    sampler.wait()
    assert sampler.process is None
    assert sampler.stop() is None


@pytest.fixture
def sampler(monkeypatch, tmp_path):
    """Return a Telemetry whose process is a shell script that is given."""

    def make(script):
        program = tmp_path / "sampler"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(telemetry.sys, "executable", str(program))
        return Telemetry("GPU-1")

    return make


def test_a_sampler_that_dies_gives_no_readings_and_does_not_hang(sampler):
    dead = sampler("exit 1")
    dead.wait()
    assert dead.stop() is None


def test_samples_from_before_the_wait_was_over_are_not_counted(sampler):
    lines = ('{"time": 1, "power_w": 900}', '{"time": 2, "power_w": 900}', '{"time": 9e12, "power_w": 300}')
    echo = "\nsleep 0.2\n".join(f"echo '{line}'" for line in lines)
    running = sampler(f"{echo}\necho noise\ncat > /dev/null")
    running.wait()
    found = running.stop()
    assert (found["samples"], found["power_w_max"]) == (1, 300)


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
        "used_mb": None,
        "reasons": None,
    }

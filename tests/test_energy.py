"""The energy counter of a GPU, by a driver that is made up and a clock that moves only when told."""

import contextlib
import sys

import pytest
from builders import Clock

from speedgrid import energy
from speedgrid.energy import EnergyCounter, mean_power, next_change, per_call


class FakeDriver:
    """Stands in for NVML: GPU-1 takes `watts`, and its counter is updated every `update_ms`; asking takes 10 us."""

    NVMLError = type("NVMLError", (Exception,), {})

    def __init__(self, clock, watts=75.0, update_ms=100.0):
        self.clock, self.watts, self.update_ms = clock, watts, update_ms
        self.started = 123_456_789  # mJ since the driver was loaded

    def nvmlInit(self):
        pass

    def nvmlShutdown(self):
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if uuid != "GPU-1":
            raise self.NVMLError("Not Found")
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        self.clock.advance(0.01)
        milliseconds = self.clock.ns / 1e6
        return self.started + round(self.watts * (milliseconds - milliseconds % self.update_ms))


@pytest.fixture
def driver(monkeypatch):
    """Return a made-up driver, and put its clock in the place of time."""
    made = FakeDriver(Clock())
    monkeypatch.setitem(sys.modules, "pynvml", made)
    monkeypatch.setattr(energy, "time", made.clock)
    return made


def refuse(driver, *_):
    raise driver.NVMLError("Not Supported")


def test_a_reading_is_in_joules(driver):
    counter = EnergyCounter("GPU-1")
    assert counter.read() == 123_456.789
    driver.clock.advance(1000)
    assert counter.read() == pytest.approx(123_456.789 + 75)


def test_a_change_is_seen_within_a_millisecond_of_the_update(driver):
    driver.clock.advance(130)
    when, joules = next_change(EnergyCounter("GPU-1"))
    assert 0.200 <= when < 0.201
    assert joules == pytest.approx(123_456.789 + 75 * 0.2)


def test_the_power_between_two_changes_is_exact_however_rarely_they_come(driver):
    driver.clock.advance(130)
    counter = EnergyCounter("GPU-1")
    started, first = next_change(counter)
    driver.clock.advance(350)
    ended, last = next_change(counter)
    assert (last - first) / (ended - started) == pytest.approx(75, rel=0.002)


def test_a_counter_that_stands_still_has_no_change(driver):
    driver.watts = 0.0
    assert next_change(EnergyCounter("GPU-1"), timeout=0.25) is None
    assert driver.clock.perf_counter() == pytest.approx(0.25, abs=0.002)


@pytest.mark.parametrize("uuid", [None, "GPU-2"], ids=["no GPU", "another GPU"])
def test_a_gpu_that_is_not_there_has_no_reading(driver, uuid):
    counter = EnergyCounter(uuid)
    assert counter.read() is None
    assert next_change(counter) is None
    assert mean_power(counter) is None


def test_a_driver_that_has_no_counter_gives_no_reading_and_not_zero(driver):
    driver.nvmlDeviceGetTotalEnergyConsumption = lambda handle: refuse(driver, handle)
    counter = EnergyCounter("GPU-1")
    assert counter.read() is None
    assert next_change(counter) is None
    assert mean_power(counter) is None


def test_a_machine_without_a_driver_has_no_reading(driver):
    driver.nvmlInit = lambda: refuse(driver)
    assert EnergyCounter("GPU-1").read() is None


def test_the_mean_power_is_over_twenty_updates(driver):
    driver.clock.advance(130)
    assert mean_power(EnergyCounter("GPU-1")) == pytest.approx(75, rel=0.001)
    # The first change is at 200 ms, the last one 20 updates later.
    assert driver.clock.perf_counter() == pytest.approx(2.2, abs=0.002)


def test_the_mean_power_of_a_quick_counter_is_over_a_second(driver):
    driver.update_ms = 10
    assert mean_power(EnergyCounter("GPU-1")) == pytest.approx(75, rel=0.002)
    assert driver.clock.perf_counter() == pytest.approx(1.02, abs=0.012)


@pytest.mark.parametrize("changes", [{"watts": 0.0}, {"update_ms": 400.0}], ids=["no power", "rare updates"])
def test_without_twenty_updates_in_five_seconds_there_is_no_mean_power(driver, changes):
    for name, value in changes.items():
        setattr(driver, name, value)
    assert mean_power(EnergyCounter("GPU-1")) is None
    assert driver.clock.perf_counter() <= 5.002


class Busy:
    """A session whose calls take `call_ms` on the clock, and count."""

    def __init__(self, clock, call_ms):
        self.clock, self.call_ms, self.calls = clock, call_ms, 0

    @contextlib.contextmanager
    def active(self):
        yield self

    def run(self):
        self.clock.advance(self.call_ms)
        self.calls += 1

    def synchronize(self):
        pass


@pytest.mark.parametrize("call_ms", [0.1, 1.0, 7.3, 40.0])
def test_energy_of_a_call_is_power_times_its_time(driver, call_ms):
    driver.watts = 500.0
    session = Busy(driver.clock, call_ms)
    found = per_call(session, EnergyCounter("GPU-1"), call_ms / 1000)
    assert found["joules_per_call"] == pytest.approx(0.5 * call_ms, rel=0.02)
    assert found["power_w"] == pytest.approx(500, rel=0.02)
    assert found["updates"] >= 20
    assert found["seconds"] == pytest.approx(2, abs=0.05)
    assert found["calls"] * call_ms / 1000 == pytest.approx(found["seconds"], rel=0.01)
    assert session.calls > found["calls"]  # those before the first change do not count


def test_calls_that_are_slower_than_updates_are_measured_over_a_longer_window(driver):
    found = per_call(Busy(driver.clock, 450.0), EnergyCounter("GPU-1"), 0.45)
    assert found["updates"] < 20
    assert 3 <= found["seconds"] < 5
    assert found["joules_per_call"] == pytest.approx(75 * 0.45, rel=0.05)


def test_a_counter_that_is_too_rarely_updated_gives_nothing(driver):
    driver.update_ms = 2000.0
    assert per_call(Busy(driver.clock, 1.0), EnergyCounter("GPU-1"), 0.001) is None


def test_a_session_on_a_gpu_without_a_counter_has_no_energy_and_does_not_run(driver):
    session = Busy(driver.clock, 1.0)
    assert per_call(session, EnergyCounter(None), 0.001) is None
    assert session.calls == 0

"""The energy counter of a GPU, by a driver that is made up and a clock that moves only when told."""

import contextlib
import sys
import time

import pytest
from builders import Clock

from speedgrid.grid import Cell
from speedgrid.measure import energy, probes
from speedgrid.measure.energy import EnergyCounter, mean_power, next_change, per_call
from speedgrid.measure.probes import energy as probe


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


def test_a_change_is_seen_soon_after_the_update(driver):
    driver.clock.advance(130)
    when, joules = next_change(EnergyCounter("GPU-1"))
    assert 0.200 <= when < 0.2012
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


class Gpu:
    """Takes 500 W while a call runs and 100 W else; its counter is updated every 10 ms, and asking takes 10 ms.

    It stands in for a counter and for a session, whose calls take `call_ms` of real time.
    """

    def __init__(self, call_ms=1.0, updates=True):
        self.call_ms, self.updates = call_ms, updates
        self.started = self.updated = time.perf_counter()
        self.busy = self.joules = 0.0
        self.running_since = None
        self.calls = 0

    def read(self):
        time.sleep(0.01)
        now = time.perf_counter()
        if self.updates and now - self.updated > 0.01:
            running = now - self.running_since if self.running_since else 0.0
            self.updated, self.joules = now, 100 * (now - self.started) + 400 * (self.busy + running)
        return self.joules

    @contextlib.contextmanager
    def active(self):
        yield self

    def run(self):
        self.running_since = time.perf_counter()
        time.sleep(self.call_ms / 1000)
        self.busy += time.perf_counter() - self.running_since
        self.running_since = None
        self.calls += 1

    def synchronize(self):
        pass


@pytest.mark.parametrize("call_ms", [1.0, 7.3, 70.0])
def test_energy_of_a_call_is_power_times_its_time_however_slow_a_reading_is(monkeypatch, call_ms):
    monkeypatch.setattr(energy, "LEAST_SECONDS", 0.5)
    gpu = Gpu(call_ms)
    found = per_call(gpu, gpu, call_ms / 1000)
    assert found["power_w"] == pytest.approx(500, rel=0.06)
    assert found["joules_per_call"] == pytest.approx(500 * gpu.busy / gpu.calls, rel=0.06)
    assert found["updates"] >= 20
    assert 0.5 <= found["seconds"] < 2
    assert 0 < found["calls"] < gpu.calls  # those before the first change do not count


def test_calls_between_two_changes_are_counted_in_fractions():
    found = energy.between([(10.5, 100.0), (11.0, 150.0), (12.5, 300.0)], [(10.0, 0), (11.0, 10), (13.0, 30)])
    assert found == {"joules_per_call": 10.0, "power_w": 100.0, "seconds": 2.0, "calls": 20.0, "updates": 2}


def test_a_counter_that_is_not_updated_gives_nothing(monkeypatch):
    monkeypatch.setattr(energy, "MOST_SECONDS", 0.2)
    monkeypatch.setattr(energy, "CHANGE_SECONDS", 0.1)
    gpu = Gpu(updates=False)
    assert per_call(gpu, gpu, 0.001) is None


def test_a_session_on_a_gpu_without_a_counter_has_no_energy_and_does_not_run():
    gpu = Gpu()
    assert per_call(gpu, EnergyCounter(None), 0.001) is None
    assert gpu.calls == 0


@pytest.mark.parametrize("uuid", ["GPU-1", None])
def test_the_probe_measures_the_gpu_of_its_session_for_calls_as_long_as_they_are(monkeypatch, uuid):
    monkeypatch.setattr(probe, "per_call", lambda session, counter, seconds: (session, counter, seconds))
    monkeypatch.setattr(probe, "EnergyCounter", str)
    assert probe.measure("session", probes.Context(None, uuid, None, 0.25)) == ("session", str(uuid), 0.25)


@pytest.mark.parametrize(
    ("device", "turn", "asked"), [("cuda", "round1", True), ("cuda", "round2", False), ("cpu", "round1", False)]
)
def test_energy_is_asked_for_in_the_first_round_on_a_gpu_at_the_resolutions_that_want_it(device, turn, asked):
    cell = Cell.parse("resnet18-pytorch-fp32-r64-b8")
    assert probe.asked(cell, turn, device, {"energy_resolutions": [64]}, cell) is asked
    assert not probe.asked(cell, turn, device, {"energy_resolutions": [32]}, cell)

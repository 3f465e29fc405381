"""The energy counter of a GPU, by a driver that is made up and a clock that moves only when told."""

import contextlib
import itertools
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
    """A counter and a session: 500 W while a call of `call_ms` runs, 100 W else; an update every 10 ms of its clock."""

    def __init__(self, clock, call_ms=1.0):
        self.clock, self.call_ms = clock, call_ms
        self.joules, self.calls = 0.0, 0
        self.changes = []

    def read(self):
        return self.joules

    @contextlib.contextmanager
    def watched(self, counter):
        assert counter is self
        yield self.changes

    @contextlib.contextmanager
    def active(self):
        yield self

    def pass_time(self, ms, watts):
        """Let some time pass, and see each update on the way."""
        end = self.clock.ns + round(ms * 1e6)
        while self.clock.ns < end:
            update = (self.clock.ns // 10_000_000 + 1) * 10_000_000
            step = min(update, end) - self.clock.ns
            self.clock.ns += step
            self.joules += watts * step / 1e9
            if self.clock.ns == update:
                self.changes.append((self.clock.perf_counter(), self.joules))

    def run(self):
        self.pass_time(self.call_ms, 500)
        self.calls += 1

    def synchronize(self):
        self.pass_time(self.call_ms / 4, 100)  # idle until the next calls are there


@pytest.mark.parametrize("call_ms", [1.0, 7.3, 70.0])
def test_energy_of_a_call_is_power_times_its_time_idle_power_included(monkeypatch, call_ms):
    monkeypatch.setattr(energy, "time", Clock())
    gpu = Gpu(energy.time, call_ms)
    monkeypatch.setattr(energy, "watched", gpu.watched)
    found = per_call(gpu, gpu, call_ms / 1000)
    chunk = max(1, round(20 / call_ms))
    busy, idle = chunk * call_ms, call_ms / 4
    # Where the first and the last update fall within a call is at most two calls of some.
    assert found["power_w"] == pytest.approx((500 * busy + 100 * idle) / (busy + idle), rel=0.03)
    assert found["joules_per_call"] == pytest.approx((0.5 * busy + 0.1 * idle) / chunk, rel=0.03)
    assert found["updates"] >= 20
    assert 1 <= found["seconds"] < 1.2
    assert 0 < found["calls"] < gpu.calls  # those before the first change do not count


def test_each_change_of_a_counter_is_seen_by_a_thread_while_the_block_goes_on():
    class Counter:
        readings = itertools.count()  # each reading is another, so that a change is two of them

        def read(self):
            return next(self.readings)

    with energy.watched(Counter()) as changes:
        while len(changes) < 2:
            time.sleep(0.001)
    times, joules = zip(*changes[:2], strict=True)
    assert joules == (1, 3)
    assert times[0] < times[1] <= time.perf_counter()


def test_calls_between_two_changes_are_counted_in_fractions():
    found = energy.between([(10.5, 100.0), (11.0, 150.0), (12.5, 300.0)], [(10.0, 0), (11.0, 10), (13.0, 30)])
    assert found == {"joules_per_call": 10.0, "power_w": 100.0, "seconds": 2.0, "calls": 20.0, "updates": 2}


def test_a_counter_that_is_not_updated_gives_nothing(monkeypatch):
    monkeypatch.setattr(energy, "time", Clock())
    gpu = Gpu(energy.time)
    monkeypatch.setattr(energy, "watched", lambda counter: contextlib.nullcontext([]))
    assert per_call(gpu, gpu, 0.001) is None
    assert energy.time.perf_counter() < 5.1


def test_a_session_on_a_gpu_without_a_counter_has_no_energy_and_does_not_run():
    gpu = Gpu(Clock())
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

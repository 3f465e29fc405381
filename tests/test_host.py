"""What else the processors did."""

import subprocess
import sys
import time

import pytest
from builders import make_record, make_refusal

from speedgrid.data.samples import Host
from speedgrid.measure import host
from speedgrid.measure.host import HostLoad
from speedgrid.table.conditions import pace


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Pretend that time and processor time are what the test says."""
    clock = {"now": 0.0, "own": 0.0}
    monkeypatch.setattr(host, "STAT", tmp_path / "stat")
    monkeypatch.setattr(host, "TASKS", tmp_path / "task")
    monkeypatch.setattr(host.os, "cpu_count", lambda: 4)
    for thread in ("1", "2"):
        (tmp_path / "task" / thread).mkdir(parents=True)
    monkeypatch.setattr(host.time, "perf_counter", lambda: clock["now"])
    monkeypatch.setattr(host.time, "process_time", lambda: clock["own"])
    monkeypatch.setattr(host.os, "sysconf", lambda name: 100)

    def at(now, own, line, *waited_ns):
        clock.update(now=now, own=own)
        for thread, ns in enumerate(waited_ns, 1):
            (tmp_path / "task" / str(thread) / "schedstat").write_text(f"123456 {ns} 7\n")
        (tmp_path / "stat").write_text(f"cpu  {line}\ncpu0 1 2 3\n")

    return at


def test_time_of_others_is_what_is_busy_and_not_our_own(machine):
    machine(10.0, 5.0, "1000 0 500 90000 40 0 0 0 0 0", 5_000_000_000, 0)
    load = HostLoad()
    # In 2 s: 3 s user, 1 s system and 0.5 s in interrupts, 1.5 s of it ours; 0.4 s stolen; waiting for disks is idle.
    # Its two threads had to wait for 0.5 and 0.3 s.
    machine(12.0, 6.5, "1300 0 600 91000 400 20 30 40 0 0", 5_500_000_000, 300_000_000)
    assert load.read() == Host(1.5, 0.2, [0.0, 0.0], waited_cores=0.4, own_cores=0.75, cores=4)


def test_a_thread_that_has_ended_takes_its_account_of_waiting_with_it(machine, tmp_path):
    machine(0.0, 0.0, "0 0 0 0 0 0 0 0 0 0", 9_000_000_000, 1_000)
    load = HostLoad()
    machine(1.0, 1.0, "99 0 0 0 0 0 0 0 0 0")
    (tmp_path / "task" / "1" / "schedstat").write_text("1 2 3")
    assert load.read().waited_cores == 0


@pytest.mark.parametrize("text", ["", "1 2", "- - -"])
def test_a_kernel_that_does_not_count_waiting_leaves_it_open(machine, tmp_path, text):
    machine(0.0, 0.0, "0 0 0 0 0 0 0 0 0 0")
    (tmp_path / "task" / "1" / "schedstat").write_text(text)
    load = HostLoad()
    machine(1.0, 1.0, "99 0 0 0 0 0 0 0 0 0")
    assert load.read().waited_cores is None


def test_our_own_time_is_never_counted_as_less_than_nothing(machine):
    machine(0.0, 0.0, "0 0 0 0 0 0 0 0 0 0")
    load = HostLoad()
    machine(1.0, 1.0, "99 0 0 0 0 0 0 0 0 0")  # ticks are coarse
    assert load.read().busy_elsewhere_cores == 0


def test_a_system_that_does_not_tell_gives_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "STAT", tmp_path / "missing")
    assert HostLoad().read() is None


def test_a_busy_neighbour_is_seen():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as neighbour:
        load = HostLoad()
        time.sleep(0.5)
        found = load.read()
        neighbour.kill()
    assert found.busy_elsewhere_cores + found.stolen_cores > 0.3


def test_the_processors_pace_is_what_fixed_work_takes_it(monkeypatch):
    # On the clock of this process alone, which stands still while others have the processor.
    monkeypatch.setattr(host.time, "perf_counter", time.process_time)
    monkeypatch.setattr(host, "ADDITIONS", 20_000)
    few = min(host.pace() for _ in range(5))
    monkeypatch.setattr(host, "ADDITIONS", 200_000)
    assert 4 < min(host.pace() for _ in range(5)) / few < 25  # ten times, but for what else this machine does


def test_the_pace_of_a_record_is_that_before_and_after():
    name = "resnet18-pytorch-fp32-r64-b1"
    assert pace(make_record(name, host=Host(1.0, 0.0, [0.5, 0.7]))) == pytest.approx(0.6)
    assert pace(make_record(name, host=Host(1.0, 0.0))) is None  # of an older version
    assert pace(make_record(name, host=None)) is None
    assert pace(make_refusal(name, "failed", "lost")) is None

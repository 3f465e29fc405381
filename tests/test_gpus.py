"""Slots and locks of GPUs, among processes that know nothing of each other."""

import os
import select
import sys
import time
import types

import pytest
from locking import first_to_answer, go_on, hands_over, line, lock_folders, of_machine, waits
from processes import python

from speedgrid.machine import environment, gpus, graphics, locks
from speedgrid.machine.gpus import Gpu

pytest_plugins = ["locking"]

FAKE_DRIVER = """
import types
class NVMLError(Exception): pass
NAMES, MEMORY = {names!r}, {memory!r}
def nvmlInit(): pass
def nvmlShutdown(): pass
def nvmlDeviceGetCount(): return len(NAMES)
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetUUID(handle): return f"GPU-{{handle}}{{handle}}"
def nvmlDeviceGetName(handle): return NAMES[handle]
def nvmlDeviceGetMemoryInfo(handle): return types.SimpleNamespace(total=MEMORY)
"""
LARGE, MEDIUM, SMALL = 48e9, 30e9, 16e9  # bytes: four slots, two and one
# What other processes do; each step ends with a line on their input.
CLAIM = "print(gpus.claim(), flush=True); input()"
CLAIM_ALONE = "print(gpus.claim(alone=True), flush=True); input()"
MEASURE = "gpus.claim(); gpus.measure_alone(); print('measures', flush=True); input()"
CLAIM_THEN_MEASURE = (
    "print(gpus.claim(), flush=True); input(); gpus.measure_alone(); print('measures', flush=True); input()"
)
WORK = "\nwith gpus.working(): print('works', flush=True); input()"
WORK_ALONE = "\nwith gpus.working(alone=True): print('works', flush=True); input()"

# Cells, lone cells and builds of a workflow, and timings of another one on the CPU, as many at once as fit and two
# more, some of which are killed, and some see another folder of locks beside the one that all see. Each cell that was
# measured says when it was loaded and measured; exits with the number of those that were left at the end.
CROWD = """
import os, random, signal, sys, time
from speedgrid.machine import cpu, gpus, locks

locks.FOLDERS = sys.argv[1:]
gpus.POLL_SECONDS, gpus.TURN_SECONDS = 0.02, 1
slots = sum(gpu.slots for gpu in gpus.usable())

def tell(uuid, times):
    os.write(1, " ".join(map(str, [uuid, *times, chr(10)])).encode())

def job(number):
    chance = random.Random(number)
    locks.FOLDERS = locks.FOLDERS[chance.random() < 0.5 :]
    if chance.random() < 0.15:
        with gpus.working(alone=chance.random() < 0.3):
            time.sleep(0.02)
        return
    if chance.random() < 0.1:
        with cpu.alone():
            began = time.monotonic()
            time.sleep(0.02)
            tell("CPU", [began, began, began, time.monotonic()])
        return
    uuid = gpus.claim(alone=chance.random() < 0.05)
    times = [time.monotonic()]
    time.sleep(chance.uniform(0.005, 0.05))
    times.append(time.monotonic())
    gpus.measure_alone()
    times.append(time.monotonic())
    time.sleep(chance.uniform(0.005, 0.03))
    times.append(time.monotonic())
    tell(uuid, times)

random.seed(0)
running, deadline = set(), time.monotonic() + 300
jobs = iter(range(150))
while time.monotonic() < deadline:
    while len(running) < slots + 2 and (number := next(jobs, None)) is not None:
        if child := os.fork():
            running.add(child)
        else:
            sys.stdout = open(os.devnull, "w")
            job(number)
            os._exit(0)
    if not running:
        break
    if random.random() < 0.05:
        os.kill(random.choice(sorted(running)), signal.SIGKILL)
    running.discard(os.waitpid(-1, os.WNOHANG)[0])
    time.sleep(0.003)
for child in running:
    os.kill(child, signal.SIGKILL)
sys.exit(len(running))
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Pretend that this machine has GPUs of the given names; locks are in two folders of this test."""
    monkeypatch.setattr(locks, "FOLDERS", lock_folders(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that what a test leaves there is taken back
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(gpus, "CLAIMED", {})

    def make(*names, memory=LARGE):
        code = FAKE_DRIVER.format(names=names, memory=memory)
        (tmp_path / "pynvml.py").write_text(code)
        driver = types.ModuleType("pynvml")
        exec(code, driver.__dict__)
        monkeypatch.setitem(sys.modules, "pynvml", driver)

    return make


def test_a_claimed_gpu_is_the_only_one_that_cuda_sees(machine):
    machine("A", "A")
    assert gpus.claim() == "GPU-00"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-00"


def test_a_second_claim_takes_no_second_slot(machine, start):
    machine("A", memory=SMALL)
    assert line(start(f"gpus.claim(); {CLAIM}")) == "GPU-00"


def test_gpus_of_another_model_are_left_alone(machine):
    machine("A", "B", "A")
    assert gpus.usable() == [Gpu(0, "GPU-00", 4), Gpu(2, "GPU-22", 4)]


@pytest.mark.parametrize(("visible", "indices"), [("1", [1]), ("2,0", [2, 0]), ("GPU-22", [2]), ("7", [])])
def test_cuda_visible_devices_is_obeyed_by_number_and_by_uuid(machine, monkeypatch, visible, indices):
    machine("A", "A", "A")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.index for gpu in gpus.usable()] == indices


@pytest.mark.parametrize("visible", ["1,1", "1,", "1,GPU-11"])
def test_a_gpu_that_is_named_twice_is_one_gpu(machine, monkeypatch, visible):
    machine("A", "A")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.usable() == [Gpu(1, "GPU-11", 4)]


@pytest.mark.parametrize(("gb", "slots"), [(8, 1), (16, 1), (23.9, 1), (24, 2), (80, 6), (151, 12), (192, 12)])
def test_a_gpu_has_a_slot_for_every_12_gb_at_least_one_and_at_most_twelve(gb, slots):
    assert gpus.slots(round(gb * 1e9)) == slots


def test_a_machine_is_described_by_the_first_gpu_that_may_be_used(machine, monkeypatch):
    machine("A", "A", "A")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    monkeypatch.setattr(graphics, "gpu", lambda index: {"gpu": "A", "index": index})
    assert environment.describe("cuda")["index"] == 2


def test_without_a_gpu_nothing_is_claimed(machine):
    machine()
    assert gpus.claim() is None
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_gpu_is_filled_before_the_next_and_its_cells_are_loaded_before_those_of_the_next(machine, start):
    machine("A", "A", memory=MEDIUM)
    first = [start(CLAIM_THEN_MEASURE) for _ in range(2)]
    assert [line(process) for process in first] == ["GPU-00", "GPU-00"]
    second = [start(CLAIM) for _ in range(2)]
    go_on(first[0])
    assert waits(first[0])  # for the other one, which is being loaded
    assert select.select([process.stdout for process in second], [], [], 0.5) == ([], [], [])
    go_on(first[1])
    assert [line(process) for process in second] == ["GPU-11", "GPU-11"]


def test_a_gpu_does_not_wait_long_for_the_cells_of_another_to_be_loaded(machine, start):
    machine("A", "A", memory=SMALL)
    assert line(start(CLAIM)) == "GPU-00"
    began = time.monotonic()
    assert line(start(f"gpus.TURN_SECONDS = 1; {CLAIM}")) == "GPU-11"
    assert time.monotonic() - began > 1


def test_no_cell_is_loaded_while_loaded_ones_wait_to_be_measured(machine, start):
    machine("A")
    group = [start(CLAIM_THEN_MEASURE) for _ in range(2)]
    assert [line(process) for process in group] == ["GPU-00", "GPU-00"]
    for process in group:
        go_on(process)
    first, second = first_to_answer(group)
    assert line(first) == "measures"
    late = start(CLAIM)
    assert waits(late)
    first.kill()
    assert line(second) == "measures"
    assert hands_over(second, late, killed=True) == "GPU-00"


def test_a_process_waits_while_all_slots_are_taken_and_gets_that_of_one_that_is_killed(machine, start):
    machine("A", "A", memory=SMALL)
    claimed = {}
    for process in (start(CLAIM_THEN_MEASURE), start(CLAIM_THEN_MEASURE)):
        go_on(process)
        claimed[line(process)] = process
        assert line(process) == "measures"
    assert set(claimed) == {"GPU-00", "GPU-11"}
    third = start(CLAIM)
    assert line(third) == "All GPUs are taken; waiting for one."
    claimed["GPU-11"].kill()
    assert line(third) == "GPU-11"


def test_a_gpu_with_four_slots_has_no_room_for_a_fifth_process(machine, start):
    machine("A")
    assert {line(start(CLAIM)) for _ in range(4)} == {"GPU-00"}
    assert line(start(CLAIM)).startswith("All GPUs are taken")


def test_a_process_that_has_a_gpu_alone_leaves_no_slot_to_others(machine, start):
    machine("A")
    assert line(start(CLAIM_ALONE)) == "GPU-00"
    assert line(start(CLAIM)).startswith("All GPUs are taken")


def test_a_process_that_wants_a_gpu_alone_waits_for_whoever_has_a_slot(machine, start):
    machine("A")
    loaded = [start(CLAIM), start(CLAIM)]
    assert [line(process) for process in loaded] == ["GPU-00", "GPU-00"]
    alone = start(CLAIM_ALONE)
    for process in loaded:
        assert waits(alone)
        process.kill()
        process.wait()
    assert line(alone) == "GPU-00"


def test_two_that_want_a_gpu_alone_have_it_one_after_the_other(machine, start):
    machine("A", "A")
    first = start(CLAIM_ALONE)
    assert line(first) == "GPU-00"
    second = start(CLAIM_ALONE)
    assert hands_over(first, second) == "GPU-00"


@pytest.mark.parametrize(
    ("memory", "alone", "crowded"),
    [(LARGE, False, True), (LARGE, True, False), (MEDIUM, False, True), (MEDIUM, True, False), (SMALL, False, False)],
)
def test_a_gpu_is_crowded_where_others_may_have_a_slot_of_it(machine, memory, alone, crowded):
    machine("A", memory=memory)
    gpus.claim(alone)
    assert gpus.crowded() is crowded


def test_what_was_not_claimed_is_not_crowded(machine):
    machine("A")
    assert not gpus.crowded()


@pytest.mark.parametrize("gpu", ["0", "1"])
def test_work_waits_until_no_gpu_of_the_machine_is_measured(machine, start, gpu):
    machine("A", "A")
    measuring = start(MEASURE, CUDA_VISIBLE_DEVICES=gpu)
    assert line(measuring) == "measures"
    working = start(WORK)
    assert hands_over(measuring, working, killed=True) == "works"


def test_measuring_waits_until_work_is_done(machine, start):
    machine("A", "A")
    working = start(WORK)
    assert line(working) == "works"
    measuring = start(MEASURE)
    assert hands_over(working, measuring) == "measures"


def test_measuring_does_not_wait_for_work_that_was_killed(machine, start):
    machine("A")
    working = start(WORK)
    assert line(working) == "works"
    measuring = start(MEASURE)
    assert hands_over(working, measuring, killed=True) == "measures"


def test_a_claim_waits_while_its_gpu_is_measured(machine, start):
    machine("A")
    measuring = start(MEASURE)
    assert line(measuring) == "measures"
    claiming = start(CLAIM)
    assert hands_over(measuring, claiming, killed=True) == "GPU-00"


def test_two_gpus_are_measured_at_the_same_time(machine, start):
    machine("A", "A", memory=SMALL)
    assert [line(start(MEASURE)) for _ in range(2)] == ["measures", "measures"]


def test_of_two_loaded_on_one_gpu_the_second_measures_after_the_first(machine, start):
    machine("A")
    both = [start(CLAIM_THEN_MEASURE) for _ in range(2)]
    assert [line(process) for process in both] == ["GPU-00", "GPU-00"]
    go_on(both[0])
    assert waits(both[0])  # the other one may still be loading
    go_on(both[1])
    first, second = first_to_answer(both)
    assert line(first) == "measures"
    assert hands_over(first, second, killed=True) == "measures"


@pytest.mark.parametrize(
    "close",
    ["next(iter(gpus.CLAIMED.values())).lock.close()", "import os; os.close(locks.HIGH_DESCRIPTOR)"],
    ids=["low", "high"],
)
def test_a_gpu_is_still_had_alone_when_either_descriptor_of_its_lock_is_closed(machine, start, close):
    machine("A")
    measuring = start(f"gpus.claim(); gpus.measure_alone(); {close}; print('closed', flush=True); input()")
    assert line(measuring) == "closed"
    working = start(WORK)
    assert hands_over(measuring, working, killed=True) == "works"


@pytest.mark.parametrize(("names", "memory"), [("A", LARGE), ("AA", MEDIUM), ("AAA", SMALL)])
def test_a_crowd_of_cells_and_builds_is_measured_to_the_last_and_each_alone_although_some_are_killed(
    machine, tmp_path, names, memory
):
    machine(*names, memory=memory)
    crowd = python("-c", CROWD, *lock_folders(tmp_path), env=of_machine(tmp_path))
    cells = [(uuid, *map(float, times)) for uuid, *times in map(str.split, crowd.stdout.splitlines())]
    assert len(cells) > 30
    assert sum(uuid == "CPU" for uuid, *_ in cells) > 3
    for uuid, _, _, began, ended in cells:
        if uuid == "CPU":
            assert not [one for one in cells if one[3] < ended and began < one[4] and one[3] != began], (
                "beside a timing"
            )
        others = [times for other, *times in cells if other == uuid and times[2] != began]
        for loading, loaded, measured, end in others:
            assert not (measured < ended and began < end), "two are measured at once"
            assert not (loading < ended and began < loaded), "one is loaded while another is measured"


def test_two_work_at_the_same_time(machine, start):
    machine("A", "A")
    assert [line(start(WORK)) for _ in range(2)] == ["works", "works"]


def test_work_goes_on_while_a_cell_is_loaded(machine, start):
    machine("A")
    assert line(start(CLAIM)) == "GPU-00"
    assert line(start(WORK)) == "works"


@pytest.mark.parametrize(
    ("first", "second"),
    [(WORK, WORK_ALONE), (WORK_ALONE, WORK), (WORK_ALONE, WORK_ALONE)],
    ids=["shared, alone", "alone, shared", "alone, alone"],
)
def test_work_that_must_be_alone_shares_with_no_other(machine, start, first, second):
    machine("A", "A")
    before = start(first)
    assert line(before) == "works"
    after = start(second)
    assert hands_over(before, after) == "works"


def test_work_of_processes_that_count_gpus_in_another_order_never_ends_in_a_circle(machine, start):
    machine("A", "A")
    measuring = start(MEASURE, CUDA_VISIBLE_DEVICES="1")
    assert line(measuring) == "measures"
    one = start(WORK_ALONE, CUDA_VISIBLE_DEVICES="1,0")
    assert waits(one)
    other = start(WORK_ALONE, CUDA_VISIBLE_DEVICES="0,1")
    assert waits(other)
    measuring.kill()
    [ready, _, _] = select.select([one.stdout, other.stdout], [], [], 30)
    assert ready != [], "each holds a GPU that the other waits for"


def test_work_has_one_gpu_the_same_one_throughout_a_process(machine, monkeypatch):
    machine("A", "A")
    seen = set()
    for _ in range(2):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        with gpus.working():
            seen.add(os.environ["CUDA_VISIBLE_DEVICES"])
    assert len(seen) == 1
    assert seen <= {"GPU-00", "GPU-11"}


def test_locks_of_work_that_failed_are_let_go(machine, start):
    machine("A")
    with pytest.raises(ZeroDivisionError), gpus.working(alone=True):
        raise ZeroDivisionError
    assert line(start(WORK)) == "works"


def test_work_without_a_gpu_sets_nothing_of_cuda(machine):
    machine()
    with gpus.working(alone=True):
        done = True
    assert done
    assert "CUDA_VISIBLE_DEVICES" not in os.environ

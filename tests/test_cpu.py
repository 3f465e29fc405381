"""The processor's lock: timings have it alone, one after the other, and work that prepares them shares it."""

import os
import signal
import time

import pytest
from locking import first_to_answer, go_on, hands_over, line, lock_folders, waits

from speedgrid.machine import cpu, locks

pytest_plugins = ["locking"]

ALONE = "\nwith cpu.alone(): print('times', flush=True); input()"
SHARED = "\nwith cpu.shared(): print('works', flush=True); input()"
WORK = "\nwith gpus.working(): print('works', flush=True); input()"


@pytest.fixture(autouse=True)
def no_driver(tmp_path, monkeypatch):
    """Make this machine one with no GPU, and its locks those of the test."""
    (tmp_path / "pynvml.py").write_text(
        "class NVMLError(Exception): pass\ndef nvmlInit(): raise NVMLError\ndef nvmlShutdown(): pass\n"
    )
    monkeypatch.setattr(locks, "FOLDERS", lock_folders(tmp_path))


@pytest.mark.parametrize(
    ("first", "second"),
    [(ALONE, ALONE), (ALONE, WORK), (WORK, ALONE), (SHARED, ALONE)],
    ids=["timing, timing", "timing, work", "work, timing", "sharer, timing"],
)
@pytest.mark.parametrize("killed", [False, True])
def test_nothing_goes_on_beside_a_timing(start, first, second, killed):
    before = start(first)
    assert line(before)
    after = start(second)
    assert hands_over(before, after, killed)


def test_work_goes_on_beside_work(start):
    assert [line(start(WORK)) for _ in range(3)] == ["works"] * 3


def test_a_build_that_times_kernels_has_a_processor_to_itself_where_there_is_no_gpu(start):
    building = start("\nwith gpus.working(alone=True): print('builds', flush=True); input()")
    assert line(building) == "builds"
    others = [start(WORK), start(ALONE)]
    assert all(map(waits, others))
    go_on(building)
    first, second = first_to_answer(others)
    assert line(first)
    go_on(first)
    assert line(second)


def test_a_timing_does_not_wait_for_work_that_comes_after_it(start):
    """The kernel gives a shared lock to whoever asks as long as it is shared: a timing could wait for ever."""
    working = start(WORK)
    assert line(working) == "works"
    timing = start(ALONE)
    assert waits(timing)
    later = [start(WORK) for _ in range(3)]
    assert all(map(waits, later))
    go_on(working)
    assert line(timing) == "times"
    go_on(timing)
    assert [line(process) for process in later] == ["works"] * 3


def test_who_waits_is_told_who_has_the_processor_and_who_is_before_it(start, tmp_path):
    soon = "waiting.FIRST_SECONDS = 0.2"
    timing = start(f"sys.argv = ['time_cell', 'one']; {ALONE}")
    assert line(timing) == "times"
    second = start(f"sys.argv = ['time_cell', 'two']; {ALONE}")
    assert waits(second)
    text = line(start(soon + ALONE))
    assert str(tmp_path / "locks-1" / "speedgrid-cpu.lock") in text
    assert f"held by process {timing.pid} of" in text
    assert f"waiting before this one: process {second.pid} of" in text
    assert "time_cell one" in text.split("waiting before")[0]
    assert "time_cell two" in text.split("waiting before")[1]


def test_a_run_says_who_has_the_processor_when_it_begins_a_timing(start):
    text = cpu.InTheWay()
    working = start(f"sys.argv = ['train_digits', 'one']; {WORK}")
    assert line(working) == "works"
    assert f"Timing{text}" == "Timing"  # a dry-run
    text.look = True
    assert f"Timing{text}".startswith(f"Timing; waits for the processor, held by process {working.pid} of ")
    assert "train_digits one" in f"{text}"
    go_on(working)
    working.wait()
    assert f"Timing{text}" == "Timing"


def test_of_two_that_time_again_and_again_none_starves(start):
    """Each times 20 cells, and has something to do before each next one, as runs have."""
    code = (
        "import time; print('begins', flush=True); input()\nfor _ in range(20):\n"
        "    with cpu.alone(): time.sleep(0.02)\n    print(time.monotonic(), flush=True); time.sleep(0.02)"
    )
    both = [start(code) for _ in range(2)]
    assert [line(process) for process in both] == ["begins", "begins"]
    for process in both:
        go_on(process)
    times = [[float(line(process)) for _ in range(20)] for process in both]
    assert times[0][4] < times[1][-1]
    assert times[1][4] < times[0][-1]


def test_a_crowd_of_timings_and_builds_keeps_its_order_although_some_are_killed(start):
    code = (
        "import os, random, time\nchance = random.Random(int(os.environ['SEED']))\n"
        "for _ in range(30):\n"
        "    alone = chance.random() < 0.4\n"
        "    with cpu.alone() if alone else cpu.shared():\n"
        "        began = time.monotonic(); time.sleep(chance.uniform(0, 0.01)); ended = time.monotonic()\n"
        "    print(alone, began, ended, flush=True)"
    )
    crowd = [start(code, SEED=str(seed)) for seed in range(6)]
    time.sleep(1)
    for process in crowd[:2]:
        process.kill()
    texts = [process.stdout.read().split() for process in crowd]
    assert [len(words) for words in texts[2:]] == [90] * 4
    done = [
        (words[at] == "True", float(words[at + 1]), float(words[at + 2]))
        for words in texts
        for at in range(0, len(words) // 3 * 3, 3)
    ]
    for alone, began, ended in done:
        beside = [other for other in done if other[1] < ended and began < other[2] and other[1] != began]
        assert not beside if alone else all(not other[0] for other in beside)


def test_a_lock_is_not_inherited_by_programs_that_its_process_starts(start):
    holding = start(
        "import subprocess; lock = cpu.alone(); print(subprocess.Popen(['sleep', '100']).pid, flush=True); input()"
    )
    child = int(line(holding))
    second = start(ALONE)
    assert hands_over(holding, second, killed=True) == "times"
    os.kill(child, signal.SIGKILL)  # which fails if it has ended before

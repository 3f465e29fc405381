"""Turns on a processor: of processes that come, end and are killed, each has its own, and nobody waits for the dead."""

import random

import pytest
from builders import Clock
from locking import go_on, line, lock_folders, waits

from speedgrid.machine import locks, turns

pytest_plugins = ["locking"]

# A process that takes turns, and writes its name at the beginning of each.
TAKES = """
import time
from speedgrid.machine.turns import Turns, in_group
turns = Turns(cpu.alone)
def turn():
    with turns():
        print(sys.argv[0], flush=True)
        time.sleep(0.02)
"""
ENDLESS = TAKES + "while True: turn()"
MEMBER = TAKES + "with in_group(): turn(); input()\nprint('left', flush=True)"


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "FOLDERS", lock_folders(tmp_path))


def test_each_of_several_has_its_turn_again_and_again(start):
    processes = [start(ENDLESS) for _ in range(3)]
    for _ in range(5):
        assert all(line(process) for process in processes)


def test_whoever_is_killed_in_its_turn_keeps_nobody_waiting(start):
    first, second = start(ENDLESS), start(ENDLESS)
    assert line(first)
    assert line(second)
    first.kill()
    assert [bool(line(second)) for _ in range(20)] == [True] * 20


def test_whoever_is_done_stays_until_the_others_of_its_group_are(start):
    first, second = start(MEMBER), start(MEMBER)
    assert line(first)
    assert line(second)
    go_on(first)
    assert waits(first)
    go_on(second)
    assert line(first) == "left"
    assert line(second) == "left"


def test_nobody_waits_for_a_member_that_was_killed(start):
    first, second = start(MEMBER), start(MEMBER)
    assert line(first)
    assert line(second)
    go_on(first)
    assert waits(first)
    second.kill()
    assert line(first) == "left"


class Queue:
    """A lock that others have for a while, on a clock; it notes when it was asked for."""

    def __init__(self, clock, ms):
        self.clock, self.ms, self.asked = clock, ms, []

    def __call__(self):
        self.asked.append(self.clock.monotonic())
        self.clock.advance(self.ms)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def taken(monkeypatch, ms, count):
    """Return (what each of several turns says, the turns) where every one of them is waited for so many ms."""
    clock = Clock()
    monkeypatch.setattr(turns, "time", clock)
    queue = Queue(clock, ms)
    mine = turns.Turns(queue)
    mine.random = random.Random(0)
    said = []
    for _ in range(count):
        with mine() as shared:
            said.append(shared)
    return said, mine, queue


def test_whoever_is_alone_never_pauses_and_knows_it(monkeypatch):
    said, mine, queue = taken(monkeypatch, 0, 5)
    assert not any(said)
    assert (mine.lost, queue.asked) == (0, [0] * 5)


def test_between_two_turns_of_several_each_pauses_for_a_part_of_what_it_waited(monkeypatch):
    said, mine, queue = taken(monkeypatch, 200, 50)
    assert all(said)
    pauses = [later - earlier - 0.2 for earlier, later in zip(queue.asked, queue.asked[1:], strict=False)]
    assert 0 <= min(pauses) < 0.02
    assert 0.08 < max(pauses) <= 0.1
    assert mine.lost == pytest.approx(50 * 0.2 + sum(pauses))


def test_no_pause_is_as_long_as_the_work_of_others_may_be(monkeypatch):
    _, _, queue = taken(monkeypatch, 100_000, 5)
    assert max(later - earlier for earlier, later in zip(queue.asked, queue.asked[1:], strict=False)) <= 102


@pytest.mark.parametrize(("gigabytes", "count"), [(0.5, 1), (5, 2), (500, 6)])
def test_as_many_cells_are_loaded_as_memory_allows_and_not_more_than_help(monkeypatch, gigabytes, count):
    import psutil

    class Memory:
        available = gigabytes * 1e9

    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory)
    assert turns.loaded() == count

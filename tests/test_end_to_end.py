"""What a request pays beside the call: how it is timed."""

import math

import numpy as np
import pytest
import torch
from builders import Clock, CornerSession

from speedgrid.data.preprocessing import preprocess
from speedgrid.grid import Cell
from speedgrid.measure import request as end_to_end
from speedgrid.measure import timing
from speedgrid.measure.request import FEWEST_TURNS, SECONDS, Steps, measure, take_turns


class Notes:
    """A session that notes what happens to it, on a clock that moves only when told."""

    stream = None

    def __init__(self, clock):
        self.clock, self.notes = clock, []

    def operation(self, name, ms):
        def operate():
            self.notes.append(name)
            self.clock.advance(ms)

        return operate

    def synchronize(self):
        self.notes.append("wait")


@pytest.fixture
def session(monkeypatch):
    clock = Clock()
    for module in (end_to_end, timing):
        monkeypatch.setattr(module, "time", clock)
    return Notes(clock)


def test_a_request_waits_for_each_step_before_the_next(session):
    names = ("copy", "call", "copy back")
    Steps(session, [session.operation(name, 1) for name in names]).run()
    assert session.notes == ["copy", "wait", "call", "wait", "copy back"]


def test_all_are_timed_in_turn_until_the_time_is_over(session):
    costs = {"preprocess_cpu": 3.0, "call": 0.5}
    operations = {name: session.operation(name, ms) for name, ms in costs.items()}
    steps = {name: Steps(session, [operation]) for name, operation in operations.items()}
    found = take_turns(steps | {"end_to_end_cpu": Steps(session, list(operations.values()))})
    turns = math.ceil(SECONDS * 1000 / 7)
    assert found == {
        name: {"host_ms": [ms] * turns, "device_ms": []} for name, ms in (costs | {"end_to_end_cpu": 3.5}).items()
    }
    turn = ["preprocess_cpu", "call", "preprocess_cpu", "wait", "call"]
    assert session.notes == turn * (turns + 1)  # the first one warms up


def test_slow_requests_are_timed_a_few_times_all_the_same(session):
    found = take_turns({"call": Steps(session, [session.operation("call", 60_000)])})
    assert found["call"]["host_ms"] == [60_000.0] * FEWEST_TURNS


@pytest.fixture
def corner():
    made = CornerSession(Cell("resnet18", "fake", "fp32", 32, 2))
    made.feed(np.zeros(made.shape, "float32"))
    made.run()
    return made


def test_a_session_on_the_cpu_reads_what_was_preprocessed_and_pays_no_copies(corner):
    found = measure(corner, 1)
    assert list(found) == ["samples", "photograph", "threads"]
    assert list(found["samples"]) == ["preprocess_cpu", "call", "end_to_end_cpu"]
    assert len({len(one["host_ms"]) for one in found["samples"].values()}) == 1
    assert all(min(one["host_ms"]) > 0 for one in found["samples"].values())
    expected = torch.empty(corner.shape)
    preprocess(end_to_end.decoded(corner), expected)
    np.testing.assert_array_equal(corner.input, expected.numpy())
    np.testing.assert_array_equal(corner.result, corner.input.reshape(2, -1)[:, :10])
    assert found["photograph"] == (54, 71)


def test_preprocessing_has_the_threads_that_it_is_given_and_gives_them_back(corner, monkeypatch):
    seen = []
    monkeypatch.setattr(end_to_end, "preprocess", lambda *_: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    measure(corner, before + 1)
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before


def test_costs_that_cannot_be_measured_cost_the_cell_nothing(corner, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(end_to_end, "preprocess", fail)
    assert measure(corner, 1) == {"samples": {}, "error": "OutOfMemoryError: CUDA out of memory"}

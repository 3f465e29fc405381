"""What a request pays beside the call: how it is timed, and its columns of the table."""

import math

import numpy as np
import pytest
import torch
from builders import Clock, CornerSession, make_record, make_request, make_table
from hypothesis import given
from hypothesis import strategies as st

from speedgrid.data.preprocessing import preprocess
from speedgrid.grid import Cell
from speedgrid.measure import probes, timing
from speedgrid.measure.probes import request
from speedgrid.measure.probes.request import FEWEST_TURNS, SECONDS, Steps, columns, measure_steps, take_turns


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
    for module in (request, timing):
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
    found = measure_steps(corner, 1)
    assert list(found) == ["samples", "photograph", "threads"]
    assert list(found["samples"]) == ["preprocess_cpu", "call", "end_to_end_cpu"]
    assert len({len(one["host_ms"]) for one in found["samples"].values()}) == 1
    assert all(min(one["host_ms"]) > 0 for one in found["samples"].values())
    expected = torch.empty(corner.shape)
    preprocess(request.decoded(corner), expected)
    np.testing.assert_array_equal(corner.input, expected.numpy())
    np.testing.assert_array_equal(corner.result, corner.input.reshape(2, -1)[:, :10])
    assert found["photograph"] == (54, 71)


def test_preprocessing_has_the_threads_that_it_is_given_and_gives_them_back(corner, monkeypatch):
    seen = []
    monkeypatch.setattr(request, "preprocess", lambda *_: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    measure_steps(corner, before + 1)
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before


def test_costs_that_cannot_be_measured_cost_the_cell_nothing(corner, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(request, "preprocess", fail)
    assert measure_steps(corner, 1) == {"samples": {}, "error": "OutOfMemoryError: CUDA out of memory"}


def test_the_probe_measures_with_the_threads_that_were_asked_for(corner, monkeypatch):
    monkeypatch.setattr(request, "measure_steps", lambda session, threads: (session, threads))
    asked = make_record("resnet18-pytorch-fp32-r64-b8", cpu_threads=7).asked
    assert request.measure(corner, probes.Context(asked, None, None, 0.1)) == (corner, 7)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(
    ("turn", "wanted", "asked"), [("round1", True, True), ("round1", False, False), ("round2", True, False)]
)
def test_a_request_is_asked_for_in_the_first_round_where_the_configuration_wants_it(device, turn, wanted, asked):
    cell = Cell.parse("resnet18-pytorch-fp32-r64-b8")
    assert request.asked(cell, turn, device, {"end_to_end": wanted}, cell) is asked


COLUMNS = tuple(one.name for one in request.COLUMNS)
NAME = "resnet18-pytorch-fp32-r64-b8"
# In ms: 5 + 1 + 16 + 0.5 = 22.5 on the CPU, and 0.25 + 2 + 16 + 0.5 = 18.75 on the GPU.
CUDA = {
    "preprocess_cpu": 5.0,
    "copy_in_pageable": 3.0,
    "copy_in_pinned": 1.0,
    "copy_in_uint8": 0.25,
    "preprocess_gpu": 2.0,
    "call": 16.0,
    "copy_out_pageable": 0.75,
    "copy_out_pinned": 0.5,
    "end_to_end_cpu": 22.0,
    "end_to_end_gpu": 20.0,
}
CPU = {"preprocess_cpu": 5.0, "call": 16.0, "end_to_end_cpu": 21.5}
TIMES = st.floats(1e-3, 1e3)


def row(samples):
    """Return the table's row of a cell with these costs."""
    return make_table([make_record(NAME, [16.0] * 50, probes={"request": make_request(samples)})]).loc[0]


def test_each_step_is_a_median_and_the_parts_are_the_sum_of_the_steps_of_a_way():
    found = row(CUDA)
    assert {f"{name}_ms": ms for name, ms in CUDA.items()}.items() <= found.to_dict().items()
    assert (found.parts_cpu_ms, found.parts_gpu_ms) == (22.5, 18.75)


def test_a_cpu_has_one_way_and_no_copies():
    found = row(CPU)
    assert (found.parts_cpu_ms, found.end_to_end_cpu_ms) == (21.0, 21.5)
    others = set(COLUMNS) - {"preprocess_cpu_ms", "call_ms", "parts_cpu_ms", "end_to_end_cpu_ms"}
    assert found[list(others)].isna().all()


@given(st.lists(TIMES, min_size=4, max_size=4), st.floats(0.85, 1.2))
def test_steps_that_add_up_to_their_whole_are_shown_and_pass_the_audit(times, factor):
    names = request.WAYS["gpu"]
    found = row(dict(zip(names, times, strict=True)) | {"end_to_end_gpu": factor * sum(times)})
    assert found.parts_gpu_ms == pytest.approx(sum(times))
    assert found.end_to_end_gpu_ms == pytest.approx(factor * sum(times))
    assert list(request.checks(found.to_dict())) == []


@given(st.lists(st.floats(1, 1e3), min_size=4, max_size=4), st.one_of(st.floats(0.1, 0.75), st.floats(1.3, 10)))
def test_a_whole_that_its_steps_do_not_add_up_to_is_withheld(times, factor):
    names = request.WAYS["gpu"]
    found = row(dict(zip(names, times, strict=True)) | {"end_to_end_gpu": factor * sum(times)})
    assert math.isnan(found.parts_gpu_ms)
    assert math.isnan(found.end_to_end_gpu_ms)
    assert found.call_ms == times[names.index("call")]


def test_one_way_that_was_disturbed_leaves_the_other():
    found = row(CUDA | {"end_to_end_cpu": 40.0})
    assert math.isnan(found.end_to_end_cpu_ms)
    assert found.end_to_end_gpu_ms == 20.0


@pytest.mark.parametrize("missing", [None, {"samples": {}, "error": "OutOfMemoryError: CUDA out of memory"}])
def test_nothing_measured_is_nothing_shown(missing):
    seen = {"request": missing} if missing else {}
    found = make_table([make_record(NAME, [16.0] * 50, probes=seen)]).loc[0]
    assert found[list(COLUMNS)].isna().all()


def test_the_first_round_that_has_costs_counts():
    records = [make_record(NAME), make_record(NAME, probes={"request": make_request(CPU)})]
    assert columns(records, {})["call_ms"] == 16.0


def test_a_row_whose_answer_is_wrong_has_no_costs():
    wrong = make_record(NAME, status="wrong_result", probes={"request": make_request(CPU)})
    assert make_table([wrong]).loc[0, list(COLUMNS)].isna().all()

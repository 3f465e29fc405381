"""What a request pays beside the call, as columns of the table."""

import math

import pytest
from builders import make_costs, make_record, make_refusal, make_table
from hypothesis import given
from hypothesis import strategies as st

from speedgrid.measure import request as end_to_end
from speedgrid.table import audit
from speedgrid.table import request as costs
from speedgrid.table.request import columns

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


def row(samples, **changes):
    """Return the table's row of a cell with these costs."""
    return make_table([make_record(NAME, [16.0] * 50, end_to_end=make_costs(samples), **changes)]).loc[0]


def test_each_step_is_a_median_and_the_parts_are_the_sum_of_the_steps_of_a_way():
    found = row(CUDA)
    assert {f"{name}_ms": ms for name, ms in CUDA.items()}.items() <= found.to_dict().items()
    assert (found.parts_cpu_ms, found.parts_gpu_ms) == (22.5, 18.75)


def test_a_cpu_has_one_way_and_no_copies():
    found = row(CPU)
    assert (found.parts_cpu_ms, found.end_to_end_cpu_ms) == (21.0, 21.5)
    others = set(costs.COLUMNS) - {"preprocess_cpu_ms", "call_ms", "parts_cpu_ms", "end_to_end_cpu_ms"}
    assert found[list(others)].isna().all()


@given(st.lists(TIMES, min_size=4, max_size=4), st.floats(0.85, 1.2))
def test_steps_that_add_up_to_their_whole_are_shown_and_pass_the_audit(times, factor):
    names = end_to_end.WAYS["gpu"]
    found = row(dict(zip(names, times, strict=True)) | {"end_to_end_gpu": factor * sum(times)})
    assert found.parts_gpu_ms == pytest.approx(sum(times))
    assert found.end_to_end_gpu_ms == pytest.approx(factor * sum(times))
    assert list(audit.requests(found.to_dict())) == []


@given(st.lists(st.floats(1, 1e3), min_size=4, max_size=4), st.one_of(st.floats(0.1, 0.75), st.floats(1.3, 10)))
def test_a_whole_that_its_steps_do_not_add_up_to_is_withheld(times, factor):
    names = end_to_end.WAYS["gpu"]
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
    found = make_table([make_record(NAME, [16.0] * 50, end_to_end=missing)]).loc[0]
    assert found[list(costs.COLUMNS)].isna().all()


def test_the_first_round_that_has_costs_counts():
    records = [make_record(NAME), make_record(NAME, end_to_end=make_costs(CPU))]
    assert columns(records)["call_ms"] == 16.0


def test_a_row_whose_answer_is_wrong_has_no_costs():
    assert make_table([make_refusal(NAME, "wrong_result", "noise")]).loc[0, list(costs.COLUMNS)].isna().all()

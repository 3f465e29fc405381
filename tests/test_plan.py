"""The timings that a run asks for: what is there stays, and what is added to it is a session with its own controls."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speedgrid import grid
from speedgrid.grid import Cell
from speedgrid.launcher.rounds import for_cells, up_to

REFERENCE = {"backend": "pytorch", "precision": "fp32"}
AXES = {
    "model": ["resnet18"],
    "backend": ["pytorch", "openvino"],
    "precision": ["fp32"],
    "resolution": [64],
    "batch_size": [1, 8],
}


def whole(rounds=3, **axes):
    """Return the cells, the control cell and the order of a grid."""
    cells = grid.cells(AXES | axes)
    control = grid.control_cell(AXES | axes)
    return cells, control, flat(grid.measuring_order(cells, control, 0, rounds))


def flat(stages):
    """Return the timings of all stages in one list."""
    return [one for stage in stages for one in stage]


def planned(done, rounds=3, reference=REFERENCE, **axes):
    """Return all timings that are asked for, and those of them that are to be measured."""
    cells, control, order = whole(rounds, **axes)
    found = flat(grid.plan([order], cells, control, reference, 0, set(done)))
    assert len(found) == len(set(found))
    assert set(order) <= set(found)
    return found, [name for name in found if name not in done]


def kinds(names):
    """Return how many timings there are of each kind."""
    found = [grid.kind_of(name) for name in names]
    return {kind: found.count(kind) for kind in dict.fromkeys(sorted(found))}


def test_a_run_from_the_beginning_has_its_controls_and_no_others():
    _, _, order = whole()
    assert planned([])[0] == order


def test_a_finished_run_asks_for_what_it_has():
    _, _, order = whole()
    assert planned(order) == (order, [])


def test_what_is_added_to_a_finished_run_is_a_session_with_reference_sentinels_and_twins():
    _, control, done = whole()
    found, new = planned(done, precision=["fp32", "int8"])
    assert kinds(new) == {"reference": 6, "round": 12, "sentinel": 3, "twin": 3}
    assert new[0] == f"{control}-sentinel1s2"
    assert new[-1] == f"{control}-sentinel2s2"
    assert set(found) - set(new) == set(done)
    # For each round at each place one, beside the cells that it is compared with.
    wanted = {f"resnet18-pytorch-fp32-r64-b{size}-reference{number}s2" for size in (1, 8) for number in (1, 2, 3)}
    assert {name for name in new if grid.kind_of(name) == "reference"} == wanted
    assert all(grid.TIMING.fullmatch(name) for name in new)


def test_sessions_are_counted_and_what_they_had_stays():
    _, _, first = whole()
    second, added = planned(first, precision=["fp32", "int8"])
    third, new = planned(second, precision=["fp32", "int8"], backend=["pytorch", "openvino", "onnxruntime"])
    assert {grid.session_number(name) for name in new} == {1, 3}
    assert {name for name in added if grid.session_number(name) == 2} <= set(third)
    # All is there: nothing is asked for again, in the same order whatever the order of files is.
    assert planned(third, precision=["fp32", "int8"], backend=["pytorch", "openvino", "onnxruntime"])[1] == []


def test_a_run_that_was_ended_in_its_second_round_goes_on_with_the_references_that_it_lacks():
    _, control, order = whole()
    at = [place for place, name in enumerate(order) if name.endswith("-round2")][1]
    done = order[:at]
    _, new = planned(done)
    lost = [name for name in new if grid.kind_of(name) == "round"]
    for name in lost:
        found = grid.TIMING.fullmatch(name)
        place = Cell.parse(found["cell"])
        beside = f"resnet18-pytorch-fp32-r64-b{place.batch_size}"
        number = grid.turn_number(found["turn"])
        assert f"{beside}-round{number}" in new or f"{beside}-reference{number}s2" in new
    # Its own sentinels and twins are still to come, and are enough.
    assert kinds(new)["sentinel"] >= 3
    assert [name for name in new if name.startswith(f"{control}-twin")] == [f"{control}-twin2", f"{control}-twin3"]


def test_one_record_that_is_gone_comes_back_beside_the_reference():
    _, control, order = whole(rounds=1)
    gone = "resnet18-openvino-fp32-r64-b1-round1"
    _, new = planned(set(order) - {gone}, rounds=1)
    assert set(new) == {
        gone,
        "resnet18-pytorch-fp32-r64-b1-reference1s2",
        *(f"{control}-{turn}" for turn in ("sentinel1s2", "sentinel2s2", "sentinel3s2", "twin1s2")),
    }


def test_a_control_that_is_gone_comes_back_with_others_to_be_held_against():
    _, control, order = whole(rounds=1)
    _, new = planned(set(order) - {f"{control}-twin1"}, rounds=1)
    assert kinds(new) == {"sentinel": 3, "twin": 1}


def test_a_session_whose_control_cell_is_new_is_linked_by_the_nearest_reference():
    _, control, done = whole()
    _, new = planned(done, batch_size=[1, 8, 16])
    assert str(control) == "resnet18-pytorch-fp32-r64-b8"
    links = {name for name in new if grid.kind_of(name) == "reference"}
    assert links == {f"{control}-reference{number}s2" for number in (1, 2, 3)}
    assert {name.rpartition("-")[0] for name in new if grid.kind_of(name) in ("twin", "sentinel")} == {
        "resnet18-pytorch-fp32-r64-b16"
    }


def test_controls_of_cells_that_the_grid_no_longer_has_are_not_asked_for():
    _, _, done = whole()
    second, _ = planned(done, precision=["fp32", "int8"])
    found, new = planned(second, batch_size=[8])
    assert not any("-b1-" in name for name in found)
    assert new == []


def test_what_is_no_timing_is_nothing_to_a_plan():
    _, _, order = whole()
    assert planned([*order, "notes", "resnet18-x1s9", "a-b-c"])[1] == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1), st.integers(1, 3))
def test_whatever_is_there_each_session_has_its_reference_its_sentinels_and_its_twin(seed, share, rounds):
    _, _, order = whole(rounds, precision=["fp32", "bf16"])
    draw = random.Random(seed)
    done = [name for name in order if draw.random() < share]
    found, new = planned(done, rounds=rounds, precision=["fp32", "bf16"])
    assert planned(found, rounds=rounds, precision=["fp32", "bf16"])[1] == []
    if not new:
        return
    assert kinds(new).get("sentinel", 0) >= 3
    assert kinds(new).get("twin", 0) >= 1
    for name in new:
        if grid.kind_of(name) == "round":
            place = Cell.parse(grid.TIMING.fullmatch(name)["cell"]).batch_size
            number = grid.turn_number(name.rpartition("-")[2])
            beside = f"resnet18-pytorch-fp32-r64-b{place}"
            assert {f"{beside}-round{number}", f"{beside}-reference{number}s2"} & set(new)


def staged(done, *wanted):
    """Return the stages that are asked for where each further round is for some cells."""
    cells = grid.cells(AXES)
    order = grid.measuring_order(cells, grid.control_cell(AXES), 0, 3)
    stages = [order[0], *map(for_cells, order[1:], wanted)]
    return grid.plan(stages, cells, grid.control_cell(AXES), REFERENCE, 0, set(done))


SOME = {"resnet18-openvino-fp32-r64-b1", "resnet18-pytorch-fp32-r64-b1"}


def test_a_further_round_is_for_some_cells_and_has_controls_of_its_own():
    first, second, third = staged([], SOME, set())
    assert kinds(first) == {"round": 4, "sentinel": 3, "twin": 1}
    assert {name for name in second if grid.kind_of(name) == "round"} == {f"{cell}-round2" for cell in SOME}
    assert kinds(second) == {"round": 2, "sentinel": 2, "twin": 1}
    assert third == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1), st.sets(st.sampled_from(sorted(SOME))), st.booleans())
def test_whatever_is_decided_later_the_plan_before_it_stays_and_the_next_run_asks_for_the_same(
    seed, share, more, again
):
    draw = random.Random(seed)
    wanted = [SOME, *([more] if again else [])]
    done = [name for name in flat(staged([], *wanted)) if draw.random() < share]
    before, whole_plan = staged(done, SOME), staged(done, *wanted)
    assert [up_to(stage, 2) for stage in before] == [up_to(stage, 2) for stage in whole_plan[:2]]
    assert set(flat(before)) <= set(flat(whole_plan))
    after = staged(flat(whole_plan), *wanted)
    assert set(flat(after)) == set(flat(whole_plan))
    # What a decision is made from is the same when all is there.
    for number in range(1, len(after)):
        known = [up_to(flat(plan[:number]), number) for plan in (whole_plan, after)]
        assert set(known[0]) == set(known[1])


def test_rounds_that_are_not_certain_count_as_far_as_they_are_there():
    everything = grid.timings(AXES, 3)
    there = [name for name in everything if name.endswith(("b1-round2", "sentinel1"))]
    found = grid.timings(AXES, 3, there, certain=1)
    assert set(found) == {*grid.timings(AXES, 1), *there}


@pytest.mark.parametrize(
    ("name", "kind", "number", "session"),
    [
        ("resnet18-pytorch-fp32-r64-b1-round1", "round", 1, 1),
        ("resnet18-pytorch-fp32-r64-b1-sentinel12", "sentinel", 12, 1),
        ("v2s-x3s4-fp32-r64-b1-twin2s10", "twin", 2, 10),
        ("resnet18-pytorch-fp32-r64-b1-reference3s2", "reference", 3, 2),
        ("twin7", "twin", 7, 1),
        ("reference7s3", "reference", 7, 3),
    ],
)
def test_a_name_tells_its_kind_its_number_and_its_session(name, kind, number, session):
    turn = name.rpartition("-")[2]
    assert (grid.kind_of(name), grid.turn_number(turn), grid.session_number(name)) == (kind, number, session)

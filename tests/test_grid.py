"""The grid: cells, their names, and the order in which they are measured."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speedgrid.grid import AXES, TURN, Cell, cells, control_cell, evaluated_cells, measuring_order, nearest, place_of
from speedgrid.precision import PRECISIONS

BACKENDS = ("pytorch", "onnxruntime", "torch_tensorrt", "openvino")
ANY_CELL = st.builds(
    Cell,
    model=st.sampled_from(["resnet18", "vit_b_16"]),
    backend=st.sampled_from(BACKENDS),
    precision=st.sampled_from(list(PRECISIONS)),
    resolution=st.integers(1, 10**6),
    batch_size=st.integers(1, 10**6),
)


@given(ANY_CELL)
def test_a_cell_is_read_back_from_its_name(cell):
    assert Cell.parse(str(cell)) == cell


@given(ANY_CELL, ANY_CELL)
def test_different_cells_have_different_names(one, other):
    assert (str(one) == str(other)) == (one == other)


def test_the_name_has_the_documented_form():
    assert str(Cell("resnet18", "torch_tensorrt", "fp16", 224, 8)) == "resnet18-torch_tensorrt-fp16-r224-b8"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "pytorch",
        "pytorch-fp32-r224-b1",
        "resnet18-pytorch-fp32-224-1",
        "resnet18-pytorch-fp32-r224-b1-round1",
        "resnet18-pytorch-fp32-r224-bx",
        "a-b-r1-b-1",
    ],
)
def test_a_name_of_another_form_is_refused_with_the_name_and_an_example(name):
    with pytest.raises(ValueError, match=r"e\.g\. resnet18-pytorch-fp32-r224-b1") as caught:
        Cell.parse(name)
    assert repr(name) in str(caught.value)


def test_the_grid_is_the_full_product_with_the_last_axis_fastest():
    axes = {"model": ["m"], "backend": ["a", "b"], "precision": ["p"], "resolution": [32, 64], "batch_size": [1, 2]}
    assert [str(cell) for cell in cells(axes)] == [
        "m-a-p-r32-b1",
        "m-a-p-r32-b2",
        "m-a-p-r64-b1",
        "m-a-p-r64-b2",
        "m-b-p-r32-b1",
        "m-b-p-r32-b2",
        "m-b-p-r64-b1",
        "m-b-p-r64-b2",
    ]
    assert tuple(axes) == AXES


GRID = [Cell("resnet18", "pytorch", "fp32", 64, size) for size in range(1, 21)]


CONTROL = GRID[7]


def order(seed=0, rounds=3, grid=GRID):
    """Return what is measured, in order."""
    return [one for stage in measuring_order(grid, CONTROL, seed, rounds) for one in stage]


def rounds_of(timings):
    """Return the timings that are of the grid's rounds."""
    return [timing for timing in timings if re.search(r"-round\d+$", timing)]


def test_every_cell_is_measured_once_a_round_and_no_timing_comes_twice():
    timings = order()
    assert len(timings) == len(set(timings)) == 3 * 20 + 3 + 7
    assert set(rounds_of(timings)) == {f"{cell}-round{number}" for cell in GRID for number in (1, 2, 3)}
    assert all(re.fullmatch(TURN, timing.rsplit("-", 1)[1]) for timing in timings)


def test_rounds_follow_each_other_each_in_another_random_order():
    timings = rounds_of(order())
    thirds = [timings[:20], timings[20:40], timings[40:]]
    names = [[timing.rsplit("-", 1)[0] for timing in third] for third in thirds]
    assert [{timing.rsplit("-", 1)[1] for timing in third} for third in thirds] == [{"round1"}, {"round2"}, {"round3"}]
    assert names[0] != names[1] != names[2] != sorted(names[0])


def test_the_control_cell_is_timed_first_and_in_the_middle_and_at_the_end_of_each_round():
    timings = order()
    places = [timings.index(f"{CONTROL}-sentinel{number}") for number in range(1, 8)]
    assert places == [pytest.approx(place * (len(timings) - 1) / 6, abs=1) for place in range(7)]


def test_the_twin_is_timed_once_a_round_beside_its_own_cell():
    timings = [timing for timing in order() if "sentinel" not in timing]
    for number in (1, 2, 3):
        twin, own = (timings.index(f"{CONTROL}-{turn}{number}") for turn in ("twin", "round"))
        assert abs(twin - own) == 1


def test_the_cells_of_a_place_are_timed_one_after_another_in_an_order_that_changes():
    grid = [Cell("resnet18", name, "fp32", 64, size) for size in (1, 2, 4, 8) for name in "abcde"]
    timings = [Cell.parse(name.rsplit("-", 1)[0]) for name in rounds_of(order(grid=grid))]
    rounds = [timings[:20], timings[20:40], timings[40:]]
    for one in rounds:
        for start in range(0, 20, 5):
            assert len({place_of(cell) for cell in one[start : start + 5]}) == 1
    assert len({tuple(cell.batch_size for cell in one) for one in rounds}) > 1
    assert len({tuple(cell.backend for cell in one if cell.batch_size == 4) for one in rounds}) > 1


def test_the_order_depends_on_the_seed_and_on_nothing_else():
    assert order(grid=list(reversed(GRID))) == order()
    assert order(seed=1) != order()


def test_another_round_comes_after_all_that_was_measured_without_it():
    one, two = (order(rounds=rounds) for rounds in (1, 2))
    assert two[: len(one)] == one


def test_the_control_cell_is_of_the_first_backend_at_a_middling_place():
    axes = {"model": ["n", "m"], "backend": ["b", "a"], "precision": ["q", "p"]}
    axes |= {"resolution": [64, 256, 512], "batch_size": [8, 64]}
    assert control_cell(axes) == Cell("n", "b", "q", 256, 8)


@pytest.mark.parametrize(
    ("values", "wanted", "expected"),
    [([224, 256], 224, 224), ([64, 128], 100, 128), ([64, 128], 96, 64), ([128, 64], 96, 64), ([8], 32, 8)],
)
def test_the_nearest_value_is_taken_and_the_smaller_of_two(values, wanted, expected):
    assert nearest(values, wanted) == expected


@given(st.lists(st.integers(1, 2000), min_size=1), st.integers(1, 2000))
def test_no_value_is_nearer_than_the_nearest(values, wanted):
    found = nearest(values, wanted)
    assert found in values
    assert abs(found - wanted) == min(abs(value - wanted) for value in values)


def test_accuracy_is_measured_once_for_each_model_backend_and_precision():
    axes = {
        "model": ["resnet18", "resnet50"],
        "backend": ["pytorch", "openvino"],
        "precision": ["fp32", "tf32"],
        "resolution": [64, 256, 200],
        "batch_size": [1, 30, 64],
    }
    found = evaluated_cells(axes, 224)
    assert {(cell.resolution, cell.batch_size) for cell in found} == {(200, 30)}
    assert len(set(found)) == 8
    assert set(found) < set(cells(axes))

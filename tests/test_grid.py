"""The grid: cells, their names, and the order in which they are measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speedgrid.grid import AXES, Cell, cells, measuring_priorities
from speedgrid.precision import PRECISIONS

BACKENDS = ("pytorch", "onnxruntime", "torch_tensorrt", "openvino")
ANY_CELL = st.builds(
    Cell,
    backend=st.sampled_from(BACKENDS),
    precision=st.sampled_from(PRECISIONS),
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
    assert str(Cell("torch_tensorrt", "fp16", 224, 8)) == "torch_tensorrt-fp16-r224-b8"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "pytorch",
        "pytorch-fp32-224-1",
        "pytorch-fp32-r224-b1-round1",
        "pytorch-fp32-r224-bx",
        "a-b-r1-b-1",
    ],
)
def test_a_name_of_another_form_is_refused_with_the_name_and_an_example(name):
    with pytest.raises(ValueError, match=r"e\.g\. pytorch-fp32-r224-b1") as caught:
        Cell.parse(name)
    assert repr(name) in str(caught.value)


def test_the_grid_is_the_full_product_with_the_last_axis_fastest():
    axes = {"backend": ["a", "b"], "precision": ["p"], "resolution": [32, 64], "batch_size": [1, 2]}
    assert [str(cell) for cell in cells(axes)] == [
        "a-p-r32-b1",
        "a-p-r32-b2",
        "a-p-r64-b1",
        "a-p-r64-b2",
        "b-p-r32-b1",
        "b-p-r32-b2",
        "b-p-r64-b1",
        "b-p-r64-b2",
    ]
    assert tuple(axes) == AXES


GRID = [Cell("pytorch", "fp32", 64, size) for size in range(1, 21)]


def order(priorities):
    """Return the timings in the order in which Snakemake starts them."""
    return sorted(priorities, key=priorities.get, reverse=True)


def test_every_timing_has_a_priority_of_its_own_below_that_of_exports():
    priorities = measuring_priorities(GRID, seed=0, rounds=3)
    assert set(priorities) == {(str(cell), number) for cell in GRID for number in (1, 2, 3)}
    assert sorted(priorities.values()) == list(range(-60, 0))


def test_rounds_follow_each_other_each_in_another_random_order():
    started = order(measuring_priorities(GRID, seed=0, rounds=3))
    assert [number for _, number in started] == [1] * 20 + [2] * 20 + [3] * 20
    orders = [tuple(name for name, _ in started[start : start + 20]) for start in (0, 20, 40)]
    assert len({*orders, tuple(map(str, GRID))}) == 4


def test_the_order_depends_on_the_seed_and_not_on_the_order_of_the_configuration():
    first = measuring_priorities(GRID, seed=0, rounds=1)
    assert measuring_priorities(reversed(GRID), seed=0, rounds=1) == first
    assert measuring_priorities(GRID, seed=1, rounds=1) != first


def test_another_round_leaves_the_order_of_the_earlier_ones():
    one, two = (measuring_priorities(GRID, seed=0, rounds=rounds) for rounds in (1, 2))
    assert order(two)[:20] == order(one)

"""Parity by task: masks, boxes and integers as users see them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speedgrid.data.answers import BoxParity, IntegerParity, MaskParity
from speedgrid.evidence import tasks
from speedgrid.evidence.tasks import Boxes


def test_hand_computed_masks():
    right = np.zeros((1, 3, 2, 2))
    right[0, 0, 0, :] = right[0, 1, 1, :] = 1.0  # the upper row is of class 0, the lower one of class 1
    found = right.copy()
    found[0, 2, 1, 1] = 2.0  # one pixel of class 1 becomes 2
    parity = tasks.masks(found, right)
    assert parity.pixel_agreement == 0.75
    assert parity.miou == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert tasks.masks(right, right) == MaskParity(1.0, 1.0)
    assert tasks.masks(found.argmax(1), right.argmax(1)) == parity  # classes, as a graph that ends in ArgMax gives them


def test_a_mask_of_one_class_is_cut_at_a_half():
    right = np.array([0.6, 0.4, 0.9, 0.1]).reshape(1, 1, 2, 2)
    found = right - np.array([0.2, 0, 0, 0]).reshape(1, 1, 2, 2)
    assert tasks.masks(found, right).pixel_agreement == 0.75
    assert tasks.masks(found, right).miou == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert tasks.masks(3 * found - 1.5, 3 * right - 1.5).pixel_agreement == 0.75  # logits, whose middle is 0
    with pytest.raises(ValueError, match=r"masks are \[1, 1, 2, 2\]; they must be \[1, 1, 1, 2\]"):
        tasks.masks(found, right[:, :, :1])


def test_integers_are_the_same_or_not():
    assert tasks.integers(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5])) == IntegerParity(0.75, 4)
    assert tasks.integers(np.array([1, 2]), np.array([1, 2, 3])) == IntegerParity(0.0, 3)
    assert tasks.integers(np.array([]), np.array([])) == IntegerParity(1.0, 0)


def some(*rows):
    """Return boxes of (x1, y1, x2, y2, score, class)."""
    table = np.array(rows, float).reshape(-1, 6)
    return Boxes(table[:, :4], table[:, 4], table[:, 5].astype(int))


ONE, TWO, OTHER = (0, 0, 10, 10, 0.9, 1), (20, 20, 40, 40, 0.7, 1), (0, 0, 10, 10, 0.8, 2)


def test_the_order_of_boxes_plays_no_part():
    parity = tasks.boxes([some(OTHER, TWO, ONE)], [some(ONE, TWO, OTHER)], 0.5)
    assert parity == BoxParity(3, 3, 1.0, 1.0, 1.0, 0.0, 0)


def test_boxes_of_another_class_are_no_matches():
    parity = tasks.boxes([some(OTHER)], [some(ONE)], 0.5)
    assert (parity.right, parity.found, parity.f1_loose, parity.excused) == (1, 1, 0.0, 0)


def test_hand_computed_overlaps():
    moved = (0, 0, 10, 8, 0.85, 1)  # 80 of 100
    parity = tasks.boxes([some(moved, TWO)], [some(ONE, TWO)], 0.5)
    assert (parity.f1_loose, parity.f1_tight) == (1.0, 0.5)
    assert parity.mean_iou == pytest.approx(0.9)
    assert parity.score_difference == pytest.approx(0.05)


def test_a_box_that_is_missing_or_too_many_lowers_f1():
    parity = tasks.boxes([some(ONE, TWO), some(ONE)], [some(ONE), some(ONE, TWO)], 0.5)
    assert parity == BoxParity(3, 3, pytest.approx(4 / 6), pytest.approx(4 / 6), 1.0, 0.0, 0)


def test_boxes_too_near_to_the_threshold_to_call_are_excused_and_counted():
    above, below = (20, 20, 40, 40, 0.505, 1), (20, 20, 40, 40, 0.495, 1)
    alone = tasks.boxes([some(ONE)], [some(ONE, above)], 0.5)  # cut off before it was written
    assert alone == BoxParity(1, 1, 1.0, 1.0, 1.0, 0.0, 1)
    parted = tasks.boxes([some(ONE, below)], [some(ONE, above)], 0.5)
    assert (parted.f1_loose, parted.excused, parted.score_difference) == (1.0, 1, pytest.approx(0.01))
    far = tasks.boxes([some(ONE)], [some(ONE, (20, 20, 40, 40, 0.52, 1))], 0.5)
    assert (far.f1_loose, far.excused) == (pytest.approx(2 / 3), 0)
    both = tasks.boxes([some(ONE, below)], [some(ONE, below)], 0.5)  # nobody sees them
    assert both == BoxParity(1, 1, 1.0, 1.0, 1.0, 0.0, 0)


def test_two_boxes_are_never_matched_with_one():
    twice = tasks.boxes([some(ONE, ONE)], [some(ONE)], 0.5)
    assert (twice.found, twice.right, twice.f1_loose) == (2, 1, pytest.approx(2 / 3))


def test_boxes_are_matched_for_the_most_overlap_and_not_one_after_the_other():
    """Who takes the best pair first leaves 6 of 10 for the others, which is no match by then."""
    right = [some((0, 0, 10, 10, 0.9, 1), (0, 2, 10, 12, 0.9, 1))]
    found = [some((0, 1, 10, 11, 0.9, 1), (0, 3, 10, 13, 0.9, 1))]
    assert tasks.boxes(found, right).mean_iou == pytest.approx(9 / 11)


def test_where_there_are_no_boxes_all_agree():
    assert tasks.boxes([some()], [some()], 0.5) == BoxParity(0, 0, 1.0, 1.0, 1.0, 0.0, 0)
    assert tasks.boxes([some()], [some(ONE)], 0.5) == BoxParity(1, 0, 0.0, 0.0, 0.0, 0.0, 0)
    with pytest.raises(ValueError, match="zip"):
        tasks.boxes([some()], [])


corner = st.integers(0, 50)
box = st.tuples(corner, corner, st.integers(1, 20), st.integers(1, 20), st.floats(0, 1), st.integers(0, 2))


@settings(deadline=None, max_examples=50)
@given(st.lists(box, max_size=6), st.randoms())
def test_shuffled_boxes_agree_wholly(rows, random):
    rows = [(x, y, x + width, y + height, score, kind) for x, y, width, height, score, kind in rows]
    other = random.sample(rows, len(rows))
    parity = tasks.boxes([some(*other)], [some(*rows)], 0.3)
    assert parity.found == parity.right
    assert (parity.f1_loose, parity.f1_tight, parity.mean_iou) == (1.0, 1.0, pytest.approx(1.0))


def test_an_area_of_nothing_overlaps_nothing():
    assert tasks.iou(np.array([[1, 1, 1, 1.0]]), np.array([[1, 1, 1, 1.0], [0, 0, 4, 4]])).tolist() == [[0, 0]]

"""The input images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speedgrid.data.sequence import batch, images

WHOLE = images(3, 32, 0, 12)


@given(st.integers(0, 11), st.data())
def test_any_slice_of_the_sequence_equals_the_same_slice_of_the_whole(start, data):
    count = data.draw(st.integers(1, 12 - start))
    np.testing.assert_array_equal(images(3, 32, start, count), WHOLE[start : start + count])


def test_images_are_float32_of_the_asked_shape_and_standard_normal():
    assert WHOLE.shape == (12, 3, 32, 32)
    assert WHOLE.dtype == np.float32
    # 36864 numbers: the standard error of the mean is 0.0052, that of the deviation 0.0037.
    assert abs(WHOLE.mean()) < 0.02
    assert abs(WHOLE.std() - 1) < 0.015


def test_no_two_images_are_alike():
    assert len({image.tobytes() for image in WHOLE}) == 12


def test_the_seed_changes_the_images():
    assert not np.array_equal(images(4, 32, 0, 1), WHOLE[:1])


@pytest.mark.parametrize(
    ("start", "size", "expected"),
    [(0, 2, [0, 1]), (3, 2, [3, 4]), (4, 3, [4, 0, 1]), (0, 12, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1])],
)
def test_a_batch_begins_again_after_the_last_image(start, size, expected):
    assert list(batch(np.arange(5), start, size)) == expected

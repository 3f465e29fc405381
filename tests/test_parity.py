"""The comparison with the reference: errors image by image, and the figures of all of them."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from builders import EXPECTED, Clock, CornerSession, corner_logits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from speedgrid.data.sequence import batch, images
from speedgrid.evidence import parity
from speedgrid.evidence.snr import decibels, summarise
from speedgrid.grid import Cell
from speedgrid.record import Errors
from speedgrid.table.verdict import verdict

REFERENCE = np.random.default_rng(0).standard_normal((6, 50))


def compare(outputs, reference, expected_db=np.inf):
    """Return the figures of outputs beside a reference."""
    return summarise(parity.compare(outputs, reference), expected_db)


def with_snr(snr_db, reference=REFERENCE):
    """Return outputs whose error has exactly this SNR in every image."""
    noise = np.random.default_rng(1).standard_normal(reference.shape)
    size = np.linalg.norm(reference, axis=1) / np.linalg.norm(noise, axis=1) * 10 ** (-snr_db / 20)
    return reference + noise * size[:, None]


@given(st.floats(5, 200))
def test_the_snr_is_that_of_the_noise(snr_db):
    found = compare(with_snr(snr_db), REFERENCE)
    assert found.snr_db == pytest.approx(snr_db, abs=0.01)
    assert found.snr_db_min == pytest.approx(snr_db, abs=0.01)
    assert found.relative_l2 == pytest.approx(10 ** (-snr_db / 20), rel=1e-3)
    assert found.images == 6


def test_hand_computed_agreement():
    reference = np.array([[3.0, 4.0], [0.0, 10.0]])
    found = compare(np.array([[3.0, 4.5], [0.0, 9.0]]), reference)
    assert found.snr_db == pytest.approx(20.0)  # both errors are a tenth of the norm
    assert found.relative_l2 == pytest.approx(0.1)
    # |(3, 4.5)| = sqrt(29.25); 3 x 3 + 4 x 4.5 = 27
    assert found.cosine_min == pytest.approx(27 / (5 * np.sqrt(29.25)))
    assert found.top1_agreement == 1.0


def test_errors_are_kept_image_by_image():
    reference = np.array([[3.0, 4.0], [0.0, 10.0]])
    assert parity.compare(np.array([[4.5, 4.0], [0.0, 9.0]]), reference) == Errors(
        images=2,
        signal=[5.0, 10.0],
        noise=[1.5, 1.0],
        cosine=[pytest.approx(29.5 / (5 * np.sqrt(36.25))), 1.0],
        margin=[1.0, 10.0],
        same_class=[False, True],
        classes=2,
    )
    assert parity.compare(np.array([[2.0]]), np.array([[1.0]])).margin == [None]


def test_an_snr_alone_is_that_of_all_outputs_and_none_where_one_is_not_finite():
    assert parity.snr_db(with_snr(60), REFERENCE) == pytest.approx(60, abs=0.01)
    assert parity.snr_db(np.full((1, 2), np.inf), np.ones((1, 2))) == 0


def test_equal_outputs_have_a_finite_snr():
    found = compare(REFERENCE, REFERENCE)
    assert found.snr_db == pytest.approx(320)
    assert json.dumps(asdict(found), allow_nan=False)


def test_the_worst_image_is_seen_in_the_minimum():
    outputs = REFERENCE.copy()
    outputs[2] = with_snr(20)[2]
    assert compare(outputs, REFERENCE).snr_db_min == pytest.approx(20)


def test_a_flip_between_classes_that_hardly_differ_is_no_disagreement():
    reference = np.array([[2.0, 1.9, -5.0]])
    assert compare(np.array([[1.94, 1.96, -5.0]]), reference, expected_db=36).top1_agreement == 1.0


def test_the_snr_is_of_all_outputs_together():
    # Three right images and one that is missing, each of norm 5: a half of the norm is lost.
    reference = np.array([[3.0, 4.0], [5.0, 0.0], [0.0, 5.0], [4.0, 3.0]])
    outputs = reference.copy()
    outputs[1] = 0
    found = compare(outputs, reference)
    assert found.relative_l2 == 0.5
    assert found.snr_db == pytest.approx(20 * np.log10(2))
    assert found.snr_db_min == 0
    assert found.cosine_min == 0


ANY = arrays(float, (4, 7), elements=st.integers(-100, 100))
NO_BLANK = ANY.filter(lambda logits: logits.any(axis=1).all())


@given(ANY, NO_BLANK)
def test_no_image_is_worse_than_the_worst(outputs, reference):
    found = compare(outputs, reference)
    assert found.snr_db_min <= found.snr_db + 1e-9
    assert found.snr_db == pytest.approx(decibels(found.relative_l2))
    assert -1 - 1e-9 <= found.cosine_min <= 1 + 1e-9
    assert found.top1_agreement in (0, 0.25, 0.5, 0.75, 1)


@given(ANY, NO_BLANK, st.sampled_from([-4.0, 0.5, 1024.0]))
def test_an_agreement_has_no_unit(outputs, reference, factor):
    one, other = compare(outputs, reference), compare(factor * outputs, factor * reference)
    assert (other.snr_db, other.snr_db_min) == pytest.approx((one.snr_db, one.snr_db_min))


def flipped(margin):
    """Return (outputs, reference) of two images with 100 classes. Two classes of the first have an error of 1 each.

    They differ by `margin` and change places if it is below 2. At an expected SNR of 20 dB, a tenth of the norm, six
    times the expected root-mean-square error is 6 x 13.6 / 10 / 10 = 0.81.
    """
    reference = np.zeros((2, 100))
    reference[0, :2] = 10, 10 - margin
    reference[1, 5] = 10
    outputs = reference.copy()
    outputs[0, :2] += -1, 1
    return outputs, reference


@pytest.mark.parametrize(
    ("margin", "agreement"),
    [(0.1, 1.0), (0.80, 1.0), (0.83, 0.5), (1.9, 0.5), (2.1, 1.0)],
)
def test_a_flip_counts_if_the_margin_is_above_six_times_the_error_that_is_expected(margin, agreement):
    assert compare(*flipped(margin), expected_db=20).top1_agreement == agreement


def test_an_error_that_is_larger_than_expected_excuses_no_flip():
    outputs, reference = flipped(0.83)
    outputs[:, 6:] -= 5
    assert compare(outputs, reference, expected_db=20).top1_agreement == 0.5


def test_another_class_for_an_image_that_is_far_from_it_is_a_disagreement():
    reference = np.array([[10.0, 0.0, 0.0], [10.0, 0.0, 0.0]])
    assert compare(np.array([[0.0, 10.0, 0.0], [10.0, 0.0, 0.0]]), reference).top1_agreement == 0.5


def test_the_answers_to_other_images_disagree():
    reference = np.random.default_rng(0).standard_normal((6, 1000))
    assert compare(np.roll(reference, 1, axis=0), reference).top1_agreement < 0.5


def test_one_class_has_no_flips():
    assert compare(np.array([[1.0], [2.0]]), np.array([[1.0], [2.1]])).top1_agreement == 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_a_wrong_result(bad):
    outputs = REFERENCE.copy()
    outputs[5, 49] = bad
    assert parity.compare(outputs, REFERENCE) is None


IMAGES = images(0, 32, 0, 8)
LOGITS = corner_logits(IMAGES)


def timed(batch_size, spoil=lambda logits: logits):
    """Return a session that was fed the first images, poisoned and run, as it is after it was timed."""
    session = CornerSession(Cell("resnet18", "pytorch", "fp32", 32, batch_size), spoil)
    session.feed(batch(IMAGES, 0, batch_size))
    session.poison()
    session.run()
    return session


def check(session, seconds=60.0, call_seconds=0.0):
    found = parity.check(session, IMAGES, LOGITS, seconds, call_seconds)
    return found and summarise(found, expected_db=60.0)


@pytest.mark.parametrize("batch_size", [1, 3, 5, 8, 33])
def test_every_reference_image_is_compared_whatever_the_batch_size(batch_size):
    session = timed(batch_size)
    found = check(session)
    assert found.images == 8
    assert found.snr_db > 300  # the stand-in model copies pixels, so nothing is rounded
    assert len(session.fed) == -(-8 // batch_size)
    assert {batch.shape for batch in session.fed} == {(batch_size, 3, 32, 32)}


def test_what_was_computed_before_is_compared_first_and_not_computed_again():
    session = timed(5, spoil=lambda logits: 0 * logits)
    session.spoil = lambda logits: logits
    found = check(session)
    assert found.snr_db_min == 0
    assert found.relative_l2 == pytest.approx(np.linalg.norm(LOGITS[:5]) / np.linalg.norm(LOGITS))


def test_an_error_in_the_last_part_batch_is_seen():
    session = timed(5)
    session.spoil = lambda logits: logits + np.array([[0], [0], [9], [0], [0]])
    assert check(session).snr_db_min < 20


@pytest.mark.parametrize("written", [0, 1])
def test_a_batch_whose_output_is_not_written_is_a_wrong_result(written):
    calls = iter(range(9))
    session = timed(2, spoil=lambda logits: logits if next(calls) < written else None)
    assert check(session) is None


def test_a_session_that_answers_every_batch_with_the_first_is_a_wrong_result():
    found = check(timed(2, spoil=lambda logits: LOGITS[:2]))
    assert verdict("fp32", "float32", found, EXPECTED)[0] == "wrong_result"


@pytest.mark.parametrize(("batch_size", "compared", "calls"), [(1, 4, 4), (3, 6, 2), (4, 4, 1), (5, 5, 1), (33, 8, 1)])
def test_at_least_four_images_are_compared_however_long_they_take(batch_size, compared, calls):
    session = timed(batch_size)
    assert check(session, seconds=0).images == compared
    assert len(session.fed) == calls


@pytest.mark.parametrize("wrong", [0, 9, 32])
def test_every_image_of_a_batch_is_compared_also_where_it_has_more_than_there_are_answers(wrong):
    def spoil(logits):
        logits = logits.copy()
        logits[wrong] = 0
        return logits

    assert check(timed(33, spoil=spoil)).snr_db_min == 0
    assert check(timed(33)).snr_db_min > 50


@pytest.mark.parametrize(("seconds", "compared"), [(0.5, 4), (1.1, 6), (1.3, 8)])
def test_no_call_is_begun_that_would_end_too_late(monkeypatch, seconds, compared):
    clock = Clock()
    monkeypatch.setattr(parity, "time", clock)
    session = timed(2)
    session.spoil = lambda logits: clock.advance(400) or logits
    assert check(session, seconds, call_seconds=0.4).images == compared

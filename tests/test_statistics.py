"""Medians, intervals and percentiles of raw samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from speedgrid.statistics import (
    autocorrelation_time,
    median_interval,
    order_statistic_interval,
    percentile,
    ratio_interval,
)

MILLISECONDS = st.floats(0.001, 1e5)
SAMPLES = st.lists(MILLISECONDS, min_size=1, max_size=60)


def autoregressive(rng, r, count):
    return lfilter([1], [1, -r], rng.standard_normal(count + 200))[200:]


def test_independent_samples_have_an_autocorrelation_time_of_one():
    rng = np.random.default_rng(0)
    times = [autocorrelation_time(rng.standard_normal(20_000)) for _ in range(5)]
    assert np.mean(times) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("r", [0.3, 0.5, 0.8, 0.9])
def test_an_autoregressive_series_has_the_known_autocorrelation_time(r):
    rng = np.random.default_rng(0)
    times = [autocorrelation_time(autoregressive(rng, r, 40_000)) for _ in range(5)]
    assert np.mean(times) == pytest.approx((1 + r) / (1 - r), rel=0.06)


@pytest.mark.parametrize("samples", [[5.0], [1.0, 2.0, 3.0], [2.0] * 100])
def test_few_or_equal_samples_count_as_independent(samples):
    assert autocorrelation_time(np.array(samples)) == 1.0


def test_a_series_that_alternates_is_not_worth_more_than_its_samples():
    assert autocorrelation_time(np.tile([1.0, 2.0], 50)) == 1.0


def test_a_drift_is_worth_two_samples_at_least():
    assert 10 < autocorrelation_time(np.arange(100.0)) <= 50


def test_the_autocorrelation_time_has_no_unit():
    series = autoregressive(np.random.default_rng(0), 0.8, 1000)
    assert autocorrelation_time(7 + 1e-3 * series) == pytest.approx(autocorrelation_time(series))


def coverage(make, trials, quantile=0.5, truth=0.0):
    intervals = [order_statistic_interval(make(), quantile) for _ in range(trials)]
    return np.mean([low <= truth <= high for low, high in intervals])


@pytest.mark.parametrize("count", [50, 200, 1000])
def test_the_interval_of_the_median_covers_it_in_95_percent_of_trials(count):
    rng = np.random.default_rng(0)
    assert 0.935 <= coverage(lambda: rng.standard_normal(count), 800) <= 0.99


def test_the_interval_keeps_its_coverage_where_samples_depend_on_each_other():
    rng = np.random.default_rng(0)
    assert 0.93 <= coverage(lambda: autoregressive(rng, 0.8, 500), 500) <= 0.99


def test_the_interval_of_another_quantile_covers_it_too():
    rng = np.random.default_rng(0)
    assert 0.93 <= coverage(lambda: rng.random(400), 500, quantile=0.9, truth=0.9) <= 0.99


@given(SAMPLES)
def test_the_interval_is_made_of_samples_and_contains_the_median(samples):
    low, high = order_statistic_interval(np.array(samples))
    assert low in samples
    assert high in samples
    assert low <= np.median(samples) <= high


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_samples_have_an_interval_as_wide_as_they_are(count):
    assert order_statistic_interval(np.arange(count)) == (0.0, count - 1.0)


def test_equal_samples_have_an_interval_of_no_width():
    assert order_statistic_interval(np.full(50, 3.5)) == (3.5, 3.5)


def noise(seed, middle=10.0):
    return middle + np.random.default_rng(seed).standard_normal(50)


def test_one_round_has_the_interval_of_its_order_statistics():
    samples = noise(0)
    assert median_interval([samples]) == (np.median(samples), *order_statistic_interval(samples))


def test_two_rounds_have_the_hull_of_both_intervals():
    rounds = [noise(0), noise(1, 20)]
    within = [order_statistic_interval(samples) for samples in rounds]
    assert median_interval(rounds) == (
        (np.median(rounds[0]) + np.median(rounds[1])) / 2,
        within[0][0],
        within[1][1],
    )


def test_three_rounds_that_differ_have_students_interval_of_their_medians():
    middle, low, high = median_interval([np.full(50, value) for value in (10.1, 9.9, 10.0)])
    # t(0.975, 2) = 4.302653
    logs = np.log([9.9, 10.0, 10.1])
    assert middle == 10.0
    assert high == pytest.approx(10 * np.exp(4.302653 * logs.std(ddof=1) / np.sqrt(3)))
    assert low * high == pytest.approx(100)  # as far below as above, as a factor


def test_three_rounds_that_agree_have_the_interval_within_rounds_less_by_the_root_of_three():
    samples = noise(0)
    low, high = order_statistic_interval(samples)
    middle, *interval = median_interval([samples, samples, samples])
    factor = (high / low) ** (1 / (2 * np.sqrt(3)))
    assert middle == np.median(samples)
    assert interval == pytest.approx([middle / factor, middle * factor])


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_another_unit_of_time_scales_the_interval(factor):
    rounds = [noise(seed) for seed in range(4)]
    scaled = median_interval([factor * samples for samples in rounds])
    assert scaled == pytest.approx([factor * value for value in median_interval(rounds)])


@given(st.lists(SAMPLES, min_size=1, max_size=4))
def test_the_median_is_inside_its_interval_whatever_the_rounds(rounds):
    middle, low, high = median_interval([np.array(samples) for samples in rounds])
    assert 0 < low <= middle <= high


def test_three_rounds_cover_the_truth_where_processes_differ():
    rng = np.random.default_rng(0)
    trials = 400
    intervals = [
        median_interval([10 * np.exp(0.1 * rng.standard_normal(50) + rng.normal(0, 0.05)) for _ in range(3)])
        for _ in range(trials)
    ]
    assert 0.92 <= np.mean([low <= 10 <= high for _, low, high in intervals]) <= 0.99


def test_no_latency_interval_reaches_below_zero():
    middle, low, high = median_interval([np.full(50, value) for value in (1.0, 1.0, 3.0)])
    # The logarithms 0, 0, log 3 have the standard error log 3 / 3.
    assert (middle, low, high) == pytest.approx((1.0, 3 ** (-4.302653 / 3), 3 ** (4.302653 / 3)))


@pytest.mark.parametrize(("percent", "fewest"), [(50, 6), (90, 36), (95, 72), (99, 368)])
def test_a_percentile_needs_enough_samples(percent, fewest):
    # 1 - p^n - (1 - p)^n of 95 % intervals are bounded by samples on both sides.
    inside = 1 - (percent / 100) ** fewest
    assert inside >= 0.95
    assert percentile(np.arange(fewest - 1), percent) is None
    assert percentile(np.arange(fewest), percent) == pytest.approx(percent / 100 * (fewest - 1))


@pytest.mark.parametrize(("percent", "samples"), [(50, 6), (90, 36), (95, 72), (99, 368)])
def test_the_fewest_samples_are_the_fewest_that_bound_the_interval(percent, samples):
    share = percent / 100
    # Two-sided at 95 %: at least 97.5 % certain that one sample lies above, and one below.
    assert max(share, 1 - share) ** samples <= 0.025
    assert max(share, 1 - share) ** (samples - 1) > 0.025


def test_an_exact_ratio_has_the_interval_of_its_other_part():
    value, low, high = ratio_interval((10.0, 8.0, 12.5), (2.0, 2.0, 2.0))
    assert value == 5.0
    assert (low, high) == pytest.approx((4.0, 6.25))


def test_a_ratio_has_both_parts_widths_in_quadrature_on_a_log_scale():
    step = np.exp(0.3), np.exp(0.4)
    value, low, high = ratio_interval((6.0, 6 / step[0], 6 * step[0]), (3.0, 3 / step[1], 3 * step[1]))
    assert value == 2.0
    assert low == pytest.approx(2 * np.exp(-0.5))
    assert high == pytest.approx(2 * np.exp(0.5))


def test_what_is_slower_at_most_bounds_the_ratio_from_below():
    value, low, high = ratio_interval((10.0, 10.0, 10.0), (2.0, 1.0, 2.5))
    assert (value, low, high) == pytest.approx((5.0, 4.0, 10.0))


@st.composite
def measurement(draw):
    low, middle, high = sorted(draw(st.tuples(MILLISECONDS, MILLISECONDS, MILLISECONDS)))
    return middle, low, high


@given(measurement(), measurement())
def test_a_ratio_is_inside_its_interval(over, under):
    value, low, high = ratio_interval(over, under)
    assert 0 < low <= value * (1 + 1e-12)
    assert value <= high * (1 + 1e-12)


@given(measurement(), measurement())
def test_turning_a_ratio_round_turns_its_interval_round(over, under):
    value, low, high = ratio_interval(over, under)
    assert ratio_interval(under, over) == pytest.approx((1 / value, 1 / high, 1 / low), rel=1e-9)

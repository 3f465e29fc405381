"""Medians, intervals and percentiles of raw samples."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import norm, ttest_ind

from speedgrid.evidence.intervals import (
    compare,
    course,
    median_interval,
    paired_loss,
    ratio_interval,
    share_interval,
)
from speedgrid.measure.timing import tight
from speedgrid.statistics import correlation_window, median, order_statistic_interval, percentile, quantile_of

MILLISECONDS = st.floats(0.001, 1e5)
SAMPLES = st.lists(MILLISECONDS, min_size=1, max_size=60)


def autocorrelation_time(samples):
    return correlation_window(samples)[0]


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


def lognormal(rng, trials, count, r, rounds=1, between=0.0, width=0.3):
    """Return samples [trials, rounds, count] whose median over processes is 1: skewed, autocorrelated with lag-one `r`.

    width: of the logarithms within a process; between: of the factor that each process has, both as deviations.
    """
    noise = rng.standard_normal((trials, rounds, count))
    noise[..., 1:] *= np.sqrt(1 - r**2)
    factor = between * rng.standard_normal((trials, rounds, 1))
    return np.exp(factor + width * lfilter([1], [1, -r], noise, axis=-1))


def coverage(intervals, truth=1.0):
    return np.mean([low <= truth <= high for *_, low, high in intervals])


@pytest.mark.parametrize("r", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("count", [50, 100, 200, 500, 2000])
def test_the_interval_of_one_round_contains_the_median_in_95_percent_of_cases(count, r):
    samples = lognormal(np.random.default_rng(1), 1500, count, r)[:, 0]
    assert 0.93 <= coverage(map(order_statistic_interval, samples)) <= 0.97


def test_outliers_do_not_hide_that_samples_depend_on_each_other():
    rng = np.random.default_rng(0)
    samples = lognormal(rng, 1000, 500, 0.9)[:, 0]
    samples[rng.random(samples.shape) < 0.01] = 1000
    # One outlier in a hundred raises the median by one rank in a hundred above it, to quantile 0.5 / 0.99 of the rest.
    truth = np.exp(0.3 * norm.ppf(0.5 / 0.99))
    assert 0.93 <= coverage(map(order_statistic_interval, samples), truth) <= 0.97


def test_the_interval_of_another_quantile_covers_it_too():
    rng = np.random.default_rng(0)
    assert 0.93 <= coverage([order_statistic_interval(rng.random(400), 0.9) for _ in range(1000)], 0.9) <= 0.97


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_of_fewer_than_six_samples_the_interval_contains_the_median_less_often_and_as_said(count):
    samples = lognormal(np.random.default_rng(0), 4000, count, 0.0)[:, 0]
    assert coverage(map(order_statistic_interval, samples)) == pytest.approx(1 - 2 ** (1 - count), abs=0.02)


@pytest.mark.parametrize("r", [0.0, 0.5])
@pytest.mark.parametrize("count", [10, 20, 49])
def test_of_few_samples_the_interval_contains_the_median_in_at_least_95_percent_of_cases(count, r):
    samples = lognormal(np.random.default_rng(1), 1000, count, r)[:, 0]
    assert coverage(map(order_statistic_interval, samples)) >= 0.95


@pytest.mark.parametrize(("r", "least"), [(0.0, 0.93), (0.5, 0.9), (0.9, 0.8)])
def test_stopping_where_the_interval_is_narrow_costs_no_more_of_its_coverage_than_said(r, least):
    # As speedgrid.measure.timing does: from 10 samples on, look again after each quarter more, until within 2 % either
    # way.
    found = []
    for samples in lognormal(np.random.default_rng(1), 400, 2000, r, width=0.05)[:, 0]:
        count = 10
        while count < len(samples) and not tight(samples[:count], 2):
            count = count * 5 // 4
        found.append(order_statistic_interval(samples[:count]))
    assert coverage(found) >= least


@pytest.mark.parametrize("between", [0.01, 0.05])
@pytest.mark.parametrize("r", [0.0, 0.9])
@pytest.mark.parametrize("rounds", [2, 3, 5])
def test_the_interval_over_rounds_contains_the_median_over_processes_in_95_percent_of_cases(rounds, r, between):
    # Samples enough that a round's median is better known than processes differ.
    samples = lognormal(np.random.default_rng(2), 600, 300, r, rounds, between, width=0.03)
    assert 0.93 <= coverage(map(median_interval, samples)) <= 0.97


@pytest.mark.parametrize(("r", "most"), [(0.0, 0.97), (0.5, 0.97), (0.9, 0.985)])
def test_the_interval_over_rounds_is_hardly_too_wide_where_processes_do_not_differ(r, most):
    samples = lognormal(np.random.default_rng(3), 1000, 200, r, rounds=3, width=0.05)
    assert 0.93 <= coverage(map(median_interval, samples)) <= most


def ratios(rng, trials, *arguments, **options):
    """Return intervals of the ratio of two cells that are equally fast."""
    cells = [map(median_interval, lognormal(rng, trials, *arguments, **options)) for _ in range(2)]
    return [ratio_interval(over, under) for over, under in zip(*cells, strict=True)]


@pytest.mark.parametrize(
    ("count", "r", "most"), [(50, 0.0, 0.99), (50, 0.9, 0.99), (500, 0.5, 0.97), (1000, 0.9, 0.97)]
)
def test_the_ratio_of_two_cells_of_one_round_is_covered_in_95_percent_of_cases(count, r, most):
    # The widths of two intervals of 50 samples vary by a third and even each other out: fewer are too narrow.
    assert 0.93 <= coverage(ratios(np.random.default_rng(4), 800, count, r)) <= most


@pytest.mark.parametrize(
    ("rounds", "between", "most"), [(3, 0.0, 0.99), (3, 0.05, 0.975), (5, 0.01, 0.975), (2, 0.05, 0.99)]
)
def test_the_ratio_of_two_cells_of_few_rounds_is_covered_in_95_percent_of_cases(rounds, between, most):
    rng = np.random.default_rng(5)
    cells = [lognormal(rng, 600, 200, 0.5, rounds=rounds, between=between, width=0.05) for _ in range(2)]
    found = [compare(list(over), list(under)) for over, under in zip(*cells, strict=True)]
    assert 0.93 <= coverage(found) <= most


def test_the_ratio_over_rounds_is_narrower_than_that_of_two_intervals():
    rng = np.random.default_rng(6)
    over, under = ([rng.normal(scale, 0.02, 100) for scale in means] for means in ((2.0, 2.1, 2.2), (1.0, 1.1, 1.05)))
    alone = ratio_interval(median_interval(over), median_interval(under))
    together = compare(over, under)
    assert together[0] == pytest.approx(alone[0])
    assert together[2] / together[1] < alone[2] / alone[1]


def test_the_ratio_of_single_rounds_is_that_of_their_intervals():
    rng = np.random.default_rng(7)
    over, under = [rng.normal(2.0, 0.02, 100)], [rng.normal(1.0, 0.02, 100)]
    assert compare(over, under) == ratio_interval(median_interval(over), median_interval(under))


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=5), st.lists(st.floats(0.1, 10), min_size=2, max_size=5))
def test_the_interval_of_a_ratio_over_rounds_is_that_of_welch(over, under):
    logs = [np.log(one) for one in (over, under)]
    assume(all(one.std() > 1e-6 for one in logs))
    low, high = ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
    ratio, *found = compare(*([np.full(9, one) for one in medians] for medians in (over, under)))
    assert found == pytest.approx([min(ratio, np.exp(low)), max(ratio, np.exp(high))])


def test_rounds_that_agree_to_the_last_digit_have_an_exact_ratio():
    assert compare([np.full(9, 4.0)] * 3, [np.full(9, 2.0)] * 3) == pytest.approx((2.0, 2.0, 2.0))


@given(st.lists(SAMPLES, min_size=2, max_size=4), st.lists(SAMPLES, min_size=2, max_size=4))
def test_a_ratio_over_rounds_is_inside_its_interval(over, under):
    value, low, high = compare([np.array(one) for one in over], [np.array(one) for one in under])
    assert low <= value <= high


@given(SAMPLES)
def test_the_interval_lies_within_the_samples_and_contains_the_median(samples):
    low, high = order_statistic_interval(np.array(samples))
    assert min(samples) <= low <= np.median(samples) <= high <= max(samples)


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


def test_two_rounds_have_students_interval_too():
    middle, low, high = median_interval([np.full(50, value) for value in (10.0, 11.0)])
    # t(0.975, 1) = 12.706205, and the standard error of two is half their distance.
    assert middle == 10.5
    assert (low, high) == pytest.approx(
        (np.sqrt(110) * 1.1 ** (-12.706205 / 2), np.sqrt(110) * 1.1 ** (12.706205 / 2)), rel=1e-6
    )


def test_three_rounds_that_differ_have_students_interval_of_their_medians():
    middle, low, high = median_interval([np.full(50, value) for value in (10.1, 9.9, 10.0)])
    # t(0.975, 2) = 4.302653
    logs = np.log([9.9, 10.0, 10.1])
    half = 4.302653 * logs.std(ddof=1) / np.sqrt(3)
    assert middle == 10.0
    assert (low, high) == pytest.approx((np.exp(logs.mean() - half), np.exp(logs.mean() + half)))


def test_three_rounds_that_agree_have_the_standard_error_within_rounds():
    rng = np.random.default_rng(0)
    samples = 10 + 0.1 * rng.standard_normal(2000)
    middle, low, high = median_interval([samples, samples, samples])
    # The median of n normal numbers has the standard error 1.2533 / sqrt(n) of their deviation.
    error = 0.1 * 1.2533 / np.sqrt(3 * 2000)
    assert middle == np.median(samples)
    assert (low, high) == pytest.approx((middle - error, middle + error), abs=error / 4)


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_another_unit_of_time_scales_the_interval(factor):
    rounds = [noise(seed) for seed in range(4)]
    scaled = median_interval([factor * samples for samples in rounds])
    assert scaled == pytest.approx([factor * value for value in median_interval(rounds)])


@given(st.lists(SAMPLES, min_size=1, max_size=4))
def test_the_median_is_inside_its_interval_whatever_the_rounds(rounds):
    middle, low, high = median_interval([np.array(samples) for samples in rounds])
    assert 0 < low <= middle <= high


def test_no_latency_interval_reaches_below_zero():
    middle, low, high = median_interval([np.full(50, value) for value in (1.0, 1.0, 3.0)])
    # The logarithms 0, 0, log 3 have the mean log 3 / 3 and the standard error log 3 / 3.
    assert (middle, low, high) == pytest.approx((1.0, 3 ** ((1 - 4.302653) / 3), 3 ** ((1 + 4.302653) / 3)))


def test_the_median_of_rounds_is_inside_its_interval_even_where_their_mean_is_far_from_it():
    middle, low, high = median_interval([np.full(50, value) for value in (1.0,) * 9 + (9.0,) * 8])
    # The mean logarithm is 1.03, and t(0.975, 16) times its standard error 0.59: the interval begins at 1.57.
    assert middle == low == 1.0
    assert high > 3


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


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), pages 857 to 872, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_a_shares_interval_is_the_published_one(hits, count, low, high):
    assert share_interval(hits, count) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def paired(both, lost, won, neither):
    """Return the answers before and after of so many images each."""
    before = np.repeat([True, True, False, False], (both, lost, won, neither))
    after = np.repeat([True, False, True, False], (both, lost, won, neither))
    return before, after


def test_no_difference_leaves_an_interval_that_shrinks_with_the_images():
    widths = []
    for images in (100, 400, 1600):
        loss, low, high = paired_loss(*paired(images * 9 // 10, 0, 0, images // 10))
        assert loss == 0
        assert low < 0 < high
        widths.append(high - low)
    assert widths[0] > 1.8 * widths[1] > 3.2 * widths[2]


def test_a_loss_turned_round_is_a_gain():
    before, after = paired(80, 9, 3, 8)
    loss, low, high = paired_loss(before, after)
    assert loss == pytest.approx(0.06)
    assert paired_loss(after, before) == pytest.approx((-loss, -high, -low))
    assert low < loss < high


@pytest.mark.parametrize("answers", [(100, 0, 0, 0), (0, 0, 0, 100), (0, 100, 0, 0), (0, 0, 100, 0)])
def test_answers_that_are_all_alike_have_an_interval_within_possible_losses(answers):
    loss, low, high = paired_loss(*paired(*answers))
    assert -1 <= low <= loss <= high <= 1


@pytest.mark.parametrize("chances", [(0.92, 0.02, 0.01, 0.05), (0.80, 0.06, 0.02, 0.12), (0.955, 0.005, 0.0, 0.04)])
def test_the_interval_of_a_loss_contains_the_truth(chances):
    random, hits = np.random.default_rng(0), []
    for counts in random.multinomial(256, chances, size=400):
        _, low, high = paired_loss(*paired(*counts))
        hits.append(low <= chances[1] - chances[2] <= high)
    assert np.mean(hits) > 0.93


def side_by_side(rng, cells, common, own, uneven=0.0, rounds=3):
    """Return the samples of cells that are equally fast, measured side by side in several rounds.

    In logarithms, as deviations: common: of what a round does to all cells; own: of each process besides. uneven: of
    how much more or less than others a cell suffers.
    """
    suffers = 1 + uneven * rng.standard_normal((cells, 1, 1))
    levels = common * rng.standard_normal((1, rounds, 1)) * suffers + own * rng.standard_normal((cells, rounds, 1))
    return [list(one) for one in np.exp(levels + 0.005 * rng.standard_normal((cells, rounds, 25)))]


@pytest.mark.parametrize(
    ("common", "own", "uneven"), [(0.0, 0.02, 0.0), (0.1, 0.02, 0.0), (0.1, 0.02, 0.1), (0.2, 0.02, 0.3)]
)
@pytest.mark.parametrize("cells", [3, 15])
def test_what_a_round_does_to_all_cells_is_taken_off_their_ratios_and_the_truth_stays_inside(
    cells, common, own, uneven
):
    rng = np.random.default_rng(6)
    found = []
    for _ in range(300):
        samples = side_by_side(rng, cells, common, own, uneven)
        found.append(compare(samples[0], samples[1], course(samples)))
    # The ratio of the medians themselves is inside as well, which makes some wider.
    assert coverage(found) >= 0.93


def widths(rng, common, own, cells=6):
    """Return the median widths of the intervals of a ratio, in logarithms: with what cells have in common, without."""
    found = []
    for _ in range(60):
        samples = side_by_side(rng, cells, common, own)
        pair = [compare(samples[0], samples[1], one) for one in (None, course(samples))]
        found.append([np.log(high / low) for _, low, high in pair])
    return np.median(found, axis=0)


def test_a_drift_that_all_cells_share_makes_their_ratios_no_less_certain():
    without, taken_off = widths(np.random.default_rng(7), 0.2, 0.01)
    assert taken_off < without / 4


def test_where_cells_have_nothing_in_common_their_intervals_stay_as_wide():
    without, taken_off = widths(np.random.default_rng(8), 0.0, 0.02)
    assert taken_off == pytest.approx(without, rel=0.1)


def test_fewer_than_three_cells_or_two_rounds_have_nothing_that_is_known_to_be_common():
    samples = side_by_side(np.random.default_rng(0), 3, 0.1, 0.01)
    assert course(samples[:2]) is None
    assert course([one[:1] for one in samples]) is None
    assert course([*samples[:2], samples[2][:2]]) is None
    assert course([]) is None


def test_medians_and_quantiles_are_those_of_numpy_to_the_last_bit():
    random = np.random.default_rng(1)
    for number in range(400):
        samples = np.exp(random.normal(0, (1e-3, 1, 5)[number % 3], 1 + number)).round(1 if number % 5 == 0 else 9)
        assert median(samples) == median(list(samples)) == np.median(samples)
        for values in (samples, (1e3 * samples).astype(np.int64)):
            for quantile in (0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1):
                assert quantile_of(np.sort(values), quantile) == np.quantile(values, quantile)
    assert np.isnan(median([1.0, np.nan, 2.0]))

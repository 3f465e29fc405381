"""Statistics of raw samples: medians with intervals that hold for autocorrelated samples, and honest percentiles.

How often the intervals contain the truth is simulated in tests/test_statistics.py.
"""

import warnings

import numpy as np
from scipy import special

LEVEL = 0.95
# Independent samples are taken for dependent ones in a tenth of cases: one-sided, in standard errors.
CORRELATED = float(special.ndtri(0.9))
# Fewer samples cannot show that they are independent: a timing that stops as soon as its interval is narrow would
# stop where a few neighbours happen to agree.
FEWEST_TO_LOOK_INDEPENDENT = 50


def autocorrelation_time(samples: np.ndarray) -> float:
    """Return the integrated autocorrelation time of a series, in samples: 1 for independent ones, n/2 at most.

    n samples are worth about n / time independent ones. Geyer's initial positive sequence (Statistical Science 7,
    1992) on autocorrelations without the bias of short series; see `correlation_window`.
    """
    return correlation_window(samples)[0]


def correlation_window(samples: np.ndarray) -> tuple[float, int]:
    """Return (integrated autocorrelation time, lags that it sums) of a series; (1, 0) if it looks independent.

    Autocorrelations of adjacent pairs of lags are summed until a pair's sum is not positive (Geyer 1992), up to half
    of the series. Subtracting the mean of n samples lowers each autocorrelation by time / n (Marriott and Pope,
    Biometrika 41, 1954), which stops the sum too early: it is added back, and the time estimated anew, a few times.
    A series of 50 and more whose first two lags do not stand out of the noise of an independent one looks independent.
    """
    samples = np.asarray(samples, float)
    n = len(samples)
    centred = samples - samples.mean()
    variance = centred @ centred
    if n < 6 or variance == 0:
        return 1.0, 0
    padded = np.fft.rfft(centred, 2 * n)
    half = n // 2
    correlation = np.fft.irfft(padded * padded.conj())[:half] / variance / (1 - np.arange(half) / n)
    if n >= FEWEST_TO_LOOK_INDEPENDENT and correlation[1:3].sum() + 2 / n <= CORRELATED * np.sqrt(2 / n):
        return 1.0, 0
    time = 1.0
    for _ in range(4):
        unbiased = correlation + time / n
        unbiased[0] = 1.0
        pairs = unbiased[: half // 2 * 2].reshape(-1, 2).sum(axis=1)
        stop = np.argmax(pairs <= 0) if (pairs <= 0).any() else len(pairs)
        time = float(np.clip(2 * pairs[:stop].sum() - 1, 1.0, n / 2))
    return time, max(2 * int(stop) - 1, 0)


def median_interval(rounds: list[np.ndarray]) -> tuple[float, float, float]:
    """Return (median, low, high) over rounds: the median of the rounds' medians with its 95 % interval.

    With one round: order statistics of its samples, which know nothing of what differs between processes. From two
    rounds on: Student's t over the logarithms of the rounds' medians, which contains it, and which is wide for two
    rounds because two say little; the interval is that of their mean, widened to the median where that lies outside.
    Where all rounds agree by chance, it is not narrower than one standard error on either side, as the samples within
    rounds have it: 96 % of intervals then contain the truth where processes do not differ at all, 98 % where besides
    each round is worth few independent samples. Samples are times, above 0.
    """
    medians = [float(np.median(samples)) for samples in rounds]
    middle = float(np.median(medians))
    if len(rounds) == 1:
        return (middle, *order_statistic_interval(rounds[0]))
    logs = np.log(medians)
    error = logs.std(ddof=1) / np.sqrt(len(rounds))
    half = max(special.stdtrit(len(rounds) - 1, 0.5 + LEVEL / 2) * error, _error_within(rounds))
    return middle, min(middle, float(np.exp(logs.mean() - half))), max(middle, float(np.exp(logs.mean() + half)))


def _error_within(rounds: list[np.ndarray]) -> float:
    """Return the standard error of the mean logarithm of the rounds' medians, were all processes alike."""
    intervals = [_central_interval(np.asarray(samples, float), 0.5, special.ndtr(1.0)) for samples in rounds]
    return float(np.mean([np.log(high / low) / 2 for low, high in intervals]) / np.sqrt(len(rounds)))


def order_statistic_interval(samples: np.ndarray, quantile: float = 0.5) -> tuple[float, float]:
    """Return the 95 % interval of a quantile from interpolated order statistics, widened for autocorrelation.

    Ranks: n * quantile, plus and minus the normal quantile times their standard deviation (Hahn and Meeker,
    Statistical Intervals, 2nd edition, section 5.2), with interpolation between neighbours (Hettmansperger and
    Sheather, Statistics and Probability Letters 4, 1986). What matters is how the series of "below the quantile" is
    correlated, not that of the values, which a few outliers would hide. Its autocorrelation time is an estimate with
    n / (2 * lags + 1) degrees of freedom (a spectrum at frequency 0 with a truncated window: Priestley, Spectral
    Analysis and Time Series, 1981, section 6.2), so Student's t takes the place of the normal quantile.

    Never wider than the range of the samples, which contains the median of fewer than six independent ones in
    1 - 2^(1 - n) of cases: 75 % for three, 94 % for five. Of six to 49 independent ones in more than 95 %, because
    they cannot show that they are. Too narrow where a series is shorter than a few autocorrelation times, and where
    measuring stopped because the interval was narrow: at a deviation of 5 % and a target of 2 % it then contains the
    truth in 94 % of cases, in 91 % with a lag-one correlation of 0.5, in 83 % with 0.9. More rounds show the truth.
    """
    return _central_interval(np.asarray(samples, float), quantile, 0.5 + LEVEL / 2)


def _central_interval(samples: np.ndarray, quantile: float, upper: float) -> tuple[float, float]:
    """Return the interval of a quantile that lies below its upper end with probability `upper`, as above its lower."""
    n, ordered = len(samples), np.sort(samples)
    below = np.sign(samples - np.quantile(ordered, quantile))
    time, lags = correlation_window(below)
    reach = special.stdtrit(n / (2 * lags + 1), upper) if lags else special.ndtri(upper)
    spread = reach * np.sqrt(n * time * quantile * (1 - quantile))
    low, high = np.interp(n * quantile - 0.5 + np.array([-spread, spread]), np.arange(n), ordered)
    return float(low), float(high)


# Fewest samples for which a two-sided 95 % interval of a percentile is bounded by samples on both sides.
FEWEST_FOR_PERCENTILE = {50: 6, 90: 36, 95: 72, 99: 368}


def percentile(samples: np.ndarray, percent: int) -> float | None:
    """Return a percentile of the pooled samples, or None where there are too few to support it."""
    if len(samples) < FEWEST_FOR_PERCENTILE[percent]:
        return None
    return float(np.percentile(samples, percent))


def compare(over: list[np.ndarray], under: list[np.ndarray]) -> tuple[float, float, float]:
    """Return (ratio, low, high) of two cells' medians over rounds, `over` / `under`, with its 95 % interval.

    Welch's t-test over the logarithms of the rounds' medians, which knows that two cells of few rounds together say
    more than each by itself (scipy.stats.ttest_ind with equal_var=False). Never narrower than one standard error, as
    the samples within rounds have it: 99 % of intervals then contain the truth where processes do not differ at all.
    Widened to the ratio of the medians where that lies outside. With one round of either: `ratio_interval` of their
    `median_interval`s. Samples are times, above 0.
    """
    from scipy import stats  # half a second, which a timing need not pay

    if min(len(over), len(under)) < 2:
        return ratio_interval(median_interval(over), median_interval(under))
    medians = [[float(np.median(samples)) for samples in rounds] for rounds in (over, under)]
    logs = [np.log(values) for values in medians]
    value = float(np.median(medians[0]) / np.median(medians[1]))
    middle, half = logs[0].mean() - logs[1].mean(), float(np.hypot(_error_within(over), _error_within(under)))
    if any(values.std() > 0 for values in logs):
        with warnings.catch_warnings():  # of rounds that agree to the last digit
            warnings.simplefilter("ignore", RuntimeWarning)
            low, high = stats.ttest_ind(*logs, equal_var=False).confidence_interval(LEVEL)
        half = max(half, float(high - low) / 2)
    return value, min(value, float(np.exp(middle - half))), max(value, float(np.exp(middle + half)))


def ratio_interval(over: tuple[float, float, float], under: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return (ratio, low, high) of two independent (value, low, high).

    Half-widths are added in quadrature on a logarithmic scale (Zou and Donner, Statistics in Medicine 27, 2008). It
    contains the truth in 95 % of cases where each interval rests on one round of hundreds of samples, and in up to
    99 % where it rests on 50 samples or on three rounds: each is as wide as itself demands, and both know more.
    """
    value = over[0] / under[0]
    low = np.hypot(np.log(over[0] / over[1]), np.log(under[2] / under[0]))
    high = np.hypot(np.log(over[2] / over[0]), np.log(under[0] / under[1]))
    return value, float(value * np.exp(-low)), float(value * np.exp(high))


def share_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, `hits` of `count`: Wilson's score interval.

    It holds near 0 and 1, where the normal interval fails (Brown, Cai and DasGupta, Statistical Science 16, 2001).
    """
    from scipy import stats  # half a second, which a timing need not pay

    low, high = stats.binomtest(hits, count).proportion_ci(LEVEL, method="wilson")
    return float(low), float(high)


def paired_loss(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float]:
    """Return (loss, low, high): by how much the share of right answers falls from `before` to `after`.

    Both are boolean [count], for the same images in the same order. Newcombe's interval of a difference of paired
    shares from their Wilson intervals and their correlation, with continuity correction (Statistics in Medicine 17,
    1998, pages 2635 to 2650, method 10). It is not empty where no answer differs: so many images cannot show that
    none ever does.
    """
    count, first, second = len(before), before.mean(), after.mean()
    low_1, high_1 = share_interval(int(before.sum()), count)
    low_2, high_2 = share_interval(int(after.sum()), count)
    both, neither = int((before & after).sum()), int((~before & ~after).sum())
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    product = (both + lost) * (won + neither) * (both + won) * (lost + neither)
    covariance = both * neither - lost * won
    if covariance > 0:
        covariance = max(covariance - count / 2, 0)
    correlation = covariance / np.sqrt(product) if product else 0.0
    below = spread(first - low_1, high_2 - second, correlation)
    above = spread(second - low_2, high_1 - first, correlation)
    return float(first - second), float(first - second - below), float(first - second + above)


def spread(one: float, other: float, correlation: float) -> float:
    """Return the root of two correlated half-widths added in quadrature."""
    return float(np.sqrt(max(one**2 - 2 * correlation * one * other + other**2, 0.0)))

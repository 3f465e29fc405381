"""Statistics of raw samples: medians with intervals that hold for autocorrelated samples, and honest percentiles."""

import numpy as np
from scipy import stats

LEVEL = 0.95


def autocorrelation_time(samples: np.ndarray) -> float:
    """Return the integrated autocorrelation time of a series, in samples: 1 for independent ones, n/2 at most.

    Geyer's initial positive sequence (Statistical Science 7, 1992): sum the autocorrelations of adjacent pairs of
    lags until a pair's sum is not positive. n samples are worth about n / time independent ones.
    """
    samples = np.asarray(samples, float)
    n = len(samples)
    centred = samples - samples.mean()
    variance = centred @ centred
    if n < 4 or variance == 0:
        return 1.0
    padded = np.fft.rfft(centred, 2 * n)
    correlation = np.fft.irfft(padded * padded.conj())[:n] / variance
    pairs = correlation[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    stop = np.argmax(pairs <= 0) if (pairs <= 0).any() else len(pairs)
    return float(np.clip(2 * pairs[:stop].sum() - 1, 1.0, n / 2))


def median_interval(rounds: list[np.ndarray]) -> tuple[float, float, float]:
    """Return (median, low, high) over rounds: the median of the rounds' medians with its 95 % interval.

    Within a round: order statistics of the sample, whose ranks come from the binomial distribution at the effective
    sample size (distribution-free). From three rounds on, Student's t over the logarithms of the rounds' medians where
    that is wider: it contains what differs between processes. With two rounds: the hull of both rounds' intervals.
    Samples are times, above 0.
    """
    medians = [float(np.median(samples)) for samples in rounds]
    middle = float(np.median(medians))
    within = [order_statistic_interval(samples) for samples in rounds]
    if len(rounds) == 1:
        return (middle, *within[0])
    if len(rounds) == 2:
        return middle, min(low for low, _ in within), max(high for _, high in within)
    half = stats.t.ppf(0.5 + LEVEL / 2, len(medians) - 1) * stats.sem(np.log(medians))
    inside = float(np.mean([np.log(high / low) / 2 for low, high in within])) / np.sqrt(len(rounds))
    factor = float(np.exp(max(half, inside)))
    return middle, middle / factor, middle * factor


def order_statistic_interval(samples: np.ndarray, quantile: float = 0.5) -> tuple[float, float]:
    """Return the 95 % interval of a quantile from order statistics, widened for autocorrelation.

    The ranks of n_eff independent samples are taken as fractions of the sorted samples. Source: Hahn and Meeker,
    Statistical Intervals (2nd edition), section 5.2.
    """
    ordered = np.sort(np.asarray(samples, float))
    effective = max(2.0, len(ordered) / autocorrelation_time(samples))
    tail = (1 - LEVEL) / 2
    low = stats.binom.ppf(tail, round(effective), quantile) / effective
    high = (stats.binom.ppf(1 - tail, round(effective), quantile) + 1) / effective
    last = len(ordered) - 1
    lower, upper = np.floor(low * len(ordered)) - 1, np.ceil(high * len(ordered)) - 1
    return float(ordered[int(np.clip(lower, 0, last))]), float(ordered[int(np.clip(upper, 0, last))])


# Fewest samples for which a two-sided 95 % interval of a percentile is bounded by samples on both sides.
FEWEST_FOR_PERCENTILE = {50: 6, 90: 36, 95: 72, 99: 368}


def percentile(samples: np.ndarray, percent: int) -> float | None:
    """Return a percentile of the pooled samples, or None where there are too few to support it."""
    if len(samples) < FEWEST_FOR_PERCENTILE[percent]:
        return None
    return float(np.percentile(samples, percent))


def ratio_interval(over: tuple[float, float, float], under: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return (ratio, low, high) of two independent (value, low, high).

    Half-widths are added in quadrature on a logarithmic scale.
    """
    value = over[0] / under[0]
    low = np.hypot(np.log(over[0] / over[1]), np.log(under[2] / under[0]))
    high = np.hypot(np.log(over[2] / over[0]), np.log(under[0] / under[1]))
    return value, float(value * np.exp(-low)), float(value * np.exp(high))
